/**
 * Many keys in one parameter, so that their number does not change the statement: an array for a key of one column, JSON
 * for a key of several.
 */
import { type SQL, sql } from 'drizzle-orm'
import { textOf } from './column-input.ts'
import { list } from './statement.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'

/** Keys of one column as an array, of several as JSON: one parameter for any number of them. */
export function keysParameter(columns: readonly PlannedColumn[], keys: readonly (readonly unknown[])[]): unknown {
  if (columns.length === 1) return keys.map(([value]) => value)
  const objects = keys.map((key) => Object.fromEntries(columns.map(({ name }, index) => [name, textOf(key[index])])))
  return JSON.stringify(objects)
}

/** The condition that a row has one of the keys of `keysParameter`. */
export function membership(plan: TablePlan, columns: readonly PlannedColumn[], keys: SQL): SQL {
  const [only] = columns
  if (only && columns.length === 1) return sql`${only.reference} = any(${keys})`
  const row = list(columns.map(({ reference }) => reference))
  const key = list(columns.map(({ bare }) => sql`wanted.${bare}`))
  // The table's own row type says what the texts in the JSON are.
  return sql`(${row}) in (select ${key} from json_populate_recordset(null::${plan.source}, ${keys}) wanted)`
}
