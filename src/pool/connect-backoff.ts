/**
 * When to try to connect again: capped exponential backoff with jitter while the server is away, and a smaller pool for
 * a while after it said that it has too many connections (53300).
 *
 *   reachable ──failure──▶ away (one attempt at a time) ──success──▶ reachable
 */

/** Milliseconds of the first and the longest pause between failing attempts. */
const pauseMs = { first: 100, longest: 1500 }
/** Milliseconds the pool stays small after 53300. */
const shrunkMs = 5000

export class ConnectBackoff {
  /** Attempts that failed since the last success. */
  failures = 0
  lastFailure: unknown
  #shrunkTo = Infinity
  #shrunkUntil = 0

  /** How many attempts may be under way at once while `live` connections exist: one, until the server has answered. */
  atOnce(live: number): number {
    return this.failures > 0 || live === 0 ? 1 : Infinity
  }

  /** The most connections to have now, `max` at most. */
  limit(max: number): number {
    return performance.now() < this.#shrunkUntil ? Math.min(max, this.#shrunkTo) : max
  }

  succeeded(): void {
    this.failures = 0
  }

  /** Records a failure while `live` connections exist; answers the milliseconds to wait before the next attempt. */
  failed(error: unknown, live: number): { readonly retryInMs: number; readonly shrunk: boolean } {
    this.lastFailure = error
    if (live > 0 && sqlStateOf(error) === '53300') {
      this.#shrunkTo = live
      this.#shrunkUntil = performance.now() + shrunkMs
      return { retryInMs: shrunkMs, shrunk: true }
    }
    const ceiling = Math.min(pauseMs.longest, pauseMs.first * 2 ** this.failures)
    this.failures += 1
    // With this much jitter no run of luck makes more than ten attempts in five seconds.
    return { retryInMs: ceiling * (0.75 + Math.random() / 4), shrunk: false }
  }
}

function sqlStateOf(error: unknown): string | undefined {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
}
