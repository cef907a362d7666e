/**
 * UPDATE of any number of rows by their keys, each with values of its own, in a statement for each chunk of neighbours. Rows
 * that a statement does not answer are written one by one: the server finds some of them only then, by what it takes for equal
 * (citext), and for the others the error says why.
 */
import { CompiledStatement } from '../query/compiled-statement.ts'
import { type Assignment, asRecord, patchAssignments } from '../query/assignments.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { atRow, chunkJson, chunksOf, type GivenRow, type RowChunk, updateChunk } from '../query/row-chunks.ts'
import { refuseSameRow } from '../query/same-row.ts'
import { type ReadRow, selectionOf } from '../query/selection.ts'
import { keyParameters, type TablePlan } from '../query/table-plan.ts'
import { updateGiven } from '../query/update-row.ts'
import { versionParameter } from '../query/write-row.ts'

/** Updates all rows or none, and returns them in the given order. */
export async function updateEach(runner: RepositoryRunner, plan: TablePlan, rows: unknown): Promise<ReadRow[]> {
  const read = (row: unknown) => givenRow(plan, row)
  const chunks = chunksOf(plan, rows, { call: 'updateMany', read })
  if (chunks.length === 0) return []
  return runner.transaction(async (nested) => {
    const session = nested as RepositoryRunner
    const updated: ReadRow[] = []
    for (const chunk of chunks) {
      const answered = await together(session, plan, chunk)
      for (const [index, row] of answered.entries()) {
        const at = chunk.from + index
        updated.push(row ?? (await alone(session, plan, read((rows as readonly unknown[])[at]), at)))
      }
    }
    refuseSameRow(plan, updated)
    return updated
  })
}

/** The key and the version that a row names, and what it writes. */
function givenRow(plan: TablePlan, row: unknown): GivenRow {
  const given = asRecord(plan, row)
  const names = plan.key.map(({ property }) => property)
  const [only] = names
  const key = names.length === 1 ? given[only as string] : Object.fromEntries(names.map((name) => [name, given[name]]))
  const keyed = keyParameters(plan, key)
  const known = plan.key.map((column, index): Assignment => valued(column, keyed[index]))
  const patch: Record<string, unknown> = { ...given }
  for (const name of names) delete patch[name]
  const { version } = plan
  if (version && given[version.property] !== undefined) {
    delete patch[version.property]
    known.push(valued(version, versionParameter(plan, given[version.property])[0]))
  }
  return { assignments: patchAssignments(plan, patch), known }
}

function valued(column: Assignment['column'], value: unknown): Assignment {
  return { column, value, expression: undefined }
}

/** The rows of a chunk by one statement, in order; undefined for those that it did not write. */
async function together(session: RepositoryRunner, plan: TablePlan, chunk: RowChunk): Promise<(ReadRow | undefined)[]> {
  const found: (ReadRow | undefined)[] = chunk.objects.map(() => undefined)
  if (chunk.shape === undefined) return found
  const selection = selectionOf(plan)
  const statement = plan.statements.of(`updateMany${chunk.known.length}${chunk.shape}`, () => {
    return new CompiledStatement(plan.drizzle, updateChunk(plan, chunk, selection.sql))
  })
  for (const values of selection.marked(await statement.run(session, [chunkJson(chunk)]))) {
    found[Number(values.at(-1)) - 1] = selection.read(values)
  }
  return found
}

async function alone(session: RepositoryRunner, plan: TablePlan, row: GivenRow, index: number): Promise<ReadRow> {
  const values = row.known.map(({ value }) => value)
  const [keyed, version] = [values.slice(0, plan.key.length), values.slice(plan.key.length)]
  try {
    return await updateGiven(session, plan, { keyed, assignments: row.assignments, version })
  } catch (error) {
    throw atRow(index, error)
  }
}
