/** What `pooler: 'transaction'` keeps off a server session that is lent out anew for every transaction. */
import { expect, test } from 'vitest'
import { openEngine } from '../../src/index.ts'
import * as schema from '../../schema/index.ts'
import { openBank } from '../support/bank.ts'
import { openTestDatabase } from '../support/database.ts'
import type { Tap } from '../support/fault-proxy.ts'

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

/** Gives the backend another pid in the server's greeting, as poolers do. */
const inventsPids: Tap = (chunk, from) => {
  const at = from === 'server' ? chunk.indexOf(Buffer.from([0x4b, 0, 0, 0, 12])) : -1
  if (at >= 0) chunk.writeInt32BE(1, at + 5)
  return chunk
}

test('a pooler that invents pids is taken for one in transaction mode, unless it is said to be none', async () => {
  await using bank = await openBank()
  const proxy = await bank.proxy()
  proxy.onLink = (link) => void (link.tap = inventsPids)
  const left = async (pooler?: 'none') => {
    await using engine = await bank.engine({ proxy, pool: { max: 1 }, ...(pooler && { pooler }) })
    await engine.session(({ sql }) => sql`select ${1}::int`, { timeoutMs: 60_000 })
    const [row] = await engine.session(
      ({ sql }) => sql<{ prepared: number }>`select count(*)::int as prepared from pg_prepared_statements`,
    )
    return row?.prepared
  }
  expect(await left()).toBe(0)
  expect(await left('none')).toBe(1)
})
