/** What `pooler: 'transaction'` keeps off a server session that is lent out anew for every transaction. */
import { expect, test } from 'vitest'
import { openEngine } from '../../src/index.ts'
import * as schema from '../../schema/index.ts'
import { openTestDatabase } from '../support/database.ts'

test('behind a transaction pooler nothing is left in the server session', async () => {
  await using database = await openTestDatabase()
  await using engine = await openEngine({ schema, url: database.url, pooler: 'transaction', pool: { max: 1 } })
  for (let n = 0; n < 3; n++) {
    await engine.session(({ sql }) => sql`select ${n}::int`, { timeoutMs: 5000 })
    await engine.transaction(({ sql }) => sql`select ${n}::int`, { timeoutMs: 5000 })
  }
  const [left] = await engine.session(
    ({ sql }) => sql<{ prepared: number; timeout: string }>`
      select (select count(*)::int from pg_prepared_statements) as prepared, current_setting('statement_timeout') as timeout`,
  )
  expect(left).toEqual({ prepared: 0, timeout: '0' })
})
