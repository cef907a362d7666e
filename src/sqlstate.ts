/**
 * SQLSTATE -> error class, one table, and the rule that keeps values out of errors.
 *
 * The server repeats values in its messages: the key in a unique violation's detail, the text that is no number, the
 * parameter that names no table. So `detail`, `where` and `internal_query` are never kept, messages of class 23 are
 * written anew from the names in the error, and what others quote is blanked unless it stands in the statement itself.
 * Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import {
  CheckViolation,
  ConfigInvalid,
  ConnectionLost,
  DatabaseError,
  type DatabaseErrorInfo,
  DeadlockDetected,
  ForeignKeyViolation,
  InsufficientPrivilege,
  InvalidInput,
  LockTimeout,
  NotNullViolation,
  type RivuletError,
  SerializationFailure,
  StatementTimeout,
  UniqueViolation,
} from './errors.ts'

/** The fields of an ErrorResponse message, under the names postgres.js gives them. */
export interface ServerError {
  readonly code: string
  readonly message: string
  readonly severity?: string
  readonly detail?: string
  readonly hint?: string
  readonly schema_name?: string
  readonly table_name?: string
  readonly column_name?: string
  readonly constraint_name?: string
  readonly routine?: string
  /** The context of the error; it repeats values. */
  readonly where?: string
  /** Where in the statement it is; none for what happens while it runs. */
  readonly position?: string
  /** The text of the statement, hung on by postgres.js; none while connecting. */
  readonly query?: string
}

type Constructor = new (message: string, options: ErrorOptions & DatabaseErrorInfo) => RivuletError

const classBySqlState: Readonly<Record<string, Constructor>> = {
  '23502': NotNullViolation,
  '23001': ForeignKeyViolation,
  '23503': ForeignKeyViolation,
  '23505': UniqueViolation,
  '23P01': UniqueViolation,
  '23514': CheckViolation,
  '40001': SerializationFailure,
  '40P01': DeadlockDetected,
  '42501': InsufficientPrivilege,
  '55P03': LockTimeout,
  '57014': StatementTimeout,
}

const violationText: Readonly<Record<string, string>> = {
  '23502': 'a required column has no value',
  '23001': 'the row is still referenced',
  '23503': 'a foreign key is violated',
  '23505': 'a row with this key already exists',
  '23P01': 'a row conflicts with another one',
  '23514': 'a check constraint refused the row',
}

/**
 * SQLSTATEs after which the connection is gone, even while the socket is open; so is it after any FATAL error, such as an
 * idle-in-transaction timeout. A mere ERROR of these classes was raised by a function, or by a foreign data wrapper.
 */
const lost = /^(?:08|57P0[1-5])/

/** SQLSTATEs that say the credentials or the database name are wrong: trying again is in vain. */
const refused = /^(?:28|3D000)/

/** SQLSTATEs that say a value given cannot be what it should be: too long, out of range, no number, no date, no JSON. */
const unusableValue = /^22(?:001|003|007|008|009|021|023|026|02[1-9]|03[0-9A-G]|P02|P03|P05)$/

/**
 * What a type may say of a text that it cannot read, where it does not say it by class 22: a tsvector or an ltree has syntax
 * errors, a regclass does not exist, and any may be too long. Without the right to look, it is not the value's fault.
 */
const refusedByType = /^(?:22|42(?!501)|3F|54)/

/** True for a typed error that the server answered, and not one of ours. */
export function isAnswer(error: unknown): boolean {
  return error instanceof Error && isServerError(error.cause)
}

/** True for what the server says to every statement of a transaction after the first failure. */
export function isAborted(error: unknown): boolean {
  return error instanceof DatabaseError && error.sqlState === '25P02'
}

/** True when `error` is an ErrorResponse of the server (as postgres.js hands it over). */
export function isServerError(error: unknown): error is Error & ServerError {
  return (
    error instanceof Error && error.name === 'PostgresError' && typeof (error as Partial<ServerError>).code === 'string'
  )
}

/**
 * The typed error for an error of the server; its `cause` is the server's error without any value in it. `names` say
 * what each parameter is for.
 */
export function fromServerError(error: ServerError, names: readonly (string | undefined)[] = []): RivuletError {
  const { code: sqlState } = error
  const cause = withoutValues(error)
  if (endsConnection(error)) return new ConnectionLost(`the server ended the connection: ${cause.message}`, { cause })
  if (refused.test(sqlState)) return new ConfigInvalid(`the server refused the connection: ${cause.message}`, { cause })
  const info: DatabaseErrorInfo = { sqlState, ...placeOf(error), constraint: error.constraint_name }
  const parameter = parameterOf(error)
  const isOfValue = parameter > 0 || isAmongRows(error)
  if (unusableValue.test(sqlState) || (isOfValue && refusedByType.test(sqlState))) {
    const column = error.column_name ?? names[parameter - 1]
    if (column === undefined) return new InvalidInput(cause.message, { cause })
    return new InvalidInput(`${column}: ${cause.message}`, { cause, path: [column] })
  }
  const advice = isScript(error) ? `: ${scriptAdvice}` : ''
  return new (classBySqlState[sqlState] ?? DatabaseError)(`${cause.message}${advice}`, { cause, ...info })
}

/** The SQLSTATE of an error: its own, or that of the server's error behind it; undefined when no server sent it. */
export function sqlStateOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  if ('sqlState' in error && typeof error.sqlState === 'string') return error.sqlState
  const cause = (error as Error).cause
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined
  // Node's own codes, such as EPIPE, begin with E; no class of SQLSTATE does.
  return typeof code === 'string' && /^(?!E)[0-9A-Z]{5}$/.test(code) ? code : undefined
}

const scriptAdvice = 'send them one by one, or without any value in one db.execute(sql`…`)'

/** True for several statements in one, which the extended protocol does not take. */
function isScript({ code, routine }: ServerError): boolean {
  return code === '42601' && routine === 'exec_parse_message'
}

/** The parameter whose value the server could not read, counted from 1; PostgreSQL 14 and later say so in English. */
function parameterOf({ where = '' }: ServerError): number {
  return Number(/^unnamed portal parameter \$(\d+)/m.exec(where)?.[1] ?? 0)
}

/**
 * True for what a type says of a value among rows that travel as JSON, which have one parameter: it comes while the statement
 * runs, so without a place in its text, and from no function of the database's own, so without a context.
 */
function isAmongRows({ query = '', position, where }: ServerError): boolean {
  return position === undefined && where === undefined && query.includes('json_to_recordset($')
}

function endsConnection({ code, severity }: ServerError): boolean {
  if (severity === 'FATAL' || severity === 'PANIC') return !refused.test(code)
  return severity !== 'ERROR' && lost.test(code)
}

function withoutValues(error: ServerError): Error {
  const message = safeMessage(error)
  const { code, severity, schema_name, table_name, column_name, constraint_name, routine } = error
  const hint = error.hint === undefined ? undefined : withoutQuoted(error, error.hint)
  const fields = { code, severity, hint, schema_name, table_name, column_name, constraint_name, routine }
  const kept = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  const stripped = Object.assign(new Error(message), { name: 'PostgresError', ...kept })
  // The stack that matters is the typed error's; this one would only repeat it.
  stripped.stack = `PostgresError: ${message}`
  return stripped
}

function safeMessage(error: ServerError): string {
  if (!error.code.startsWith('23')) return withoutQuoted(error, error.message)
  const where = [
    error.table_name && `table ${error.table_name}`,
    error.column_name && `column ${error.column_name}`,
    error.constraint_name && `constraint ${error.constraint_name}`,
  ].filter(Boolean)
  const text = referencedTable(error) === undefined ? violationText[error.code] : violationText['23001']
  return `${text ?? 'a constraint is violated'}${where.length > 0 ? ` (${where.join(', ')})` : ''}`
}

/** From the first quotation mark of any language to the last. */
const quoted = /["„“«»][^]*["“”«»]/g

/** A message in which nothing is quoted that does not stand in the statement's own text. */
function withoutQuoted({ code, query, where }: ServerError, message: string): string {
  if (code.startsWith('22')) return message.replaceAll(quoted, '"…"').replace(/: [^"]*\d[^"]*$/, ': …')
  // Before there is a statement, what is quoted are the names of the database URL.
  if (query === undefined) return message
  const names = Array.from(message.matchAll(/"([^"]*)"/g), ([, name]) => name ?? '')
  const others = message.replaceAll(/"[^"]*"/g, '')
  // What fails in the course of the statement, in a function or in a name that it makes up, may quote a value with marks in it.
  const isKnown = where === undefined && names.every((name) => query.includes(name)) && !/["„“«»”]/.test(others)
  return isKnown ? message : message.replaceAll(quoted, '"…"')
}

/** The table an error is about, and which of its columns. */
function placeOf(error: ServerError): Pick<DatabaseErrorInfo, 'schema' | 'table' | 'columns'> {
  const columns = error.column_name === undefined ? columnsInDetail(error.detail) : [error.column_name]
  const referenced = referencedTable(error)
  // Its columns are those of the detail; the table in the fields is the referencing one, and its schema as well.
  if (referenced !== undefined) return { table: referenced, columns }
  return { schema: error.schema_name, table: error.table_name, columns }
}

/** The table of a row that cannot go because it is referenced; only the message names it. */
function referencedTable({ code, message }: ServerError): string | undefined {
  if (code !== '23503' && code !== '23001') return undefined
  return /^update or delete on table "(.+?)" violates /.exec(message)?.[1]
}

/** Names between parentheses: as they are, or quoted. An expression of an index has parentheses of its own. */
const keyColumns = /^Key \(((?:"(?:[^"]|"")*"|[^"()])*)\)=\(/

/** Unique and foreign key violations name their columns only in the detail: `Key (a, b)=(…) already exists.` */
function columnsInDetail(detail: string | undefined): readonly string[] {
  const names = keyColumns.exec(detail ?? '')?.[1]
  // Quoted names go whole, with all that is in them.
  const columns = names?.match(/"(?:[^"]|"")*"|[^", ][^",]*/g) ?? []
  return columns.map((name) => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name))
}
