/**
 * The error of a file that failed: where (file, statement, line), what the server said, its SQLSTATE, what happened to
 * the file, and what to do next if that is known.
 */
import { ConnectionLost, MigrationFailed, MigrationRefused } from '../../errors.ts'
import { sqlStateOf } from '../../sqlstate.ts'
import type { Statement } from '../files/script.ts'
import { child, children, nodeKind, text } from '../files/parse-tree.ts'

/** The part of a failed file that messages need. */
interface FailedFile {
  readonly file: string
  readonly script: { readonly transactional: boolean; readonly statements: readonly Statement[] }
}

/** A statement failed: `cause` is what the connection threw. */
export function failure(work: FailedFile, number: number, statement: Statement, cause: unknown): Error {
  const where = `${work.file}: statement ${number} (line ${statement.line})`
  if (cause instanceof ConnectionLost) return connectionLost(work, cause, where, number, statement.line)
  const sqlState = sqlStateOf(cause)
  return new MigrationFailed(
    `${where} failed: ${explained(cause, work.script.statements, number, adoptionHint)}\n${outcomeOf(work)}`,
    { cause, file: work.file, statement: number, line: statement.line, sqlState },
  )
}

// A table, an object of another kind, a column.
const alreadyThere = new Set<string | undefined>(['42P07', '42710', '42701'])

const adoptionHint =
  'Was this made by hand, or by `drizzle-kit push`? Then adopt the database with ' +
  '`rivulet baseline --to NAME`, NAME being the last migration it already has.'

// In a scratch database only the migrations make objects.
const twiceHint = 'It is made twice: an earlier migration, or an earlier statement, makes it as well.'

/**
 * Explains the failure of statement `number` of these, counted from 1, in a scratch database: what the server said,
 * with its SQLSTATE, and what to do about it.
 */
export function scratchExplanation(cause: unknown, statements: readonly Statement[], number: number): string {
  const message = cause instanceof Error ? cause.message : ''
  // Every database has the language plpgsql, and roles belong to the server.
  return explained(cause, statements, number, /^(?:role|extension|language) /.test(message) ? '' : twiceHint)
}

function explained(cause: unknown, statements: readonly Statement[], number: number, whenThere: string): string {
  const sqlState = sqlStateOf(cause)
  const message = cause instanceof Error ? cause.message : String(cause)
  const hint =
    (alreadyThere.has(sqlState) && whenThere) ||
    hintFor(sqlState, message, roleSetBy(statements.slice(0, number - 1))) ||
    hintForOrder(sqlState, message, statements.slice(number))
  return `${message}${sqlState ? ` [${sqlState}]` : ''}${hint && `\n${hint}`}`
}

/** The connection broke, at a statement or between two. */
export function connectionLost(
  work: FailedFile,
  cause: ConnectionLost,
  where = work.file,
  statement?: number,
  line?: number,
): Error {
  const message = `${where}: the connection was lost; ${outcomeOf(work)}`
  return new MigrationFailed(message, { cause, file: work.file, statement, line })
}

/**
 * Explains errors of writing the ledger or of COMMIT, where deferred constraints are checked. The first `statements` of
 * the file decide the role; with none it is the role of the database URL.
 */
export async function whileCommitting(work: FailedFile, statements: number, body: () => Promise<void>): Promise<void> {
  try {
    await body()
  } catch (cause) {
    const sqlState = sqlStateOf(cause)
    const message = cause instanceof Error ? cause.message : String(cause)
    const role = roleSetBy(work.script.statements.slice(0, statements))
    const hint = sqlState === '42501' ? hintFor(sqlState, message, role) : sqlState === '25006' ? readOnly : ''
    const outcome =
      cause instanceof ConnectionLost
        ? 'the ledger knows whether it was committed: run this again, and it continues from there'
        : outcomeOf(work)
    throw new MigrationFailed(
      `${work.file}: committing failed: ${message}${sqlState ? ` [${sqlState}]` : ''}\n` +
        `${hint && `${hint}\n`}${outcome}`,
      { cause, file: work.file, sqlState },
    )
  }
}

const readOnly =
  'The file makes its transaction read only, so it cannot be recorded: remove SET TRANSACTION READ ONLY, or SET ' +
  'default_transaction_read_only, from it.'

/** What happened to the file, and what the next run does. */
export function outcomeOf(work: FailedFile): string {
  return work.script.transactional
    ? `${work.file} was rolled back; the next run starts with it`
    : `${work.file} runs without a transaction: what it has done stays, and the next run resumes at this statement`
}

/** True for what a file failed with, or was refused with. */
export function isOfFile(error: unknown): error is MigrationFailed | MigrationRefused {
  return error instanceof MigrationFailed || error instanceof MigrationRefused
}

/** The role that the last SET ROLE, or SET SESSION AUTHORIZATION, among `statements` has set; undefined for none. */
function roleSetBy(statements: readonly Statement[]): string | undefined {
  let role: string | undefined
  for (const { tree } of statements) {
    const set = child(tree, 'VariableSetStmt')
    if (set === undefined) continue
    // RESET ALL leaves the role alone.
    if (!['role', 'session_authorization'].includes(text(set.name))) continue
    const value = text(child(children(set, 'args')[0], 'A_Const', 'sval')?.sval)
    role = value === '' || value === 'none' ? undefined : value
  }
  return role
}

function hintFor(sqlState: string | undefined, message: string, role: string | undefined): string {
  switch (sqlState) {
    case '25001':
      return `This statement cannot run in a transaction: put \`-- rivulet:no-transaction\` on the file's first line.`
    case '42P02':
      return (
        'A migration has no parameters: write the value itself, also in the schema in code, as in ' +
        'sql`${table.column} > 0` instead of gt(table.column, 0), because drizzle-kit writes the latter with a parameter.'
      )
    case '0A000':
      return message.startsWith('cannot alter type of a column')
        ? 'Drop what uses the column before this statement, and make it again after it, in the same file.'
        : ''
    case '42804':
      return message.includes('cannot be cast automatically')
        ? 'Say how to convert the values: ALTER TABLE … ALTER COLUMN … TYPE … USING ….'
        : ''
    case '42P16':
      return message.startsWith('multiple primary keys')
        ? 'Drop the old one in the statement before: ALTER TABLE … DROP CONSTRAINT ….'
        : ''
    case '2BP01':
      return 'Drop what depends on it in an earlier statement, or move the statement that does so before this one.'
    case '55P04':
      return 'A new enum value cannot be used in the transaction that adds it: move its use to the next migration.'
    case '42501':
      return role === undefined
        ? `The role of the database URL lacks this privilege: ${remedyFor(message)}, or migrate as the owner.`
        : `The role ${role}, which the file has set, lacks this privilege: ${remedyFor(message)}, or put RESET ROLE before it.`
    default:
      return ''
  }
}

/** The hint for an object that is missing now but made by a later statement. */
function hintForOrder(sqlState: string | undefined, message: string, later: readonly Statement[]): string {
  if (!['42P01', '42704', '42883'].includes(sqlState ?? '')) return ''
  const name = /^\w+ "?([^"( ]+)"?.* does not exist$/.exec(message)?.[1]?.split('.').at(-1)
  const maker = later.find(
    ({ tree, text: source }) =>
      /^(?:Create|View|Composite|Define)/.test(nodeKind(tree)) && name && source.includes(name),
  )
  return maker ? `The statement on line ${maker.line} makes it: move that statement before this one.` : ''
}

/** The privilege to grant, as far as the server's message tells. */
function remedyFor(message: string): string {
  const [, kind = '', name = ''] = /permission denied for (\w+(?: view)?) (\S+)/.exec(message) ?? []
  switch (kind) {
    case 'schema':
      return `GRANT USAGE, CREATE ON SCHEMA ${name} TO it`
    case 'database':
      return `GRANT CREATE ON DATABASE ${name} TO it`
    case 'table':
    case 'view':
      return `GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES ON ${name} TO it`
    case 'sequence':
      return `GRANT USAGE, SELECT ON SEQUENCE ${name} TO it`
    case 'type':
    case 'language':
      return `GRANT USAGE ON ${kind.toUpperCase()} ${name} TO it`
    case 'function':
    case 'procedure':
      return `GRANT EXECUTE ON ${kind.toUpperCase()} ${name} TO it`
    default:
      if (/permission denied to set session authorization/.test(message)) {
        return 'only a superuser may do that; SET ROLE does with GRANT of that role TO it'
      }
      if (message.startsWith('permission denied to set role ')) return `GRANT ${/"(.*)"/.exec(message)?.[1]} TO it`
      return message.startsWith('must be owner of ') ? 'GRANT the owning role TO it' : 'grant it'
  }
}
