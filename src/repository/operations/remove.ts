/**
 * Removal by key. In a table with soft delete `remove` hides the row, `restore` shows it again and `purge` deletes it;
 * in all other tables `remove` deletes.
 */
import { sql } from 'drizzle-orm'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { type ReadRow, selectionOf } from '../query/selection.ts'
import { slot, CompiledStatement } from '../query/compiled-statement.ts'
import { keyParameters, type TablePlan } from '../query/table-plan.ts'
import { transactionTime, updateAssignments } from '../query/assignments.ts'
import { keyCondition, whereClause, withoutSoftDelete } from '../query/clauses.ts'
import { missedWriteError, versionParameter, writeRow } from '../query/write-row.ts'

/** Removes the row with this key and returns it. @throws NotFound, VersionConflict. */
export async function removeRow(
  runner: RepositoryRunner,
  plan: TablePlan,
  key: unknown,
  ifVersion: unknown,
): Promise<ReadRow> {
  const { removedAt } = plan
  if (!removedAt) return deleteRow(runner, plan, key, ifVersion)
  const removal = { column: removedAt, value: undefined, expression: transactionTime(removedAt) }
  const assignments = [removal, ...updateAssignments(plan)]
  const [keyed, version] = [keyParameters(plan, key), versionParameter(plan, ifVersion)]
  return writeRow(runner, plan, { keyed, assignments, version, removed: 'exclude' })
}

/** Shows a removed row again and returns it. @throws NotFound when no removed row has this key. */
export async function restoreRow(runner: RepositoryRunner, plan: TablePlan, key: unknown): Promise<ReadRow> {
  const { removedAt } = plan
  if (!removedAt) throw withoutSoftDelete(plan, 'restore')
  const restoration = { column: removedAt, value: undefined, expression: sql`null` }
  const assignments = [restoration, ...updateAssignments(plan)]
  return writeRow(runner, plan, { keyed: keyParameters(plan, key), assignments, removed: 'only' })
}

/** Deletes the row with this key for good, removed or not, and returns it. @throws NotFound. */
export async function purgeRow(runner: RepositoryRunner, plan: TablePlan, key: unknown): Promise<ReadRow> {
  if (!plan.removedAt) throw withoutSoftDelete(plan, 'purge')
  return deleteRow(runner, plan, key, undefined)
}

async function deleteRow(
  runner: RepositoryRunner,
  plan: TablePlan,
  key: unknown,
  ifVersion: unknown,
): Promise<ReadRow> {
  const keyed = keyParameters(plan, key)
  const version = versionParameter(plan, ifVersion)
  const selection = selectionOf(plan)
  const statement = plan.statements.of(`delete/${version.length}`, () => {
    const versioned = version.length === 0 ? undefined : sql`${plan.version?.reference} = ${slot(keyed.length)}`
    const where = whereClause([keyCondition(plan, (index, property) => sql`${slot(index, property)}`), versioned])
    return new CompiledStatement(plan.drizzle, sql`delete from ${plan.source}${where} returning ${selection.sql}`)
  })
  const [row] = selection.marked(await statement.run(runner, [...keyed, ...version]))
  if (row) return selection.read(row)
  throw await missedWriteError(runner, plan, { keyed, version, removed: plan.removedAt ? 'include' : 'exclude' })
}
