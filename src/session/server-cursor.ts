/**
 * Rows through a cursor on the server: DECLARE, then FETCH in batches, so that a million rows take the memory of one
 * batch and other statements of the transaction may run between rows. Leaving the loop closes the cursor.
 * https://www.postgresql.org/docs/current/sql-declare.html
 */
import { InvalidInput, SessionEnded } from '../errors.ts'
import type { Result, StatementOptions } from '../pool/connection.ts'
import type { Scope } from '../task/scope.ts'
import type { Lease } from '../lease/lease.ts'
import type { CursorQuery } from '../drizzle/driver.ts'
import type { PendingPromises } from '../lease/pending-promises.ts'
import type { Ask } from '../drizzle/plain-rows.ts'
import { optionNames } from '../option-names.ts'
import { checkOptions } from './options.ts'

/** Options of a stream of rows. */
export interface CursorOptions {
  /** Rows fetched at a time. 1 to 100,000; default 1,000. */
  readonly batchSize?: number | undefined
}

const cursorOptions = optionNames<CursorOptions>({ batchSize: true })

/** What a stream reads from: a lease in a transaction, for as long as its session lasts. */
export interface StreamSource {
  readonly lease: Lease
  readonly scope: Scope | undefined
  readonly pending: PendingPromises
  readonly ended: () => boolean
}

/**
 * Yields the rows of `query`. @throws InvalidInput for a batch size out of range, SessionEnded when it is read on after
 * its session: the cursor is gone.
 */
export async function* readCursor<TRow>(
  { lease, scope, pending, ended }: StreamSource,
  query: CursorQuery<TRow>,
  options: CursorOptions = {},
): AsyncGenerator<TRow, void, undefined> {
  checkOptions('stream', cursorOptions, options)
  const { batchSize = 1000 } = options
  if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > 100_000) {
    throw new InvalidInput('batchSize must be a whole number from 1 to 100000', { path: ['batchSize'] })
  }
  const { text, parameters, names, arrays, map } = query
  const name = lease.newName()
  const own = (statement: string, values: readonly unknown[], options: StatementOptions): Promise<Result> =>
    lease.own(statement, values, options, { scope, pending })
  lease.noticeState(text)
  // The first batch travels with DECLARE, and must not without it.
  lease.connection.check(parameters)
  const declared = own(`declare ${name} no scroll cursor for ${text}`, parameters, { names })
  const ask: Ask = async (question, values, options, read) => read(await own(question, values, options))
  const fetch = () => own(`fetch ${batchSize} from ${name}`, [], { arrays })
  let batch = fetch()
  const first = batch.catch(() => undefined)
  // Both are answered before this can fail: a session that catches it goes on with nothing running.
  await declared.catch((error: unknown) => first.then(() => Promise.reject(error)))
  try {
    for (;;) {
      const rows = await batch
      const complete = rows.length < batchSize
      for (const row of await map(rows, ask)) yield row
      if (complete) return
      if (ended()) throw new SessionEnded('the session of this stream has ended: read it to its end inside the task')
      batch = fetch()
    }
  } finally {
    // The cursor ended with its transaction, or cannot be closed in a failed one.
    if (!ended() && !lease.refusal && !lease.connection.lost) {
      await lease.script(`close ${name}`).catch(() => undefined)
    }
  }
}
