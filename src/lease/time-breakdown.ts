/**
 * Where the time of one task goes: waiting for its connection, in statements, in COMMIT, and in the task itself. So that
 * an error about a deadline can say what to make faster.
 */
import { DeadlineExceeded, type Phase } from '../errors.ts'
import type { Deadline } from '../task/deadline.ts'

const during: Readonly<Partial<Record<Phase, string>>> = {
  statement: 'while a statement ran',
  commit: 'during COMMIT',
}

export class TimeBreakdown {
  readonly startedAt = performance.now()
  readonly #queueMs: number
  /** Milliseconds in which statements ran, and since when one does. */
  #statementMs = 0
  #statementSince: number | undefined
  #commitSince: number | undefined

  constructor(queueMs: number) {
    this.#queueMs = queueMs
  }

  /** The first of the statements that run now was sent at `now`. */
  statementsBegan(now: number): void {
    this.#statementSince = now
  }

  /** The last of them was answered at `now`. */
  statementsEnded(now: number): void {
    this.#statementMs += now - (this.#statementSince ?? now)
    this.#statementSince = undefined
  }

  commitBegan(): void {
    this.#commitSince = performance.now()
  }

  commitEnded(): void {
    this.#commitSince = undefined
  }

  /** Milliseconds since COMMIT was sent, until it has ended; undefined when none was. */
  get commitMs(): number | undefined {
    return this.#commitSince === undefined ? undefined : performance.now() - this.#commitSince
  }

  /** The error for a deadline that passed in `phase`. */
  deadlineExceeded(deadline: Deadline, phase: Phase, label: string | undefined): DeadlineExceeded {
    const spentMs = this.#spentMs()
    const parts = Object.entries(spentMs).map(([name, ms]) => `${name} ${Math.round(ms)} ms`)
    const where = `${during[phase] ?? 'between statements'}${label === undefined ? '' : ` in ${label}`}`
    const message = `the deadline of ${deadline.timeoutMs} ms passed ${where} (${parts.join(', ')})`
    return new DeadlineExceeded(message, { phase, spentMs })
  }

  #spentMs(): Partial<Record<Phase, number>> {
    const now = performance.now()
    const statement = this.#statementMs + (this.#statementSince === undefined ? 0 : now - this.#statementSince)
    const commit = this.#commitSince === undefined ? 0 : now - this.#commitSince
    const task = Math.max(0, now - this.startedAt - statement - commit)
    return { queue: this.#queueMs, statement, task, ...(commit > 0 ? { commit } : {}) }
  }
}
