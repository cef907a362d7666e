/** How transactions ended, and which ran again and why, while somebody looks. */
import { errorType } from '../observe/error-type.ts'
import type { Observation, TransactionOutcome } from '../observe/observation.ts'

/** Units of work of one label that ran again for one reason. */
export interface RetryView {
  readonly label: string
  /** The SQLSTATE, or the code of the error. */
  readonly error: string
  readonly count: number
  /** The highest attempt there was: 2 has failed twice. */
  readonly attempts: number
}

export interface TransactionsView {
  readonly outcomes: Readonly<Record<TransactionOutcome, number>>
  readonly retries: readonly RetryView[]
}

const mostRetries = 50

export class TransactionTally {
  readonly #outcomes: Record<TransactionOutcome, number> = { committed: 0, rolled_back: 0, unknown: 0 }
  readonly #retries = new Map<string, RetryView>()

  add(observation: Observation): void {
    if (observation.type === 'transaction.finished') this.#outcomes[observation.outcome] += 1
    if (observation.type !== 'transaction.retried') return
    const { label = '', error: cause, attempt } = observation
    const error = errorType(cause)
    const key = `${error} ${label}`
    const known = this.#retries.get(key)
    // The last that ran again comes last.
    this.#retries.delete(key)
    const attempts = Math.max(attempt, known?.attempts ?? 0)
    this.#retries.set(key, { label, error, count: (known?.count ?? 0) + 1, attempts })
    const [oldest] = this.#retries.keys()
    if (this.#retries.size > mostRetries && oldest !== undefined) this.#retries.delete(oldest)
  }

  view(): TransactionsView {
    return { outcomes: { ...this.#outcomes }, retries: [...this.#retries.values()].toReversed() }
  }
}
