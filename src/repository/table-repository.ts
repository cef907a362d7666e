/**
 * A repository in one session. It has only its plan and its session, so making one costs next to nothing.
 * `operations.ts` says what each operation does; every operation has its own file.
 */
import { is, Table } from 'drizzle-orm'
import { UsageError } from '../errors.ts'
import type { Schema } from '../drizzle/driver.ts'
import type { Source } from './types/conventions.ts'
import { countRows, findRow, getRow, type PlainRemovedOptions, rowExists } from './operations/find.ts'
import { getRows } from './operations/get-many.ts'
import { insertRow } from './operations/insert.ts'
import { insertRows } from './operations/insert-many.ts'
import { listRows, type PlainListOptions } from './operations/list.ts'
import { loadRow } from './operations/load.ts'
import { lockRow } from './operations/lock.ts'
import type { LockMode, LockWait } from './types/lock-mode.ts'
import type { RepositoryOf } from './types/operations.ts'
import { checkOperationOptions } from './query/operation-options.ts'
import type { PlainReadOptions, RowBudget } from './query/read-plan.ts'
import { purgeRow, removeRow, restoreRow } from './operations/remove.ts'
import type { RepositoryRunner } from './query/repository-runner.ts'
import { type PlainStreamOptions, streamRows } from './operations/stream.ts'
import { planOf, type TablePlan } from './query/table-plan.ts'
import { updateRow } from './operations/update.ts'
import { updateEach } from './operations/update-many.ts'
import { upsertRow } from './operations/upsert.ts'
import type { PlainUpsertOptions } from './query/upsert-row.ts'
import { upsertRows } from './operations/upsert-many.ts'
import { removeRows, updateRows } from './operations/bulk-write.ts'

/** Operations are getters, so that they can be destructured: `const { get } = session.repository(t)`. */
export class TableRepository {
  readonly #runner: RepositoryRunner
  readonly #plan: TablePlan
  readonly #budget: RowBudget | undefined

  /** `budget`: how many rows what `get` and `list` answer may have. */
  constructor(runner: RepositoryRunner, plan: TablePlan, budget?: RowBudget) {
    this.#runner = runner
    this.#plan = plan
    this.#budget = budget
  }

  get get() {
    return (key: unknown, options?: PlainReadOptions) => {
      const answer = getRow(this.#runner, this.#plan, key, options, this.#budget)
      // A plain read is the statement's own promise, which the session already tracks.
      return options === undefined ? answer : this.#runner.track(answer)
    }
  }

  get find() {
    return (keyOrWhere: unknown, options?: PlainReadOptions) =>
      this.#runner.track(findRow(this.#runner, this.#plan, keyOrWhere, options))
  }

  get getMany() {
    return (keys: unknown, options?: PlainReadOptions) =>
      this.#runner.track(getRows(this.#runner, this.#plan, keys, options))
  }

  get load() {
    return (key: unknown) => this.#runner.track(loadRow(this.#runner, this.#plan, key))
  }

  get exists() {
    return (keyOrWhere: unknown, options: PlainRemovedOptions = {}) =>
      this.#runner.track(rowExists(this.#runner, this.#plan, keyOrWhere, options))
  }

  /** Without an argument it counts all rows; a filter that is undefined by mistake is refused. */
  get count() {
    return (...given: [where?: unknown, options?: PlainRemovedOptions]) => {
      const [where, options = {}] = given
      return this.#runner.track(countRows(this.#runner, this.#plan, given.length === 0 ? {} : where, options))
    }
  }

  get list() {
    return (options?: PlainListOptions) => this.#runner.track(listRows(this.#runner, this.#plan, options, this.#budget))
  }

  get stream() {
    return (options?: PlainStreamOptions) => streamRows(this.#runner, this.#plan, options)
  }

  get lock() {
    return (key: unknown, mode: LockMode, wait?: LockWait<boolean>) =>
      this.#write((plan) => lockRow(this.#runner, plan, key, mode, wait))
  }

  get insert() {
    return (row: unknown) => this.#write((plan) => insertRow(this.#runner, plan, row))
  }

  get insertMany() {
    return (rows: unknown) => this.#write((plan) => insertRows(this.#runner, plan, rows))
  }

  get update() {
    return (key: unknown, patch: unknown, options?: { ifVersion?: unknown }) =>
      this.#write((plan) => updateRow(this.#runner, plan, key, patch, ifVersionOf(options)))
  }

  get updateMany() {
    return (rows: unknown) => this.#write((plan) => updateEach(this.#runner, plan, rows))
  }

  get updateWhere() {
    return (where: unknown, patch: unknown) => this.#write((plan) => updateRows(this.#runner, plan, where, patch))
  }

  get upsert() {
    return (row: unknown, options?: PlainUpsertOptions) =>
      this.#write((plan) => upsertRow(this.#runner, plan, row, options))
  }

  get upsertMany() {
    return (rows: unknown, options?: PlainUpsertOptions) =>
      this.#write((plan) => upsertRows(this.#runner, plan, rows, options))
  }

  get remove() {
    return (key: unknown, options?: { ifVersion?: unknown }) =>
      this.#write((plan) => removeRow(this.#runner, plan, key, ifVersionOf(options)))
  }

  get removeWhere() {
    return (where: unknown) => this.#write((plan) => removeRows(this.#runner, plan, where))
  }

  get restore() {
    return (key: unknown) => this.#write((plan) => restoreRow(this.#runner, plan, key))
  }

  get purge() {
    return (key: unknown) => this.#write((plan) => purgeRow(this.#runner, plan, key))
  }

  #write<T>(write: (plan: TablePlan) => Promise<T>): Promise<T> {
    return this.#runner.track((async () => write(this.#written()))())
  }

  /**
   * The plan for a write. The types forbid writes to views and keyless tables; programs without types get the error
   * here.
   */
  #written(): TablePlan {
    const plan = this.#plan
    if (!is(plan.source, Table)) throw new UsageError(`${plan.name} is a view: it can only be read`)
    if (plan.key.length > 0) return plan
    throw new UsageError(
      `${plan.name} has no key, so it can only be read: declare one with conventions(table, { key })`,
    )
  }
}

/** @throws UsageError for an ifVersion that is undefined: left undefined by mistake, it would check nothing. */
function ifVersionOf(options: { ifVersion?: unknown } | undefined): unknown {
  checkOperationOptions('version', options)
  if (options && 'ifVersion' in options && options.ifVersion === undefined) {
    throw new UsageError('ifVersion is undefined: leave it out to change the row at any version')
  }
  return options?.ifVersion
}

/** The repository of a table or view in one session. @throws UsageError for anything else. */
export function createRepository<TSource extends Source, TSchema extends Schema>(
  runner: RepositoryRunner,
  source: TSource,
): RepositoryOf<TSource, TSchema> {
  return new TableRepository(runner, planOf(runner.drizzle, source)) as never
}
