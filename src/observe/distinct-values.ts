/**
 * Bounds what metrics tell apart: a backend keeps a series for every combination of attributes, for good, and labels may be
 * as many as there are customers. The first values keep their names; the rest is one.
 */
const other = '_OTHER'

export class DistinctValues {
  readonly #most: number
  readonly #known = new Set<string>()

  constructor(most: number) {
    this.#most = most
  }

  /** True for a value that is told apart. */
  has(value: string): boolean {
    if (this.#known.has(value)) return true
    if (this.#known.size >= this.#most) return false
    this.#known.add(value)
    return true
  }

  /** The value, or what stands for all the others. */
  named(value: string): string {
    return this.has(value) ? value : other
  }
}
