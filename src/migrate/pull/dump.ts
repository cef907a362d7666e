/**
 * The statements that make a database's schema again, in an order in which they run: the first migration of a project
 * that starts from a database. They are PostgreSQL's own text (`pg_get_…def`) as far as it has any. Owners, grants,
 * comments, data, and what `verify` does not compare are left out.
 */
import type { Connection } from '../../pool/connection.ts'
import { asFirstWritten, withNamelessConstants } from './expression.ts'
import { afterwards, sequences, tables, views } from './dump-relations.ts'
import { extensions, interwoven, last, needs, schemas } from './dump-others.ts'

/** One statement, and what it makes or changes: `table public.film`. */
export interface DumpedStatement {
  readonly object: string
  readonly text: string
}

interface Node extends DumpedStatement {
  readonly key: string
}

/** The statements; `ours` is a condition on `n`, pg_namespace. The session's search_path must be empty. */
export async function dumpSchema(connection: Connection, ours: string): Promise<readonly DumpedStatement[]> {
  const read = async (queries: readonly string[]): Promise<Node[]> => {
    const results = await Promise.all(queries.map((query) => connection.query(query, [], { arrays: true })))
    return results.flatMap((rows) =>
      (rows as unknown as [string, string, string][])
        .map(([key, object, text]) => ({ key, object, text }))
        .sort((a, b) => (a.object < b.object ? -1 : a.object > b.object ? 1 : 0)),
    )
  }
  const [first, middle, more, final] = await Promise.all([
    read([schemas(ours)]),
    read([...interwoven(ours), sequences(ours), tables(ours), views(ours)]),
    read(afterwards(ours)),
    read(last(ours)),
  ])
  const installed = (await connection.query(extensions, [], { arrays: true })) as unknown as [string, string, string][]
  const pairs = (await connection.query(needs, [], { arrays: true })) as unknown as [string, string][]
  return [
    ...first,
    ...installed.map(([, object, text]) => ({ object, text })),
    ...inOrder(middle, pairs),
    ...more,
    ...final,
  ].map(({ object, text }) => ({ object, text: asWritten(object, text) }))
}

/** What PostgreSQL prints is not always what it prints again after reading it. The text of a function is its own. */
function asWritten(object: string, text: string): string {
  if (object.startsWith('function ')) return text
  return asFirstWritten(/^(?:materialized )?view /.test(object) ? withNamelessConstants(text) : text)
}

/**
 * Sorts the nodes so that each comes after those it needs, otherwise in the given order. A cycle is cut at its last
 * link.
 */
function inOrder(nodes: readonly Node[], pairs: readonly (readonly [string, string])[]): readonly Node[] {
  const byKey = new Map(nodes.map((node) => [node.key, node]))
  const needed = new Map<string, string[]>()
  for (const [from, to] of pairs) {
    if (!byKey.has(from) || !byKey.has(to)) continue
    needed.set(from, [...(needed.get(from) ?? []), to])
  }
  const sorted = new Set<Node>()
  const entered = new Set<string>()
  const enter = (node: Node) => {
    if (entered.has(node.key)) return
    entered.add(node.key)
    for (const key of (needed.get(node.key) ?? []).sort()) enter(byKey.get(key)!)
    sorted.add(node)
  }
  for (const node of nodes) enter(node)
  return [...sorted]
}

/** How the file begins. */
export const pulledHead = '-- Made by `rivulet pull`: '

/** The file: runs in one transaction, split by breakpoints as drizzle-kit splits it. */
export function dumpedFile(statements: readonly DumpedStatement[]): string {
  const head =
    `${pulledHead}what the database had before its first migration. A database that has it already gets\n` +
    '-- it by `rivulet baseline`, a new one by `rivulet migrate`.\n'
  // Functions may refer to objects that come later.
  const all = ['set local check_function_bodies = off', ...statements.map(({ text }) => text)]
  return `${head}${all.map((text) => `${text.trimEnd()};`).join('\n--> statement-breakpoint\n')}\n`
}
