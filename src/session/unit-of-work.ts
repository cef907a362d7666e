/**
 * A unit of work is what a transaction brackets: BEGIN … COMMIT on a free connection, SAVEPOINT … RELEASE inside one.
 *
 *   deferred ──first statement──▶ begun ──▶ committed | rolled back        deferred ──▶ never sent
 *
 * BEGIN travels with the first statement, so an empty unit of work costs nothing. It is answered as committed only
 * when the server said COMMIT. https://www.postgresql.org/docs/current/sql-begin.html
 */
import { UsageError } from '../errors.ts'
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
    // Set after BEGIN, not in it: should a mode be refused, the transaction is there to take the failure.
    this.#deferred = channel.prelude.defer({ text: modes === '' ? 'begin' : `begin; set transaction ${modes}` })
    for (const statement of extra) if (statement) channel.prelude.defer(statement)
    channel.inTransaction = true
  }

  /** Makes the work last. @throws CommitOutcomeUnknown, or the error for which the server refused. */
  async commit(): Promise<void> {
    if (!this.#deferred.sent()) return this.#dropped()
    if (this.#savepoint === undefined) return commit(this.#channel, { askTransactionId: this.#writes })
    try {
      await this.#channel.script(`release savepoint ${this.#savepoint}`)
    } catch (error) {
      const { firstError } = this.#channel
      await this.rollback()
      if (firstError === undefined) throw error
      throw new UsageError(
        'the nested transaction was rolled back: a statement in it had failed and its error was caught; ' +
          'run statements that may fail in a session.transaction of their own',
        { cause: firstError },
      )
    }
  }

  /** Undoes the work; a connection on which that fails is closed, which undoes it as well. */
  async rollback(): Promise<void> {
    const channel = this.#channel
    if (!this.#deferred.sent()) return this.#dropped()
    if (channel.doomed || channel.connection.lost) return
    // ROLLBACK would wait behind what other branches still run: it is stopped, and the connection closed.
    if (this.#savepoint === undefined && channel.running > 0) return channel.giveUp()
    try {
      if (this.#savepoint === undefined) await channel.script('rollback')
      else await channel.script(`rollback to savepoint ${this.#savepoint}; release savepoint ${this.#savepoint}`)
    } catch {
      channel.retire ??= 'unhealthy'
    }
    if (this.#savepoint === undefined) channel.ended()
    else channel.rewound()
  }

  /** Undoes a nested unit of work without waiting: what is sent next comes after it. */
  undo(): void {
    const channel = this.#channel
    if (!this.#deferred.sent()) return this.#dropped()
    if (channel.doomed || channel.connection.lost) return
    channel.script(`rollback to savepoint ${this.#savepoint}; release savepoint ${this.#savepoint}`).catch(() => {
      channel.retire ??= 'unhealthy'
    })
    channel.rewound()
  }

  #dropped(): void {
    this.#deferred.drop()
    if (this.#savepoint === undefined) this.#channel.ended()
  }
}
