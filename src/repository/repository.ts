/**
 * A repository in one session. It holds nothing but its plan and its session, so it costs next to nothing to make one
 * where it is needed. `operations.ts` says what each operation does; every operation has its own file.
 */
import { is, Table } from 'drizzle-orm'
import { UsageError } from '../errors.ts'
import type { Schema } from '../session/drizzle.ts'
import type { Source } from './conventions.ts'
import { countRows, findRow, getRow, type RemovedRows, rowExists } from './find.ts'
import { getRows } from './get-many.ts'
import { insertRow } from './insert.ts'
import { insertRows } from './insert-many.ts'
import { listRows, type PlainListOptions } from './list.ts'
import { loadRow } from './loader.ts'
import { lockRow, type LockMode, type LockWait } from './lock.ts'
import type { RepositoryOf } from './operations.ts'
import { checkOptions } from './options.ts'
import type { ReadOptions } from './reading.ts'
import { purgeRow, removeRow, restoreRow } from './remove.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import { type PlainStreamOptions, streamRows } from './stream.ts'
import { planOf, type TablePlan } from './table-plan.ts'
import { updateRow } from './update.ts'
import { type PlainUpsertOptions, upsertRow } from './upsert.ts'
import { removeRows, updateRows } from './write-where.ts'

/** Operations are getters, so that they can be taken off their repository: `const { get } = session.repository(t)`. */
export class TableRepository {
  readonly #runner: RepositoryRunner
  readonly #plan: TablePlan

  constructor(runner: RepositoryRunner, plan: TablePlan) {
    this.#runner = runner
    this.#plan = plan
  }

  get get() {
    return (key: unknown, options?: ReadOptions) => getRow(this.#runner, this.#plan, key, options)
  }

  get find() {
    return (keyOrWhere: unknown, options?: ReadOptions) => findRow(this.#runner, this.#plan, keyOrWhere, options)
  }

  get getMany() {
    return (keys: unknown, options?: ReadOptions) => getRows(this.#runner, this.#plan, keys, options)
  }

  get load() {
    return (key: unknown) => loadRow(this.#runner, this.#plan, key)
  }

  get exists() {
    return (keyOrWhere: unknown, options: RemovedRows = {}) => rowExists(this.#runner, this.#plan, keyOrWhere, options)
  }

  /** Without an argument all rows; a filter that is undefined by mistake is refused. */
  get count() {
    return (...given: [where?: unknown, options?: RemovedRows]) => {
      const [where, options = {}] = given
      return countRows(this.#runner, this.#plan, given.length === 0 ? {} : where, options)
    }
  }

  get list() {
    return (options?: PlainListOptions) => listRows(this.#runner, this.#plan, options)
  }

  get stream() {
    return (options?: PlainStreamOptions) => streamRows(this.#runner, this.#plan, options)
  }

  get lock() {
    return async (key: unknown, mode: LockMode, wait?: LockWait) =>
      lockRow(this.#runner, this.#written(), key, mode, wait)
  }

  get insert() {
    return async (row: unknown) => insertRow(this.#runner, this.#written(), row)
  }

  get insertMany() {
    return async (rows: unknown) => insertRows(this.#runner, this.#written(), rows)
  }

  get update() {
    return async (key: unknown, patch: unknown, options?: { ifVersion?: unknown }) =>
      updateRow(this.#runner, this.#written(), key, patch, ifVersionOf(options))
  }

  get updateWhere() {
    return async (where: unknown, patch: unknown) => updateRows(this.#runner, this.#written(), where, patch)
  }

  get upsert() {
    return async (row: unknown, options?: PlainUpsertOptions) => upsertRow(this.#runner, this.#written(), row, options)
  }

  get remove() {
    return async (key: unknown, options?: { ifVersion?: unknown }) =>
      removeRow(this.#runner, this.#written(), key, ifVersionOf(options))
  }

  get removeWhere() {
    return async (where: unknown) => removeRows(this.#runner, this.#written(), where)
  }

  get restore() {
    return async (key: unknown) => restoreRow(this.#runner, this.#written(), key)
  }

  get purge() {
    return async (key: unknown) => purgeRow(this.#runner, this.#written(), key)
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

/** @throws UsageError for an ifVersion that is undefined: left unsaid by mistake, it would check nothing. */
function ifVersionOf(options: { ifVersion?: unknown } | undefined): unknown {
  checkOptions('version', options)
  if (options && 'ifVersion' in options && options.ifVersion === undefined) {
    throw new UsageError('ifVersion is undefined; leave it out to change the row whatever its version')
  }
  return options?.ifVersion
}

/** The repository of a table or view in one session. @throws UsageError for what is neither. */
export function createRepository<TSource extends Source, TSchema extends Schema>(
  runner: RepositoryRunner,
  source: TSource,
): RepositoryOf<TSource, TSchema> {
  return new TableRepository(runner, planOf(runner.drizzle, source)) as never
}
