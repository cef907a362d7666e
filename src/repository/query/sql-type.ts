/**
 * The types of columns as SQL spells them, for values that travel as JSON and get their types from a column definition
 * list (`json_to_recordset`). The table's own row type would do, but for one thing: a domain that is NOT NULL refuses
 * columns that are left out.
 */
import { type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { elementOf, isJsonType } from '../../drizzle/column-kind.ts'
import { traitsOf } from '../../drizzle/column-traits.ts'
import type { PlannedColumn } from './table-plan.ts'

/** How a column travels in a list of columns: declared as `type`, and read from there by `read`. */
export interface RecordColumn {
  readonly type: SQL
  readonly read: (reference: SQL) => SQL
}

/** The column in a list of columns, where its value is a JSON string of the text its type reads. */
export function recordColumn({ column }: PlannedColumn): RecordColumn {
  // A JSON string in a column of JSON would stay one: it goes as text and is read as JSON afterwards.
  if (column && isJsonType(column))
    return { type: sql`text`, read: (reference) => sql`${reference}::${typeOf(column)}` }
  return { type: column ? typeOf(column) : sql`text`, read: (reference) => reference }
}

function typeOf(column: PgColumn): SQL {
  const element = elementOf(column)
  if (element) return sql`${typeOf(element)}[]`
  const { enum: named } = traitsOf(column)
  if (named) {
    const name = sql.identifier(named.enumName)
    return named.schema === undefined ? sql`${name}` : sql`${sql.identifier(named.schema)}.${name}`
  }
  return sql.raw(withoutLimit(column.getSQLType()))
}

/**
 * Lengths and scales are left out: a key is compared as it was given, and a value meets the limit where it is stored.
 * Serials are integers with a default.
 */
function withoutLimit(type: string): string {
  const serial = /^(big|small)?serial$/i.exec(type)
  if (serial) return `${serial[1]?.toLowerCase() ?? ''}int`
  if (/^char(acter)?( *\(.*\))?$/i.test(type)) return 'bpchar'
  return type.replace(/^(numeric|decimal|varchar|character varying|timestamp|time) *\([^)]*\)/i, '$1')
}
