/**
 * A repository in one session. It holds nothing but its plan and its session, so it costs next to nothing to make one
 * where it is needed. `operations.ts` says what each operation does; every operation has its own file.
 */
import { is, Table } from 'drizzle-orm'
import { UsageError } from '../errors.ts'
import type { Schema } from '../session/drizzle.ts'
import type { Source } from './conventions.ts'
import { countRows, findRow, getRow, rowExists } from './find.ts'
import { getRows } from './get-many.ts'
import { insertRow } from './insert.ts'
import { insertRows } from './insert-many.ts'
import { listRows, type PlainListOptions } from './list.ts'
import { loadRow } from './loader.ts'
import { lockRow, type LockMode, type LockWait } from './lock.ts'
import type { RepositoryOf } from './operations.ts'
import type { ReadOptions } from './reading.ts'
import { deleteRow, removeRow, restoreRow } from './remove.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import type { Removed } from './selection.ts'
import { type PlainStreamOptions, streamRows } from './stream.ts'
import { planOf, type TablePlan } from './table-plan.ts'
import { updateRow } from './update.ts'
import { type PlainUpsertOptions, upsertRow } from './upsert.ts'
import { removeRows, updateRows } from './write-where.ts'

class TableRepository {
  readonly #runner: RepositoryRunner
  readonly #plan: TablePlan

  constructor(runner: RepositoryRunner, plan: TablePlan) {
    this.#runner = runner
    this.#plan = plan
  }

  get(key: unknown, options?: ReadOptions) {
    return getRow(this.#runner, this.#plan, key, options)
  }

  find(keyOrWhere: unknown, options?: ReadOptions) {
    return findRow(this.#runner, this.#plan, keyOrWhere, options)
  }

  getMany(keys: readonly unknown[], options?: ReadOptions) {
    return getRows(this.#runner, this.#plan, keys, options)
  }

  load(key: unknown) {
    return loadRow(this.#runner, this.#plan, key)
  }

  exists(keyOrWhere: unknown, options: { removed?: Removed } = {}) {
    return rowExists(this.#runner, this.#plan, keyOrWhere, options.removed)
  }

  /** Without an argument all rows; a filter that is undefined by mistake is refused. */
  count(...given: [where?: unknown, options?: { removed?: Removed }]) {
    const [where, options] = given
    return countRows(this.#runner, this.#plan, given.length === 0 ? {} : where, options?.removed)
  }

  list(options?: PlainListOptions) {
    return listRows(this.#runner, this.#plan, options)
  }

  stream(options?: PlainStreamOptions) {
    return streamRows(this.#runner, this.#plan, options)
  }

  async lock(key: unknown, mode: LockMode, wait?: LockWait) {
    return lockRow(this.#runner, this.#written(), key, mode, wait)
  }

  async insert(row: unknown) {
    return insertRow(this.#runner, this.#written(), row)
  }

  async insertMany(rows: unknown) {
    return insertRows(this.#runner, this.#written(), rows)
  }

  async update(key: unknown, patch: unknown, options: { ifVersion?: unknown } = {}) {
    return updateRow(this.#runner, this.#written(), key, patch, options.ifVersion)
  }

  async updateWhere(where: unknown, patch: unknown) {
    return updateRows(this.#runner, this.#written(), where, patch)
  }

  async upsert(row: unknown, options?: PlainUpsertOptions) {
    return upsertRow(this.#runner, this.#written(), row, options)
  }

  async remove(key: unknown, options: { ifVersion?: unknown } = {}) {
    return removeRow(this.#runner, this.#written(), key, options.ifVersion)
  }

  async removeWhere(where: unknown) {
    return removeRows(this.#runner, this.#written(), where)
  }

  async restore(key: unknown) {
    return restoreRow(this.#runner, this.#written(), key)
  }

  async purge(key: unknown) {
    return deleteRow(this.#runner, this.#written(), key, undefined)
  }

  /** The plan, for a write. The types say the same; a program without types is told here. */
  #written(): TablePlan {
    const plan = this.#plan
    if (!is(plan.source, Table)) throw new UsageError(`${plan.name} is a view: it can only be read`)
    if (plan.key.length > 0) return plan
    throw new UsageError(
      `${plan.name} has no key, so it can only be read: declare one with conventions(table, { key })`,
    )
  }
}

/** The repository of a table or view in one session. @throws UsageError for what is neither. */
export function createRepository<TSource extends Source, TSchema extends Schema>(
  runner: RepositoryRunner,
  source: TSource,
): RepositoryOf<TSource, TSchema> {
  return new TableRepository(runner, planOf(runner.drizzle, source)) as never
}
