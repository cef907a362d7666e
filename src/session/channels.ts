/**
 * The channels in use, for leak reports and for closing. An array: a Set that every task adds to and deletes from links
 * its dead tables to the live one, and what they held outlives the young generation of the heap.
 */
import type { Channel } from './channel.ts'

export class Channels {
  readonly #all: Channel[] = []

  add(channel: Channel): void {
    this.#all.push(channel)
  }

  delete(channel: Channel): void {
    const index = this.#all.indexOf(channel)
    if (index < 0) return
    const last = this.#all.pop()
    if (last && last !== channel) this.#all[index] = last
  }

  [Symbol.iterator](): Iterator<Channel> {
    return this.#all.slice().values()
  }
}
