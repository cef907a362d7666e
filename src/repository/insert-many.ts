/**
 * INSERT of any number of rows. Rows that name the same columns travel as one JSON parameter, read by the server with
 * the table's own row type: no limit of parameters, one statement for any number of rows, and every value checked as if
 * it stood in VALUES. COPY would be quicker still, but answers no rows.
 * https://www.postgresql.org/docs/current/functions-json.html (json_populate_recordset)
 */
import { sql } from 'drizzle-orm'
import { UsageError } from '../errors.ts'
import { textOf } from './column-input.ts'
import { isJsonType } from './column-output.ts'
import { insertRow } from './insert.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import { type ReadRow, selectionOf } from './selection.ts'
import { list, slot, Statement } from './statement.ts'
import type { TablePlan } from './table-plan.ts'
import { type Assignment, newRowAssignments, shapeOf } from './write-values.ts'

/** Bounds of one statement: rows, and characters of JSON. */
const chunk = { rows: 5000, characters: 4_000_000 }

/** Rows for one statement, with their places among the rows given. */
interface Chunk {
  readonly assignments: readonly Assignment[]
  readonly shape: string
  readonly places: number[]
  readonly objects: string[]
  characters: number
}

/** Inserts all rows or none, and answers them in the order given. */
export async function insertRows(runner: RepositoryRunner, plan: TablePlan, rows: unknown): Promise<ReadRow[]> {
  if (!Array.isArray(rows)) throw new UsageError(`insertMany takes an array of rows of ${plan.name}`)
  const { chunks, single } = chunked(plan, rows)
  const inserted: ReadRow[] = Array.from({ length: rows.length })
  const write = async (session: RepositoryRunner) => {
    for (const part of chunks) await insertChunk(session, plan, part, inserted)
    for (const place of single) inserted[place] = await insertRow(session, plan, rows[place])
  }
  if (chunks.length + single.length < 2) await write(runner)
  else await runner.transaction((nested) => write(nested as RepositoryRunner))
  return inserted
}

/** Sorts rows into statements; rows of defaults alone, and of SQL that varies, go one by one. */
function chunked(plan: TablePlan, rows: readonly unknown[]): { chunks: Chunk[]; single: number[] } {
  const open = new Map<string, Chunk>()
  const chunks: Chunk[] = []
  const single: number[] = []
  rows.forEach((row, place) => {
    const assignments = newRowAssignments(plan, row)
    // The order in which a row names its columns does not matter.
    assignments.sort((a, b) => (a.column.property < b.column.property ? -1 : 1))
    const shape = shapeOf(assignments)
    if (shape === undefined || assignments.every(({ expression }) => expression !== undefined)) {
      single.push(place)
      return
    }
    let part = open.get(shape)
    if (!part || part.places.length >= chunk.rows || part.characters >= chunk.characters) {
      part = { assignments, shape, places: [], objects: [], characters: 0 }
      open.set(shape, part)
      chunks.push(part)
    }
    const object = jsonObject(assignments)
    part.places.push(place)
    part.objects.push(object)
    part.characters += object.length
  })
  return { chunks, single }
}

function jsonObject(assignments: readonly Assignment[]): string {
  const members: string[] = []
  for (const { column, value, expression } of assignments) {
    if (expression || value === null) continue
    // A value of a JSON column is JSON already; everything else is what its type reads.
    const isJson = column.column !== undefined && isJsonType(column.column)
    const json = isJson ? String(value) : JSON.stringify(textOf(value))
    members.push(`${JSON.stringify(column.name)}:${json}`)
  }
  return `{${members.join(',')}}`
}

async function insertChunk(
  runner: RepositoryRunner,
  plan: TablePlan,
  { assignments, shape, places, objects }: Chunk,
  inserted: ReadRow[],
): Promise<void> {
  const selection = selectionOf(plan)
  const statement = plan.statements.of(`insertMany${shape}`, () => {
    const columns = list(assignments.map(({ column }) => column.bare))
    const values = list(assignments.map(({ column, expression }) => expression ?? sql`given.${column.bare}`))
    const given = sql`json_populate_recordset(null::${plan.source}, ${slot(0)}) given`
    return new Statement(
      plan.drizzle,
      sql`insert into ${plan.source} (${columns}) select ${values} from ${given} returning ${selection.sql}`,
    )
  })
  const answered = await statement.run(runner, [`[${objects.join(',')}]`])
  if (answered.length !== places.length) {
    throw new UsageError(`${plan.name} kept ${answered.length} of ${places.length} rows: a trigger or rule took some`)
  }
  answered.forEach((values, index) => (inserted[places[index] as number] = selection.read(values)))
}
