/** UPDATE of one row by its key: `update-row.ts` says how. */
import { patchAssignments } from '../query/assignments.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import type { ReadRow } from '../query/selection.ts'
import { keyParameters, type TablePlan } from '../query/table-plan.ts'
import { updateGiven } from '../query/update-row.ts'
import { versionParameter } from '../query/write-row.ts'

/** Updates the row with this key and returns it. @throws NotFound, VersionConflict. */
export async function updateRow(
  runner: RepositoryRunner,
  plan: TablePlan,
  key: unknown,
  patch: unknown,
  ifVersion: unknown,
): Promise<ReadRow> {
  const keyed = keyParameters(plan, key)
  const assignments = patchAssignments(plan, patch)
  return updateGiven(runner, plan, { keyed, assignments, version: versionParameter(plan, ifVersion) })
}
