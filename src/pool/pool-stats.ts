/** What a pool says of itself: how many connections it has, what they do, and what has happened so far. */

/** Gauges and counters of a pool, since it was opened. */
export interface PoolStats {
  readonly max: number
  /** Connections by state. `open` is idle + leased. */
  readonly open: number
  readonly idle: number
  readonly leased: number
  readonly opening: number
  readonly closing: number
  /** Calls waiting for a connection. */
  readonly waiting: number
  /** Counters. */
  readonly acquired: number
  readonly opened: number
  readonly lost: number
  readonly retired: number
  readonly connectFailures: number
  readonly timeouts: number
  readonly overloads: number
  readonly deadlocks: number
  /** Milliseconds spent waiting, of all calls together. */
  readonly waitedMs: number
}
