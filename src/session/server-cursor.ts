/**
 * Rows through a cursor on the server: DECLARE, then FETCH in batches, so that a million rows take the memory of one
 * batch and other statements of the transaction may run between rows. Leaving the loop closes the cursor. To those who
 * watch, all of it is one statement, which took as long as the reader waited for the server.
 * https://www.postgresql.org/docs/current/sql-declare.html
 */
import { InvalidInput, SessionEnded } from '../errors.ts'
import type { Result, StatementOptions } from '../pool/connection.ts'
import type { Scope } from '../task/scope.ts'
import type { Lease } from '../lease/lease.ts'
import type { CursorQuery } from '../drizzle/driver.ts'
import type { PendingPromises } from '../lease/pending-promises.ts'
import type { Ask } from '../drizzle/plain-rows.ts'
import { checkOptions, optionNames } from '../option-names.ts'

/** Options of a stream of rows. */
export interface CursorOptions {
  /** Rows fetched at a time. 1 to 100,000; default 1,000. */
  readonly batchSize?: number | undefined
}

const cursorOptions = optionNames<CursorOptions>({ batchSize: true })

/** How batches are fetched for one who takes them whole. */
export interface BatchOptions {
  /** Rows of the batch that is fetched next. */
  readonly size: () => number
  /** How many more are on their way while one is being used. Default 0. */
  readonly ahead?: number
}

/** What a stream reads from: a lease in a transaction, for as long as its session lasts. */
export interface StreamSource {
  readonly lease: Lease
  readonly scope: Scope | undefined
  readonly pending: PendingPromises
  readonly ended: () => boolean
}

/** The batches of a caller's stream. @throws InvalidInput for a batch size out of range */
export function batchesOf(options: CursorOptions = {}): BatchOptions {
  checkOptions('stream', cursorOptions, options)
  const { batchSize = 1000 } = options
  if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > 100_000) {
    throw new InvalidInput('batchSize must be a whole number from 1 to 100000', { path: ['batchSize'] })
  }
  return { size: () => batchSize }
}

/** Yields the rows of `query`, in batches. @throws SessionEnded when it is read on after its session: the cursor is gone. */
export async function* readCursor<TRow>(
  { lease, scope, pending, ended }: StreamSource,
  query: CursorQuery<TRow>,
  { size, ahead = 0 }: BatchOptions,
): AsyncGenerator<readonly TRow[], void, undefined> {
  const { text, parameters, names, arrays, map, direct } = query
  const waited = new WaitedTime()
  const name = lease.newName()
  const own = (statement: string, values: readonly unknown[], options: StatementOptions): Promise<Result> =>
    lease.own(statement, values, options, { scope, pending })
  lease.noticeState(text)
  // The first batch travels with DECLARE, and must not without it.
  lease.connection.check(parameters)
  const declared = own(`declare ${name} no scroll cursor for ${text}`, parameters, { names })
  const ask: Ask = async (question, values, options, read) => read(await own(question, values, options))
  const fetch = () => {
    const rows = size()
    const reading = direct?.()
    const answer = own(`fetch ${rows} from ${name}`, [], reading ? { rows: reading.row } : { arrays })
    // One that is fetched ahead may fail before it is awaited, or never be.
    answer.catch(() => undefined)
    return { rows, reading, answer }
  }
  const batches = [fetch()]
  const first = batches[0]?.answer.catch(() => undefined)
  try {
    // Both are answered before this can fail: a session that catches it goes on with nothing running.
    await waited.during(declared.catch((error: unknown) => Promise.resolve(first).then(() => Promise.reject(error))))
  } catch (error) {
    lease.tell(text, waited.ms, null, error)
    throw error
  }
  let count = 0
  let failure: unknown
  try {
    for (;;) {
      const { rows: wanted, reading, answer } = batches.shift() ?? fetch()
      const rows = await waited.during(answer)
      const read = Number(reading ? rows.count : rows.length)
      count += read
      const complete = read < wanted
      const values = reading ? reading.end() : await map(rows, ask)
      for (let more = complete ? 0 : ahead - batches.length; more > 0; more--) batches.push(fetch())
      yield values
      if (complete) return
      if (ended()) throw new SessionEnded('the session of this stream has ended: read it to its end inside the task')
    }
  } catch (error) {
    failure = error
    throw error
  } finally {
    lease.tell(text, waited.ms, failure === undefined ? count : null, failure)
    // The cursor ended with its transaction, or cannot be closed in a failed one.
    if (!ended() && !lease.refusal && !lease.connection.lost) {
      await lease.script(`close ${name}`).catch(() => undefined)
    }
  }
}

/** The time that was spent waiting. */
class WaitedTime {
  ms = 0

  async during<T>(work: Promise<T>): Promise<T> {
    const startedAt = performance.now()
    try {
      return await work
    } finally {
      this.ms += performance.now() - startedAt
    }
  }
}
