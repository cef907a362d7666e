/**
 * What becomes of a prepared statement that fails before it is bound, because the schema or the search path is no longer
 * what it was prepared for. Nothing of it has run, so it is sent once more, parsed anew: by itself outside a transaction,
 * else behind what opened the transaction or behind a savepoint; where neither is there, the unit of work is run again.
 * https://www.postgresql.org/docs/current/sql-prepare.html
 */
import type { Step } from '../pool/batch.ts'
import { RivuletError, StatementTimeout } from '../errors.ts'
import { isAborted } from '../sqlstate.ts'
import { statementTraits } from './statement-traits.ts'

/** Errors of statements whose preparation was outdated, and which could not be repeated by themselves. */
const outdated = new WeakSet<object>()

/** True for what can hit any statement on its way, prepared or not: a failed transaction, a cancel, a lock, a shutdown. */
export function isPassing(error: unknown): boolean {
  return isAborted(error) || error instanceof StatementTimeout || (error instanceof RivuletError && error.retryable)
}

/** Marks the error of a statement whose unit of work may be run again. */
export function markOutdated(error: unknown): void {
  if (typeof error === 'object' && error !== null) outdated.add(error)
}

/** True for the failure of an outdated prepared statement, also when wrapped: the unit of work, run again, may succeed. */
export function isOutdated(error: unknown): boolean {
  for (let inner = error, depth = 0; inner instanceof Error && depth < 10; inner = inner.cause, depth++) {
    if (outdated.has(inner)) return true
  }
  return false
}

/** The savepoint from which an outdated statement is repeated, where its transaction cannot be run again. */
export class Guard {
  #there = false
  /** How often it was made; a transaction of many subtransactions that write slows down others on the server. */
  #count = 0

  /** True when it has been made so often that nothing more may be prepared that would need it. */
  get isExhausted(): boolean {
    return this.#count >= mostGuards
  }

  /** Puts it in front of a prepared statement; a batch that opens a transaction or a savepoint needs none. */
  before(steps: readonly Step[] | undefined): readonly Step[] | undefined {
    if (stepsAgain(steps) !== undefined) return steps
    this.#count += 1
    const released = this.#there ? [{ text: 'release savepoint rivulet_again' }] : []
    this.#there = true
    return [...released, { text: 'savepoint rivulet_again' }, ...(steps ?? noSteps)]
  }

  /** The transaction has ended, or was rolled back to before. */
  gone(): void {
    this.#there = false
  }
}

/** PostgreSQL keeps 64 subtransactions of a transaction at hand (PGPROC_MAX_CACHED_SUBXIDS). */
const mostGuards = 50

const noSteps: readonly Step[] = []

/** Outside a transaction a statement is just sent again, where that changes no order: `others` were sent behind it. */
export function aloneAgain(text: string, others: 'none' | 'reads' | 'any'): readonly Step[] | undefined {
  const { kind } = statementTraits(text)
  return (kind === 'read' && others !== 'any') || (kind === 'write' && others === 'none') ? noSteps : undefined
}

/** In a transaction it is sent again behind what opened the transaction, or behind the savepoint in its batch. */
export function stepsAgain(steps: readonly Step[] = noSteps): readonly Step[] | undefined {
  const begin = steps.findIndex(({ text }) => text.startsWith('begin'))
  if (begin >= 0) return [{ text: 'rollback' }, ...steps.slice(begin)]
  const savepoint = steps.findLastIndex(({ text }) => text.startsWith('savepoint '))
  if (savepoint < 0) return undefined
  return [{ text: `rollback to ${steps[savepoint]?.text}` }, ...steps.slice(savepoint + 1)]
}
