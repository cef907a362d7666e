/**
 * How long to wait before the next attempt at what has failed and may work later: pauses grow from one attempt to the
 * next, up to a longest one. A part of each is random (jitter), so that those who failed together do not come back
 * together. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */

/** How pauses grow. */
export interface BackoffOptions {
  /** Milliseconds of the first pause, at most. */
  readonly firstMs: number
  /** Milliseconds of any pause, at most. */
  readonly longestMs: number
  /** The share of a pause that is random: 0 for none, 1 for all of it ("full jitter"). */
  readonly jitter: number
}

/** Milliseconds to wait when `failures` attempts have failed before the latest one: each pause may be twice the last. */
export function backoffMs(failures: number, { firstMs, longestMs, jitter }: BackoffOptions): number {
  return Math.min(longestMs, firstMs * 2 ** failures) * (1 - jitter * Math.random())
}
