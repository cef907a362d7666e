/**
 * What is known of the transaction that is open on a lease. It is made when the transaction begins and dropped when it
 * ends, so nothing of it can be taken for a later one's. Its states are drawn in `src/README.md`.
 *
 * BEGIN, settings, savepoints and the time limit are steps that wait for the next statement and travel in its batch, so
 * that it cannot run without them. If none follows, they are never sent.
 */
import type { RivuletError } from '../errors.ts'
import type { Step } from '../pool/batch.ts'
import { isAborted, isAnswer } from '../sqlstate.ts'
import { Guard } from './outdated.ts'
import { timeoutValue } from './timeout-setting.ts'

/** A statement of ours that waits for the next one of the task. */
export interface DeferredStep extends Step {
  /** Called when its batch has been answered, either way. */
  readonly answered?: () => void
  /** What the session fails with when it is refused. Default: the server's reason. */
  readonly refusal?: (cause: unknown) => RivuletError
}

/** A step that waits, or has been sent. */
export interface Deferral {
  sent(): boolean
  /** Takes it back, and all that was deferred after it; does nothing once it has been sent. */
  drop(): void
}

/** What failed first in a transaction. */
export interface Failure {
  readonly error: unknown
  /** False when a statement of ours failed, of which the task does not know. */
  readonly ofTheTask: boolean
}

export class OpenTransaction {
  state: 'deferred' | 'begun' | 'committing' = 'deferred'
  /** When BEGIN was sent; undefined before that. */
  begunAt: number | undefined
  /** Why the server answers COMMIT with ROLLBACK; undefined while nothing has failed. */
  firstFailure: Failure | undefined
  /** Bodies of transactions that run now and may be run again as a whole. */
  rerunnable = 0
  readonly #deferred: DeferredStep[] = []
  readonly #guard = new Guard()
  /** Why the server refused a step, and so refuses all that follows. */
  #refusal: unknown
  /** Milliseconds of statement_timeout, where we have set it here; NaN when it is not known. */
  #timeoutMs: number | undefined

  /** Puts a step in front of the next statement. */
  defer(step: DeferredStep): Deferral {
    const deferred = this.#deferred
    deferred.push(step)
    const sent = () => !deferred.includes(step)
    return { sent, drop: () => void (sent() || deferred.splice(deferred.indexOf(step))) }
  }

  /** Puts the time limit in front of the next statement, unless it is in force: here, or in the session. */
  limit(timeoutMs: number, sessionTimeoutMs: number): void {
    if (timeoutMs === (this.#timeoutMs ?? sessionTimeoutMs)) return
    this.#timeoutMs = timeoutMs
    this.#deferred.push({ text: `set local statement_timeout = ${timeoutValue(timeoutMs)}` })
  }

  /** Whether a statement may be prepared: should it be outdated, it can be repeated, or the body be run again. */
  get mayPrepare(): boolean {
    return this.rerunnable > 0 || !this.#guard.isExhausted
  }

  /** Takes the steps that wait, for a statement that is sent now; `prepared` may turn out to be outdated. */
  take(prepared = false): readonly DeferredStep[] | undefined {
    const steps = this.#deferred.length === 0 ? undefined : this.#deferred.splice(0)
    if (this.state === 'deferred') this.state = 'begun'
    return prepared && this.rerunnable === 0 ? this.#guard.before(steps) : steps
  }

  /** Takes the last step that waits, to be sent behind the others as a statement of its own. */
  takeLast(): DeferredStep | undefined {
    return this.#deferred.pop()
  }

  /** A statement in it has failed. One that was never sent has not: the server knows nothing of it. */
  failed(error: unknown, ofTheTask: boolean): void {
    if (isAnswer(error)) this.firstFailure ??= { error, ofTheTask }
  }

  /** The server has refused a step. */
  refused(error: unknown): void {
    this.#refusal ??= error
  }

  /** A savepoint is rolled back: what failed or was set since then is gone. */
  rewound(): void {
    this.#refusal = this.firstFailure = undefined
    this.#guard.gone()
    if (this.#timeoutMs !== undefined) this.#timeoutMs = NaN
  }

  /** The reason behind what the server says to every statement after a step that it refused. */
  reasonFor(error: unknown): unknown {
    return isAborted(error) ? (this.#refusal ?? error) : error
  }
}
