/**
 * An absolute instant of the monotonic clock by which something must be over. Made once, at the door, from a duration;
 * everything below asks for what remains, so time spent in a queue is not granted again to the statement.
 */
import { UsageError } from '../errors.ts'

/** The longest delay setTimeout takes; anything above would fire at once. */
const longestTimerMs = 2 ** 31 - 1

/** An instant by which something must be over. */
export class Deadline {
  /** Milliseconds of `performance.now()`. */
  readonly at: number
  /** The duration it was made from. */
  readonly timeoutMs: number

  private constructor(at: number, timeoutMs: number) {
    this.at = at
    this.timeoutMs = timeoutMs
  }

  /** @throws UsageError unless `timeoutMs` is a number of milliseconds of at least 0 (Infinity means none). */
  static after(timeoutMs: number): Deadline {
    if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs) || timeoutMs < 0) {
      throw new UsageError('timeoutMs must be a number of milliseconds of at least 0')
    }
    return new Deadline(performance.now() + timeoutMs, timeoutMs)
  }

  /** Milliseconds left, never below 0. */
  get remainingMs(): number {
    return Math.max(0, this.at - performance.now())
  }

  /** True when the instant has passed. */
  get expired(): boolean {
    return performance.now() >= this.at
  }

  /** Calls `onExpired` when the instant has come; returns what cancels that. */
  arm(onExpired: () => void): () => void {
    if (this.at === Infinity) return () => undefined
    let timer: NodeJS.Timeout
    const wait = () => {
      const delayMs = Math.min(longestTimerMs, Math.ceil(this.remainingMs))
      // A timer counts whole milliseconds, and may fire a part of one too early.
      timer = setTimeout(() => (this.expired ? onExpired() : wait()), delayMs)
    }
    wait()
    return () => clearTimeout(timer)
  }

  /** Settles as the work does, or rejects with what `late` makes when the instant comes first; then the work goes on unheard. */
  race<T>(work: T | PromiseLike<T>, late: () => unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      const disarm = this.arm(() => reject(late()))
      Promise.resolve(work).then(resolve, reject).finally(disarm)
    })
  }
}

/** The earlier of two deadlines; undefined is no deadline. */
export function tighter(a: Deadline | undefined, b: Deadline | undefined): Deadline | undefined {
  if (a === undefined) return b
  if (b === undefined) return a
  return b.at < a.at ? b : a
}
