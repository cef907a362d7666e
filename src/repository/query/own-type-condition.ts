/**
 * Conditions on columns that may be composites. PostgreSQL takes the type of a parameter from the operator, and for a
 * composite that is only `record`, which it cannot read. So the parameter gets the type from the column, in a branch
 * that is never taken and that the planner removes; the name of the type may be hidden by the search path. And `is
 * null` asks for the fields of a composite instead of the value itself.
 * https://www.postgresql.org/docs/current/typeconv-union-case.html
 * https://www.postgresql.org/docs/current/functions-comparison.html
 */
import { type SQL, sql } from 'drizzle-orm'
import { isKind } from '../../drizzle/column-kind.ts'
import type { PlannedColumn } from './table-plan.ts'
import { isTextType } from '../columns/type-limits.ts'

/** The parameter with the type of the column. */
export function typedParameter(column: PlannedColumn, parameter: SQL): SQL {
  return isTyped(column) ? parameter : sql`case when false then ${column.reference} else ${parameter} end`
}

/** The parameter as an array of the column's type. */
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

/** A condition that every value matches; PostgreSQL refuses it if the column's type has no `<`. */
export function isComparable(column: PlannedColumn): SQL | undefined {
  const { reference } = column
  return isTyped(column) ? undefined : sql`case when false then ${reference} < ${reference} else true end`
}

/** Whether a parameter already gets its type from the operator: true unless the column is a composite. */
function isTyped({ column }: PlannedColumn): boolean {
  return !column || !isKind(column, 'custom', 'other') || isTextType(column.getSQLType())
}
