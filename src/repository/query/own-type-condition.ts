/**
 * Conditions on columns that may be composites. PostgreSQL takes a parameter's type from the operator, and of a composite's
 * it only learns that it is some record, which it cannot read: the column says it, in a branch that is never taken and that
 * the planner removes, since the type's name may be hidden by the search path. And `is null` asks for a composite's fields
 * instead of the value itself.
 * https://www.postgresql.org/docs/current/typeconv-union-case.html
 * https://www.postgresql.org/docs/current/functions-comparison.html
 */
import { type SQL, sql } from 'drizzle-orm'
import { isKind } from '../../drizzle/column-kind.ts'
import type { PlannedColumn } from './table-plan.ts'
import { isTextType } from '../columns/type-limits.ts'

/** The parameter, of the column's type. */
export function typedParameter(column: PlannedColumn, parameter: SQL): SQL {
  return isTyped(column) ? parameter : sql`case when false then ${column.reference} else ${parameter} end`
}

/** The parameter, an array of the column's type. */
export function typedList(column: PlannedColumn, parameter: SQL): SQL {
  return isTyped(column) ? parameter : sql`case when false then array[${column.reference}] else ${parameter} end`
}

/** Whether the column has no value. */
export function isNull(column: PlannedColumn): SQL {
  return isTyped(column) ? sql`${column.reference} is null` : sql`${column.reference} is not distinct from null`
}

/** Whether the column has a value. */
export function isNotNull(column: PlannedColumn): SQL {
  return isTyped(column) ? sql`${column.reference} is not null` : sql`${column.reference} is distinct from null`
}

/** True, of any value; PostgreSQL refuses it where nothing is less than another of the column's type. */
export function isComparable(column: PlannedColumn): SQL | undefined {
  const { reference } = column
  return isTyped(column) ? undefined : sql`case when false then ${reference} < ${reference} else true end`
}

/** Whether a parameter gets its type from the operator already: the column is no composite. */
function isTyped({ column }: PlannedColumn): boolean {
  return !column || !isKind(column, 'custom', 'other') || isTextType(column.getSQLType())
}
