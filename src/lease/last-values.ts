/**
 * The last values of sequences stay with the server session. They are of use to few programs: once a statement of this
 * process has asked for one, every session begins with DISCARD SEQUENCES, so that it sees none of an earlier session's.
 * https://www.postgresql.org/docs/current/sql-discard.html
 */
import type { Step } from '../pool/batch.ts'

export const discardSequences = 'discard sequences'

type StatementKind = 'read' | 'write' | 'code' | 'other'

/** Outside a transaction only reads and writes of rows do; others may not run in a batch. */
const takesSteps = (kind: StatementKind) => kind === 'read' || kind === 'write'

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

  /** The steps of a statement's batch. */
  discardedBefore(
    kind: StatementKind,
    steps: readonly Step[] | undefined,
    inTransaction: boolean,
  ): readonly Step[] | undefined {
    if (!asked || this.#discarded || !(inTransaction || takesSteps(kind))) return steps
    this.#discarded = true
    return [...(steps ?? []), { text: discardSequences }]
  }

  /** Whether they are to be discarded in front of a statement that may have no steps: DDL, DO, EXPLAIN. */
  discardedAlone(kind: StatementKind): boolean {
    if (!asked || this.#discarded || takesSteps(kind)) return false
    this.#discarded = true
    return true
  }
}
