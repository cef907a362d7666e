/**
 * INSERT of any number of rows. They are written in the given order, so a row may refer to an earlier one, and always in a
 * transaction: a trigger that skips a row is noticed before anything is committed, and what the session may do meanwhile does
 * not depend on the rows.
 */
import { sql } from 'drizzle-orm'
import { CompiledStatement } from '../query/compiled-statement.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { chunkJson, chunksOf, insertChunkClause, newRow, type RowChunk } from '../query/row-chunks.ts'
import { skipped } from '../query/row-errors.ts'
import { type ReadRow, selectionOf } from '../query/selection.ts'
import type { TablePlan } from '../query/table-plan.ts'
import { insertAssigned } from '../query/write-row.ts'

/** Statements in flight at a time. */
const pipelined = 64

/** Inserts all rows or none, and returns them in the given order. @throws DatabaseError when a trigger skips one. */
export async function insertRows(runner: RepositoryRunner, plan: TablePlan, rows: unknown): Promise<ReadRow[]> {
  const chunks = chunksOf(plan, rows, { call: 'insertMany', read: newRow(plan) })
  if (chunks.length === 0) return []
  return runner.transaction(async (nested) => {
    const session = nested as RepositoryRunner
    const inserted: ReadRow[] = []
    for (let from = 0; from < chunks.length; from += pipelined) {
      const sent = chunks.slice(from, from + pipelined).map((chunk) => insertChunk(session, plan, chunk))
      for (const answer of await Promise.allSettled(sent)) {
        if (answer.status === 'rejected') throw answer.reason
        for (const row of answer.value) inserted.push(row)
      }
    }
    return inserted
  })
}

async function insertChunk(runner: RepositoryRunner, plan: TablePlan, chunk: RowChunk): Promise<readonly ReadRow[]> {
  if (chunk.shape === undefined) return [await insertAssigned(runner, plan, chunk.assignments)]
  const selection = selectionOf(plan)
  const statement = plan.statements.of(`insertMany${chunk.shape}`, () => {
    return new CompiledStatement(plan.drizzle, sql`${insertChunkClause(plan, chunk)} returning ${selection.sql}`)
  })
  const answered = selection.marked(await statement.run(runner, [chunkJson(chunk)]))
  if (answered.length !== chunk.objects.length) throw skipped(plan)
  return answered.map((values) => selection.read(values))
}
