/**
 * A transaction brackets a unit of work: BEGIN … COMMIT on a free connection, SAVEPOINT … RELEASE inside another one.
 * BEGIN travels in the batch of the first statement, so an empty transaction costs nothing, and no statement runs outside
 * the transaction it belongs to. It is committed only when the server said COMMIT. Its states are drawn in `src/README.md`.
 * https://www.postgresql.org/docs/current/sql-begin.html
 */
import { SessionEnded, UsageError } from '../errors.ts'
import type { Lease } from '../lease/lease.ts'
import { liftTimeout } from '../lease/lift-timeout.ts'
import type { Deferral, DeferredStep, OpenTransaction } from '../lease/open-transaction.ts'
import { isAnswer } from '../sqlstate.ts'
import { commit } from './commit.ts'

/** How a transaction runs; see SET TRANSACTION in the manual. */
export interface TransactionSettings {
  /** Default: the server's, normally read committed. */
  readonly isolation?: 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable' | undefined
  /** True: it cannot write. */
  readonly readOnly?: boolean | undefined
  /** With serializable and readOnly: waits for a snapshot that can never fail to serialise. */
  readonly deferrable?: boolean | undefined
}

const isolations: readonly unknown[] = ['read uncommitted', 'read committed', 'repeatable read', 'serializable']

/** The characteristics of a transaction as BEGIN takes them. @throws UsageError for an unknown level. */
function transactionModes({ isolation, readOnly, deferrable }: TransactionSettings): string {
  if (isolation !== undefined && !isolations.includes(isolation)) {
    throw new UsageError(`isolation must be one of ${isolations.join(', ')}`)
  }
  const modes = [
    isolation && `isolation level ${isolation}`,
    readOnly === undefined ? '' : readOnly ? 'read only' : 'read write',
    deferrable === undefined ? '' : deferrable ? 'deferrable' : 'not deferrable',
  ]
  return modes.filter(Boolean).join(', ')
}

/** Over as soon as its end is asked for, which happens once; detached when its session has ended first. */
type State = 'open' | 'over' | 'detached'

export class Transaction {
  readonly #lease: Lease
  /** The transaction that is open on the connection: this one, or the one it is a part of. */
  readonly #open: OpenTransaction
  readonly #savepoint: string | undefined
  readonly #deferral: Deferral
  readonly #writes: boolean
  #state: State = 'open'

  /**
   * Begins a transaction, or a savepoint inside one, with `steps` behind it; all of it travels with the first statement.
   * The time limit that an earlier call left on the server is lifted before, because BEGIN must not run under it.
   * @throws ConnectionLost, or why the lease is cancelled; UsageError for settings that do not fit.
   */
  static begin(
    lease: Lease,
    settings: TransactionSettings = {},
    steps: readonly (DeferredStep | undefined)[] = [],
  ): Transaction | Promise<Transaction> {
    const make = () => new Transaction(lease, settings, steps)
    return lease.transaction || lease.connection.statementTimeoutMs === 0 ? make() : liftTimeout(lease).then(make)
  }

  private constructor(lease: Lease, settings: TransactionSettings, steps: readonly (DeferredStep | undefined)[]) {
    this.#lease = lease
    this.#writes = settings.readOnly !== true
    const modes = transactionModes(settings)
    if (lease.transaction) {
      if (modes !== '') throw new UsageError('isolation, readOnly and deferrable are set by the outermost transaction')
      this.#open = lease.transaction
      this.#savepoint = lease.newName()
    } else this.#open = lease.begin()
    const begin = modes === '' ? 'begin' : `begin ${modes}`
    this.#deferral = this.#open.defer({ text: this.#savepoint ? `savepoint ${this.#savepoint}` : begin })
    for (const step of steps) if (step) this.#open.defer(step)
  }

  /** Runs its body, which may be run again as a whole should a prepared statement in it prove outdated. */
  async rerunnable<T>(body: () => T | PromiseLike<T>): Promise<Awaited<T>> {
    this.#open.rerunnable += 1
    try {
      return await body()
    } finally {
      this.#open.rerunnable -= 1
    }
  }

  /** What failed first in it. */
  get firstError(): unknown {
    return this.#open.firstFailure?.error
  }

  /** The session has ended first: from now on it touches nothing, as what becomes of it is decided elsewhere. */
  detach(): void {
    this.#state = 'detached'
  }

  /** Makes the work last. @throws CommitOutcomeUnknown, SessionEnded, or the error for which the server refused. */
  async commit(): Promise<void> {
    if (this.#state !== 'open') throw new SessionEnded('the session of this transaction has ended')
    if (!this.#end()) return
    if (this.#savepoint === undefined) return commit(this.#lease, this.#open, { askTransactionId: this.#writes })
    try {
      await this.#lease.script(`release savepoint ${this.#savepoint}`)
    } catch (error) {
      const { firstFailure } = this.#open
      if (this.#lease.refusal || this.#lease.connection.lost) throw error
      await this.#rewind()
      if (!firstFailure?.ofTheTask) throw firstFailure?.error ?? error
      throw new UsageError(
        'the nested transaction was rolled back: a statement in it had failed and its error was caught; ' +
          'run statements that may fail in a session.transaction of their own',
        { cause: firstFailure.error },
      )
    }
  }

  /**
   * Undoes the work, of which `running` statements have not been answered; a connection on which that fails is closed,
   * which undoes it as well.
   */
  async rollback(running = 0): Promise<void> {
    const lease = this.#lease
    if (this.#state !== 'open' || !this.#end()) return
    if (lease.refusal || lease.connection.lost) return
    if (this.#savepoint !== undefined) return this.#rewind()
    if (running > 0) {
      // ROLLBACK would wait behind what other branches still run: it is stopped, and the connection closed. After a
      // failure there is no need for that, as the server then refuses all that follows.
      if (!isAnswer(this.firstError)) return lease.abandon()
      await lease.idle()
      if (lease.refusal) return
    }
    try {
      await lease.script('rollback')
    } catch {
      lease.retire('unhealthy')
    }
    lease.ended()
  }

  /** Undoes a nested transaction in the batch of the next statement; the end of the outer one undoes it as well. */
  undo(): void {
    if (!this.#end()) return
    this.#open.rewound()
    this.#open.defer({ text: `rollback to savepoint ${this.#savepoint}` })
    this.#open.defer({ text: `release savepoint ${this.#savepoint}` })
  }

  async #rewind(): Promise<void> {
    try {
      await this.#lease.script(`rollback to savepoint ${this.#savepoint}; release savepoint ${this.#savepoint}`)
      this.#open.rewound()
    } catch {
      // The transaction has failed, if not before then by this: its end undoes the nested work as well.
    }
  }

  /** It is over from now on. True when the server has to be told; otherwise it was never sent, and is dropped. */
  #end(): boolean {
    this.#state = 'over'
    if (this.#deferral.sent()) return true
    this.#deferral.drop()
    if (this.#savepoint === undefined) this.#lease.ended()
    return false
  }
}
