/**
 * What travels before the next statement of a task, in its round trip: BEGIN, settings, savepoints, and the
 * statement_timeout that a deadline asks for. Nothing is sent for a task that sends nothing.
 */
import type { Connection, Outcome } from '../pool/connection.ts'
import type { Scope } from '../task/scope.ts'
import { StatementTimeout } from './statement-timeout.ts'

/** A statement of ours that waits for the next one of the task; with parameters, a single statement. */
export interface Deferred {
  readonly text: string
  readonly parameters?: readonly unknown[]
}

const nothing: readonly Promise<void>[] = []

export class Prelude {
  readonly #connection: Connection
  readonly #deferred: Deferred[] = []
  readonly #timeout: StatementTimeout
  readonly #options: { readonly prepare: boolean }

  /** `ownsServerSession` is false behind a transaction pooler: no named statements, no settings outside transactions. */
  constructor(connection: Connection, ownsServerSession: boolean) {
    this.#connection = connection
    this.#timeout = new StatementTimeout(connection, ownsServerSession)
    this.#options = { prepare: ownsServerSession }
  }

  /** Puts a statement before the next one; answers what takes it back if unsent. */
  defer(entry: Deferred): { sent(): boolean; drop(): void } {
    this.#deferred.push(entry)
    const sent = () => !this.#deferred.includes(entry)
    return { sent, drop: () => void (sent() || this.#deferred.splice(this.#deferred.indexOf(entry))) }
  }

  /**
   * Sends what waits; `failed` is called for what the server refuses, before the answer to anything sent later, and told
   * whether it was BEGIN itself.
   */
  send(
    scope: Scope | undefined,
    inTransaction: boolean,
    failed: (error: unknown, wasBegin: boolean) => void,
  ): readonly Promise<void>[] {
    const timeout = this.#timeout.setting(scope, inTransaction)
    if (this.#deferred.length === 0 && timeout === undefined) return nothing
    const deferred = this.#deferred.splice(0)
    if (timeout !== undefined) deferred.push({ text: timeout })
    return deferred.map(({ text, parameters }) => {
      const outcome: Outcome<void> = {
        answered: () => undefined,
        failed: (error) => failed(error, text.startsWith('begin')),
      }
      return parameters
        ? this.#connection.query(text, parameters, this.#options, outcome)
        : this.#connection.script(text, outcome)
    })
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
