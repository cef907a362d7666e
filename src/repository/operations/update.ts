/**
 * UPDATE of one row by its key, with optimistic locking where the table has a version: an update that expects an older
 * version changes nothing and is told so.
 */
import { type SQL, sql } from 'drizzle-orm'
import { UsageError, VersionConflict } from '../../errors.ts'
import { pointStatement } from './find.ts'
import { assigned, skipped, valuesOf } from './insert.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import {
  keyCondition,
  type ReadRow,
  type Removed,
  removedCondition,
  selectionOf,
  whereClause,
} from '../query/selection.ts'
import { list, slot, CompiledStatement } from '../query/compiled-statement.ts'
import { keyParameters, notFound, type PlannedColumn, type TablePlan } from '../query/table-plan.ts'
import { type Assignment, patchAssignments, shapeOf } from '../query/assignments.ts'

/** Updates the row with this key and answers it. @throws NotFound, VersionConflict. */
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

/** One row to write to. */
export interface RowWrite {
  readonly keyed: readonly unknown[]
  readonly assignments: readonly Assignment[]
  readonly ifVersion?: unknown
  /** Whether the row must be a removed one or must not be. */
  readonly removed: 'exclude' | 'only'
}

/** Runs the UPDATE and finds out why when no row was hit. */
export async function writeRow(runner: RepositoryRunner, plan: TablePlan, write: RowWrite): Promise<ReadRow> {
  const { keyed, assignments, removed } = write
  const version = versionParameter(plan, write.ifVersion)
  const selection = selectionOf(plan)
  const values = [...valuesOf(assignments), ...keyed, ...version]
  const create = () => {
    const at = values.length - keyed.length - version.length
    const conditions = [
      keyCondition(plan, (index, property) => sql`${slot(at + index, property)}`),
      version.length === 0 ? undefined : sql`${plan.version?.reference} = ${slot(at + keyed.length)}`,
      removedCondition(plan, plan.removedAt ? removed : undefined),
    ]
    const set = setClause(assignments)
    const where = whereClause(conditions)
    return new CompiledStatement(plan.drizzle, sql`update ${plan.source} set ${set}${where} returning ${selection.sql}`)
  }
  const shape = shapeOf(plan, assignments)
  const name = `update${shape}/${version.length}${removed}`
  const statement = shape === undefined ? create() : plan.statements.of(name, create)
  const [row] = selection.marked(await statement.run(runner, values))
  if (row) return selection.read(row)
  throw await missing(runner, plan, { keyed, version, removed })
}

/** `a = …, b = …`. */
export function setClause(assignments: readonly Assignment[], from = 0): SQL {
  const values = assigned(assignments, from)
  return list(assignments.map(({ column }, index) => sql`${column.bare} = ${values[index]}`))
}

/** The version to compare with, as parameters: one or none. @throws UsageError without a version column. */
export function versionParameter(plan: TablePlan, ifVersion: unknown): unknown[] {
  if (ifVersion === undefined) return []
  if (plan.version) return [plan.version.encode(ifVersion, 'compare')]
  throw new UsageError(`${plan.name} has no version: declare one with conventions(table, { version: '…' })`)
}

/** A write by key that hit no row. */
interface Missed {
  readonly keyed: readonly unknown[]
  /** As `versionParameter` gives it. */
  readonly version: readonly unknown[]
  /** Which rows it was for. */
  readonly removed: Removed
}

/**
 * Why a write by key hit no row. One that is there was skipped, or came in between: the write is not tried again, because
 * what a trigger does before it skips a row would be done twice.
 */
export async function missing(runner: RepositoryRunner, plan: TablePlan, missed: Missed): Promise<Error> {
  const values = await presentRow(runner, plan, missed.keyed, missed.removed)
  if (!values) return notFound(plan)
  return isAtVersion(plan, values, missed.version) ? skipped(plan) : versionConflict(plan)
}

function versionConflict(plan: TablePlan): VersionConflict {
  return new VersionConflict(`the row of ${plan.name} was changed since it was read`, { table: plan.name })
}

function isAtVersion(plan: TablePlan, values: readonly unknown[], version: readonly unknown[]): boolean {
  if (version.length === 0) return true
  return String(selectionOf(plan).raw(values, plan.version as PlannedColumn)) === String(version[0])
}

/** An empty patch writes nothing, but the row must be there and at the version. */
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

async function presentRow(runner: RepositoryRunner, plan: TablePlan, keyed: readonly unknown[], removed: Removed) {
  const [values] = selectionOf(plan).marked(await pointStatement(plan, removed).run(runner, keyed))
  return values
}
