/**
 * The leases in use, for leak reports and for closing. An array: a Set that every task adds to and deletes from links
 * its dead tables to the live one, and what they held outlives the young generation of the heap.
 */
import type { Lease } from './lease.ts'

export class ActiveLeases {
  readonly #all: Lease[] = []

  add(lease: Lease): void {
    this.#all.push(lease)
  }

  delete(lease: Lease): void {
    const index = this.#all.indexOf(lease)
    if (index < 0) return
    const last = this.#all.pop()
    if (last && last !== lease) this.#all[index] = last
  }

  [Symbol.iterator](): Iterator<Lease> {
    return this.#all.slice().values()
  }
}
