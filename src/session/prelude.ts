/**
 * What travels in front of the next statement of a task: BEGIN, settings, savepoints, and the statement_timeout that a
 * deadline asks for. In a transaction they are steps of that statement's batch, so that it cannot run without them.
 * Nothing is sent for a task that sends nothing.
 */
import type { RivuletError } from '../errors.ts'
import type { Step } from '../pool/batch.ts'
import type { Connection } from '../pool/connection.ts'
import type { Scope } from '../task/scope.ts'
import { StatementTimeout } from './statement-timeout.ts'

/** A statement of ours that waits for the next one of the task. */
export interface Deferred extends Step {
  /** Called when its batch has been answered, either way. */
  readonly answered?: () => void
  /** What the session fails with when it is refused. Default: the server's reason. */
  readonly refusal?: (cause: unknown) => RivuletError
}

export class Prelude {
  readonly #connection: Connection
  readonly #deferred: Deferred[] = []
  readonly #timeout: StatementTimeout

  /** `ownsServerSession` is false behind a transaction pooler: no settings outside transactions. */
  constructor(connection: Connection, ownsServerSession: boolean) {
    this.#connection = connection
    this.#timeout = new StatementTimeout(connection, ownsServerSession)
  }

  /** Whether anything waits. */
  get isEmpty(): boolean {
    return this.#deferred.length === 0
  }

  /** Puts a statement before the next one; answers what takes it back if unsent. */
  defer(entry: Deferred): { sent(): boolean; drop(): void } {
    this.#deferred.push(entry)
    const sent = () => !this.#deferred.includes(entry)
    return { sent, drop: () => void (sent() || this.#deferred.splice(this.#deferred.indexOf(entry))) }
  }

  /**
   * Takes what waits, as the steps of the next statement's batch. Outside a transaction nothing is guarded: a tighter
   * time limit is sent at once, in front of the statement.
   */
  take(scope: Scope | undefined, inTransaction: boolean): readonly Deferred[] | undefined {
    const timeout = this.#timeout.setting(scope, inTransaction)
    if (!inTransaction) {
      if (timeout !== undefined) this.#limit(timeout)
      return undefined
    }
    if (timeout !== undefined) this.#deferred.push({ text: timeout })
    return this.#deferred.length === 0 ? undefined : this.#deferred.splice(0)
  }

  #limit(text: string): void {
    const connection = this.#connection
    // Should it fail, our own timer keeps the deadline; what is in force is then not known.
    const failed = () => void (connection.statementTimeoutMs = NaN)
    void connection.script(text, { answered: () => undefined, failed })
  }

  /** The task limits its statements itself: its own limit must not be loosened. */
  leaveTimeout(): void {
    this.#timeout.leave()
  }

  /** The transaction is over: what waited for it is not sent, and what was set in it is gone. */
  ended(): void {
    this.#deferred.length = 0
    this.#timeout.ended()
  }

  /** A savepoint was rolled back: what was set since then is gone. */
  rewound(): void {
    this.#timeout.rewound()
  }
}
