/**
 * What Drizzle's columns keep of their declaration beyond their kind, and its types do not show: each of its classes has
 * fields of its own. This is the one place that reads them.
 */
import type { PgColumn, PgEnum } from 'drizzle-orm/pg-core'

/** What a column was declared with; undefined where it was not, or where its kind has no such thing. */
export interface ColumnTraits {
  /** Digits in all of a numeric, digits of a second of a time, a timestamp or an interval. */
  readonly precision: number | undefined
  /** Digits of a numeric behind the point. */
  readonly scale: number | undefined
  /** Of a time or a timestamp. */
  readonly withTimezone: boolean | undefined
  /** Characters of a text. */
  readonly length: number | undefined
  /** Bits, or numbers of a vector. */
  readonly dimensions: number | undefined
  /** The units of an interval, such as `day to hour`. */
  readonly fields: string | undefined
  /** The type of an enum. */
  readonly enum: PgEnum<[string, ...string[]]> | undefined
  /** The mappings of a type of the user's own. */
  readonly mapTo: unknown
  readonly mapFrom: unknown
}

/** What a column was declared with. */
export function traitsOf(column: PgColumn): ColumnTraits {
  return column as unknown as ColumnTraits
}
