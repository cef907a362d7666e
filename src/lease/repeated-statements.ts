/**
 * Counts how often a task sends each of its statements, to tell of the one that runs for every row of another (N+1): its
 * rows could be read at once. Made only where somebody observes.
 */
import { callerFrame } from './call-site.ts'

/** A statement that was sent too often. */
export interface RepeatedStatement {
  readonly text: string
  readonly count: number
  /** The line that sent it, where the stack has one: Drizzle's builders run from the event loop. */
  readonly sentFrom: string | undefined
}

/** Different statements of one task that are counted: one that sends more is not the kind that is looked for. */
const mostTexts = 100

const none: readonly RepeatedStatement[] = []

export class RepeatedStatements {
  readonly #limit: number
  readonly #counts = new Map<string, { count: number; sentFrom: string | undefined }>()
  #isRepeated = false

  /** `limit` is how often a statement may be sent without a word. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** The task sends a statement; called while its code is still on the stack. */
  sent(text: string): void {
    const entry = this.#counts.get(text)
    if (entry === undefined) {
      if (this.#counts.size < mostTexts) this.#counts.set(text, { count: 1, sentFrom: undefined })
      return
    }
    entry.count += 1
    if (entry.count !== this.#limit + 1) return
    entry.sentFrom = callerFrame(new Error('sent here').stack)
    this.#isRepeated = true
  }

  /** Those that were sent more often than that. */
  found(): readonly RepeatedStatement[] {
    if (!this.#isRepeated) return none
    return Array.from(this.#counts, ([text, entry]) => ({ text, ...entry })).filter(({ count }) => count > this.#limit)
  }
}
