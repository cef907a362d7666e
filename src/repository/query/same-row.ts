/** Refuses rows that are one row of the table: what is written twice would be what the last of them says. */
import { is, SQL } from 'drizzle-orm'
import { type DatabaseError, InvalidInput } from '../../errors.ts'
import { textOf } from '../columns/encode.ts'
import type { ReadRow } from './selection.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'

/** Of rows that were written. @throws InvalidInput when two have the same key */
export function refuseSameRow(plan: TablePlan, written: readonly ReadRow[]): void {
  const keys = new Set(written.map((row) => JSON.stringify(plan.key.map((column) => keyText(plan, column, row)))))
  if (keys.size < written.length) throw sameRow(plan, plan.key)
}

/** The error for two rows that are the same by these columns. */
export function sameRow(plan: TablePlan, by: readonly PlannedColumn[], cause?: DatabaseError): InvalidInput {
  const names = by.map(({ property }) => property).join(', ')
  return new InvalidInput(
    `two of the rows are the same row of ${plan.name} by ${names}: give each once`,
    cause && { cause },
  )
}

/** A value of the key as it is sent: what JavaScript makes of values that differ, such as dates, may be one text. */
function keyText({ drizzle }: TablePlan, column: PlannedColumn, row: ReadRow): string {
  const encoded = column.encode(row[column.property], 'compare')
  return is(encoded, SQL) ? JSON.stringify(drizzle.render(encoded)) : textOf(encoded)
}
