/** Insert or update of one row. */
import { checkOperationOptions } from '../query/operation-options.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import type { ReadRow } from '../query/selection.ts'
import type { TablePlan } from '../query/table-plan.ts'
import { type PlainUpsertOptions, upsertGiven } from '../query/upsert-row.ts'

/** Inserts the row, or updates the conflicting one, and returns the row that is then there. */
export async function upsertRow(
  runner: RepositoryRunner,
  plan: TablePlan,
  row: unknown,
  options: PlainUpsertOptions = {},
): Promise<ReadRow> {
  checkOperationOptions('upsert', options)
  return upsertGiven(runner, plan, row, options)
}
