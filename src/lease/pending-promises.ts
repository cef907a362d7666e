/**
 * What one session has under way: statements that have not been answered, and the promises its task was given. When the
 * task has failed, why has been reported: what it did not wait for must not come up as unhandled rejections, neither
 * later nor in the turn of the event loop in which the task fails.
 */
export class PendingPromises {
  /** Statements sent and not answered. */
  running = 0
  #silenced = false
  /** Promises that failed in the running turn of the event loop. */
  readonly #failedNow: Promise<unknown>[] = []

  /** A promise for the task, which fails unseen once the task is silenced. */
  track<T>(work: Promise<T>): Promise<T> {
    const tracked = work.catch((error: unknown) => {
      this.failing(tracked)
      throw error
    })
    return tracked
  }

  /** A promise that the task was given is about to fail. */
  failing(promise: Promise<unknown>): void {
    if (this.#silenced) return ignore(promise)
    if (this.#failedNow.length === 0) setImmediate(() => (this.#failedNow.length = 0))
    this.#failedNow.push(promise)
  }

  /** What the answer to a promise is read as. Where that takes a question to the server, it may fail as the promise does. */
  reading<T>(handed: Promise<unknown>, read: T): T {
    if (!(read instanceof Promise)) return read
    return read.catch((error: unknown) => {
      this.failing(handed)
      throw error
    }) as T
  }

  /** The task is gone, and why has been reported. */
  silence(): void {
    this.#silenced = true
    this.#failedNow.splice(0).forEach(ignore)
  }
}

function ignore(promise: Promise<unknown>): void {
  promise.catch(() => undefined)
}
