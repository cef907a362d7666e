/** Writes to all rows that a filter matches. The filter must not be empty; the result is the number of rows. */
import { sql } from 'drizzle-orm'
import { UsageError } from '../../errors.ts'
import { readWriteFilter } from '../query/filter.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { CompiledStatement, Values } from '../query/compiled-statement.ts'
import type { TablePlan } from '../query/table-plan.ts'
import { type Assignment, patchAssignments, shapeOf, transactionTime, updateAssignments } from '../query/assignments.ts'
import { removedCondition, setClause, assignedValues, whereClause } from '../query/clauses.ts'

/** Updates the rows and returns their number. */
export async function updateRows(
  runner: RepositoryRunner,
  plan: TablePlan,
  where: unknown,
  patch: unknown,
): Promise<number> {
  const assignments = patchAssignments(plan, patch)
  if (assignments.length === 0)
    throw new UsageError(`the patch of updateWhere on ${plan.name} is empty: name the columns to change`)
  return writeRows(runner, plan, where, assignments)
}

/** Removes the rows, or hides them if the table has soft delete, and returns their number. */
export async function removeRows(runner: RepositoryRunner, plan: TablePlan, where: unknown): Promise<number> {
  const { removedAt } = plan
  if (removedAt) {
    const removal = { column: removedAt, value: undefined, expression: transactionTime(removedAt) }
    return writeRows(runner, plan, where, [removal, ...updateAssignments(plan)])
  }
  const values = new Values()
  const condition = readWriteFilter(plan, where, values)
  const statement = plan.statements.of(`deleteWhere/${condition.shape}`, () => {
    return new CompiledStatement(plan.drizzle, sql`delete from ${plan.source}${whereClause([condition.sql()])}`)
  })
  return (await statement.run(runner, values.all)).count ?? 0
}

async function writeRows(
  runner: RepositoryRunner,
  plan: TablePlan,
  where: unknown,
  assignments: readonly Assignment[],
): Promise<number> {
  const values = new Values()
  for (const value of assignedValues(assignments)) values.take(value)
  const condition = readWriteFilter(plan, where, values)
  const create = () => {
    const rows = whereClause([condition.sql(), removedCondition(plan, undefined)])
    return new CompiledStatement(plan.drizzle, sql`update ${plan.source} set ${setClause(assignments)}${rows}`)
  }
  const shape = shapeOf(plan, assignments)
  const statement =
    shape === undefined ? create() : plan.statements.of(`updateWhere${shape}/${condition.shape}`, create)
  return (await statement.run(runner, values.all)).count ?? 0
}
