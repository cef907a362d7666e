/**
 * Keeps the server's statement_timeout at what remains of a deadline, so that a statement ends on time even if this
 * process cannot ask for it: its event loop is blocked, or the network is gone. The timeout is set in steps of an
 * eighth of an octave, upwards, so that calls with the same limit seldom have to send it; our own timer is exact.
 * https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT
 */
import type { Connection } from '../pool/connection.ts'
import type { Scope } from '../task/scope.ts'

const stepsPerOctave = 8
/** The largest statement_timeout there is; whoever has more time needs none. */
const largestMs = 2 ** 31 - 1

export class StatementTimeout {
  readonly #connection: Connection
  /** False behind a transaction pooler: nothing is set outside a transaction. */
  readonly #ownsServerSession: boolean
  /** Milliseconds in force in the running transaction, where we set them; NaN when unknown. */
  #localMs: number | undefined

  constructor(connection: Connection, ownsServerSession: boolean) {
    this.#connection = connection
    this.#ownsServerSession = ownsServerSession
  }

  /** Set once the task has set a limit of its own. */
  #left = false

  /** Leaves the limit as the task has set it; our own timer still keeps the deadline. */
  leave(): void {
    this.#left = true
  }

  /** The SET for a statement that `scope` bounds; undefined when it is in force already. */
  setting(scope: Scope | undefined, inTransaction: boolean): string | undefined {
    if (this.#left) return undefined
    const remainingMs = scope?.deadline?.remainingMs ?? Infinity
    // The server's own limit holds where it is tighter.
    const loosestMs = Math.min(this.#connection.serverTimeoutMs || Infinity, largestMs)
    const wantedMs = remainingMs >= loosestMs ? 0 : Math.min(largestMs, steppedUp(Math.max(1, remainingMs)))
    const value = wantedMs === 0 ? 'default' : String(wantedMs)
    if (inTransaction) {
      if (wantedMs === (this.#localMs ?? this.#connection.statementTimeoutMs)) return undefined
      this.#localMs = wantedMs
      return `set local statement_timeout = ${value}`
    }
    if (!this.#ownsServerSession || wantedMs === this.#connection.statementTimeoutMs) return undefined
    this.#connection.statementTimeoutMs = wantedMs
    return `set statement_timeout = ${value}`
  }

  /** The transaction is over: the session's own value is back. */
  ended(): void {
    this.#localMs = undefined
  }

  /** A savepoint was rolled back: what is in force now is not known. */
  rewound(): void {
    if (this.#localMs !== undefined) this.#localMs = NaN
  }
}

function steppedUp(ms: number): number {
  return Math.ceil(2 ** (Math.ceil(Math.log2(ms) * stepsPerOctave) / stepsPerOctave))
}
