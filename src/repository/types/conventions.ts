/**
 * What a table promises beyond its columns, declared once beside the table: its key if Drizzle's types do not tell it,
 * a version column for optimistic locking, a column with the time of the last write, and soft delete. The declaration
 * is attached to the table, so every repository of the table keeps it, and its types know it. Optimistic locking:
 * https://www.sqlalchemy.org/ (version_id_col); soft delete as in Rails' paranoia.
 */
import { is, Table, View } from 'drizzle-orm'
import type { PgMaterializedView, PgTable, PgView } from 'drizzle-orm/pg-core'
import { UsageError } from '../../errors.ts'
import { checkOptions, optionNames } from '../../option-names.ts'

/** Anything that rows can be read from: a table, a view or a materialized view. */
export type Source = PgTable | PgView | PgMaterializedView

/** The conventions of a table; each value is a property of the table, not the column's name in the database. */
export interface Conventions {
  /** The properties of the primary key or of a unique constraint; needed for composite keys and for views. */
  readonly key?: readonly string[]
  /** An integer column, one higher after every update; `ifVersion` compares with it. Without a default it begins at 1. */
  readonly version?: string
  /** A timestamp column, set to the transaction's time by every write; in UTC where it has no time zone. */
  readonly updatedAt?: string
  /** A nullable timestamp column: set, it hides the row from every read that does not ask for removed rows. */
  readonly removedAt?: string
}

const names = optionNames<Conventions>({
  key: 'list',
  version: 'string',
  updatedAt: 'string',
  removedAt: 'string',
})

/** The symbol under which a table has its conventions; registered, since a package may be loaded twice. */
export const declared: unique symbol = Symbol.for('rivulet.conventions') as never

/** A table or view with conventions. */
export interface Declared<TConventions extends Conventions = Conventions> {
  readonly [declared]: TConventions
}

/** The conventions that the types of the columns allow. Types do not tell whether a key is unique. */
export interface Promised<TSource extends Source> {
  readonly key?: readonly (keyof TSource['$inferSelect'] & string)[]
  readonly version?: Fit<TSource, Integer & { notNull: true }, 'the table has no integer column that is not null'>
  readonly updatedAt?: Fit<TSource, Timestamp, 'the table has no timestamp column'>
  readonly removedAt?: Fit<
    TSource,
    Timestamp & { notNull: false },
    'the table has no timestamp column that may be null'
  >
}

/** The types of columns that may count versions. */
export interface Integer {
  columnType: 'PgInteger' | 'PgSmallInt' | 'PgBigInt53' | 'PgBigInt64'
}

/** The types of columns that may hold an instant. */
export interface Timestamp {
  columnType: 'PgTimestamp' | 'PgTimestampString'
}

/**
 * What is promised, checked as any object is, so that a misspelt convention is an error; `TGiven` is inferred on the way,
 * from a branch that is never taken. `Given<typeof notes, { version: 'version' }>` is `Promised<typeof notes>`.
 */
export type Given<TSource extends Source, TGiven> = TGiven extends never ? TGiven : Promised<TSource>

/**
 * The columns that fit, or the reason why none does. `Fit<typeof notes, Timestamp, '…'>` is `'updatedAt' |
 * 'removedAt'`.
 */
export type Fit<TSource extends Source, TColumn, TNone> = TSource extends PgTable
  ? [Fitting<TSource['_']['columns'], TColumn>] extends [never]
    ? TNone
    : Fitting<TSource['_']['columns'], TColumn>
  : 'a view is read-only: the only convention it can have is its key'

/** The names of such columns. `Fitting<{ id: …integer; at: …timestamp }, Timestamp>` is `'at'`. */
export type Fitting<TColumns, TColumn> = {
  [K in keyof TColumns & string]: TColumns[K] extends { _: TColumn } ? K : never
}[keyof TColumns & string]

/**
 * Declares the conventions of a table or view and returns the same value, unchanged for Drizzle and drizzle-kit:
 * `export const customers = conventions(pgTable('customers', { … }), { version: 'version', updatedAt: 'updatedAt' })`.
 * Whether the key is unique is checked when the first repository of the table is made, and so are, without types,
 * columns. @throws UsageError when the table has conventions already, and for a name that is none.
 */
export function conventions<TSource extends Source, const TConventions extends Promised<TSource>>(
  source: TSource,
  promises: Given<TSource, TConventions>,
): TSource & Declared<TConventions> {
  if (!isSource(source))
    throw new UsageError('conventions takes a table or view, and what it promises: { key, version, … }')
  checkOptions('conventions', names, promises)
  if (conventionsOf(source) !== undefined) throw new UsageError('this table already has conventions')
  if (!is(source, Table) && Object.keys(promises).some((name) => name !== 'key')) {
    throw new UsageError('a view is read-only: the only convention it can have is its key')
  }
  // Not enumerable: drizzle-kit and Drizzle's relational queries look through the values of a table.
  Object.defineProperty(source, declared, { value: Object.freeze({ ...promises }), enumerable: false })
  return source as TSource & Declared<TConventions>
}

/** Whether rows can be read from it: it is a table or view. */
export function isSource(value: unknown): value is Source {
  return is(value, Table) || is(value, View)
}

/** Returns the conventions of a table or view. */
export function conventionsOf(source: Source): Conventions | undefined {
  return (source as Partial<Declared>)[declared]
}
