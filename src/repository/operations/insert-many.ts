/**
 * INSERT of any number of rows. Neighbouring rows with the same columns travel as one JSON parameter, in which every
 * value is a string of the text that its type reads: there is no limit of parameters, one statement for any number of
 * rows, and every value is checked as in VALUES. COPY would be faster still, but returns no rows. The rows are written
 * in the given order, so a row may refer to an earlier one, and always in a transaction: a trigger that skips a row is
 * noticed before anything is committed, and what the session may do meanwhile does not depend on the rows.
 * https://www.postgresql.org/docs/current/functions-json.html (json_to_recordset)
 */
import { sql } from 'drizzle-orm'
import { InvalidInput, UsageError } from '../../errors.ts'
import { textOf } from '../columns/encode.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { type ReadRow, selectionOf } from '../query/selection.ts'
import { recordColumn } from '../query/sql-type.ts'
import { list, slot, CompiledStatement } from '../query/compiled-statement.ts'
import type { TablePlan } from '../query/table-plan.ts'
import { type Assignment, newRowAssignments, shapeOf } from '../query/assignments.ts'
import { insertAssigned } from '../query/write-row.ts'
import { skipped } from '../query/row-errors.ts'

/** Bounds of one statement: rows, and characters of JSON. */
const chunk = { rows: 5000, characters: 4_000_000 }

/** Statements in flight at a time. */
const pipelined = 64

/** Neighbouring rows for one statement. */
interface Chunk {
  /** The assignments of the first row; those of the others differ only in their values. */
  readonly assignments: readonly Assignment[]
  /** Undefined for a row that needs its own statement: one of defaults only, or of SQL that varies. */
  readonly shape: string | undefined
  readonly objects: string[]
  characters: number
}

/** Inserts all rows or none, and returns them in the given order. @throws DatabaseError when a trigger skips one. */
export async function insertRows(runner: RepositoryRunner, plan: TablePlan, rows: unknown): Promise<ReadRow[]> {
  if (!Array.isArray(rows)) throw new UsageError(`insertMany takes an array of rows of ${plan.name}`)
  const chunks = chunked(plan, rows)
  if (chunks.length === 0) return []
  return runner.transaction(async (nested) => {
    const session = nested as RepositoryRunner
    const inserted: ReadRow[] = []
    for (let from = 0; from < chunks.length; from += pipelined) {
      const sent = chunks.slice(from, from + pipelined).map((part) => insertChunk(session, plan, part))
      for (const answer of await Promise.allSettled(sent)) {
        if (answer.status === 'rejected') throw answer.reason
        for (const row of answer.value) inserted.push(row)
      }
    }
    return inserted
  })
}

function chunked(plan: TablePlan, rows: readonly unknown[]): Chunk[] {
  const chunks: Chunk[] = []
  let open: Chunk | undefined
  // A loop by index also visits the holes of a sparse array.
  for (let index = 0; index < rows.length; index++) {
    const assignments = assignmentsAt(plan, rows, index)
    // The order in which a row names its columns does not matter.
    assignments.sort((a, b) => (a.column.property < b.column.property ? -1 : 1))
    const alone = assignments.every(({ expression }) => expression !== undefined)
    const shape = alone ? undefined : shapeOf(plan, assignments)
    const full = open && (open.objects.length >= chunk.rows || open.characters >= chunk.characters)
    if (!open || full || shape === undefined || open.shape !== shape) {
      open = { assignments, shape, objects: [], characters: 0 }
      chunks.push(open)
    }
    const object = shape === undefined ? '' : jsonObject(assignments)
    open.objects.push(object)
    open.characters += object.length
  }
  return chunks
}

/** Returns the assignments of one row; errors name its index. */
function assignmentsAt(plan: TablePlan, rows: readonly unknown[], index: number): Assignment[] {
  try {
    return newRowAssignments(plan, rows[index])
  } catch (error) {
    const message = `rows[${index}]: ${error instanceof Error ? error.message : String(error)}`
    if (error instanceof InvalidInput) throw new InvalidInput(message, { cause: error, path: [index, ...error.path] })
    if (error instanceof UsageError) throw new UsageError(message, { cause: error })
    throw error
  }
}

function jsonObject(assignments: readonly Assignment[]): string {
  const members: string[] = []
  for (const { column, value, expression } of assignments) {
    if (expression || value === null) continue
    members.push(`${JSON.stringify(column.name)}:${JSON.stringify(textOf(value))}`)
  }
  return `{${members.join(',')}}`
}

async function insertChunk(
  runner: RepositoryRunner,
  plan: TablePlan,
  { assignments, shape, objects }: Chunk,
): Promise<readonly ReadRow[]> {
  if (shape === undefined) return [await insertAssigned(runner, plan, assignments)]
  const selection = selectionOf(plan)
  const statement = plan.statements.of(`insertMany${shape}`, () => {
    const columns = list(assignments.map(({ column }) => column.bare))
    const values = list(
      assignments.map(({ column, expression }) => expression ?? recordColumn(column).read(sql`given.${column.bare}`)),
    )
    const valued = assignments.filter(({ expression }) => expression === undefined)
    const typed = list(valued.map(({ column }) => sql`${column.bare} ${recordColumn(column).type}`))
    const given = sql`json_to_recordset(${slot(0)}) as given (${typed})`
    return new CompiledStatement(
      plan.drizzle,
      sql`insert into ${plan.source} (${columns}) select ${values} from ${given} returning ${selection.sql}`,
    )
  })
  const answered = selection.marked(await statement.run(runner, [`[${objects.join(',')}]`]))
  if (answered.length !== objects.length) throw skipped(plan)
  return answered.map((values) => selection.read(values))
}
