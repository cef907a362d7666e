/** Drizzle's own cache is refused wherever it is asked for: it would cross identities and transactions. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine.ts'
import { ConfigInvalid, UsageError } from '../../src/errors.ts'
import { defineQuery } from '../../src/repository/define-query.ts'
import { accounts, type Bank, type BankEngine, bankSchema, type BankSession, openBank } from '../support/bank.ts'

let bank: Bank
let engine: BankEngine

beforeAll(async () => {
  bank = await openBank()
  engine = await bank.engine({ pool: { max: 1 } })
})

afterAll(() => bank[Symbol.asyncDispose]())

const cached = defineQuery<typeof bankSchema, { id: number }[]>((db) => db.select().from(accounts).$withCache())

const uses: readonly [string, (session: BankSession) => Promise<unknown>][] = [
  ['a query', async ({ db }) => db.select().from(accounts).$withCache()],
  ['a query that is caught by itself', ({ db }) => db.select().from(accounts).$withCache({ tag: 'a' }).execute()],
  ['a prepared query', ({ db }) => db.select().from(accounts).$withCache().prepare('all').execute()],
  ['a query in a transaction', ({ db }) => db.transaction(async (tx) => tx.select().from(accounts).$withCache())],
  ['a defined query', (session) => cached(session)],
  [
    'a stream',
    async ({ db, stream }) => {
      for await (const row of stream(db.select().from(accounts).$withCache())) return row
      return undefined
    },
  ],
]

describe('a cache asked for', () => {
  test.each(uses)('by %s is a UsageError', async (_use, use) => {
    const failed: unknown = await engine.session(use).catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(UsageError)
    expect((failed as Error).message).toMatch(/no cache/)
  })

  test('by openEngine is ConfigInvalid', async () => {
    const config = { schema: bankSchema, url: bank.url, cache: {} }
    await expect(openEngine(config as never)).rejects.toBeInstanceOf(ConfigInvalid)
  })
})

test('dropping what is cached does nothing, as nothing is', async () => {
  await engine.session(async ({ db }) => {
    await db.$cache.invalidate({ tables: accounts })
    await db.transaction((tx) => tx.$cache.invalidate({ tags: 'a' }))
  })
})

test('a query that says that it is not cached runs', async () => {
  expect(await engine.session(async ({ db }) => db.select().from(accounts).$withCache(false))).toHaveLength(10)
})
