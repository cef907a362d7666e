/**
 * Checks that the migrations make what the schema in code declares. drizzle-kit compares the code only with its
 * snapshots, never with the SQL, so it does not notice what a file was edited to leave out, or what drizzle-kit's own
 * SQL loses.
 *
 * In a scratch database with all migrations, everything that the code declares is dropped and made again by
 * drizzle-kit's own statements; functions, views, types and extensions made by hand stay, because the code may need
 * them. What exists then is declared; what existed before was made by the migrations. SQL written by hand may make more
 * than the code declares, which is not drift.
 */
import type { Connection } from '../../pool/connection.ts'
import { UsageError } from '../../errors.ts'
import { optionNames } from '../../option-names.ts'
import { scratchExplanation } from '../run/failure.ts'
import { sqlStateOf } from '../../sqlstate.ts'
import { readHandMadeViews } from './hand-made-views.ts'
import {
  type Definition,
  describeDatabase,
  type Difference,
  type SchemaDescription,
  fullText,
  withoutParts,
} from './describe.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { runs } from './replay.ts'
import { parseScript, type Statement } from '../files/script.ts'
import { child, children, nodeKind, text, type Tree } from '../files/parse-tree.ts'
import { quotedName, shownName } from '../../values/quoting.ts'

/** What drizzle-kit writes for the schema in code. */
export interface CodeSql {
  /** For an empty database. */
  readonly whole: string
  /** For the next migration: what its snapshots lack. Default nothing. */
  readonly ungenerated?: string | undefined
}

export const codeNames = optionNames<CodeSql>({ whole: 'string', ungenerated: 'string' })

/** @throws UsageError without the SQL for an empty database: nothing would be declared */
export function checkCode(command: string, code: CodeSql | undefined): void {
  if (typeof code?.whole === 'string') return
  throw new UsageError(
    `${command} needs what drizzle-kit writes for the schema in code: { code: { whole, ungenerated? } }`,
  )
}

/** A statement of drizzle-kit's that PostgreSQL refuses. */
export interface RefusedStatement {
  /** True for the next migration, false for the schema in code as a whole. */
  readonly ungenerated: boolean
  readonly statement: string
  /** What the server said, with its SQLSTATE, and what to do if that is known. */
  readonly reason: string
}

type Refusal = Omit<RefusedStatement, 'ungenerated'>

/** The schema in code, compared with what the migrations and the next one to generate make. */
export interface CodeComparison {
  /** Declared but not made: `expected` as the code declares it, `actual` as the migrations make it. */
  readonly differences: readonly Difference[]
  /** Statements whose results were not compared. */
  readonly refused: readonly RefusedStatement[]
  /** Made only by the migrations, or under another name, as SQL written by hand does: not drift. */
  readonly migrationsOnly: readonly Difference[]
}

/** Compares. The database at `connection` has all migrations, and cannot be used afterwards. */
export async function compareCode(
  connection: Connection,
  ledger: Ledger,
  code: CodeSql,
  throwAway: boolean,
): Promise<CodeComparison> {
  const { made, declared, refused } = await describeCode(connection, ledger, code, throwAway)
  return { ...compareDeclared(declared, made), refused }
}

/** What the migrations made, and what the code declares. */
interface CodeDescription {
  readonly made: SchemaDescription
  readonly declared: SchemaDescription
  readonly refused: readonly RefusedStatement[]
}

/** Describes what the migrations made, then replaces it by what the code declares. */
export async function describeCode(
  connection: Connection,
  ledger: Ledger,
  { whole, ungenerated = '' }: CodeSql,
  throwAway: boolean,
): Promise<CodeDescription> {
  const later = await runAll(connection, (await parseScript(ungenerated)).statements, throwAway)
  const made = await describeDatabase(connection, ledger)
  const { statements } = await parseScript(whole)
  const relations = statements.flatMap(({ tree }) => declaredRelation(tree) ?? [])
  const views = await readHandMadeViews(connection, relations)
  for (const { tree, text } of statements) {
    await dropDeclared(connection, tree)
    // A table in a statement that does not parse is dropped, too: otherwise its indexes would already exist.
    const [, table] = tree === undefined ? (/^CREATE TABLE ((?:"[^"\n]+"\.)?"[^"\n]+") \(/.exec(text) ?? []) : []
    if (table !== undefined) await connection.script(`drop table if exists ${table} cascade`)
  }
  const before = await describeDatabase(connection, ledger)
  // Policies, defaults or views may need what was dropped along with a table.
  const needed = (object: string) => object.startsWith('function ') || views.has(object)
  const lost = new Map([...made].filter(([object]) => needed(object) && !before.has(object)))
  const again = [...lost].map(([object, { text }]) => ({ text: views.get(object) ?? text, tree: undefined }))
  const failed = await runAll(connection, [...statements, ...again], throwAway)
  const refused = failed.filter(({ statement }) => !again.some(({ text }) => text === statement))
  const after = await describeDatabase(connection, ledger)
  // Schemas were not dropped, because they may have much that was made by hand.
  const schemas = new Set(
    statements.map(({ tree }) => `schema ${shownName(text(child(tree, 'CreateSchemaStmt')?.schemaname))}`),
  )
  const isNew = ([object, { text }]: [string, Definition]) =>
    !object.startsWith('function ') && !lost.has(object) && (schemas.has(object) || before.get(object)?.text !== text)
  const roles = throwAway ? [] : await missingRoles(connection, statements)
  return {
    made,
    declared: new Map([...after].filter(isNew)),
    refused: [...marked(later, true), ...marked([...refused, ...roles], false)],
  }
}

function marked(list: readonly Refusal[], ungenerated: boolean): readonly RefusedStatement[] {
  return list.map((one) => ({ ungenerated, ...one }))
}

/**
 * Runs the statements in an order in which they can run (drizzle-kit sorts views by name). Returns those that never
 * can.
 */
async function runAll(
  connection: Connection,
  statements: readonly Pick<Statement, 'text' | 'tree'>[],
  throwAway: boolean,
): Promise<readonly Refusal[]> {
  let left = statements.filter((statement) => runs(statement, throwAway))
  for (;;) {
    const failed: { statement: (typeof left)[number]; error: unknown }[] = []
    for (const statement of left) {
      await connection.script(statement.text).catch((error: unknown) => {
        if (connection.lost) throw error
        // Schemas are not dropped before, and roles belong to the server.
        const there = { CreateSchemaStmt: '42P06', CreateRoleStmt: '42710' }[nodeKind(statement.tree)]
        if (there === undefined || sqlStateOf(error) !== there) failed.push({ statement, error })
      })
    }
    if (failed.length === left.length || failed.length === 0) {
      return failed.map(({ statement, error }) => ({
        statement: statement.text,
        reason: scratchExplanation(error, [], 0),
      }))
    }
    left = failed.map(({ statement }) => statement)
  }
}

/** Drops the object that `tree` will make, of any kind, with everything that depends on it. */
async function dropDeclared(connection: Connection, tree: Tree | undefined): Promise<void> {
  const body = child(tree, nodeKind(tree))
  if (nodeKind(tree) === 'CreateEnumStmt') {
    const names = children(body, 'typeName').map((name) => text(child(name, 'String')?.sval))
    const name = names.map(quotedName).join('.')
    await connection.script(`drop type if exists ${name} cascade`)
  }
  if (nodeKind(tree) === 'CreatePolicyStmt') {
    // Its table may be one that the code does not make.
    const table = rangeName(child(body, 'table'))
    const isTable = (await kindOfRelation(connection, table))?.endsWith('table') === true
    if (isTable) await connection.script(`drop policy if exists ${quotedName(text(body?.policy_name))} on ${table}`)
  }
  const name = declaredRelation(tree)
  if (name === undefined) return
  const kind = await kindOfRelation(connection, name)
  if (kind !== undefined) await connection.script(`drop ${kind} ${name} cascade`)
}

/** What is there under this quotedName name, in the words of DROP; undefined for nothing. */
async function kindOfRelation(connection: Connection, name: string): Promise<string | undefined> {
  const [row] = (await connection.query('select relkind::text as kind from pg_class where oid = to_regclass($1)', [
    name,
  ])) as unknown as { kind: string }[]
  return kinds[row?.kind ?? '']
}

/** The quotedName name of the table, view or sequence that `tree` makes. */
function declaredRelation(tree: Tree | undefined): string | undefined {
  const body = child(tree, nodeKind(tree))
  const relation = { CreateStmt: 'relation', ViewStmt: 'view', CreateSeqStmt: 'sequence' }[nodeKind(tree)]
  const range = relation === undefined ? child(body, 'into', 'rel') : child(body, relation)
  return range && rangeName(range)
}

function rangeName(range: Tree | undefined): string {
  return [text(range?.schemaname), text(range?.relname)].filter(Boolean).map(quotedName).join('.')
}

const kinds: Readonly<Record<string, string>> = {
  r: 'table',
  p: 'table',
  f: 'foreign table',
  v: 'view',
  m: 'materialized view',
  S: 'sequence',
}

async function missingRoles(connection: Connection, statements: readonly Statement[]): Promise<readonly Refusal[]> {
  const found = statements.filter(({ tree }) => nodeKind(tree) === 'CreateRoleStmt')
  const rows = (await connection.query('select rolname as name from pg_catalog.pg_roles', [])) as unknown as {
    name: string
  }[]
  const there = new Set(rows.map(({ name }) => name))
  return found
    .filter(({ tree }) => !there.has(text(child(tree, 'CreateRoleStmt')?.role)))
    .map(({ text }) => ({ statement: text, reason: 'the server has no such role, and no applied migration makes it' }))
}

/** What is declared and not made, and what is made and not declared. */
export function compareDeclared(
  declared: SchemaDescription,
  made: SchemaDescription,
): Pick<CodeComparison, 'differences' | 'migrationsOnly'> {
  const twins = new Map<string, string>()
  const strangers = [...made].filter(([object]) => !declared.has(object))
  for (const [object, definition] of declared) {
    if (made.has(object)) continue
    const twin = strangers.find(([name, other]) => !twins.has(name) && sameButName([object, definition], [name, other]))
    if (twin) twins.set(twin[0], object)
  }
  const renamed = new Set(twins.values())
  const missing: Difference[] = []
  const properties: Difference[] = []
  for (const [object, definition] of declared) {
    const other = made.get(object)
    if (renamed.has(object)) continue
    if (other === undefined || lacks(object, definition, other)) {
      const beyond = other?.beyond.filter((one) => definition.beyond.includes(one)) ?? []
      missing.push({ object, expected: fullText(definition), actual: other && fullText({ text: other.text, beyond }) })
    } else {
      const beyond = [
        ...additions(definition.text, other.text),
        ...other.beyond.filter((one) => !definition.beyond.includes(one)),
      ]
      if (beyond.length > 0) properties.push({ object, expected: undefined, actual: beyond.join(' ') })
    }
  }
  const more = [...made]
    .filter(([object]) => !declared.has(object) && !twins.has(object) && !/^(?:schema|extension) /.test(object))
    .map(([object, definition]) => ({ object, expected: undefined, actual: fullText(definition) }))
  const named = [...twins]
    .filter(([, object]) => !unnamed(object, declared.get(object)))
    .map(([name, object]) => ({ object: name, expected: object, actual: fullText(made.get(name)) }))
  const only = [...named, ...properties, ...withoutParts(more)]
  return {
    differences: withoutParts(missing),
    migrationsOnly: only.toSorted((a, b) => (a.object < b.object ? -1 : a.object > b.object ? 1 : 0)),
  }
}

/** The same object under another name: a constraint or an index made by hand, or one of a renamed table. */
function sameButName([object, { text }]: [string, Definition], [name, other]: [string, Definition]): boolean {
  const kind = /^\w+/.exec(object)?.[0] ?? ''
  const nameless = kind === 'constraint' || kind === 'index' || (kind === 'sequence' && text.includes('owned by '))
  return nameless && unnamedEntry(object) === unnamedEntry(name) && unnamedIndex(text) === unnamedIndex(other.text)
}

/** `constraint public.c on t` without its name. */
function unnamedEntry(object: string): string {
  return object.replace(/^(\w+ (?:"(?:[^"]|"")*"|[^".]+)\.)(?:"(?:[^"]|"")*"|[^" ]+)/s, '$1')
}

function unnamedIndex(definition: string): string {
  return definition.replace(/^(CREATE (?:UNIQUE )?INDEX) .*? (ON .* USING )/s, '$1 $2')
}

/** True when PostgreSQL made the name: of primary keys, and of the sequences of columns. */
function unnamed(object: string, definition: Definition | undefined): boolean {
  return object.startsWith('sequence ') || (definition?.text.startsWith('PRIMARY KEY') ?? false)
}

/** True when `made` lacks something that `declared` has. */
function lacks(object: string, declared: Definition, made: Definition): boolean {
  // Both sides have the options of a serial column's sequence, which the code cannot choose.
  const beyond = object.startsWith('sequence ') ? [] : declared.beyond
  const same = plain(made.text) === plain(declared.text) || additions(declared.text, made.text).length > 0
  return !same || !beyond.every((one) => made.beyond.includes(one))
}

/** A default that hand-written SQL adds is harmless, because the code does not need it. */
function additions(declared: string, made: string): readonly string[] {
  const [before, value] = made.split(/ (?=default )/)
  return declared === before && value !== undefined ? [value] : []
}

/**
 * Removes the cast of a default that is one literal: a column that changed its type keeps the old cast. Drizzle cannot
 * declare a virtual column: it declares a generated one, and SQL written by hand decides which of the two it is.
 */
function plain(definition: string): string {
  return definition
    .replace(/( default '(?:[^']|'')*')::[\w ."[\]()]+$/, '$1')
    .replace(/ virtual(?= default )/, ' stored')
}
