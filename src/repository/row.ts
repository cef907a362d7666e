/**
 * Every conditional type of the repositories, each with a worked example. They read the table value alone; nobody
 * writes type arguments. Kept shallow, one decision a type, so that a schema of many tables stays cheap to check.
 */
import type { Many, One, Relations, SQL } from 'drizzle-orm'
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
} from './filter.ts'

/** A row as it is read. `Row<typeof products>` is `{ id: number; sku: string; … }`. */
export type Row<TSource extends Source> = TSource['$inferSelect']

/** The columns of a table, the fields of a view. `keyof Columns<typeof products>` is `'id' | 'sku' | …`. */
type Columns<TSource extends Source> = TSource extends PgTable
  ? TSource['_']['columns']
  : TSource extends { _: { selectedFields: infer TFields } }
    ? TFields
    : never

/** The conventions of a table. `ConventionsOf<typeof customers>` is `{ readonly version: 'version' }`. */
type ConventionsOf<TSource> = TSource extends { readonly [declared]: infer TConventions extends Conventions }
  ? TConventions
  : Record<never, never>

/** Properties the conventions write. `Managed<typeof customers>` is `'version'`; `never` without conventions. */
type Managed<TSource> = ConventionsOf<TSource>[keyof ConventionsOf<TSource> & ('version' | 'updatedAt' | 'removedAt')]

/** What `insert` takes: no generated columns, defaults optional. `NewRow<typeof products>` needs sku, name, price. */
export type NewRow<TSource extends Source> = TSource extends PgTable
  ? { [K in keyof TSource['$inferInsert'] as Exclude<K, Managed<TSource>>]: TSource['$inferInsert'][K] }
  : never

/** What `update` takes: writable columns, none of them required, also as SQL. `Patch<typeof products>` is `{ stock?: number | SQL; … }`. */
export type Patch<TSource extends Source> = TSource extends PgTable
  ? { [K in keyof TSource['$inferInsert'] as Exclude<K, Managed<TSource>>]?: TSource['$inferInsert'][K] | SQL }
  : never

/** Properties of the key. `KeyNames<typeof products>` is `'id'`; of a declared key `'orderId' | 'productId'`. */
type KeyNames<TSource extends Source> =
  ConventionsOf<TSource> extends { readonly key: readonly (infer TName extends string)[] }
    ? TName
    : TSource extends PgTable
      ? PrimaryNames<TSource['_']['columns']>
      : never

/** Properties marked `.primaryKey()`. `PrimaryNames<{ id: …primary; sku: … }>` is `'id'`. */
type PrimaryNames<TColumns> = {
  [K in keyof TColumns]: TColumns[K] extends { _: { isPrimaryKey: true } } ? K : never
}[keyof TColumns]

/** What names one row. `Key<typeof products>` is `number`, of a composite key `{ orderId: bigint; productId: number }`. */
export type Key<TSource extends Source> = KeyOf<Row<TSource>, KeyNames<TSource>>

/** `KeyOf<{ a: 1; b: 2 }, 'a'>` is `1`; `KeyOf<{ a: 1; b: 2 }, 'a' | 'b'>` is `{ readonly a: 1; readonly b: 2 }`. */
type KeyOf<TRow, TNames> = [TNames] extends [never]
  ? never
  : IsUnion<TNames> extends true
    ? { readonly [K in TNames & keyof TRow]: TRow[K] }
    : TRow[TNames & keyof TRow]

/** `IsUnion<'a' | 'b'>` is `true`, `IsUnion<'a'>` is `false`. */
type IsUnion<T, TEach = T> = T extends unknown ? ([TEach] extends [T] ? false : true) : never

/** A filter by columns, and their combinations. `{ price: { lt: '10' }, or: [{ stock: 0 }, { available: false }] }`. */
export type Where<TSource extends Source> = {
  readonly [K in keyof Columns<TSource>]?: Filter<Columns<TSource>[K], Row<TSource>[K & keyof Row<TSource>]>
} & Combined<TSource>

/** `and`, `or` and `not` of filters. */
interface Combined<TSource extends Source> {
  readonly and?: readonly Where<TSource>[]
  readonly or?: readonly Where<TSource>[]
  readonly not?: Where<TSource>
}

/** What one column may be compared with. `Filter<…text, string>` is `string | TextFilter<string>`. */
type Filter<TColumn, TValue> = TColumn extends { _: { columnType: infer TType } }
  ? TType extends 'PgText' | 'PgVarchar' | 'PgChar'
    ? TValue | TextFilter<TValue>
    : TType extends 'PgArray'
      ? TValue | ArrayFilter<TValue>
      : TType extends 'PgJsonb'
        ? JsonbFilter<TValue>
        : TType extends 'PgCustomColumn'
          ? Bare<TValue> | CustomFilter<TValue>
          : TType extends Uncomparable
            ? NullFilter
            : TType extends 'PgBoolean'
              ? TValue | EqualityFilter<TValue>
              : TValue | OrderFilter<TValue>
  : Bare<TValue> | OrderFilter<TValue>

/** A value that cannot be taken for an operator. `Bare<string | { x: 1 }>` is `string`. */
type Bare<TValue> = Extract<TValue, string | number | bigint | boolean | null | Date | Uint8Array | readonly unknown[]>

/** Types PostgreSQL has no equality for. */
type Uncomparable =
  | 'PgJson'
  | 'PgPointTuple'
  | 'PgPointObject'
  | 'PgLine'
  | 'PgLineABC'
  | 'PgGeometry'
  | 'PgGeometryObject'

/** Columns that rows can be ordered by. `Order<typeof products>` is `{ readonly name?: Direction; … }`. */
export type Order<TSource extends Source> = {
  readonly [
    K in keyof Columns<TSource> as Columns<TSource>[K] extends { _: { columnType: Uncomparable | 'PgJsonb' } }
      ? never
      : K
  ]?: Direction
}

/** Which way a column is ordered; nulls come last in `asc` and first in `desc` unless it says otherwise. */
export type Direction = 'asc' | 'desc' | `${'asc' | 'desc'} nulls ${'first' | 'last'}`

/** What a read gives: the row, the selected part of it, or with related rows. See `Narrowed` and `Loaded`. */
export type Selected<TSchema, TName extends keyof TSchema, TSelect, TWith> = [keyof TWith] extends [never]
  ? Narrowed<Row<Named<TSchema, TName>>, TSelect>
  : Loaded<TSchema, TName, TSelect, TWith>

/** `Narrowed<{ a: 1; b: 2 }, 'a'>` is `{ a: 1 }`; with every name the row as it is. */
type Narrowed<TRow, TSelect> = [keyof TRow] extends [TSelect] ? TRow : { [K in keyof TRow & TSelect]: TRow[K] }

/** `Loaded<Schema, 'reviews', 'rating', { customer: true }>` is `{ rating: number; customer: Customer }`. */
type Loaded<TSchema, TName extends keyof TSchema, TSelect, TWith> = {
  [K in (TSelect & keyof Row<Named<TSchema, TName>>) | keyof TWith]: K extends keyof TWith
    ? Related<TSchema, RelationsOf<TSchema, TName>[K & keyof RelationsOf<TSchema, TName>], TWith[K]>
    : Row<Named<TSchema, TName>>[K & keyof Row<Named<TSchema, TName>>]
}

/** The table or view of a schema by its name there. `Named<Schema, 'orderItems'>` is `typeof orderItems`. */
export type Named<TSchema, TName extends keyof TSchema> = Extract<TSchema[TName], Source>

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
type Same<TOne, TOther> = [TOne, TOther] extends [TOther, TOne] ? true : false

/** The PostgreSQL schema of a table. `SchemaOf<typeof products>` is `undefined`. */
type SchemaOf<TSource> = TSource extends PgTable ? TSource['_']['schema'] : undefined

/** The relations of a table. `RelationsOf<Schema, 'reviews'>` is `{ product: One<…>; customer: One<…> }`. */
type RelationsOf<TSchema, TName extends keyof TSchema> = {
  [K in keyof TSchema]: TSchema[K] extends Relations<Named<TSchema, TName>['_']['name'], infer TConfig>
    ? TConfig
    : never
}[keyof TSchema]

/** The table a relation leads to, by its name in the schema. `Target<Schema, One<'order_items'>>` is `'orderItems'`. */
type Target<TSchema, TRelation> = TRelation extends { referencedTableName: infer TTable }
  ? {
      [K in keyof TSchema]: TSchema[K] extends PgTable ? (TSchema[K]['_']['name'] extends TTable ? K : never) : never
    }[keyof TSchema]
  : never

/** What `with` takes: `true` or options. `With<Schema, 'reviews', { product: true }>` is `{ product: true }`. */
export type With<TSchema, TName extends keyof TSchema, TGiven> = TGiven & {
  // keyof never is every name: a table without relations must not have them all.
  readonly [K in keyof TGiven]: [RelationsOf<TSchema, TName>] extends [never]
    ? never
    : K extends keyof RelationsOf<TSchema, TName>
      ? RelationWith<TSchema, RelationsOf<TSchema, TName>[K], TGiven[K]>
      : never
}

/** One relation of a `with`, checked against its table; what does not belong there must be `never`, an error. */
type RelationWith<TSchema, TRelation, TGiven> = TGiven extends true
  ? true
  : RelationOptions<Named<TSchema, Target<TSchema, TRelation>>, TRelation> &
      Only<TGiven, keyof RelationOptions<Source, TRelation> | 'with'> & {
        readonly where?: Only<Given<TGiven, 'where'>, keyof Where<Named<TSchema, Target<TSchema, TRelation>>>>
        readonly with?: With<TSchema, Target<TSchema, TRelation>, Given<TGiven, 'with'>>
      }

/** How one relation is loaded. */
interface RelationOptions<TTarget extends Source, TRelation> {
  readonly where?: Where<TTarget>
  readonly orderBy?: Order<TTarget> | readonly Order<TTarget>[]
  /** Rows for each row of the table, 1 to 10,000; default: all. */
  readonly limit?: TRelation extends Many<string> ? number : never
  readonly select?: readonly (keyof Row<TTarget>)[]
}

/** Forbids every other property. `Only<{ a: 1; b: 2 }, 'a'>` is `{ b: never }`. */
type Only<TGiven, TNames> = { readonly [K in Exclude<keyof TGiven, TNames>]: never }

/** One property, if it is there. `Given<{ a: 1 }, 'a'>` is `1`, `Given<{ a: 1 }, 'b'>` is `{}`. */
type Given<TGiven, TName extends string> = TGiven extends { readonly [K in TName]: infer TValue }
  ? TValue
  : Record<never, never>

/** A related property: an array for many, a row for one. `Related<S, Many<'reviews'>, true>` is `Review[]`. */
type Related<TSchema, TRelation, TOptions> =
  TRelation extends Many<string>
    ? RelatedRow<TSchema, Target<TSchema, TRelation>, TOptions>[]
    : MayBeMissing<TSchema, TRelation, TOptions> extends true
      ? RelatedRow<TSchema, Target<TSchema, TRelation>, TOptions> | null
      : RelatedRow<TSchema, Target<TSchema, TRelation>, TOptions>

/**
 * A `one` is null when its columns may be (`One<'users', true>` says that they may not), when a filter may leave it
 * out, or when its table has soft delete. `MayBeMissing<Schema, One<'users', true>, true>` is `false`.
 */
type MayBeMissing<TSchema, TRelation, TOptions> =
  TRelation extends One<string, true>
    ? TOptions extends { where: object }
      ? true
      : ConventionsOf<Named<TSchema, Target<TSchema, TRelation>>> extends { removedAt: string }
        ? true
        : false
    : true

/** `RelatedRow<Schema, 'users', { select: ['id'] }>` is `{ id: string }`; for `true` the whole row. */
type RelatedRow<TSchema, TName extends keyof TSchema, TOptions> = Selected<
  TSchema,
  TName,
  TOptions extends { select: readonly (infer TColumn)[] } ? TColumn : keyof Row<Named<TSchema, TName>>,
  Given<TOptions, 'with'>
>

/** What `ifVersion` takes. `Version<typeof customers>` is `number`; `never` without a version column. */
export type Version<TSource extends Source> =
  ConventionsOf<TSource> extends { version: infer TName } ? Row<TSource>[TName & keyof Row<TSource>] : never

/** Whether reads can be asked for removed rows. `RemovedOption<typeof notes>` is `'exclude' | 'include' | 'only'`. */
export type RemovedOption<TSource> =
  ConventionsOf<TSource> extends { removedAt: string } ? 'exclude' | 'include' | 'only' : never

/** Which repository a table or view has; see the three interfaces. `Kind<typeof products>` is `'table'`. */
export type Kind<TSource extends Source> = [KeyNames<TSource>] extends [never]
  ? 'keyless'
  : TSource extends PgTable
    ? ConventionsOf<TSource> extends { removedAt: string }
      ? 'soft delete'
      : 'table'
    : 'keyed'

/** Operations with methods that may take the place of some. `Extended<{ a: 1; b: 2 }, { b: 3 }>` is `{ a: 1; b: 3 }`. */
export type Extended<TBase, TExtras> = [keyof TBase & keyof TExtras] extends [never]
  ? TBase & TExtras
  : Omit<TBase, keyof TExtras> & TExtras
