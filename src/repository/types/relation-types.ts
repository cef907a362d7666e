/**
 * The types of related rows: what `with` takes, and what a read gives that has one. Each conditional type has a worked
 * example; `table-types.ts` says how types of tables are named and kept short.
 */
import type { Many, One, Relations } from 'drizzle-orm'
import type {
  Alone,
  ReturnedRow,
  ConventionsOf,
  IsUnion,
  Named,
  OrderIn,
  Readable,
  RowIn,
  SchemaOf,
  WhereIn,
} from './table-types.ts'

/**
 * What a read gives: the row, the selected part of it, or with related rows, which may not be there where a flag
 * decides. `Selected<Schema, 'reviews', 'rating', { product: true }>` is `{ rating: number; product: Product }`.
 */
export type Selected<TSchema, TName extends keyof TSchema, TSelect, TWith> = [keyof TWith] extends [never]
  ? Part<TSchema, TName, TSelect>
  : TWith[keyof TWith] extends true | object
    ? Loaded<Part<TSchema, TName, TSelect>, RelatedBy<TSchema, TName, TWith>>
    : Loaded<Part<TSchema, TName, TSelect>, RelatedBy<TSchema, TName, Omit<TWith, Flagged<TWith>>>> &
        OptionalFields<RelatedBy<TSchema, TName, Unflagged<TWith>>>

/** Relations that may be left out. `Flagged<{ parts: boolean; shelf: true }>` is `'parts'`. */
export type Flagged<TWith> = { [K in keyof TWith]-?: TWith[K] extends true | object ? never : K }[keyof TWith]

/** How those are loaded if they are. `Unflagged<{ parts: boolean; shelf: true }>` is `{ parts: true }`. */
export type Unflagged<TWith> = {
  [K in Flagged<TWith> as [TWith[K]] extends [Unloaded] ? never : K]: Exclude<TWith[K], Unloaded>
}

/** `OptionalFields<['a', 1]>` is `{ a?: 1 }`. */
export type OptionalFields<TPairs extends readonly [PropertyKey, unknown]> = { [P in TPairs as P[0]]?: P[1] }

/** What loads nothing. */
export type Unloaded = false | undefined

/** The selected columns; nothing selected is the whole row. `Part<Schema, 'words', 'uses'>` is `{ uses: number }`. */
export type Part<TSchema, TName extends keyof TSchema, TSelect> = [TSelect] extends [never]
  ? ReturnedRow<TSchema, TName>
  : Pick<ReturnedRow<TSchema, TName>, TSelect & keyof ReturnedRow<TSchema, TName>>

/** A row with related rows. `Loaded<{ rating: 1 }, ['customer', Customer]>` is `{ rating: 1; customer: Customer }`. */
export type Loaded<TRow, TRelated extends readonly [PropertyKey, unknown]> = {
  [K in keyof TRow | TRelated[0]]: K extends TRelated[0]
    ? Extract<TRelated, readonly [K, unknown]>[1]
    : TRow[K & keyof TRow]
}

/** What a `with` loads, as pairs. `RelatedBy<Schema, 'reviews', { customer: true }>` is `['customer', Customer]`. */
export type RelatedBy<TSchema, TName extends keyof TSchema, TWith> = [TWith] extends [unknown]
  ? {
      [K in keyof TWith]-?: [K, Related<TSchema, TName, RelationNamed<RelationsOf<TSchema, TName>, K>, TWith[K]>]
    }[keyof TWith]
  : never

/**
 * The relations of a table. `RelationsOf<Schema, 'reviews'>` is `{ product: One<…>; customer: One<…> }`. Drizzle's types
 * know tables by their names alone: of two in different PostgreSQL schemas it is the union of what both have, and
 * `with` of what only the other one has is refused when it is called.
 */
export type RelationsOf<TSchema, TName extends keyof TSchema> = {
  [K in keyof TSchema]: TSchema[K] extends Relations<Named<TSchema, TName>['_']['name'], infer TConfig>
    ? TConfig
    : never
}[keyof TSchema]

/** The names in any of them. `NamesOf<{ a: 1 } | { b: 2 }>` is `'a' | 'b'`. */
export type NamesOf<TRelations> = TRelations extends unknown ? keyof TRelations : never

/** What has that name. `RelationNamed<{ a: 1 } | { a: 2 } | { b: 3 }, 'a'>` is `1 | 2`. */
export type RelationNamed<TRelations, TName extends PropertyKey> =
  TRelations extends Readonly<Record<TName, infer TRelation>> ? TRelation : never

/**
 * The table a relation leads to, by its name in the schema; all that may be meant, where tables share a name.
 * `Target<Schema, One<'order_items'>>` is `'orderItems'`.
 */
export type Target<TSchema, TRelation> = TRelation extends { referencedTableName: infer TTable }
  ? {
      [K in keyof TSchema]: TSchema[K] extends TableLike ? (TSchema[K]['_']['name'] extends TTable ? K : never) : never
    }[keyof TSchema]
  : never

/** A table, or the sketch of one: no view, which cannot be inserted into. */
export interface TableLike extends Readable {
  readonly $inferInsert: unknown
}

/**
 * What `with` takes, checked as any object is, so that messages name what is wrong in it; `TGiven` is inferred on the
 * way, from a branch that is never taken. `With<Schema, 'reviews', { product: true }>` is `{ product?: true | … }`.
 */
export type With<TSchema, TName extends keyof TSchema, TGiven> = TGiven extends never
  ? TGiven
  : Relating<TSchema, TName>

/**
 * The relations of a table, and how each may be loaded; without any, what to do about it in place of each.
 * `Relating<Schema, 'reviews'>` is `{ product?: true | … }`.
 */
export type Relating<TSchema, TName extends keyof TSchema> = [NamesOf<RelationsOf<TSchema, TName>>] extends [never]
  ? TSchema extends Alone<Readable>
    ? Readonly<Record<string, 'with needs a schema that has the table: defineRepository(table, …, { schema })'>>
    : Readonly<Record<string, 'the schema has no relations of this table'>>
  : RelationsIn<TSchema, TName>

/** `Relating` of a table that has relations. `RelationsIn<Schema, 'reviews'>` is `{ product?: true | … }`. */
export type RelationsIn<TSchema, TName extends keyof TSchema> = {
  readonly [K in NamesOf<RelationsOf<TSchema, TName>>]?:
    | true
    | Unloaded
    | OptionsOf<TSchema, RelationNamed<RelationsOf<TSchema, TName>, K>>
}

/** How a relation may be loaded. `OptionsOf<Schema, Many<'reviews'>>` is `ManyOptions<Schema, 'reviews'>`. */
export type OptionsOf<TSchema, TRelation> =
  TRelation extends Many<string>
    ? ManyOptions<TSchema, Target<TSchema, TRelation>>
    : OneOptions<TSchema, Target<TSchema, TRelation>>

/** How the row of a relation to one is loaded. */
export interface OneOptions<TSchema, TName extends keyof TSchema> {
  readonly where?: IsUnion<SchemaOf<Named<TSchema, TName>>> extends true
    ? 'no filter here: tables of two PostgreSQL schemas have this name, and which one is meant is not known'
    : WhereIn<TSchema, TName>
  readonly orderBy?: OrderIn<TSchema, TName> | readonly OrderIn<TSchema, TName>[]
  readonly select?: readonly (keyof RowIn<TSchema, TName>)[]
  readonly with?: Relating<TSchema, TName>
}

/** How the rows of a relation to many are loaded. */
export interface ManyOptions<TSchema, TName extends keyof TSchema> extends OneOptions<TSchema, TName> {
  /** Rows for each row of the table, 1 to 10,000; default: all. */
  readonly limit?: number
}

/** One property, if it is there. `GivenValue<{ a: 1 }, 'a'>` is `1`, `GivenValue<{ a: 1 }, 'b'>` is `unknown`. */
export type GivenValue<TGiven, TName extends string> = TGiven extends { readonly [K in TName]: infer TValue }
  ? TValue
  : unknown

/** A related property: an array for many, a row for one. `Related<S, 'products', Many<'reviews'>, true>` is `Review[]`. */
export type Related<TSchema, TName extends keyof TSchema, TRelation, TOptions> =
  TRelation extends Many<string>
    ? RelatedRow<TSchema, Target<TSchema, TRelation>, TOptions>[]
    : MayBeMissing<TSchema, TName, TRelation, TOptions> extends true
      ? RelatedRow<TSchema, Target<TSchema, TRelation>, TOptions> | null
      : RelatedRow<TSchema, Target<TSchema, TRelation>, TOptions>

/**
 * A `one` is null when its columns may be (`One<'users', true>` says that they may not), when nothing says on which side
 * the foreign key is, when a filter may leave it out, or when its table has soft delete.
 * `MayBeMissing<Schema, 'reviews', One<'products', true>, true>` is `false`.
 */
export type MayBeMissing<TSchema, TName extends keyof TSchema, TRelation, TOptions> =
  TRelation extends One<string, true>
    ? TOptions extends { where: object }
      ? true
      : [IsOneOfMany<TSchema, TName, TRelation>, SoftDeleted<TSchema, TRelation>] extends [true, false]
        ? false
        : true
    : true

/**
 * Whether the other table has many of this one: then this side has the foreign key. Without that it may be the parent,
 * which has a child or none. `IsOneOfMany<Schema, 'reviews', One<'products'>>` is `true`: `reviews: many(reviews)`.
 */
export type IsOneOfMany<TSchema, TName extends keyof TSchema, TRelation> = [
  Extract<Among<RelationsOf<TSchema, Target<TSchema, TRelation>>>, Many<Named<TSchema, TName>['_']['name']>>,
] extends [never]
  ? false
  : true

/** All there are. `Among<{ a: 1 } | { b: 2 }>` is `1 | 2`. */
export type Among<TRelations> = TRelations extends unknown ? TRelations[keyof TRelations] : never

/** Whether the table of a relation has soft delete. `SoftDeleted<Schema, One<'products'>>` is `false`. */
export type SoftDeleted<TSchema, TRelation> = [
  Extract<ConventionsOf<Named<TSchema, Target<TSchema, TRelation>>>, { removedAt: string }>,
] extends [never]
  ? false
  : true

/**
 * `RelatedRow<Schema, 'users', { select: ['id'] }>` is `{ id: string }`; for `true` the whole row. Where tables share a
 * name it is a row of one of them.
 */
export type RelatedRow<TSchema, TName extends keyof TSchema, TOptions> = TName extends unknown
  ? Selected<
      TSchema,
      TName,
      TOptions extends { select: readonly (infer TColumn)[] } ? TColumn : never,
      GivenValue<TOptions, 'with'>
    >
  : never
