/**
 * The operations of a repository, typed by its table. What a repository offers follows from the table: only a table
 * with a key can be written to, a view or a table without one can be read. Every operation also rejects with the errors
 * of its statement (`UniqueViolation`, `DeadlineExceeded`, …) and with `InvalidInput` for bad values.
 */
import type { Schema } from '../../drizzle/driver.ts'
import type { Source } from './conventions.ts'
import type { LockMode, LockWait } from './lock-mode.ts'
import type {
  Alone,
  ChangedRowIn,
  ReturnedRow,
  KeyIn,
  Kind,
  Named,
  NameIn,
  NewRowIn,
  OrderIn,
  PatchIn,
  RemovedOption,
  RowIn,
  Skipped,
  Version,
  WhereIn,
} from './table-types.ts'
import type { Shown } from './spread-schema.ts'
import type { SketchOf } from './standalone-types.ts'
import type { Selected, With } from './relation-types.ts'

/** Which columns and related rows a read returns. */
export interface ReadOptions<TSchema, TName extends keyof TSchema, TSelect, TWith> {
  /** The columns to read; default: all. */
  readonly select?: readonly TSelect[]
  /**
   * Relations to load, one statement each, except those given as false or undefined. In a transaction with a snapshot
   * they are of the same instant as the rows. Elsewhere @throws NotFound when a related row that may not be missing was
   * deleted in between.
   *
   */
  readonly with?: With<TSchema, TName, TWith>
  /** Which rows to read in a table with soft delete; default: `'exclude'`. */
  readonly removed?: RemovedOption<Named<TSchema, TName>> | undefined
}

/** Which rows `stream` returns, and in what order. */
export interface StreamOptions<TSchema, TName extends keyof TSchema, TSelect> {
  readonly where?: WhereIn<TSchema, TName>
  readonly orderBy?: OrderIn<TSchema, TName> | readonly OrderIn<TSchema, TName>[] | undefined
  readonly select?: readonly TSelect[]
  readonly removed?: RemovedOption<Named<TSchema, TName>> | undefined
  /** Rows fetched at a time. 1 to 100,000; default 1,000. */
  readonly batchSize?: number | undefined
}

/** Which rows `list` returns, and in what order. */
export interface ListOptions<TSchema, TName extends keyof TSchema, TSelect, TWith> extends ReadOptions<
  TSchema,
  TName,
  TSelect,
  TWith
> {
  readonly where?: WhereIn<TSchema, TName>
  /** The order, in which the key always comes last; default: the key. */
  readonly orderBy?: OrderIn<TSchema, TName> | readonly OrderIn<TSchema, TName>[] | undefined
  /** The most rows of the page. 1 to 10,000; default 100. */
  readonly limit?: number | undefined
  /** `next` of another page in the same order: this page begins after it. */
  readonly after?: string | undefined
  /** `previous` of another page in the same order: the page ends before it. */
  readonly before?: string | undefined
  /** True: also count all rows that the filter matches, at the same instant. */
  readonly count?: boolean | undefined
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

/** A page of a list whose count was asked for. */
export interface CountedPage<TRow> extends Page<TRow> {
  readonly count: number
}

/**
 * What makes a count sure: that it is asked for in any case. TypeScript takes a property that may be missing for one that
 * is there; a flag is given as its value. `Asked<true>` is `{ count: true }`, `Asked<boolean>` is `unknown`.
 */
export type Asked<TCount> = [TCount] extends [true] ? { readonly count: TCount } : unknown

/** A page with its count, if it was asked for. `PageOf<Word, true>` is `CountedPage<Word>`, of `boolean` it is `Page<Word>`. */
export type PageOf<TRow, TCount> = [TCount] extends [true] ? CountedPage<TRow> : Page<TRow>

/** The rows of several keys, in their order. */
export interface Several<TRow, TKey> {
  rows: TRow[]
  /** The keys that no row has. */
  missing: TKey[]
}

/** Whether removed rows count. */
export interface RemovedRows<TRemoved> {
  readonly removed?: TRemoved
}

/** The version that the row must have; without it, any version will do. @throws UsageError for undefined */
export interface IfVersion<TVersion> {
  readonly ifVersion?: TVersion
}

/** Reads of any table or view; why there is no more is said in its type, for the message that a method does not exist. */
export interface ReadOnlyRepository<_TWhy, TSchema, TName extends keyof TSchema> {
  /** The row with this key, or the first in key order that the filter matches; undefined without one. */
  find<const TSelect extends keyof RowIn<TSchema, TName> = never, const TWith = unknown>(
    keyOrWhere: KeyIn<TSchema, TName> | WhereIn<TSchema, TName>,
    options?: ReadOptions<TSchema, TName, TSelect, TWith>,
  ): Promise<Selected<TSchema, TName, TSelect, TWith> | undefined>
  /** A page of the rows that the filter matches. @throws InvalidInput for a cursor of another table or order. */
  list<
    const TSelect extends keyof RowIn<TSchema, TName> = never,
    const TWith = unknown,
    TCount extends boolean | undefined = false,
  >(
    options?: ListOptions<TSchema, TName, TSelect, TWith> & Asked<TCount>,
  ): Promise<PageOf<Selected<TSchema, TName, TSelect, TWith>, TCount>>
  /** Whether a row has this key, or the filter matches any row. */
  exists(
    keyOrWhere: KeyIn<TSchema, TName> | WhereIn<TSchema, TName>,
    options?: RemovedRows<RemovedOption<Named<TSchema, TName>>>,
  ): Promise<boolean>
  /** How many rows there are. */
  count(): Promise<number>
  /** The number of rows that the filter matches; all for `{}`. @throws UsageError for undefined */
  count(where: WhereIn<TSchema, TName>, options?: RemovedRows<RemovedOption<Named<TSchema, TName>>>): Promise<number>
  /**
   * All rows that the filter matches, through a cursor on the server, one batch in memory at a time. Outside a
   * transaction it opens one, and other statements of the session are refused until it ends.
   */
  stream<const TSelect extends keyof RowIn<TSchema, TName> = never>(
    options?: StreamOptions<TSchema, TName, TSelect>,
  ): AsyncGenerator<Selected<TSchema, TName, TSelect, unknown>, void, undefined>
}

/** Reads of a table or view with a key. */
export interface KeyedRepository<_TWhy, TSchema, TName extends keyof TSchema> extends ReadOnlyRepository<
  _TWhy,
  TSchema,
  TName
> {
  /** The row with this key. @throws NotFound */
  get<const TSelect extends keyof RowIn<TSchema, TName> = never, const TWith = unknown>(
    key: KeyIn<TSchema, TName>,
    options?: ReadOptions<TSchema, TName, TSelect, TWith>,
  ): Promise<Selected<TSchema, TName, TSelect, TWith>>
  /** The rows with these keys, in their order, and the keys that no row has; one statement, or two for keys of text. */
  getMany<const TSelect extends keyof RowIn<TSchema, TName> = never, const TWith = unknown>(
    keys: readonly KeyIn<TSchema, TName>[],
    options?: ReadOptions<TSchema, TName, TSelect, TWith>,
  ): Promise<Several<Selected<TSchema, TName, TSelect, TWith>, KeyIn<TSchema, TName>>>
  /** Like `get`; all loads of one session in one tick are one statement. @throws NotFound */
  load(key: KeyIn<TSchema, TName>): Promise<ReturnedRow<TSchema, TName>>
}

/** Every operation on a table with a key. */
export interface Repository<TSchema, TName extends keyof TSchema> extends KeyedRepository<never, TSchema, TName> {
  /** Inserts a row and returns it as stored. @throws DatabaseError (02000) when a trigger skips it. */
  insert(row: NewRowIn<TSchema, TName>): Promise<ReturnedRow<TSchema, TName>>
  /**
   * Inserts any number of rows in the given order, all or none, and returns them in that order. Neighbouring rows with
   * the same columns share a statement, so rows of one shape are by far the fastest. Always in a transaction of its own
   * (a savepoint inside one): meanwhile the session refuses other statements. @throws DatabaseError (02000) as
   * `insert`.
   */
  insertMany(rows: readonly NewRowIn<TSchema, TName>[]): Promise<ReturnedRow<TSchema, TName>[]>
  /**
   * Changes the row with this key and returns it; `undefined` leaves a column as it is.
   * @throws NotFound, VersionConflict, DatabaseError (02000) when a trigger or a policy skips it
   */
  update(
    key: KeyIn<TSchema, TName>,
    patch: PatchIn<TSchema, TName>,
    options?: IfVersion<Version<Named<TSchema, TName>>>,
  ): Promise<ReturnedRow<TSchema, TName>>
  /**
   * Changes any number of rows, each with values of its own, all or none, and returns them in the given order. A row has its
   * key, the columns to change and, where the table has a version, the one that it must have: without it, any will do.
   * Neighbouring rows that give the same columns share a statement. Always in a transaction of its own, as `insertMany`.
   * @throws as `update`; InvalidInput for two that are the same row
   */
  updateMany(rows: readonly ChangedRowIn<TSchema, TName>[]): Promise<ReturnedRow<TSchema, TName>[]>
  /** Changes every row that the filter matches and returns their number. @throws UsageError when it matches all rows */
  updateWhere(where: WhereIn<TSchema, TName>, patch: PatchIn<TSchema, TName>): Promise<number>
  /**
   * Inserts the row, or updates the one with the same `on` columns (default: the key); returns the row that is then
   * there. A unique index decides, also one that is unique only among rows that are not removed. @throws UsageError
   * without one.
   * `update`: columns to take from the row, or a patch; default: all given columns; `[]` leaves the row as it is.
   */
  upsert(row: NewRowIn<TSchema, TName>, options?: UpsertOptions<TSchema, TName>): Promise<ReturnedRow<TSchema, TName>>
  /**
   * Upserts any number of rows, all or none, and returns those that are then there, in the given order. Neighbouring rows that
   * give the same columns share a statement. Always in a transaction of its own, as `insertMany`. @throws as `upsert`;
   * InvalidInput for two that are the same row.
   */
  upsertMany(
    rows: readonly NewRowIn<TSchema, TName>[],
    options?: UpsertOptions<TSchema, TName>,
  ): Promise<ReturnedRow<TSchema, TName>[]>
  /** Removes the row with this key (with soft delete: hides it) and returns it. @throws as `update` */
  remove(
    key: KeyIn<TSchema, TName>,
    options?: IfVersion<Version<Named<TSchema, TName>>>,
  ): Promise<ReturnedRow<TSchema, TName>>
  /** Removes every row that the filter matches and returns their number. @throws UsageError when it matches all rows */
  removeWhere(where: WhereIn<TSchema, TName>): Promise<number>
  /**
   * Locks the row until the transaction ends, and returns it; with `skipLocked` undefined when it is locked or missing.
   * @throws UsageError outside a transaction, NotFound, LockTimeout with `nowait`
   */
  lock<TSkip extends boolean = false>(
    key: KeyIn<TSchema, TName>,
    mode: LockMode,
    wait?: LockWait<TSkip>,
  ): Promise<ReturnedRow<TSchema, TName> | Skipped<TSkip>>
}

/** How `upsert` decides and what it updates. */
export interface UpsertOptions<TSchema, TName extends keyof TSchema> {
  readonly on?: keyof NewRowIn<TSchema, TName> | readonly (keyof NewRowIn<TSchema, TName>)[]
  readonly update?: readonly (keyof PatchIn<TSchema, TName>)[] | PatchIn<TSchema, TName>
}

/** Every operation on a table with soft delete. */
export interface SoftDeleteRepository<TSchema, TName extends keyof TSchema> extends Repository<TSchema, TName> {
  /** Shows a removed row again and returns it. @throws NotFound when no removed row has this key */
  restore(key: KeyIn<TSchema, TName>): Promise<ReturnedRow<TSchema, TName>>
  /** Deletes the row for good, removed or not, and returns it. @throws NotFound */
  purge(key: KeyIn<TSchema, TName>): Promise<ReturnedRow<TSchema, TName>>
}

/** The repository of one table or view of a schema, by its name there. */
export type RepositoryNamed<TSchema, TName extends keyof TSchema> = {
  'keyless table': ReadOnlyRepository<'no writes without a key: conventions(table, { key })', TSchema, TName>
  'keyless view': ReadOnlyRepository<'a view is read-only; with conventions(view, { key }) it has get', TSchema, TName>
  'keyed view': KeyedRepository<'a view is read-only', TSchema, TName>
  table: Repository<TSchema, TName>
  'soft delete': SoftDeleteRepository<TSchema, TName>
}[Kind<Named<TSchema, TName>>]

/** The repository of a table or view; its type names the table by its name in the schema, so that it stays short. */
export type RepositoryOf<TSource extends Source, TSchema = Schema> = [NameIn<TSchema, TSource>] extends [never]
  ? RepositoryNamed<Alone<SketchOf<TSource>>, 'table'>
  : RepositoryNamed<Shown<TSchema>, NameIn<TSchema, TSource> & keyof Shown<TSchema>>
