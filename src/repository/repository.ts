/**
 * A repository: typed operations on one table or view, in one session. It holds nothing but its plan and its session,
 * so it costs next to nothing to make one where it is needed. What it offers follows from the table: only a table with
 * a key can be written to, a view or a table without one can be read.
 */
import type { Schema } from '../session/drizzle.ts'
import type { Source } from './conventions.ts'
import { findRow, getRow } from './find.ts'
import { insertRow } from './insert.ts'
import { listRows } from './list.ts'
import { removeRow } from './remove.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import type { Key, KeyNames, NewRow, Order, Patch, Row, Where } from './row.ts'
import { planOf, type TablePlan } from './table-plan.ts'
import { updateRow } from './update.ts'

/** Which rows `list` gives. */
export interface ListOptions<TSource extends Source> {
  readonly where?: Where<TSource>
  readonly orderBy?: Order<TSource>
  /** 1 to 10,000; default 100. */
  readonly limit?: number
}

/** A page of rows. */
export interface Page<TRow> {
  readonly rows: TRow[]
}

/** Reads of any table or view. */
export interface ReadOnlyRepository<TSource extends Source, TSchema extends Schema = Schema> {
  /** The row with this key, or the first in key order that the filter is true of; undefined when there is none. */
  find(keyOrWhere: Key<TSource> | Where<TSource>): Promise<Row<TSource> | undefined>
  list(options?: ListOptions<TSource>): Promise<Page<Row<TSource>>>
  readonly '~schema'?: TSchema
}

/** Reads of what has a key. */
export interface KeyedReadOnlyRepository<
  TSource extends Source,
  TSchema extends Schema = Schema,
> extends ReadOnlyRepository<TSource, TSchema> {
  /** The row with this key. @throws NotFound */
  get(key: Key<TSource>): Promise<Row<TSource>>
}

/** Every operation on a table with a key. */
export interface Repository<TSource extends Source, TSchema extends Schema = Schema> extends KeyedReadOnlyRepository<
  TSource,
  TSchema
> {
  /** Inserts a row and answers it as stored. */
  insert(row: NewRow<TSource>): Promise<Row<TSource>>
  /** Changes the row with this key and answers it. @throws NotFound, VersionConflict */
  update(key: Key<TSource>, patch: Patch<TSource>, options?: { readonly ifVersion?: number }): Promise<Row<TSource>>
  /** Removes the row with this key and answers it. @throws NotFound, VersionConflict */
  remove(key: Key<TSource>, options?: { readonly ifVersion?: number }): Promise<Row<TSource>>
}

/** The repository of a table or view. */
export type RepositoryOf<TSource extends Source, TSchema extends Schema = Schema> = [KeyNames<TSource>] extends [never]
  ? ReadOnlyRepository<TSource, TSchema>
  : TSource extends { $inferInsert: unknown }
    ? Repository<TSource, TSchema>
    : KeyedReadOnlyRepository<TSource, TSchema>

class TableRepository {
  readonly runner: RepositoryRunner
  readonly plan: TablePlan

  constructor(runner: RepositoryRunner, plan: TablePlan) {
    this.runner = runner
    this.plan = plan
  }

  get(key: unknown): Promise<unknown> {
    return getRow(this.runner, this.plan, key)
  }

  find(keyOrWhere: unknown): Promise<unknown> {
    return findRow(this.runner, this.plan, keyOrWhere)
  }

  list(options?: object): Promise<unknown> {
    return listRows(this.runner, this.plan, options)
  }

  insert(row: unknown): Promise<unknown> {
    return insertRow(this.runner, this.plan, row)
  }

  update(key: unknown, patch: unknown, options: { ifVersion?: number } = {}): Promise<unknown> {
    return updateRow(this.runner, this.plan, key, patch, options.ifVersion)
  }

  remove(key: unknown, options: { ifVersion?: number } = {}): Promise<unknown> {
    return removeRow(this.runner, this.plan, key, options.ifVersion)
  }
}

/** The repository of a table or view in one session. @throws UsageError for what is neither. */
export function createRepository<TSource extends Source, TSchema extends Schema>(
  runner: RepositoryRunner,
  source: TSource,
): RepositoryOf<TSource, TSchema> {
  return new TableRepository(runner, planOf(runner.drizzle, source)) as never
}
