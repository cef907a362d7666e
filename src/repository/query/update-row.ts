/**
 * UPDATE of one row by its key, with optimistic locking if the table has a version: an update that expects an older
 * version changes nothing and throws VersionConflict.
 */
import type { Assignment } from './assignments.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import { notFound, versionConflict } from './row-errors.ts'
import { type ReadRow, selectionOf } from './selection.ts'
import type { TablePlan } from './table-plan.ts'
import { isAtVersion, presentRow, writeRow } from './write-row.ts'

/** What an update writes, and to which row. */
export interface RowUpdate {
  readonly keyed: readonly unknown[]
  readonly assignments: readonly Assignment[]
  /** The version that the row must have, as `versionParameter` gives it: one or none. */
  readonly version: readonly unknown[]
}

/** Updates the row and returns it. @throws NotFound, VersionConflict, DatabaseError (02000) when it is skipped. */
export async function updateGiven(runner: RepositoryRunner, plan: TablePlan, update: RowUpdate): Promise<ReadRow> {
  const { keyed, assignments, version } = update
  if (assignments.length > 0) return writeRow(runner, plan, { keyed, assignments, version, removed: 'exclude' })
  // An empty patch writes nothing, but the row must exist and have the version.
  const values = await presentRow(runner, plan, keyed, 'exclude')
  if (!values) throw notFound(plan)
  if (!isAtVersion(plan, values, version)) throw versionConflict(plan)
  return selectionOf(plan).read(values)
}
