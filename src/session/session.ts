/**
 * A session is what one task sees of the database, on one connection: typed queries (`db`), plain SQL (`sql`), cursors
 * (`stream`) and nested units of work (`transaction`). Its states are drawn in `src/README.md`.
 *
 * While a unit of work runs, only its own session may be used, so that no statement of another branch slips into it.
 * After the task has ended everything taken from the session refuses to work. Several statements at once are sent in
 * order on the one connection: they are pipelined, not concurrent; `gather` is for that.
 */
import { SessionEnded, UsageError } from '../errors.ts'
import type { Observation } from '../observe/observation.ts'
import type { Observers } from '../observe/observers.ts'
import type { Tracing } from '../observe/telemetry.ts'
import type { Result, StatementOptions } from '../pool/connection.ts'
import type { Deadline } from '../task/deadline.ts'
import { isAborted } from '../sqlstate.ts'
import { attemptsFrom, Retry, type RetryOptions } from '../task/retry.ts'
import { isBounded, Scope, type TaskOptions } from '../task/scope.ts'
import type { Lease } from '../lease/lease.ts'
import type { CursorQuery, Database, Drizzle, Schema, StatementRunner } from '../drizzle/driver.ts'
import { checkTask, checkTransactionOptions } from './options.ts'
import { isOutdated } from '../lease/outdated.ts'
import { PendingPromises } from '../lease/pending-promises.ts'
import { createSqlTag, type SqlTag } from '../drizzle/sql-tag.ts'
import { type BatchOptions, batchesOf, type CursorOptions, readCursor } from './server-cursor.ts'
import { type Identity, identityStatement } from './identity.ts'
import { type TransactionSettings, Transaction } from './transaction.ts'

/** Options of a transaction. */
export interface TransactionOptions extends TaskOptions, TransactionSettings, RetryOptions {}

/** What sessions of one engine have in common. */
export interface SessionEnvironment {
  readonly drizzle: Drizzle
  readonly observers: Observers
  /** Undefined without telemetry. */
  readonly tracing: Tracing | undefined
  /** Runs `work` so that the calls it makes are bounded by `scope`. */
  readonly within: <T>(lease: Lease, scope: Scope | undefined, work: () => T) => T
}

/** What has the session to itself: a transaction, with its pauses between attempts, or a stream. */
interface OpenWork<TSchema extends Schema> {
  readonly kind: 'busy'
  /** Undefined before it has begun, and between attempts. */
  transaction: Transaction | undefined
  /** The session of the unit of work; a stream has none. */
  nested: TaskSession<TSchema> | undefined
}

type State<TSchema extends Schema> =
  | { readonly kind: 'open' }
  | OpenWork<TSchema>
  /** `work` is what the task left open; it comes to its end without the task. */
  | { readonly kind: 'ended'; readonly work: OpenWork<TSchema> | undefined }

const open = { kind: 'open' } as const
const ended = { kind: 'ended', work: undefined } as const

export class TaskSession<TSchema extends Schema = Schema> implements StatementRunner {
  readonly #environment: SessionEnvironment
  readonly #lease: Lease
  readonly #scope: Scope | undefined
  /** Put on by the outermost transaction, where the task is one. */
  readonly #identity: Identity | undefined
  readonly #pending = new PendingPromises()
  #state: State<TSchema> = open
  #database: Database<TSchema> | undefined
  #sql: SqlTag | undefined

  constructor(environment: SessionEnvironment, lease: Lease, scope: Scope | undefined, identity?: Identity) {
    this.#environment = environment
    this.#lease = lease
    this.#scope = scope
    this.#identity = identity
  }

  /** Drizzle on this session: core and relational queries, typed with the schema. */
  get db(): Database<TSchema> {
    this.#database ??= this.#environment.drizzle.database(this) as unknown as Database<TSchema>
    return this.#database
  }

  /** Plain SQL: sql`select … where id = ${id}`; values become parameters. */
  get sql(): SqlTag {
    this.#sql ??= createSqlTag(this)
    return this.#sql
  }

  /**
   * Aborted when the task should stop: its deadline passed, a sibling failed, or the caller cancelled. Not by the end of
   * the task: what it was given to, and nobody waits for, would fail unhandled.
   */
  get signal(): AbortSignal {
    return this.#scope?.signal ?? this.#lease.signal
  }

  /** When the task must be over; undefined without a limit. */
  get deadline(): Deadline | undefined {
    return this.#scope?.deadline
  }

  get label(): string | undefined {
    return this.#lease.label
  }

  /** The process id of the session's server process, as in pg_stat_activity. */
  get backendPid(): number {
    return this.#lease.connection.backendPid
  }

  /** A session of another class on the same connection, within the same limits. */
  beside<T extends TaskSession<TSchema>>(
    Kind: new (environment: SessionEnvironment, lease: Lease, scope: Scope | undefined) => T,
  ): T {
    return new Kind(this.#environment, this.#lease, this.#scope)
  }

  /** While `work` runs, this session refuses every statement: one that goes to it instead of to another would be sent. */
  async whileRefusing<T>(work: () => Promise<T>): Promise<T> {
    const refusal = this.#refusal()
    if (refusal) throw refusal
    this.#lend()
    try {
      return await work()
    } finally {
      this.#free()
    }
  }

  /** Runs a unit of work in a transaction, with what `give` makes of the session of its own. */
  transaction<T, TGiven = TaskSession<TSchema>>(
    unitOfWork: UnitOfWork<TGiven, T>,
    options: TransactionOptions = {},
    give: (nested: TaskSession<TSchema>) => TGiven = itself,
  ): Promise<Awaited<T>> {
    const run = () => this.#runTransaction(unitOfWork, options, give)
    const { tracing } = this.#environment
    const kind = this.inTransaction ? 'savepoint' : 'transaction'
    return this.#pending.track(tracing ? tracing.around(kind, this.label, run) : run())
  }

  /** Runs one rendered statement and returns what `read` makes of its rows; Drizzle, `sql` and repositories use it. */
  run<T = Result>(
    text: string,
    parameters: readonly unknown[],
    options: StatementOptions = {},
    read?: (rows: Result) => T,
  ): Promise<T> {
    const refusal = this.#refusal()
    if (refusal) return Promise.reject(refusal)
    return this.#lease.send(text, parameters, options, { scope: this.#scope, pending: this.#pending }, read)
  }

  /** A promise for the task, of work on this session: it fails unseen once the task is gone. */
  track<T>(work: Promise<T>): Promise<T> {
    return this.#pending.track(work)
  }

  /** Statements of this session, and of those nested in it, that have not been answered. */
  get running(): number {
    return this.#pending.running + (this.#work?.nested?.running ?? 0)
  }

  /** The task is gone, and why has been reported: what it did not wait for fails unseen. */
  silence(): void {
    this.#pending.silence()
    this.#work?.nested?.silence()
  }

  /** True while the session is in a transaction, so that locks and cursors last. */
  get inTransaction(): boolean {
    return this.#lease.transaction !== undefined
  }

  /** Renders Drizzle queries once for use on any session. */
  get drizzle(): Drizzle {
    return this.#environment.drizzle
  }

  /** Ends the session: everything taken from it refuses to work from now on. True when something was open in it. */
  end(): boolean {
    const work = this.#work
    this.#state = work ? { kind: 'ended', work } : ended
    work?.nested?.end()
    work?.transaction?.detach()
    return work !== undefined
  }

  /** What has the session to itself, also once the task has ended. */
  get #work(): OpenWork<TSchema> | undefined {
    const state = this.#state
    if (state.kind === 'busy') return state
    return state.kind === 'ended' ? state.work : undefined
  }

  /** Gives the session to a transaction or a stream, until `#free`. */
  #lend(): OpenWork<TSchema> {
    const work: OpenWork<TSchema> = { kind: 'busy', transaction: undefined, nested: undefined }
    this.#state = work
    return work
  }

  #free(): void {
    this.#state = this.#state.kind === 'ended' ? ended : open
  }

  async #runTransaction<T, TGiven>(
    unitOfWork: UnitOfWork<TGiven, T>,
    options: TransactionOptions,
    give: (nested: TaskSession<TSchema>) => TGiven,
  ): Promise<Awaited<T>> {
    checkTask('transaction', unitOfWork)
    checkTransactionOptions(options)
    const refusal = this.#refusal()
    if (refusal) throw refusal
    const outermost = !this.#lease.transaction
    if (!outermost && options.attempts !== undefined)
      throw new UsageError('attempts are set by the outermost transaction')
    const retry = new Retry(attemptsFrom(options))
    const bounded = isBounded(options)
    // One deadline for all attempts.
    const scope = bounded ? new Scope(options, this.#scope) : this.#scope
    const unwatch = bounded && scope ? this.#lease.watch(scope) : undefined
    const work = this.#lend()
    try {
      for (let outdated = false; ;) {
        try {
          const result = await this.#attempt(work, (nested) => unitOfWork(give(nested)), options, scope)
          if (outdated) this.#lease.outdated()
          return result
        } catch (error) {
          const lease = this.#lease
          if (lease.refusal || lease.connection.lost) {
            // What would have been tried again ends with the reason why it is not: a deadline, a signal.
            throw lease.refusal && outermost && retry.next(error) !== undefined ? lease.refusal : error
          }
          if (!outdated && isOutdated(error)) {
            outdated = true
            const retried = {
              type: 'transaction.retried',
              label: this.label,
              attempt: retry.attempt,
              delayMs: 0,
              error,
            }
            this.#environment.observers.publish?.(retried as Observation)
            continue
          }
          const delayMs = outermost ? retry.next(error) : undefined
          if (delayMs === undefined) throw error
          const { attempt } = retry
          this.#environment.observers.publish?.({
            type: 'transaction.retried',
            label: this.label,
            attempt,
            delayMs,
            error,
          })
          await retry.pause(delayMs, scope?.signal ?? lease.signal)
          if (lease.refusal) throw lease.refusal
        }
      }
    } finally {
      this.#free()
      unwatch?.()
      if (bounded) scope?.close()
    }
  }

  async #attempt<T>(
    work: OpenWork<TSchema>,
    unitOfWork: UnitOfWork<TaskSession<TSchema>, T>,
    options: TransactionOptions,
    scope: Scope | undefined,
  ): Promise<Awaited<T>> {
    const lease = this.#lease
    const nested = new TaskSession<TSchema>(this.#environment, lease, scope)
    try {
      const identity = this.#identity && identityStatement(this.#identity)
      const transaction = await Transaction.begin(lease, options, [identity])
      work.transaction = transaction
      work.nested = nested
      try {
        const result = await transaction.rerunnable(async () => {
          const running = this.#environment.within(lease, scope, () => unitOfWork(nested))
          const result = await (scope === this.#scope ? running : lease.scopes.run(running, scope))
          await this.#quiet(nested)
          return result
        })
        await transaction.commit()
        return result as Awaited<T>
      } catch (error) {
        nested.end()
        nested.silence()
        const { firstError } = transaction
        await transaction.rollback(nested.running)
        // All that came after the first failure in a transaction tells is that there was one.
        throw isAborted(error) ? (firstError ?? error) : error
      }
    } finally {
      nested.end()
      work.transaction = work.nested = undefined
    }
  }

  /** Waits for what a returned task left running; that is a bug of the task's. */
  async #quiet(nested: TaskSession<TSchema>): Promise<void> {
    const lease = this.#lease
    const open = nested.end()
    const { running } = nested
    // Given up in an inner transaction, which the task has caught: that is the reason, not what is being stopped.
    if (lease.refusal) throw lease.refusal
    if (open) nested.silence()
    if (open) throw stillOpen()
    if (running === 0) return
    nested.silence()
    await lease.idle()
    lease.retire('statements_still_running')
    throw stillRunning(running)
  }

  /** Yields rows through a cursor. Outside a transaction the session belongs to it until it ends. */
  async *stream<TRow>(render: () => CursorQuery<TRow>, options?: CursorOptions): AsyncGenerator<TRow, void, undefined> {
    for await (const rows of this.batches(render, batchesOf(options))) for (const row of rows) yield row
  }

  /** The same, a batch at a time. */
  async *batches<TRow>(
    render: () => CursorQuery<TRow>,
    options: BatchOptions,
  ): AsyncGenerator<readonly TRow[], void, undefined> {
    const refusal = this.#refusal()
    if (refusal) throw refusal
    const lease = this.#lease
    const source = {
      lease,
      scope: this.#scope,
      pending: this.#pending,
      ended: () => this.#state.kind === 'ended',
    }
    if (lease.transaction) return yield* readCursor(source, render(), options)
    // A cursor lives in a transaction; the session is lent to it, so that nothing else slips in.
    const work = this.#lend()
    try {
      const transaction = await Transaction.begin(lease)
      work.transaction = transaction
      try {
        yield* readCursor(source, render(), options)
        await transaction.commit()
      } finally {
        await transaction.rollback(this.running)
      }
    } finally {
      this.#free()
    }
  }

  #refusal(): Error | undefined {
    if (this.#state.kind === 'ended') {
      return new SessionEnded(
        'this session has ended with its task: open another one, or keep the work inside the task',
      )
    }
    if (this.#state.kind === 'busy') {
      return new UsageError(
        'a unit of work is open in this session: use the session it was given, or gather for concurrent work',
      )
    }
    return undefined
  }
}

/** What a transaction brackets. */
type UnitOfWork<TGiven, T> = (given: TGiven) => T | PromiseLike<T>

const itself = <TGiven>(nested: unknown) => nested as TGiven

/** The error for a task that returned before its statements had. */
export function stillRunning(running: number): UsageError {
  return new UsageError(
    `the task returned while ${running} of its statements still ran: await every query, or return its promise`,
  )
}

/** The error for a task that returned while a transaction in it was being committed: what became of it is the truth. */
export function stillCommitting(): UsageError {
  return new UsageError(
    'the task returned while a transaction in it was being committed, which was not stopped: await the transaction, or ' +
      'return its promise',
  )
}

/** The error for a task that returned before a transaction or a stream in it had ended. */
export function stillOpen(): UsageError {
  return new UsageError(
    'the task returned while a transaction or a stream in it was still open, which was undone: await the transaction, ' +
      'or return its promise; read the stream to its end, or leave its loop',
  )
}
