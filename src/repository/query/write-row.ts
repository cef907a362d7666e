/**
 * Writes of single rows: INSERT of one row, UPDATE of one row by its key. When an UPDATE hits no row, the error says why:
 * the row is missing, has another version, or a trigger skipped it.
 */
import { sql } from 'drizzle-orm'
import { UsageError } from '../../errors.ts'
import { type Assignment, shapeOf } from './assignments.ts'
import {
  insertClause,
  keyCondition,
  type Removed,
  removedCondition,
  setClause,
  assignedValues,
  whereClause,
} from './clauses.ts'
import { CompiledStatement, slot } from './compiled-statement.ts'
import { pointStatement } from './keyed-statement.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import { notFound, skipped, versionConflict } from './row-errors.ts'
import { type ReadRow, selectionOf } from './selection.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'

/** Inserts the row of these assignments. */
export async function insertAssigned(
  runner: RepositoryRunner,
  plan: TablePlan,
  assignments: readonly Assignment[],
): Promise<ReadRow> {
  const selection = selectionOf(plan)
  const create = () => {
    return new CompiledStatement(plan.drizzle, sql`${insertClause(plan, assignments)} returning ${selection.sql}`)
  }
  const shape = shapeOf(plan, assignments)
  const statement = shape === undefined ? create() : plan.statements.of(`insert${shape}`, create)
  const [inserted] = selection.marked(await statement.run(runner, assignedValues(assignments)))
  if (!inserted) throw skipped(plan)
  return selection.read(inserted)
}

/** One row to write to. */
export interface RowWrite {
  readonly keyed: readonly unknown[]
  readonly assignments: readonly Assignment[]
  /** The version that the row must have, as `versionParameter` gives it; default: any. */
  readonly version?: readonly unknown[]
  /** Whether the row must be a removed one, or must not be one. */
  readonly removed: 'exclude' | 'only'
}

/** Runs the UPDATE, and throws the reason when it hits no row. */
export async function writeRow(runner: RepositoryRunner, plan: TablePlan, write: RowWrite): Promise<ReadRow> {
  const { keyed, assignments, version = [], removed } = write
  const selection = selectionOf(plan)
  const values = [...assignedValues(assignments), ...keyed, ...version]
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
  throw await missedWriteError(runner, plan, { keyed, version, removed })
}

/** The version to compare with, as parameters: one or none. @throws UsageError without a version column. */
export function versionParameter(plan: TablePlan, ifVersion: unknown): unknown[] {
  if (ifVersion === undefined) return []
  if (plan.version) return [plan.version.encode(ifVersion, 'compare')]
  throw new UsageError(`${plan.name} has no version column: declare one with conventions(table, { version: '…' })`)
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
 * Returns the error of a write by key that hit no row. A row that exists was skipped, or appeared meanwhile. The write
 * is not tried again, because what a trigger does before it skips a row would be done twice.
 */
export async function missedWriteError(runner: RepositoryRunner, plan: TablePlan, missed: Missed): Promise<Error> {
  const values = await presentRow(runner, plan, missed.keyed, missed.removed)
  if (!values) return notFound(plan)
  return isAtVersion(plan, values, missed.version) ? skipped(plan) : versionConflict(plan)
}

/** Whether the row that was read has the version that the write expects. */
export function isAtVersion(plan: TablePlan, values: readonly unknown[], version: readonly unknown[]): boolean {
  if (version.length === 0) return true
  return String(selectionOf(plan).raw(values, plan.version as PlannedColumn)) === String(version[0])
}

/** The values of the row with this key, if there is one. */
export async function presentRow(
  runner: RepositoryRunner,
  plan: TablePlan,
  keyed: readonly unknown[],
  removed: Removed,
) {
  const [values] = selectionOf(plan).marked(await pointStatement(plan, removed).run(runner, keyed))
  return values
}
