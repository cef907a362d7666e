/**
 * A schema that is an object of tables and relations, such as `{ ...tables, ...relations }`. An editor shows a module by
 * its name, `typeof schema`, but an object by all that is in it, which takes forty lines wherever a type names the schema.
 * So repositories of such a schema name it by the names of its tables, and sketches that an editor breaks off after one:
 * `SpreadSchema<"exhibits" | "words", ["exhibits", "exhibits", undefined, TableSketch<…>] | …>`. A module that lists what
 * it exports (`export { words } from './words.ts'`) cannot be told from an object by its types, and is shown like one.
 */
import type { Relations } from 'drizzle-orm'
import type { Source } from './conventions.ts'
import type { SketchOf } from './standalone-types.ts'
import type { Fields, Pairs, SchemaOf, Spread } from './table-types.ts'

/** What stands for a schema in the types of its repositories. `Shown<typeof import('./schema')>` is the module itself. */
export type Shown<TSchema> = IsModule<TSchema> extends true ? TSchema : SpreadSchema<Tables<TSchema>, Entries<TSchema>>

/**
 * Whether a schema is a module: the tables that a module exports cannot be assigned to, those that a spread has copied can.
 * `IsModule<{ words: typeof words }>` is `false`.
 */
export type IsModule<TSchema> = Identical<
  Pick<TSchema, Tables<TSchema>>,
  { readonly [K in Tables<TSchema>]: TSchema[K] }
>

/** The same to the last modifier. `Identical<{ a: 1 }, { readonly a: 1 }>` is `false`. */
export type Identical<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/**
 * The schema that the entries make. `SpreadSchema<['words', 'words', undefined, …]>` is `{ words: … }`.
 * @public declarations of other modules name it
 */
export type SpreadSchema<_TNames, TEntry extends SchemaEntry> = {
  readonly [E in TEntry | Mark as E[0]]: E[3] & { readonly _: { readonly name: E[1]; readonly schema: E[2] } }
}

/** The names of the tables and views. `Tables<{ words: typeof words; wordsRelations: … }>` is `'words'`. */
export type Tables<TSchema> = TSchema extends unknown
  ? { [K in keyof TSchema]: TSchema[K] extends Source ? K : never }[keyof TSchema]
  : never

/** A property of the schema, the name of the table in the database, that of its PostgreSQL schema, and the sketch. */
export type SchemaEntry = readonly [PropertyKey, string, string | undefined, unknown]

/** The entry that marks a schema as one of sketches: see `Spread`. */
export type Mark = readonly [keyof Spread, never, never, object]

/** The tables, views and relations of a schema. `Entries<{ words: typeof words }>` is `['words', 'words', undefined, …]`. */
export type Entries<TSchema> = TSchema extends unknown
  ? {
      [K in keyof TSchema]: TSchema[K] extends Source
        ? [K, TSchema[K]['_']['name'], SchemaOf<TSchema[K]>, SketchOf<TSchema[K]>]
        : TSchema[K] extends Relations<infer TName, infer TConfig>
          ? [K, TName, undefined, Relations<TName, Fields<Pairs<TConfig>>>]
          : never
    }[keyof TSchema]
  : never
