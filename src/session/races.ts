/**
 * The tasks that run on one channel, one inside the other: each settles as its work does, or rejects when its scope, or
 * one further out, is given up before. While COMMIT is under way nobody is given up, because its answer is the truth,
 * even if it comes late; a task that goes on after it is given up then.
 */
import type { RivuletError } from '../errors.ts'
import type { Scope } from '../task/scope.ts'

interface Race {
  readonly scope: Scope | undefined
  readonly abandon: (error: RivuletError) => void
}

export class Races {
  readonly #running: Race[] = []
  readonly #postponed: (() => void)[] = []

  /** Settles as `work` does, or rejects when it is given up. */
  run<T>(work: T | PromiseLike<T>, scope: Scope | undefined): Promise<Awaited<T>> {
    return new Promise((resolve, reject) => {
      const race = { scope, abandon: reject }
      this.#running.push(race)
      const settled = Promise.resolve(work) as Promise<Awaited<T>>
      settled.then(
        (value) => {
          this.#running.splice(this.#running.indexOf(race), 1)
          resolve(value)
        },
        (error: unknown) => {
          this.#running.splice(this.#running.indexOf(race), 1)
          reject(error)
        },
      )
    })
  }

  /** Gives up the tasks that `scope` bounds, or all; `later` when COMMIT has been answered. */
  giveUp(error: RivuletError, scope: Scope | undefined, later: boolean): void {
    const abandon = () => {
      for (const race of this.#running) if (!scope || race.scope?.isWithin(scope)) race.abandon(error)
    }
    if (later) this.#postponed.push(abandon)
    else abandon()
  }

  /** COMMIT has been answered. A task that ends with it ends with its answer; the others are given up in the next turn. */
  committed(): void {
    for (const abandon of this.#postponed.splice(0)) setImmediate(abandon)
  }
}
