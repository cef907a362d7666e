/**
 * Sketches: the types of a table or view that no schema names. As an argument, Drizzle's type of a table takes forty
 * lines of an editor's hover; a sketch says its columns, key and conventions in a few, and repositories read it as they
 * do a table. `table-types.ts` says what they read.
 */
import type { PgTable } from 'drizzle-orm/pg-core'
import type { declared, Source } from './conventions.ts'
import type {
  Columns,
  ConventionsOf,
  Flat,
  Inserted,
  KeyNames,
  Managed,
  Plain,
  Readable,
  TypeOf,
} from './table-types.ts'

/** What repositories need of a view. `Sketch<['id', number, 'PgInteger', 'kept'], 'id', never, never>`. */
export interface Sketch<TColumn extends SketchColumn, TKey extends PropertyKey, TVersion, TRemoved> extends Readable {
  readonly $inferSelect: { [C in TColumn as C[0]]: C[1] }
  readonly _: {
    readonly name: string
    readonly selectedFields: { [C in TColumn as C[0]]: { _: { columnType: C[2] } } }
  }
  readonly [declared]: { readonly key: readonly TKey[]; readonly version: TVersion } & SoftDelete<TRemoved>
}

/** The sketch of a table, which can be written to. */
export interface TableSketch<TColumn extends SketchColumn, TKey extends PropertyKey, TVersion, TRemoved> extends Sketch<
  TColumn,
  TKey,
  TVersion,
  TRemoved
> {
  readonly $inferInsert: Flat<
    { [C in TColumn as C[3] extends 'needed' ? C[0] : never]: C[1] } & {
      [C in TColumn as C[3] extends 'optional' ? C[0] : never]?: C[1] | undefined
    }
  >
}

/** A property, its type, Drizzle's name for the type of its column, and whether an insert names it. */
export type SketchColumn = readonly [PropertyKey, unknown, unknown, 'needed' | 'optional' | 'kept']

/** `SoftDelete<'removedAt'>` is `{ removedAt: 'removedAt' }`, `SoftDelete<never>` is `unknown`. */
export type SoftDelete<TName> = [TName] extends [never] ? unknown : { readonly removedAt: TName }

/** `SketchOf<typeof words>` is `TableSketch<['word', string, 'PgText', 'needed'] | …, 'word', never, never>`. */
export type SketchOf<TSource extends Source> = TSource extends PgTable
  ? TableSketch<SketchColumns<TSource>, KeyNames<TSource>, Declares<TSource, 'version'>, Declares<TSource, 'removedAt'>>
  : Sketch<SketchColumns<TSource>, KeyNames<TSource>, never, never>

/** `SketchColumns<typeof words>` is `['word', string, 'PgText', 'needed'] | …`. */
export type SketchColumns<TSource extends Source> = TSource extends unknown
  ? {
      [K in keyof Columns<TSource>]: [
        K,
        Plain<TSource>[K & keyof Plain<TSource>],
        TypeOf<Columns<TSource>[K]>,
        Insertion<Inserted<TSource>, Managed<TSource>, K>,
      ]
    }[keyof Columns<TSource>]
  : never

/** Whether an insert names a property. `Insertion<{ a: 1; b?: 2 }, never, 'b'>` is `'optional'`. */
export type Insertion<TInserted, TManaged, TName> = TName extends TManaged
  ? 'kept'
  : TName extends keyof TInserted
    ? undefined extends TInserted[TName]
      ? 'optional'
      : 'needed'
    : 'kept'

/** The property a convention names. `Declares<typeof customers, 'version'>` is `'version'`, of another table `never`. */
export type Declares<TSource, TConvention extends string> =
  ConventionsOf<TSource> extends { readonly [C in TConvention]: infer TName } ? TName : never
