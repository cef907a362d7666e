/** What a pool says of itself: how many connections it has, what they do, and what has happened so far. */

/** Gauges and counters of a pool, since it was opened. */
export interface PoolStats {
  /** The most connections there may be. */
  readonly max: number
  /** Connections that are open: idle and leased. */
  readonly open: number
  /** Connections that no lease uses. */
  readonly idle: number
  /** Connections that a session has. */
  readonly leased: number
  /** Connections that are being opened. */
  readonly opening: number
  /** Connections whose sockets are being closed. */
  readonly closing: number
  /** Calls waiting for a connection. */
  readonly waiting: number
  /** Counts the sessions that were given a connection. */
  readonly acquired: number
  /** Counts the connections that were opened. */
  readonly opened: number
  /** Counts the connections that broke. */
  readonly lost: number
  /** Counts the connections that were closed by the pool. */
  readonly retired: number
  /** Counts the attempts to connect that failed. */
  readonly connectFailures: number
  /** Counts the calls that got PoolTimeout. */
  readonly timeouts: number
  /** Counts the calls that got PoolOverloaded. */
  readonly overloads: number
  /** Counts the calls that got PoolDeadlock. */
  readonly deadlocks: number
  /** Milliseconds spent waiting, of all calls together. */
  readonly waitedMs: number
}
