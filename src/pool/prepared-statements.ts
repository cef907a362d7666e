/**
 * Which statements a connection prepares. Like postgres.js it tells them apart by text and parameter types, and like it
 * never frees one: once there are as many as may be, further ones are not prepared until the connection is replaced.
 * A text that was prepared and then did not fit, although parsed anew it did, is not prepared any more on any connection
 * of the pool: what it means depends on something that changes, such as the search path of a tenant.
 */
import type { TypedParameter } from './codec.ts'

/** Texts that are not to be prepared. */
export class Unprepared {
  readonly #texts = new Set<string>()

  /** Bounded: a program that makes ever new texts must not fill the memory with them. */
  add(text: string): void {
    if (this.#texts.size >= mostTexts) this.#texts.clear()
    this.#texts.add(text)
  }

  has(text: string): boolean {
    return this.#texts.size > 0 && this.#texts.has(text)
  }

  /** The schema has changed: what did not fit then may fit now. */
  clear(): void {
    this.#texts.clear()
  }
}

const mostTexts = 1000

export class PreparedStatements {
  /** Distinct statements at most. */
  most = Infinity
  unprepared = new Unprepared()
  /** True once columns have changed their types: nothing that was prepared here is used any more. */
  outdated = false
  readonly #known = new Set<string>()

  get size(): number {
    return this.#known.size
  }

  /** Whether a statement is prepared, now or earlier. */
  takes(text: string, encoded: readonly unknown[]): boolean {
    if (this.outdated || this.unprepared.has(text)) return false
    let statement = text
    for (let index = 0; index < encoded.length; index++) {
      const value = encoded[index]
      if (typeof value === 'object' && value !== null) statement += `;${index}:${(value as TypedParameter).type}`
    }
    if (this.#known.has(statement)) return true
    if (this.#known.size >= this.most) return false
    this.#known.add(statement)
    return true
  }
}
