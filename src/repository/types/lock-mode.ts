/** How a row is locked, and what to do when another session holds the lock. */

/** How a row is locked, from the strongest: against all writes, against all but those of other columns, against change. */
export type LockMode = 'update' | 'no key update' | 'share'

/** What to do when another session holds the lock: one of the two, or wait. */
export type LockWait<TSkip extends boolean> = NoWait | SkipLocked<TSkip>

/** Do not wait for a lock: fail at once with LockTimeout. */
export interface NoWait {
  readonly nowait?: boolean | undefined
  readonly skipLocked?: false | undefined
}

/** Do not wait for a lock: return undefined at once, as if the row did not exist. */
export interface SkipLocked<TSkip extends boolean> {
  readonly nowait?: false | undefined
  readonly skipLocked: TSkip | undefined
}
