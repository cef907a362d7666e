/**
 * Places for work that may take long, fewer than there are connections, so that it leaves room for the rest: nobody waits for
 * one, and what finds none is refused.
 */
import { PoolOverloaded } from '../errors.ts'

export class Places {
  #free: number

  constructor(count: number) {
    this.#free = count
  }

  /** Runs the work in a place until it has ended. @throws PoolOverloaded when all are taken */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free < 1) throw new PoolOverloaded('as many streams are under way as there may be: try again later')
    this.#free -= 1
    try {
      return await work()
    } finally {
      this.#free += 1
    }
  }
}
