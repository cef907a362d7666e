/**
 * The last values of sequences stay with the server session. They are of use to few programs: once a statement of this
 * process has asked for one, every session begins with DISCARD SEQUENCES, so that it sees none of an earlier session's.
 * https://www.postgresql.org/docs/current/sql-discard.html
 */
import type { Step } from '../pool/batch.ts'

/** Functions that answer with the last value of a sequence, or names that may spell one. */
const lastValue = /\b(?:lastval|currval)\b|\bu&["']/i

let asked = false

/** Reads a statement's text, once a text. */
export function noticeLastValue(text: string): void {
  asked ||= lastValue.test(text)
}

/** The last values in one session. */
export class LastValues {
  #discarded = false

  /** True once any statement of this process has asked for one. */
  get asked(): boolean {
    return asked
  }

  /** The steps of a statement's batch; outside a transaction only reads and writes of rows may have any. */
  discardedBefore(
    kind: 'read' | 'write' | 'code' | 'other',
    steps: readonly Step[] | undefined,
    inTransaction: boolean,
  ): readonly Step[] | undefined {
    if (!asked || this.#discarded || !(inTransaction || kind === 'read' || kind === 'write')) return steps
    this.#discarded = true
    return [...(steps ?? []), { text: 'discard sequences' }]
  }
}
