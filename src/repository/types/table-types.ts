/**
 * The conditional types of the repositories, each with a worked example. They read the table value alone; callers write
 * no type arguments. Kept shallow, one decision a type, so that a schema of many tables stays cheap to check.
 *
 * An editor shows a type by its name and arguments, and a table as an argument takes forty lines. So what repositories
 * take and return is named by the schema and the table's name there: `RowIn<typeof schema, "products">`; what is made
 * of a table alone is named by its columns, as pairs: `Fields<["id", number] | …>`. The first are object types, not
 * conditional ones, as only those keep their name; the second stand in conditional types, to lose that of the table.
 * `standalone-types.ts` does the same for repositories whose schema is not known; `relation-types.ts` has the types of
 * related rows.
 */
import type { SQL } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import type { Conventions, declared, Source } from './conventions.ts'
import type {
  ArrayFilter,
  CustomFilter,
  EqualityFilter,
  JsonbFilter,
  NullFilter,
  OrderFilter,
  TextFilter,
} from './filter-types.ts'

/** A row as it is read. `Row<typeof products>` is `{ id: number; sku: string; … }`. */
export type Row<TSource extends Source> = TSource extends unknown ? Fields<Pairs<Plain<TSource>>> : never

/** Drizzle's own type of a row. `Plain<typeof products>` is `{ id: number; sku: string; … }`. */
export type Plain<TSource extends Readable> = TSource['$inferSelect']

/** Properties with their types. `Pairs<{ a: 1; b?: 2 }>` is `['a', 1] | ['b', 2 | undefined]`. */
export type Pairs<T> = T extends unknown ? { [K in keyof T]-?: [K, T[K]] }[keyof T] : never

/** The object of such pairs, which hovers as them. `Fields<['a', 1]>` is `{ a: 1 }`. */
export type Fields<TPairs extends readonly [PropertyKey, unknown]> = { [P in TPairs as P[0]]: P[1] }

/**
 * `Row` of a table in a schema; its properties lead an editor to the columns.
 * `RowIn<Schema, 'products'>` is `Row<typeof products>`.
 */
export type RowIn<TSchema, TName extends keyof TSchema> = {
  [K in keyof Columns<Named<TSchema, TName>>]: Plain<Named<TSchema, TName>>[K & keyof Plain<Named<TSchema, TName>>]
}

/** Tells a schema of sketches (`spread-schema.ts`) from others. */
declare const spread: unique symbol

/** A schema of sketches. */
export interface Spread {
  readonly [spread]: object
}

/**
 * The row that an operation returns: `Row` itself if no schema names the table. `ReturnedRow<Schema, 'words'>` is
 * `RowIn<…>`.
 */
export type ReturnedRow<TSchema, TName extends keyof TSchema> = TSchema extends Alone<Readable> | Spread
  ? Fields<Pairs<Plain<Named<TSchema, TName>>>>
  : RowIn<TSchema, TName>

/** The columns of a table, the fields of a view. `keyof Columns<typeof products>` is `'id' | 'sku' | …`. */
export type Columns<TSource extends Readable> = TSource extends PgTable
  ? TSource['_']['columns']
  : TSource extends { _: { selectedFields: infer TFields } }
    ? TFields
    : never

/** The conventions of a table. `ConventionsOf<typeof customers>` is `{ readonly version: 'version' }`. */
export type ConventionsOf<TSource> = TSource extends { readonly [declared]: infer TConventions extends Conventions }
  ? TConventions
  : Record<never, never>

/** Properties the conventions write. `Managed<typeof customers>` is `'version'`; `never` without conventions. */
export type Managed<TSource> = ConventionsOf<TSource>[keyof ConventionsOf<TSource> &
  ('version' | 'updatedAt' | 'removedAt')]

/**
 * What `insert` takes: no generated columns, defaults optional, every value also as SQL. `NewRow<typeof products>` needs
 * sku, name and price.
 */
export type NewRow<TSource extends Source> = TSource extends PgTable ? NewFields<Insertable<TSource>> : never

/** What Drizzle lets one insert, but what the conventions write. `Insertable<typeof notes>` has no version. */
export type Insertable<TSource> = Omit<Inserted<TSource>, Managed<TSource> & PropertyKey>

/** What must and what may be given. `NewFields<{ a: 1; b?: 2 }>` is `{ a: 1 | SQL; b?: 2 | SQL }`, and hovers as pairs. */
export type NewFields<T> = Flat<
  NeededFields<Pairs<Omit<T, OptionalNames<T>>>> & Changes<Pairs<Pick<T, OptionalNames<T>>>>
>

/** `NeededFields<['a', 1]>` is `{ a: 1 | SQL }`. */
export type NeededFields<TPairs extends readonly [PropertyKey, unknown]> = { [P in TPairs as P[0]]: P[1] | SQL }

/** Properties that may be left out. `OptionalNames<{ a: 1; b?: 2 }>` is `'b'`. */
export type OptionalNames<T> = { [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? K : never }[keyof T]

/** One object of several. `Flat<{ a: 1 } & { b: 2 }>` is `{ a: 1; b: 2 }`. */
export type Flat<T> = { [K in keyof T]: T[K] }

/** `NewRow` of a table in a schema. `NewRowIn<Schema, 'products'>` is `NewRow<typeof products>`. */
export type NewRowIn<TSchema, TName extends keyof TSchema> = {
  [K in keyof Inserted<Named<TSchema, TName>> as Exclude<K, Managed<Named<TSchema, TName>>>]:
    | Inserted<Named<TSchema, TName>>[K]
    | SQL
}

/** What Drizzle lets one insert. `Inserted<typeof products>` is `{ sku: string; stock?: number; … }`. */
export type Inserted<TSource> = TSource extends { readonly $inferInsert: infer TInserted } ? TInserted : never

/** What `update` takes: writable columns, none of them required, also as SQL. `Patch<typeof products>` is `{ stock?: number | SQL; … }`. */
export type Patch<TSource extends Source> = TSource extends PgTable ? Changes<Pairs<Insertable<TSource>>> : never

/** `Changes<['a', 1]>` is `{ a?: 1 | SQL }`. */
export type Changes<TPairs extends readonly [PropertyKey, unknown]> = { [P in TPairs as P[0]]?: P[1] | SQL }

/** `Patch` of a table in a schema. `PatchIn<Schema, 'products'>` is `Patch<typeof products>`. */
export type PatchIn<TSchema, TName extends keyof TSchema> = {
  [K in keyof Inserted<Named<TSchema, TName>> as Exclude<K, Managed<Named<TSchema, TName>>>]?:
    | Inserted<Named<TSchema, TName>>[K]
    | SQL
}

/** Properties of the key. `KeyNames<typeof products>` is `'id'`; of a declared key `'orderId' | 'productId'`. */
export type KeyNames<TSource extends Readable> =
  ConventionsOf<TSource> extends { readonly key: readonly (infer TName extends string)[] }
    ? TName
    : TSource extends PgTable
      ? PrimaryNames<TSource['_']['columns']>
      : never

/** Properties marked `.primaryKey()`. `PrimaryNames<{ id: …primary; sku: … }>` is `'id'`. */
export type PrimaryNames<TColumns> = {
  [K in keyof TColumns]: TColumns[K] extends { _: { isPrimaryKey: true } } ? K : never
}[keyof TColumns]

/** What names one row. `Key<typeof products>` is `number`, of a composite key `{ orderId: bigint; productId: number }`. */
export type Key<TSource extends Source> = KeyOf<Plain<TSource>, KeyNames<TSource>>

/** `KeyOf<{ a: 1; b: 2 }, 'a'>` is `1`; `KeyOf<{ a: 1; b: 2 }, 'a' | 'b'>` is `{ readonly a: 1; readonly b: 2 }`. */
export type KeyOf<TRow, TNames> = [TNames] extends [never]
  ? never
  : IsUnion<TNames> extends true
    ? { readonly [K in TNames & keyof TRow]: TRow[K] }
    : TRow[TNames & keyof TRow]

/** `Key` of a table in a schema. `KeyIn<Schema, 'products'>` is `number`. */
export type KeyIn<TSchema, TName extends keyof TSchema> =
  IsUnion<KeyNames<Named<TSchema, TName>>> extends true
    ? CompositeKey<TSchema, TName>
    : KeyOf<Plain<Named<TSchema, TName>>, KeyNames<Named<TSchema, TName>>>

/** A key of several columns. `CompositeKey<Schema, 'orderItems'>` is `{ orderId: bigint; productId: number }`. */
export type CompositeKey<TSchema, TName extends keyof TSchema> = {
  readonly [K in KeyNames<Named<TSchema, TName>> & keyof Plain<Named<TSchema, TName>>]: Plain<Named<TSchema, TName>>[K]
}

/** `IsUnion<'a' | 'b'>` is `true`, `IsUnion<'a'>` is `false`. */
export type IsUnion<T, TEach = T> = T extends unknown ? ([TEach] extends [T] ? false : true) : never

/** What `updateMany` takes for a row. `ChangedRowIn<Schema, 'notes'>` is `{ id: bigint; version?: number; title?: string | SQL; … }`. */
export type ChangedRowIn<TSchema, TName extends keyof TSchema> = CompositeKey<TSchema, TName> &
  PatchIn<TSchema, TName> &
  VersionIn<TSchema, TName>

/** The version, where the table has one. `VersionIn<Schema, 'notes'>` is `{ version?: number }`. */
export type VersionIn<TSchema, TName extends keyof TSchema> = {
  readonly [K in VersionName<Named<TSchema, TName>> & keyof Plain<Named<TSchema, TName>>]?: Plain<
    Named<TSchema, TName>
  >[K]
}

/** The property of the version. `VersionName<typeof notes>` is `'version'`; `never` without one. */
export type VersionName<TSource> = ConventionsOf<TSource> extends { version: infer TName } ? TName : never

/** A filter by columns, and their combinations. `{ price: { lt: '10' }, or: [{ stock: 0 }, { available: false }] }`. */
export type Where<TSource extends Source> = TSource extends unknown ? Filters<FilterPairs<TSource>> : never

/** Columns with what they may be compared with. `FilterPairs<…>` is `['id', number | OrderFilter<number>] | …`. */
export type FilterPairs<TSource extends Readable> = TSource extends unknown
  ? {
      [K in keyof Columns<TSource>]: [K, Filter<Columns<TSource>[K], Plain<TSource>[K & keyof Plain<TSource>]>]
    }[keyof Columns<TSource>]
  : never

/** The filter of such pairs, which hovers as them. `Filters<['id', number]>` is `{ id?: number; and?: …; … }`. */
export type Filters<TPairs extends readonly [PropertyKey, unknown]> = ColumnFilters<TPairs> & Combined<Filters<TPairs>>

/** `ColumnFilters<['id', number]>` is `{ readonly id?: number }`. */
export type ColumnFilters<TPairs extends readonly [PropertyKey, unknown]> = { readonly [P in TPairs as P[0]]?: P[1] }

/** `and`, `or` and `not` of filters. */
export interface Combined<TFilter> {
  readonly and?: readonly TFilter[]
  readonly or?: readonly TFilter[]
  readonly not?: TFilter
}

/** `Where` of a table in a schema. `WhereIn<Schema, 'products'>` is `Where<typeof products>`. */
export type WhereIn<TSchema, TName extends keyof TSchema> = {
  readonly [K in keyof Columns<Named<TSchema, TName>>]?: Filter<
    Columns<Named<TSchema, TName>>[K],
    Plain<Named<TSchema, TName>>[K & keyof Plain<Named<TSchema, TName>>]
  >
} & Combined<WhereIn<TSchema, TName>>

/** What one column may be compared with. `Filter<…text, string>` is `string | TextFilter<string>`. */
export type Filter<TColumn, TValue> = FilterOf<TypeOf<TColumn>, TValue>

/** The same by the name of its type, so that columns of equal types share it. `FilterOf<'PgInet', string>`. */
export type FilterOf<TType, TValue> = TType extends 'PgText' | 'PgVarchar' | 'PgChar'
  ? TValue | TextFilter<TValue>
  : TType extends 'PgArray'
    ? TValue | ArrayFilter<TValue>
    : TType extends 'PgJsonb'
      ? Null<TValue> | JsonbFilter<TValue>
      : TType extends 'PgCustomColumn'
        ? Bare<TValue> | ([NonNullable<TValue>] extends [Scalar] ? OrderFilter<TValue> : CustomFilter<TValue>)
        : TType extends 'expression'
          ? Bare<TValue> | OrderFilter<TValue>
          : TType extends Uncomparable
            ? Null<TValue> | NullFilter
            : TType extends 'PgBoolean'
              ? TValue | EqualityFilter<TValue>
              : TValue | OrderFilter<TValue>

/**
 * Drizzle's name for the type of a column; of an array that cannot be compared, the name of its elements' type.
 * `TypeOf<…text>` is `'PgText'`, `TypeOf<…point[]>` is `'PgPointTuple'`, of what a view works out it is `'expression'`.
 */
export type TypeOf<TColumn> = TColumn extends { _: { columnType: infer TType } }
  ? TType extends 'PgArray'
    ? TColumn extends { _: { baseColumn: infer TElement } }
      ? Extract<TypeOf<TElement>, Uncomparable> extends never
        ? TType
        : TypeOf<TElement>
      : TType
    : TType
  : 'expression'

/** Null where a value may be it. `Null<string | null>` is `null`, `Null<string>` is `never`. */
export type Null<TValue> = null extends TValue ? null : never

/** Types whose values contain nothing and match no pattern, for custom types of any name. */
export type Scalar = number | bigint | boolean | Date

/** A value that cannot be taken for an operator. `Bare<string | { x: 1 }>` is `string`. */
export type Bare<TValue> = Extract<
  TValue,
  string | number | bigint | boolean | null | Date | Uint8Array | readonly unknown[]
>

/** Types PostgreSQL has no equality for. */
export type Uncomparable =
  | 'PgJson'
  | 'PgPointTuple'
  | 'PgPointObject'
  | 'PgLine'
  | 'PgLineABC'
  | 'PgGeometry'
  | 'PgGeometryObject'

/** Columns that rows can be ordered by. `Order<typeof products>` is `{ readonly name?: Direction; … }`. */
export type Order<TSource extends Source> = TSource extends unknown
  ? OrderBy<Ordered<Columns<TSource>, keyof Columns<TSource>>>
  : never

/** An order by these columns, which hovers as them. `OrderBy<'id'>` is `{ readonly id?: Direction }`. */
export type OrderBy<TNames extends PropertyKey> = { readonly [K in TNames]?: Direction }

/** `Order` of a table in a schema. `OrderIn<Schema, 'products'>` is `Order<typeof products>`. */
export type OrderIn<TSchema, TName extends keyof TSchema> = {
  readonly [K in keyof Columns<Named<TSchema, TName>> as Ordered<Columns<Named<TSchema, TName>>, K>]?: Direction
}

/** The property of a column that has an order. `Ordered<{ id: …; data: …json }, 'id' | 'data'>` is `'id'`. */
export type Ordered<TColumns, TName extends keyof TColumns> = TName extends unknown
  ? TypeOf<TColumns[TName]> extends Uncomparable | 'PgJsonb'
    ? never
    : TName
  : never

/** Which way a column is ordered; nulls come last in `asc` and first in `desc` unless it says otherwise. */
export type Direction = 'asc' | 'desc' | `${'asc' | 'desc'} nulls ${'first' | 'last'}`

/** What stands for the schema of a table that is in none, or in an unknown one; see `standalone-types.ts`. */
export interface Alone<TSketch extends Readable> {
  readonly table: TSketch
}

/** What every table and view has, and a sketch of one. */
export interface Readable {
  readonly $inferSelect: object
  readonly _: { readonly name: string }
}

/** The table or view of a schema by its name there. `Named<Schema, 'orderItems'>` is `typeof orderItems`. */
export type Named<TSchema, TName extends keyof TSchema> = Extract<TSchema[TName], Readable>

/**
 * The name a schema has for a table or view: for this very value, as one table may be there under two names, with its
 * conventions and without. `NameIn<Schema, typeof orderItems>` is `'orderItems'`.
 */
export type NameIn<TSchema, TSource extends Source> = {
  [K in keyof TSchema]: TSchema[K] extends Source
    ? [TSource['_']['name'], SchemaOf<TSource>] extends [TSchema[K]['_']['name'], SchemaOf<TSchema[K]>]
      ? Same<TSource, TSchema[K]> extends true
        ? K
        : never
      : never
    : never
}[keyof TSchema]

/** `Same<typeof orders, typeof orders>` is `true`; `false` for a table and the same table with conventions. */
export type Same<TOne, TOther> = [TOne, TOther] extends [TOther, TOne] ? true : false

/** The PostgreSQL schema of a table. `SchemaOf<typeof products>` is `undefined`. */
export type SchemaOf<TSource> = TSource extends PgTable
  ? TSource['_']['schema']
  : TSource extends { readonly _: { readonly schema: infer TName } }
    ? TName
    : undefined

/** What `ifVersion` takes. `Version<typeof customers>` is `number`; without a version column, what to do about it. */
export type Version<TSource extends Readable> =
  ConventionsOf<TSource> extends { version: infer TName }
    ? [TName] extends [never]
      ? 'needs conventions(table, { version })'
      : Plain<TSource>[TName & keyof Plain<TSource>]
    : 'needs conventions(table, { version })'

/** Which rows reads can be asked for. `RemovedOption<typeof notes>` is `'exclude' | 'include' | 'only'`. */
export type RemovedOption<TSource> =
  ConventionsOf<TSource> extends { removedAt: string }
    ? 'exclude' | 'include' | 'only'
    : 'needs conventions(table, { removedAt })'

/** What stands for a row that `skipLocked` leaves out. `Skipped<boolean>` is `undefined`, `Skipped<false>` is `never`. */
export type Skipped<TSkip> = true extends TSkip ? undefined : never

/** Which repository a table or view has; see `RepositoryNamed`. `Kind<typeof products>` is `'table'`. */
export type Kind<TSource extends Readable> = TSource extends { readonly $inferInsert: unknown }
  ? [KeyNames<TSource>] extends [never]
    ? 'keyless table'
    : ConventionsOf<TSource> extends { removedAt: string }
      ? 'soft delete'
      : 'table'
  : [KeyNames<TSource>] extends [never]
    ? 'keyless view'
    : 'keyed view'

/** Operations with methods that may take the place of some. `Extended<{ a: 1; b: 2 }, { b: 3 }>` is `{ a: 1; b: 3 }`. */
export type Extended<TBase, TExtras> = [keyof TBase & keyof TExtras] extends [never]
  ? TBase & TExtras
  : Omit<TBase, keyof TExtras> & TExtras
