/**
 * When to try to connect again, and how long one attempt may take: capped exponential backoff with jitter while the
 * server is away, and a smaller pool for a while after it said that it has too many connections (53300).
 *
 *   reachable ──failure──▶ away (one attempt at a time) ──success──▶ reachable
 */
import { sqlStateOf } from '../sqlstate.ts'
import { backoffMs, type BackoffOptions } from '../task/backoff.ts'

/**
 * Between the starts of failing attempts. With this jitter no run of luck makes more than ten attempts in five seconds.
 */
const pauses: BackoffOptions = { firstMs: 100, longestMs: 1500, jitter: 0.25 }
/** Milliseconds the pool stays small after 53300. */
const shrunkMs = 5000
/** Milliseconds after which an attempt is given up while it is not known whether the server is there. */
const patienceMs = 1500
/** So many times the last successful attempt's duration is waited for anyway: some servers are far away. */
const slowness = 3
/** One in so many attempts may take its full time: the way to the server may have become slow meanwhile. */
const patientEvery = 10

export class ConnectBackoff {
  /** Attempts that failed since the last success. */
  failures = 0
  lastFailure: unknown
  #shrunkTo = Infinity
  #lastConnectMs = 0

  /** How many attempts may be under way at once while `live` connections exist: one, until the server has answered. */
  atOnce(live: number): number {
    return this.failures > 0 || live === 0 ? 1 : Infinity
  }

  /**
   * Milliseconds the next attempt may take unless connections live meanwhile: one that began in an outage, or just
   * before it was known as one, must not outlast it for long.
   */
  patienceMs(): number {
    if (this.failures % patientEvery === patientEvery - 1) return Infinity
    return Math.max(patienceMs, this.#lastConnectMs * slowness)
  }

  /** The most connections to have now, `max` at most. */
  limit(max: number): number {
    return Math.min(max, this.#shrunkTo)
  }

  /** The time of the smaller pool is over. */
  regrow(): void {
    this.#shrunkTo = Infinity
  }

  /** Records an attempt that succeeded after `tookMs`. */
  succeeded(tookMs: number): void {
    this.failures = 0
    this.#lastConnectMs = tookMs
  }

  /**
   * Records an attempt that failed after `tookMs` while `live` connections exist; returns the milliseconds to wait before
   * the next one, or, when `shrunk`, before `regrow`.
   */
  failed(error: unknown, live: number, tookMs: number): { readonly retryInMs: number; readonly shrunk: boolean } {
    this.lastFailure = error
    if (live > 0 && sqlStateOf(error) === '53300') {
      this.#shrunkTo = live
      return { retryInMs: shrunkMs, shrunk: true }
    }
    // What the attempt itself took counts, so that a server that is back after a silence is found at once.
    const retryInMs = Math.max(0, backoffMs(this.failures, pauses) - tookMs)
    this.failures += 1
    return { retryInMs, shrunk: false }
  }
}
