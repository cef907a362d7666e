/** Errors about single rows: the row is missing, was changed by another, or was not written. */
import { DatabaseError, NotFound, VersionConflict } from '../../errors.ts'
import { isFinerThanDate } from '../columns/type-limits.ts'
import type { TablePlan } from './table-plan.ts'

/** The error for a key that no row has. */
export function notFound(plan: TablePlan): NotFound {
  const finer = plan.key.find(({ column }) => isFinerThanDate(column))
  const hint = finer
    ? `; its ${finer.property} keeps microseconds, which a Date cannot hold: give the column precision: 3, or mode: 'string'`
    : ''
  return new NotFound(`no row of ${plan.name} has this key${hint}`, { table: plan.name })
}

/** The error for a row that the server neither wrote nor refused; `no_data` is what SQL calls it. */
export function skipped(plan: TablePlan): DatabaseError {
  return new DatabaseError(`a trigger, rule or policy of ${plan.name} skipped the row`, {
    sqlState: '02000',
    table: plan.name,
  })
}

/** The error for a write that expects another version than the row has. */
export function versionConflict(plan: TablePlan): VersionConflict {
  return new VersionConflict(`the row of ${plan.name} was changed since it was read`, { table: plan.name })
}
