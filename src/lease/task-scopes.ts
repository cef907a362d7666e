/**
 * The tasks that run on one lease, one inside the other, and the scopes that bound them. A task settles as its work does,
 * or rejects when its scope, or one further out, is cancelled before. While COMMIT is under way no task is rejected,
 * because its answer is the truth, even if it comes late; a task that goes on after it is rejected then.
 */
import type { RivuletError } from '../errors.ts'
import type { CancelReason, Scope } from '../task/scope.ts'

interface RunningTask {
  readonly scope: Scope | undefined
  readonly reject: (error: RivuletError) => void
}

export class TaskScopes {
  /** Outermost first; beside those that run, because a scope bounds BEGIN and COMMIT as well, and not every task has one. */
  readonly #watched: Scope[] = []
  readonly #running: RunningTask[] = []
  readonly #postponed: (() => void)[] = []

  /** Calls `cancelled` when the scope is; returns what ends the watch. */
  watch(scope: Scope, cancelled: (reason: CancelReason) => void): () => void {
    this.#watched.push(scope)
    const unwatch = scope.onCancel(cancelled)
    return () => {
      unwatch()
      this.#watched.splice(this.#watched.indexOf(scope), 1)
    }
  }

  /** The outermost scope whose deadline has passed. */
  get expired(): Scope | undefined {
    return this.#watched.find(({ deadline }) => deadline?.expired)
  }

  /** Settles as `work` does, or rejects when its scope is cancelled first. */
  run<T>(work: T | PromiseLike<T>, scope: Scope | undefined): Promise<Awaited<T>> {
    return new Promise((resolve, reject) => {
      const task = { scope, reject }
      this.#running.push(task)
      const settled = Promise.resolve(work) as Promise<Awaited<T>>
      settled.then(
        (value) => {
          this.#running.splice(this.#running.indexOf(task), 1)
          resolve(value)
        },
        (error: unknown) => {
          this.#running.splice(this.#running.indexOf(task), 1)
          reject(error)
        },
      )
    })
  }

  /** Rejects the tasks that `scope` bounds, or all; `later`: once COMMIT has been answered. */
  rejectTasks(error: RivuletError, scope: Scope | undefined, later: boolean): void {
    const reject = () => {
      for (const task of this.#running) if (!scope || task.scope?.isWithin(scope)) task.reject(error)
    }
    if (later) this.#postponed.push(reject)
    else reject()
  }

  /** COMMIT has been answered. A task that ends with it ends with its answer; the others are rejected in the next turn. */
  committed(): void {
    for (const reject of this.#postponed.splice(0)) setImmediate(reject)
  }
}
