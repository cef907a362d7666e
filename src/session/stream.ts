/**
 * Rows through a cursor on the server: DECLARE, then FETCH in batches, so that a million rows take the memory of one
 * batch and other statements of the transaction may run between rows. Leaving the loop closes the cursor.
 * https://www.postgresql.org/docs/current/sql-declare.html
 */
import { UsageError } from '../errors.ts'
import type { Result, StatementOptions } from '../pool/connection.ts'
import type { Scope } from '../task/scope.ts'
import type { Channel } from './channel.ts'
import type { Drizzle, Streamable } from './drizzle.ts'

export interface StreamOptions {
  /** Rows fetched at a time. 1 to 100,000; default 1,000. */
  readonly batchSize?: number | undefined
}

/** Yields the rows of `query` on a channel that is in a transaction. */
export async function* streamRows<TRow>(
  channel: Channel,
  scope: Scope | undefined,
  drizzle: Drizzle,
  query: Streamable<TRow>,
  { batchSize = 1000 }: StreamOptions = {},
): AsyncGenerator<TRow, void, undefined> {
  if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > 100_000) {
    throw new UsageError('batchSize must be a whole number from 1 to 100,000')
  }
  const { text, parameters, arrays, map } = drizzle.cursor(query)
  const name = `rivulet_${++channel.counter}`
  const own = (statement: string, values: readonly unknown[], options: StatementOptions): Promise<Result> =>
    channel.own(statement, values, options, scope)
  // The first batch travels with DECLARE.
  const declared = own(`declare ${name} no scroll cursor for ${text}`, parameters, {})
  declared.catch(() => undefined)
  const fetch = () => own(`fetch ${batchSize} from ${name}`, [], { arrays })
  let batch = fetch()
  batch.catch(() => undefined)
  await declared
  try {
    for (;;) {
      const rows = await batch
      const complete = rows.length < batchSize
      for (const row of map(rows)) yield row
      if (complete) return
      batch = fetch()
    }
  } finally {
    // In a failed transaction there is no cursor left to close.
    if (!channel.doomed && !channel.connection.lost) await channel.script(`close ${name}`).catch(() => undefined)
  }
}
