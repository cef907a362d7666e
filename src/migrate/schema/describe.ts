/**
 * A database's schema as sorted entries, one per object, so that two databases can be compared entry by entry. Left out
 * are owners and grants, comments, statistics, the order of columns, and everything that belongs to an extension.
 */
import type { Connection } from '../../pool/connection.ts'
import { catalogQueries, notOfServer, separator } from './catalog.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { withoutNesting } from './without-nesting.ts'
import { quotedLiteral, shownName } from '../../values/quoting.ts'

/** The definition of one object. */
export interface Definition {
  readonly text: string
  /** Properties that Drizzle cannot declare. */
  readonly beyond: readonly string[]
}

/** Object -> definition. */
export type SchemaDescription = ReadonlyMap<string, Definition>

/**
 * Describes the database, or the named schemas of it, without the ledger. Changes only the session's search_path
 * meanwhile.
 */
export async function describeDatabase(
  connection: Connection,
  ledger: Ledger,
  schemas?: readonly string[],
): Promise<SchemaDescription> {
  const ours = schemas === undefined ? notOfServer : `n.nspname in (${schemas.map(quotedLiteral).join(', ')})`
  await connection.script("set search_path = ''")
  const results = await Promise.all(catalogQueries(ours).map((query) => connection.query(query, [], { arrays: true })))
  await connection.script('reset search_path')
  const rows = results.flat() as unknown as [string, string, string | null][]
  const entries = rows
    .filter(([object]) => !ledger.owns(object))
    .map(([object, text, beyond]): [string, Definition] => [
      object,
      {
        text: withoutNesting(text),
        beyond: withoutNesting(beyond ?? '')
          .split(separator)
          .filter(Boolean),
      },
    ])
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}

/** Public, and the schemas that have more than what is Rivulet's. */
export async function usedSchemas(connection: Connection, ledger: Ledger): Promise<readonly string[]> {
  const rows = (await connection.query(
    `select n.nspname as name from pg_catalog.pg_namespace n where ${notOfServer} order by 1`,
    [],
  )) as unknown as { name: string }[]
  const used = new Set(['public'])
  for (const { name } of rows) {
    const ours = name === ledger.schema || ledger.owns(`schema ${shownName(name)}`)
    if (!ours || (await describeDatabase(connection, ledger, [name])).size > 0) used.add(name)
  }
  return [...used]
}

/**
 * The description without tables and views that `keeps` rejects by their bare names, and without what belongs to them.
 */
export function withoutTables(description: SchemaDescription, keeps: (table: string) => boolean): SchemaDescription {
  const left = [...description.keys()]
    .flatMap((object) => relationOf(object) ?? [])
    .filter(({ bare }) => !keeps(bare.replace(/^"|"$/g, '').replaceAll('""', '"')))
  const gone = (object: string, text: string) => left.some((relation) => belongs(object, text, relation))
  return new Map([...description].filter(([object, { text }]) => !gone(object, text)))
}

interface Relation {
  /** As PostgreSQL quotes it. */
  readonly qualified: string
  readonly bare: string
}

/** The table or view that an entry is about; undefined for entries about something else. */
function relationOf(object: string): Relation | undefined {
  const [, qualified, bare] = /^(?:table|(?:materialized )?view) ((?:"(?:[^"]|"")*"|[^".]+)\.(.+))$/s.exec(object) ?? []
  return qualified && bare ? { qualified, bare } : undefined
}

/** True for the entry of a table or view, and for the entries of what belongs to it. */
function belongs(object: string, text: string, { qualified, bare }: Relation): boolean {
  const schema = qualified.slice(0, -bare.length)
  return (
    [`table ${qualified}`, `view ${qualified}`, `materialized view ${qualified}`].includes(object) ||
    object.startsWith(`column ${qualified}.`) ||
    (object.startsWith(`constraint ${schema}`) && object.endsWith(` on ${bare}`)) ||
    (/^(?:trigger|policy|rule|row security|index column) /.test(object) && object.endsWith(`on ${qualified}`)) ||
    (object.startsWith('index ') && new RegExp(` ON (?:ONLY )?${escaped(qualified)} `).test(text)) ||
    (object.startsWith('sequence ') && text.includes(`owned by ${qualified}.`))
  )
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** One object that is not the same in both. */
export interface Difference {
  readonly object: string
  /** The expected definition; undefined when the object should not exist. */
  readonly expected: string | undefined
  /** The actual definition; undefined when the object does not exist. */
  readonly actual: string | undefined
}

/** The differences, sorted by object. A table that is only on one side is listed without what belongs to it. */
export function differences(expected: SchemaDescription, actual: SchemaDescription): readonly Difference[] {
  const objects = [...new Set([...expected.keys(), ...actual.keys()])].sort()
  const found = objects
    .map((object) => ({ object, expected: fullText(expected.get(object)), actual: fullText(actual.get(object)) }))
    .filter(({ expected, actual }) => expected !== actual)
  return withoutParts(found)
}

/** Removes the entries of what belongs to tables and views that are only on one side. */
export function withoutParts(found: readonly Difference[]): readonly Difference[] {
  const relations = found
    .filter(({ expected, actual }) => expected === undefined || actual === undefined)
    .flatMap(({ object }) => relationOf(object) ?? [])
  return found.filter(
    ({ object, expected, actual }) =>
      relationOf(object) !== undefined ||
      !relations.some((relation) => belongs(object, expected ?? actual ?? '', relation)),
  )
}

/** The definition with the properties beyond it. */
export function fullText(definition: Definition | undefined): string | undefined {
  return definition && [definition.text, ...definition.beyond].filter(Boolean).join(' ')
}
