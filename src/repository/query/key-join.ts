/**
 * Many keys in one parameter, so that their number does not change the statement. The server says which key a row has,
 * because only the server knows what is equal: 1.0 and 1.00, citext in any case, a number of another type.
 */
import { type SQL, sql } from 'drizzle-orm'
import { textOf } from '../columns/encode.ts'
import { recordColumn } from './sql-type.ts'
import { list } from './compiled-statement.ts'
import type { PlannedColumn } from './table-plan.ts'

/** The keys as the parameter that `wantedKeys` reads. */
export function keysParameter(keys: readonly (readonly unknown[])[]): string {
  return JSON.stringify(keys.map((key) => Object.fromEntries(key.map((value, index) => [`k${index}`, textOf(value)]))))
}

/** The alias under which keys are joined with a table: a name that no table has, because both are in one FROM. */
export const wanted = sql.identifier('keys wanted')

/** The number of a wanted key, from 1. */
export const wantedNumber = sql`${wanted}.n`

/** A row for each key, to join with; `wantedNumber` counts them. The columns say what the keys are. */
export function wantedKeys(columns: readonly PlannedColumn[], keys: SQL): SQL {
  const names = columns.map((_, index) => sql.identifier(`k${index}`))
  const typed = columns.map((column, index) => sql`${names[index]} ${recordColumn(column).type}`)
  return sql`rows from (json_to_recordset(${keys}) as (${list(typed)})) with ordinality as ${wanted} (${list(names.map((name) => sql`${name}`))}, n)`
}

/** The condition that `columns` have the values of the wanted key, which is made of values of `given`. */
export function isWanted(columns: readonly PlannedColumn[], given: readonly PlannedColumn[]): SQL {
  return sql.join(
    columns.map(({ reference, column }, index) => {
      const key = sql`${wanted}.${sql.identifier(`k${index}`)}`
      const typed = given[index] as PlannedColumn
      // An expression of a view has no type that we know: its text must do.
      return sql`${column ? reference : sql`${reference}::text`} = ${recordColumn(typed).read(key)}`
    }),
    sql` and `,
  )
}
