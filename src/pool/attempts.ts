/**
 * The attempts to connect that are under way. One that is made while the server may be away is given up early, so that
 * an outage is not outlasted by it; all are given up when the pool closes.
 */
import { ConnectionLost } from '../errors.ts'
import type { ConnectBackoff } from './connect-backoff.ts'
import type { Connection } from './connection.ts'

export class Attempts {
  readonly #open: (signal: AbortSignal) => Promise<Connection>
  readonly #backoff: ConnectBackoff
  readonly #live: () => number
  readonly #underWay = new Set<AbortController>()

  /** `live` says how many connections there are that are not lost. */
  constructor(open: (signal: AbortSignal) => Promise<Connection>, backoff: ConnectBackoff, live: () => number) {
    this.#open = open
    this.#backoff = backoff
    this.#live = live
  }

  /** Makes one attempt, given up after `patienceMs` when the server may be away. */
  async connect(patienceMs: number): Promise<Connection> {
    const attempt = new AbortController()
    this.#underWay.add(attempt)
    const expired = () => {
      // While others live the server is there, and slow; they may be gone the next time.
      if (this.#backoff.atOnce(this.#live()) > 1) timer?.refresh()
      else attempt.abort(new ConnectionLost(`the server did not answer within ${Math.round(patienceMs)} ms`))
    }
    const timer = patienceMs === Infinity ? undefined : setTimeout(expired, patienceMs)
    try {
      return await this.#open(attempt.signal)
    } finally {
      clearTimeout(timer)
      this.#underWay.delete(attempt)
    }
  }

  abort(reason: Error): void {
    for (const attempt of this.#underWay) attempt.abort(reason)
  }
}
