/**
 * Many rows as few statements. Neighbouring rows with the same columns travel as one JSON parameter, in which every value is a
 * string of the text that its type reads: there is no limit of parameters, one statement for any number of rows, and every
 * value is checked as in VALUES. COPY would be faster still, but returns no rows.
 * https://www.postgresql.org/docs/current/functions-json.html (json_to_recordset)
 */
import { type SQL, sql } from 'drizzle-orm'
import { InvalidInput, UsageError } from '../../errors.ts'
import { textOf } from '../columns/encode.ts'
import { type Assignment, newRowAssignments, shapeOf } from './assignments.ts'
import { list, slot } from './compiled-statement.ts'
import { recordColumn } from './sql-type.ts'
import type { TablePlan } from './table-plan.ts'

/** Bounds of one statement: rows, and characters of JSON. */
const most = { rows: 5000, characters: 4_000_000 }

/** Neighbouring rows for one statement. */
export interface RowChunk {
  /** Where its first row stands among all. */
  readonly from: number
  /** The assignments of the first row; those of the others differ only in their values. */
  readonly assignments: readonly Assignment[]
  /** Undefined for a row that needs its own statement: one of defaults only, or of SQL that varies. */
  readonly shape: string | undefined
  readonly objects: string[]
  characters: number
}

/**
 * The chunks of the rows that `call` was given, in their order; `kindOf` tells rows of one shape apart that must not share a
 * statement. @throws UsageError, and InvalidInput that names the row.
 */
export function chunksOf(
  plan: TablePlan,
  call: string,
  rows: unknown,
  kindOf: (row: unknown) => string = () => '',
): RowChunk[] {
  if (!Array.isArray(rows)) throw new UsageError(`${call} takes an array of rows of ${plan.name}`)
  const chunks: RowChunk[] = []
  let open: RowChunk | undefined
  // A loop by index also visits the holes of a sparse array.
  for (let index = 0; index < rows.length; index++) {
    const assignments = assignmentsAt(plan, rows, index)
    // The order in which a row names its columns does not matter.
    assignments.sort((a, b) => (a.column.property < b.column.property ? -1 : 1))
    const alone = assignments.every(({ expression }) => expression !== undefined)
    const shaped = alone ? undefined : shapeOf(plan, assignments)
    const shape = shaped === undefined ? undefined : shaped + kindOf(rows[index])
    const full = open && (open.objects.length >= most.rows || open.characters >= most.characters)
    if (!open || full || shape === undefined || open.shape !== shape) {
      open = { from: index, assignments, shape, objects: [], characters: 0 }
      chunks.push(open)
    }
    const object = shape === undefined ? '' : jsonObject(assignments)
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

/** The rows of a chunk as one value. */
export function chunkJson({ objects }: RowChunk): string {
  return `[${objects.join(',')}]`
}

/** Returns the assignments of one row; errors name its index. */
function assignmentsAt(plan: TablePlan, rows: readonly unknown[], index: number): Assignment[] {
  try {
    return newRowAssignments(plan, rows[index])
  } catch (error) {
    throw atRow(index, error)
  }
}

/** An error about one of the rows, which says about which. */
export function atRow(index: number, error: unknown): unknown {
  const message = `rows[${index}]: ${error instanceof Error ? error.message : String(error)}`
  if (error instanceof InvalidInput) return new InvalidInput(message, { cause: error, path: [index, ...error.path] })
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
