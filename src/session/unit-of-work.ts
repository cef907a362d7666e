/**
 * A unit of work is what a transaction brackets: BEGIN … COMMIT on a free connection, SAVEPOINT … RELEASE inside one.
 *
 *   deferred ──first statement──▶ begun ──▶ committed | rolled back        deferred ──▶ never sent
 *
 * BEGIN travels in the batch of the first statement, so an empty unit of work costs nothing, and no statement runs
 * outside the transaction it belongs to. It is answered as committed only
 * when the server said COMMIT. https://www.postgresql.org/docs/current/sql-begin.html
 */
import { SessionEnded, UsageError } from '../errors.ts'
import { isAnswer } from '../sqlstate.ts'
import type { Channel } from './channel.ts'
import { commit } from './commit.ts'
import type { Deferred } from './prelude.ts'

/** How a transaction runs; see SET TRANSACTION in the manual. */
export interface TransactionSettings {
  /** Default: the server's, normally read committed. */
  readonly isolation?: 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable' | undefined
  readonly readOnly?: boolean | undefined
  /** With serializable and readOnly: waits for a snapshot that can never fail to serialise. */
  readonly deferrable?: boolean | undefined
}

const isolations: readonly unknown[] = ['read uncommitted', 'read committed', 'repeatable read', 'serializable']

/** The characteristics of a transaction as SET TRANSACTION takes them. @throws UsageError for an unknown level. */
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

export class UnitOfWork {
  readonly #channel: Channel
  readonly #savepoint: string | undefined
  readonly #deferred: { sent(): boolean; drop(): void }
  readonly #writes: boolean
  /** Ended one way or the other: there is nothing left to undo. */
  #over = false

  /** Defers BEGIN (then `settings` and `extra` statements), or SAVEPOINT inside a transaction. */
  constructor(channel: Channel, settings: TransactionSettings = {}, extra: readonly (Deferred | undefined)[] = []) {
    this.#channel = channel
    this.#writes = settings.readOnly !== true
    const modes = transactionModes(settings)
    if (channel.inTransaction) {
      if (modes !== '') throw new UsageError('isolation, readOnly and deferrable are set by the outermost transaction')
      this.#savepoint = `rivulet_${++channel.counter}`
      this.#deferred = channel.prelude.defer({ text: `savepoint ${this.#savepoint}` })
      return
    }
    this.#deferred = channel.prelude.defer({ text: modes === '' ? 'begin' : `begin ${modes}` })
    for (const statement of extra) if (statement) channel.prelude.defer(statement)
    channel.began()
  }

  /** Whoever opened it has ended first: from now on it touches nothing, as what becomes of it is decided elsewhere. */
  abandon(): void {
    this.#over = true
  }

  /** Makes the work last. @throws CommitOutcomeUnknown, SessionEnded, or the error for which the server refused. */
  async commit(): Promise<void> {
    if (this.#over) throw new SessionEnded('the session of this transaction has ended')
    this.#over = true
    if (!this.#deferred.sent()) return this.#dropped()
    if (this.#savepoint === undefined) return commit(this.#channel, { askTransactionId: this.#writes })
    try {
      await this.#channel.script(`release savepoint ${this.#savepoint}`)
    } catch (error) {
      const { firstFailure, connection } = this.#channel
      if (this.#channel.doomed || connection.lost) throw error
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
    const channel = this.#channel
    if (this.#over) return
    this.#over = true
    if (!this.#deferred.sent()) return this.#dropped()
    if (channel.doomed || channel.connection.lost) return
    if (this.#savepoint !== undefined) return this.#rewind()
    if (running > 0) {
      // ROLLBACK would wait behind what other branches still run: it is stopped, and the connection closed. After a
      // failure there is no need for that, as the server then refuses all that follows.
      if (!isAnswer(channel.firstFailure?.error)) return channel.giveUp()
      await channel.idle()
      if (channel.doomed) return
    }
    try {
      await channel.script('rollback')
    } catch {
      channel.retire ??= 'unhealthy'
    }
    channel.ended()
  }

  /** Undoes a nested unit of work in the batch of the next statement; the end of the transaction undoes it as well. */
  undo(): void {
    const channel = this.#channel
    this.#over = true
    if (!this.#deferred.sent()) return this.#dropped()
    channel.prelude.defer({ text: `rollback to savepoint ${this.#savepoint}` })
    channel.prelude.defer({ text: `release savepoint ${this.#savepoint}` })
    channel.rewound()
  }

  async #rewind(): Promise<void> {
    const channel = this.#channel
    try {
      await channel.script(`rollback to savepoint ${this.#savepoint}; release savepoint ${this.#savepoint}`)
      channel.rewound()
    } catch {
      // The transaction has failed, if not before then by this: its end undoes the nested work as well.
    }
  }

  #dropped(): void {
    this.#deferred.drop()
    if (this.#savepoint === undefined) this.#channel.ended()
  }
}
