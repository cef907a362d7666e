/**
 * Running work again after a failure that may pass, within a number of attempts, with pauses that grow (`backoff.ts`).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { DeadlockDetected, SerializationFailure, UsageError } from '../errors.ts'
import { backoffMs, type BackoffOptions } from './backoff.ts'

/** How often a unit of work is run. */
export interface RetryOptions {
  /** How often the work is run at most when serialization failures and deadlocks end it. 1 to 100; default 5. */
  readonly attempts?: number | undefined
}

const pauses: BackoffOptions = { firstMs: 20, longestMs: 1000, jitter: 1 }

/** The attempts asked for. @throws UsageError when out of range. */
export function attemptsFrom({ attempts = 5 }: RetryOptions): number {
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > 100) {
    throw new UsageError('attempts must be a whole number from 1 to 100; 1 runs the work once')
  }
  return attempts
}

/** Counts attempts and says how long to wait before the next. */
export class Retry {
  /** Attempts that have failed. */
  attempt = 0
  readonly #attempts: number

  constructor(attempts: number) {
    this.#attempts = attempts
  }

  /** Milliseconds to pause before trying again; undefined when `error` will not pass or the attempts are used up. */
  next(error: unknown): number | undefined {
    this.attempt += 1
    if (!passes(error)) return undefined
    if (this.attempt < this.#attempts) return backoffMs(this.attempt - 1, pauses)
    if (typeof error === 'object' && error !== null) exhausted.add(error)
    return undefined
  }

  /** Waits, or returns early when `signal` is aborted. */
  async pause(delayMs: number, signal: AbortSignal): Promise<void> {
    // An abort ends the pause; the caller looks at why.
    await sleep(delayMs, undefined, { signal }).catch(() => undefined)
  }
}

/** Failures of work that has been tried as often as it may: the work around it does not try it all over again. */
const exhausted = new WeakSet<object>()

/** True for a conflict with another transaction, also when wrapped. */
function passes(error: unknown): boolean {
  for (let inner = error, depth = 0; inner instanceof Error && depth < 10; inner = inner.cause, depth++) {
    if (exhausted.has(inner)) return false
    if (inner instanceof SerializationFailure || inner instanceof DeadlockDetected) return true
  }
  return false
}
