/** The types of rows as JSON, for the clients of a resource. Each conditional type has a worked example. */
import type { PgTable } from 'drizzle-orm/pg-core'
import type { Source } from '../repository/types/conventions.ts'
import type { Columns, Inserted, Managed, Plain, TypeOf } from '../repository/types/table-types.ts'

/**
 * A row as it is answered, made of pairs, so that declarations do not repeat the table for every route.
 * `RowJson<typeof orders>` is `{ id: string; placedAt: string; … }`.
 */
export type RowJson<TSource extends Source, THidden extends string = never> = TSource extends unknown
  ? JsonFields<RowPairs<TSource, THidden>>
  : never

/** `JsonFields<['id', string]>` is `{ id: string }`. */
export type JsonFields<TPairs extends readonly [PropertyKey, unknown]> = { [P in TPairs as P[0]]: P[1] }

/** `JsonOptions<['id', string]>` is `{ id?: string }`. */
export type JsonOptions<TPairs extends readonly [PropertyKey, unknown]> = { [P in TPairs as P[0]]?: P[1] }

/** `RowPairs<typeof orders>` is `['id', string] | ['placedAt', string] | …`. */
export type RowPairs<TSource extends Source, THidden extends string> = {
  [K in Exclude<keyof Plain<TSource>, THidden>]-?: [
    K,
    ColumnValue<TypeOf<Columns<TSource>[K & keyof Columns<TSource>]>, Plain<TSource>[K]>,
  ]
}[Exclude<keyof Plain<TSource>, THidden>]

/** What may be sent as a new row. `NewRowJson<typeof products>` needs sku, name and price. */
export type NewRowJson<TSource extends Source, TKept extends string = never> = TSource extends PgTable
  ? JsonFields<NewPairs<Sent<TSource, TKept>, false>> & JsonOptions<NewPairs<Sent<TSource, TKept>, true>>
  : never

/** What a change may say. `PatchJson<typeof products>` needs nothing. */
export type PatchJson<TSource extends Source, TKept extends string = never> = TSource extends PgTable
  ? JsonOptions<NewPairs<Sent<TSource, TKept>, boolean>>
  : never

/** What Drizzle lets one insert, but what the conventions write and the resource keeps. */
export type Sent<TSource, TKept> = Omit<Inserted<TSource>, (Managed<TSource> | TKept) & PropertyKey>

/** The pairs of what must be said, or may be left out. `NewPairs<{ a: 1; b?: 2 }, true>` is `['b', 2]`. */
export type NewPairs<T, TOptional extends boolean> = {
  [K in keyof T]-?: (Record<never, never> extends Pick<T, K> ? true : false) extends TOptional
    ? [K, Json<Exclude<T[K], undefined>>]
    : never
}[keyof T]

/** What a type of the user's own, or of an expression, is as JSON: its TypeScript type does not tell. */
export type ColumnValue<TType, TValue> = TType extends 'PgCustomColumn' | 'expression' ? unknown : Json<TValue>

/** What a value of type T is after its way through JSON, for clients: `Json<{ id: bigint }>` is `{ id: string }`. */
export type Json<T> = T extends bigint | Date
  ? string
  : T extends readonly (infer TItem)[]
    ? Json<TItem>[]
    : T extends object
      ? { [K in keyof T]: Json<T[K]> }
      : T
