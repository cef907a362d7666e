/**
 * Insert or update of any number of rows, in a statement for each chunk of neighbours, always in a transaction. Where a
 * statement answers fewer rows than it was given, one of them is in the way of another (removed, skipped by a trigger, or not
 * to be updated): what it did is undone, and its rows are written one by one, which finds out what is the matter.
 */
import { sql } from 'drizzle-orm'
import { DatabaseError } from '../../errors.ts'
import { isPlain } from '../../values/plain-object.ts'
import { assignedValues } from '../query/clauses.ts'
import { CompiledStatement } from '../query/compiled-statement.ts'
import { checkOperationOptions } from '../query/operation-options.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { atRow, chunkJson, chunksOf, insertChunkClause, newRow, type RowChunk } from '../query/row-chunks.ts'
import { refuseSameRow, sameRow } from '../query/same-row.ts'
import { type ReadRow, selectionOf } from '../query/selection.ts'
import { shapeOf } from '../query/assignments.ts'
import type { TablePlan } from '../query/table-plan.ts'
import {
  conflictClause,
  conflictColumns,
  type PlainUpsertOptions,
  refuseNotUnique,
  updates,
  upsertGiven,
} from '../query/upsert-row.ts'

/** SQLSTATE of a statement that would update one row twice. */
const twice = '21000'

/** Upserts all rows or none, and returns those that are then there, in the given order. */
export async function upsertRows(
  runner: RepositoryRunner,
  plan: TablePlan,
  rows: unknown,
  options: PlainUpsertOptions = {},
): Promise<ReadRow[]> {
  checkOperationOptions('upsert', options)
  const chunks = chunksOf(plan, rows, { call: 'upsertMany', read: newRow(plan), kindOf: givenNames })
  if (chunks.length === 0) return []
  return runner.transaction(async (nested) => {
    const session = nested as RepositoryRunner
    const written: ReadRow[] = []
    for (const chunk of chunks) {
      const given = (rows as readonly unknown[]).slice(chunk.from, chunk.from + chunk.objects.length)
      const answered =
        (await together(session, plan, chunk, { given, options })) ??
        (await oneByOne(session, plan, chunk, { given, options }))
      for (const row of answered) written.push(row)
    }
    refuseSameRow(plan, written)
    return written
  })
}

/** Which columns a row gives: those that the schema fills in are not updated. */
function givenNames(row: unknown): string {
  const given = isPlain(row) ? Object.entries(row).flatMap(([name, value]) => (value === undefined ? [] : [name])) : []
  return `/${given.sort().join()}`
}

/** The rows of a chunk as they were given. */
interface ChunkRows {
  readonly given: readonly unknown[]
  readonly options: PlainUpsertOptions
}

/** The rows of a chunk by one statement; undefined where that does not answer all of them, and was undone. */
async function together(
  session: RepositoryRunner,
  plan: TablePlan,
  chunk: RowChunk,
  { given, options }: ChunkRows,
): Promise<ReadRow[] | undefined> {
  const on = conflictColumns(plan, options.on, chunk.assignments)
  const updated = updates(plan, given[0], on, options.update)
  if (chunk.shape === undefined || chunk.objects.length === 1) return undefined
  const selection = selectionOf(plan)
  const create = () => {
    const conflict = conflictClause(plan, on, updated, 1)
    return new CompiledStatement(
      plan.drizzle,
      sql`${insertChunkClause(plan, chunk)}${conflict} returning ${selection.sql}`,
    )
  }
  const change = shapeOf(plan, updated)
  const shape = `upsertMany${chunk.shape}/${on.map(({ shapeName }) => shapeName).join(',')}/${change}`
  const statement = change === undefined ? create() : plan.statements.of(shape, create)
  try {
    return await session.transaction(async (nested) => {
      const values = [chunkJson(chunk), ...assignedValues(updated)]
      const answered = selection.marked(await statement.run(nested as RepositoryRunner, values))
      if (answered.length !== chunk.objects.length) throw new FewerRows()
      return answered.map((row) => selection.read(row))
    })
  } catch (error) {
    if (error instanceof FewerRows) return undefined
    if (error instanceof DatabaseError && error.sqlState === twice) throw sameRow(plan, on, error)
    return refuseNotUnique(plan, on, error)
  }
}

async function oneByOne(
  session: RepositoryRunner,
  plan: TablePlan,
  { from }: RowChunk,
  { given, options }: ChunkRows,
): Promise<ReadRow[]> {
  const written: ReadRow[] = []
  for (const [index, row] of given.entries()) {
    written.push(
      await upsertGiven(session, plan, row, options).catch((error: unknown) => {
        throw atRow(from + index, error)
      }),
    )
  }
  return written
}

/** What rolls a savepoint back. */
class FewerRows extends Error {}
