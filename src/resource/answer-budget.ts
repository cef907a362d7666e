/**
 * How many rows an answer may have, related ones included, all reads of a gather together. A relation may lead back to where
 * it came from, so a short URL can ask for more rows than there is memory for; here that is found out before they are read.
 */
import type { RowBudget } from '../repository/query/read-plan.ts'

/** An answer would have more rows than it may. */
export class TooManyRows extends Error {
  constructor(most: number) {
    super(
      `the answer would have more than ${most} rows, related ones included: ask for fewer relations, or give the list and ` +
        'its relations a smaller limit',
    )
  }
}

export class AnswerBudget implements RowBudget {
  readonly #most: number
  #left: number

  constructor(most: number) {
    this.#most = most
    this.#left = most
  }

  get left(): number {
    return this.#left
  }

  take(rows: number): void {
    if (rows > this.#left) throw new TooManyRows(this.#most)
    this.#left -= rows
  }
}
