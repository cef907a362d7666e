/**
 * The operations of a repository, typed by its table. What a repository offers follows from the table: only a table
 * with a key can be written to, a view or a table without one can be read. Every operation rejects with the errors of
 * its statement (`UniqueViolation`, `DeadlineExceeded`, …) besides those named; bad values are `InvalidInput`.
 */
import type { Schema } from '../session/drizzle.ts'
import type { Source } from './conventions.ts'
import type { LockMode } from './lock.ts'
import type { Key, Kind, NewRow, Order, Patch, RemovedOption, Row, Selected, Version, Where, With } from './row.ts'

/** Which columns and related rows a read gives. */
export interface ReadOptions<TSource extends Source, TSchema, TSelect, TWith> {
  /** The columns to read; default: all. */
  readonly select?: readonly TSelect[]
  /** Relations to load, one statement each; in a transaction with a snapshot, of the same instant as the rows. */
  readonly with?: With<TSchema, TSource, TWith>
  /** What becomes of removed rows in a table with soft delete; default: `'exclude'`. */
  readonly removed?: RemovedOption<TSource>
}

/** Which rows `stream` gives, and in what order. */
export interface StreamOptions<TSource extends Source, TSelect> {
  readonly where?: Where<TSource>
  readonly orderBy?: Order<TSource> | readonly Order<TSource>[]
  readonly select?: readonly TSelect[]
  readonly removed?: RemovedOption<TSource>
  /** Rows fetched at a time. 1 to 100,000; default 1,000. */
  readonly batchSize?: number
}

/** Which rows `list` gives, and in what order. */
export interface ListOptions<TSource extends Source, TSchema, TSelect, TWith> extends ReadOptions<
  TSource,
  TSchema,
  TSelect,
  TWith
> {
  readonly where?: Where<TSource>
  /** The order, in which the key always comes last; default: the key. */
  readonly orderBy?: Order<TSource> | readonly Order<TSource>[]
  /** The most rows of the page. 1 to 10,000; default 100. */
  readonly limit?: number
  /** `next` of another page in the same order: the page begins behind it. */
  readonly after?: string | undefined
  /** `previous` of another page in the same order: the page ends before it. */
  readonly before?: string | undefined
  /** True: how many rows the filter is true of in all, at the same instant. */
  readonly count?: boolean
}

/** A page of a list. */
export interface Page<TRow> {
  readonly rows: TRow[]
  /** Give it as `after` for the next page; undefined on the last one. */
  readonly next: string | undefined
  /** Give it as `before` for the previous page; undefined on the first one. */
  readonly previous: string | undefined
  /** Rows in all, where `count` was asked for. */
  readonly count?: number
}

/** Reads of any table or view. */
export interface ReadOnlyRepository<TSource extends Source, TSchema extends Schema = Schema> {
  /** The row with this key, or the first in key order that the filter is true of; undefined without one. */
  find<const TSelect extends keyof Row<TSource> = keyof Row<TSource>, const TWith = Record<never, never>>(
    keyOrWhere: Key<TSource> | Where<TSource>,
    options?: ReadOptions<TSource, TSchema, TSelect, TWith>,
  ): Promise<Selected<TSource, TSelect, TWith, TSchema> | undefined>
  /** A page of the rows that the filter is true of. @throws InvalidInput for a cursor of another table or order. */
  list<const TSelect extends keyof Row<TSource> = keyof Row<TSource>, const TWith = Record<never, never>>(
    options?: ListOptions<TSource, TSchema, TSelect, TWith>,
  ): Promise<Page<Selected<TSource, TSelect, TWith, TSchema>>>
  /** Whether a row has this key, or the filter is true of any. */
  exists(
    keyOrWhere: Key<TSource> | Where<TSource>,
    options?: { readonly removed?: RemovedOption<TSource> },
  ): Promise<boolean>
  /** How many rows the filter is true of; without one, how many there are. */
  count(where?: Where<TSource>, options?: { readonly removed?: RemovedOption<TSource> }): Promise<number>
  /** All rows that the filter is true of, through a cursor on the server, in memory for one batch. */
  stream<const TSelect extends keyof Row<TSource> = keyof Row<TSource>>(
    options?: StreamOptions<TSource, TSelect>,
  ): AsyncGenerator<Selected<TSource, TSelect, Record<never, never>, TSchema>, void, undefined>
}

/** Reads of a table or view with a key. */
export interface KeyedRepository<TSource extends Source, TSchema extends Schema = Schema> extends ReadOnlyRepository<
  TSource,
  TSchema
> {
  /** The row with this key. @throws NotFound */
  get<const TSelect extends keyof Row<TSource> = keyof Row<TSource>, const TWith = Record<never, never>>(
    key: Key<TSource>,
    options?: ReadOptions<TSource, TSchema, TSelect, TWith>,
  ): Promise<Selected<TSource, TSelect, TWith, TSchema>>
  /** The rows with these keys, in their order, and the keys that no row has; one statement. */
  getMany<const TSelect extends keyof Row<TSource> = keyof Row<TSource>, const TWith = Record<never, never>>(
    keys: readonly Key<TSource>[],
    options?: ReadOptions<TSource, TSchema, TSelect, TWith>,
  ): Promise<{ rows: Selected<TSource, TSelect, TWith, TSchema>[]; missing: Key<TSource>[] }>
  /** Like `get`; all loads of one session in one tick are one statement. @throws NotFound */
  load(key: Key<TSource>): Promise<Row<TSource>>
}

/** Every operation on a table with a key. */
export interface Repository<TSource extends Source, TSchema extends Schema = Schema> extends KeyedRepository<
  TSource,
  TSchema
> {
  /** Inserts a row and answers it as stored. */
  insert(row: NewRow<TSource>): Promise<Row<TSource>>
  /** Inserts any number of rows, all or none, and answers them in the order given. */
  insertMany(rows: readonly NewRow<TSource>[]): Promise<Row<TSource>[]>
  /** Changes the row with this key and answers it; `undefined` leaves a column. @throws NotFound, VersionConflict */
  update(
    key: Key<TSource>,
    patch: Patch<TSource>,
    options?: { readonly ifVersion?: Version<TSource> },
  ): Promise<Row<TSource>>
  /** Changes every row that the filter is true of and answers how many. @throws UsageError for an empty filter */
  updateWhere(where: Where<TSource>, patch: Patch<TSource>): Promise<number>
  /**
   * Inserts the row, or updates the one with the same `on` columns (default: the key); answers the row then there.
   * `update`: columns to take from the row, or a patch; default: all given columns; `[]` leaves the row as it is.
   */
  upsert(row: NewRow<TSource>, options?: UpsertOptions<TSource>): Promise<Row<TSource>>
  /** Removes the row with this key (hides it, under soft delete) and answers it. @throws NotFound, VersionConflict */
  remove(key: Key<TSource>, options?: { readonly ifVersion?: Version<TSource> }): Promise<Row<TSource>>
  /** Removes every row that the filter is true of and answers how many. @throws UsageError for an empty filter */
  removeWhere(where: Where<TSource>): Promise<number>
  /**
   * Locks the row until the transaction ends, and answers it; with `skipLocked` undefined when it is locked or missing.
   * @throws UsageError outside a transaction, NotFound, LockTimeout with `nowait`
   */
  lock(key: Key<TSource>, mode: LockMode, wait?: { readonly nowait?: boolean }): Promise<Row<TSource>>
  lock(key: Key<TSource>, mode: LockMode, wait: { readonly skipLocked: true }): Promise<Row<TSource> | undefined>
}

/** How `upsert` decides and what it updates. */
export interface UpsertOptions<TSource extends Source> {
  readonly on?: keyof NewRow<TSource> | readonly (keyof NewRow<TSource>)[]
  readonly update?: readonly (keyof Patch<TSource>)[] | Patch<TSource>
}

/** Every operation on a table with soft delete. */
export interface SoftDeleteRepository<TSource extends Source, TSchema extends Schema = Schema> extends Repository<
  TSource,
  TSchema
> {
  /** Shows a removed row again and answers it. @throws NotFound when no removed row has this key */
  restore(key: Key<TSource>): Promise<Row<TSource>>
  /** Deletes the row for good, removed or not, and answers it. @throws NotFound */
  purge(key: Key<TSource>): Promise<Row<TSource>>
}

/** The repository of a table or view. */
export type RepositoryOf<TSource extends Source, TSchema extends Schema = Schema> = {
  keyless: ReadOnlyRepository<TSource, TSchema>
  keyed: KeyedRepository<TSource, TSchema>
  table: Repository<TSource, TSchema>
  'soft delete': SoftDeleteRepository<TSource, TSchema>
}[Kind<TSource>]
