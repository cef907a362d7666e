/**
 * Many rows as few statements. Neighbouring rows with the same columns travel as one JSON parameter, in which every value is a
 * string of the text that its type reads: there is no limit of parameters, one statement for any number of rows, and every
 * value is checked as in VALUES. COPY would be faster still, but returns no rows.
 * https://www.postgresql.org/docs/current/functions-json.html (json_to_recordset)
 */
import { type SQL, sql } from 'drizzle-orm'
import { InvalidInput, NotFound, UsageError, VersionConflict } from '../../errors.ts'
import { textOf } from '../columns/encode.ts'
import { type Assignment, newRowAssignments, shapeOf } from './assignments.ts'
import { assignedValues, removedCondition, whereClause } from './clauses.ts'
import { list, slot } from './compiled-statement.ts'
import { recordColumn } from './sql-type.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'

/** Bounds of one statement: rows, and characters of JSON. */
const most = { rows: 10_000, characters: 4_000_000 }

/** What one of many rows says. */
export interface GivenRow {
  /** What is written; empty for a row that changes nothing. */
  readonly assignments: Assignment[]
  /** Of an update, what the row is known by: its key, and the version that it must have. */
  readonly known: readonly Assignment[]
}

/** Neighbouring rows for one statement. */
export interface RowChunk extends GivenRow {
  /** Where its first row stands among all, whose `assignments` and `known` these are; those of the others differ in their values. */
  readonly from: number
  /** Undefined for a row that needs its own statement: one of defaults only, or of SQL that varies. */
  readonly shape: string | undefined
  readonly objects: string[]
  characters: number
}

/** How the rows of a call are read. */
export interface RowReading {
  /** The call, for errors. */
  readonly call: string
  /** What a row says. */
  readonly read: (row: unknown) => GivenRow
  /** Tells rows of one shape apart that must not share a statement. */
  readonly kindOf?: (row: unknown) => string
}

/** Reads a row that is new. */
export function newRow(plan: TablePlan): RowReading['read'] {
  return (row) => ({ assignments: newRowAssignments(plan, row), known: [] })
}

/** The chunks of the rows that a call was given, in their order. @throws UsageError, and InvalidInput that names the row. */
export function chunksOf(plan: TablePlan, rows: unknown, { call, read, kindOf = () => '' }: RowReading): RowChunk[] {
  if (!Array.isArray(rows)) throw new UsageError(`${call} takes an array of rows of ${plan.name}`)
  const chunks: RowChunk[] = []
  let open: RowChunk | undefined
  // A loop by index also visits the holes of a sparse array.
  for (let index = 0; index < rows.length; index++) {
    const { assignments, known } = readAt(read, rows, index)
    // The order in which a row names its columns does not matter.
    assignments.sort((a, b) => (a.column.property < b.column.property ? -1 : 1))
    const values = known.length > 0 ? assignments.length : assignedValues(assignments).length
    const shaped = values === 0 ? undefined : shapeOf(plan, [...known, ...assignments])
    const shape = shaped === undefined ? undefined : shaped + kindOf(rows[index])
    const full = open && (open.objects.length >= most.rows || open.characters >= most.characters)
    if (!open || full || shape === undefined || open.shape !== shape) {
      open = { from: index, assignments, known, shape, objects: [], characters: 0 }
      chunks.push(open)
    }
    const object = shape === undefined ? '' : jsonObject([...known, ...assignments])
    open.objects.push(object)
    open.characters += object.length
  }
  return chunks
}

/** `insert into … (…) select … from` the rows of a chunk, whose JSON (`chunkJson`) is the first value of the statement. */
export function insertChunkClause(plan: TablePlan, { assignments }: RowChunk): SQL {
  const columns = list(assignments.map(({ column }) => column.bare))
  const values = list(
    assignments.map(({ column, expression }) => expression ?? recordColumn(column).read(sql`given.${column.bare}`)),
  )
  const valued = assignments.filter(({ expression }) => expression === undefined)
  const typed = list(valued.map(({ column }) => sql`${column.bare} ${recordColumn(column).type}`))
  const given = sql`json_to_recordset(${slot(0)}) as given (${typed})`
  return sql`insert into ${plan.source} (${columns}) select ${values} from ${given}`
}

/** The rows that an update was given, beside the table's own: names that no table has. */
const given = sql.identifier('rows given')
const givenNumber = sql`${given}.${sql.identifier('number given')}`

/**
 * `update … set … from` the rows of a chunk, whose JSON is the first value of the statement; `returning` is followed by the
 * number of each row in the chunk, from 1.
 */
export function updateChunk(plan: TablePlan, { known, assignments }: RowChunk, returning: SQL): SQL {
  const valued = [...known, ...assignments.filter(({ expression }) => expression === undefined)].map(
    ({ column }) => column,
  )
  const read = (column: PlannedColumn) => recordColumn(column).read(sql`${given}.${givenName(column)}`)
  const typed = list(valued.map((column) => sql`${column.bare} ${recordColumn(column).type}`))
  const names = list([...valued.map((column) => sql`${givenName(column)}`), sql`${sql.identifier('number given')}`])
  const from = sql`rows from (json_to_recordset(${slot(0)}) as (${typed})) with ordinality as ${given} (${names})`
  const set = list(assignments.map(({ column, expression }) => sql`${column.bare} = ${expression ?? read(column)}`))
  const same = known.map(({ column }) => sql`${column.reference} = ${read(column)}`)
  const where = whereClause([...same, removedCondition(plan, undefined)])
  return sql`update ${plan.source} set ${set} from ${from}${where} returning ${returning}, ${givenNumber}`
}

function givenName({ name }: PlannedColumn) {
  return sql.identifier(`${name} given`)
}

/** The rows of a chunk as one value. */
export function chunkJson({ objects }: RowChunk): string {
  return `[${objects.join(',')}]`
}

function readAt(read: RowReading['read'], rows: readonly unknown[], index: number): GivenRow {
  try {
    return read(rows[index])
  } catch (error) {
    throw atRow(index, error)
  }
}

/** An error about one of the rows, which says about which. */
export function atRow(index: number, error: unknown): unknown {
  const message = `rows[${index}]: ${error instanceof Error ? error.message : String(error)}`
  if (error instanceof InvalidInput) return new InvalidInput(message, { cause: error, path: [index, ...error.path] })
  if (error instanceof NotFound) return new NotFound(message, { cause: error, table: error.table })
  if (error instanceof VersionConflict) return new VersionConflict(message, { cause: error, table: error.table })
  return error instanceof UsageError ? new UsageError(message, { cause: error }) : error
}

function jsonObject(assignments: readonly Assignment[]): string {
  const members: string[] = []
  for (const { column, value, expression } of assignments) {
    if (expression || value === null) continue
    members.push(`${JSON.stringify(column.name)}:${JSON.stringify(textOf(value))}`)
  }
  return `{${members.join(',')}}`
}
