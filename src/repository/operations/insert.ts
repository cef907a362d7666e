/**
 * INSERT of one row. The given columns decide the statement, the values are parameters, and the whole row comes back as
 * the database made it.
 */
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { newRowAssignments } from '../query/assignments.ts'
import type { ReadRow } from '../query/selection.ts'
import type { TablePlan } from '../query/table-plan.ts'
import { insertAssigned } from '../query/write-row.ts'

/** Inserts one row and returns it. @throws DatabaseError when a trigger skips it. */
export async function insertRow(runner: RepositoryRunner, plan: TablePlan, row: unknown): Promise<ReadRow> {
  return insertAssigned(runner, plan, newRowAssignments(plan, row))
}
