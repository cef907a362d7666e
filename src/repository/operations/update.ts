/**
 * UPDATE of one row by its key, with optimistic locking if the table has a version: an update that expects an older
 * version changes nothing and throws VersionConflict.
 */
import { patchAssignments } from '../query/assignments.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { notFound, versionConflict } from '../query/row-errors.ts'
import { type ReadRow, selectionOf } from '../query/selection.ts'
import { keyParameters, type TablePlan } from '../query/table-plan.ts'
import { isAtVersion, presentRow, versionParameter, writeRow } from '../query/write-row.ts'

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
  if (assignments.length === 0) return unchanged(runner, plan, keyed, ifVersion)
  return writeRow(runner, plan, { keyed, assignments, ifVersion, removed: 'exclude' })
}

/** An empty patch writes nothing, but the row must exist and have the version. */
async function unchanged(
  runner: RepositoryRunner,
  plan: TablePlan,
  keyed: readonly unknown[],
  ifVersion: unknown,
): Promise<ReadRow> {
  const version = versionParameter(plan, ifVersion)
  const values = await presentRow(runner, plan, keyed, 'exclude')
  if (!values) throw notFound(plan)
  if (!isAtVersion(plan, values, version)) throw versionConflict(plan)
  return selectionOf(plan).read(values)
}
