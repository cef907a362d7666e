/** What a task that has failed, ended or been cancelled may not leave behind: running statements, streams, deadlines. */
import { setTimeout as sleep } from 'node:timers/promises'
import { sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeadlineExceeded, type Engine, openEngine, PoolClosed, SessionEnded } from '../../src/index.ts'
import * as schema from '../../schema/index.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let engine: Engine<typeof schema>
let watcher: Engine<typeof schema>
beforeAll(async () => {
  database = await openTestDatabase()
  engine = await openEngine({ schema, url: database.url, pool: { max: 2 }, applicationName: 'watched' })
  watcher = await openEngine({ schema, url: database.url, pool: { max: 1 } })
})
afterAll(async () => {
  await engine.close()
  await watcher.close()
  await database[Symbol.asyncDispose]()
})

/** Backends of the watched engine, and how many of them run a task's statement: connecting runs one of its own. */
async function backends() {
  const [row] = await watcher.session(
    ({ sql }) => sql<{ all: number; active: number }>`
      select count(*)::int as all, (count(*) filter (where state = 'active' and query like '%pg_sleep%'))::int as active
      from pg_stat_activity where application_name = 'watched' and datname = current_database()`,
  )
  return row
}

describe('a failed task leaves no statement running', () => {
  test('when it is a session, and its backend never stands beside max others', async () => {
    for (let round = 0; round < 6; round++) {
      const session = engine.session(({ sql }) => Promise.all([sql`select 1/0`, sql`select pg_sleep(60)`]))
      await expect(session).rejects.toThrow('division by zero')
      expect((await backends())?.all).toBeLessThanOrEqual(2)
    }
    await expect.poll(backends).toMatchObject({ active: 0 })
  })

  test('when it is a task of a gather: nothing is written after the gather has failed', async () => {
    const gathered = engine.gather({
      failing: ({ sql }) =>
        Promise.all([sql`select 1/0`, sql`insert into customers (name) select 'late' from pg_sleep(1)`]),
      done: () => 1,
    })
    await expect(gathered).rejects.toThrow('division by zero')
    expect(await backends()).toMatchObject({ active: 0 })
  })

  test('when it is a transaction: its failure does not wait for what other branches run', async () => {
    const transaction = engine.transaction(async ({ sql }) => {
      void sql`select pg_sleep(60)`
      await expect.poll(backends).toMatchObject({ active: 1 })
      throw new RangeError('failed early')
    })
    await expect(transaction).rejects.toThrow('failed early')
    await expect.poll(backends).toMatchObject({ active: 0 })
  })
})

describe('the deadline of a transaction in a session', () => {
  test('is one for all its attempts', async () => {
    let attempts = 0
    const transaction = engine.session((session) =>
      session.transaction(
        async ({ sql }) => {
          attempts += 1
          await sql`select pg_sleep(0.2)`
          await sql`do $$ begin raise exception 'again' using errcode = '40001'; end $$`
        },
        { timeoutMs: 500, attempts: 100 },
      ),
    )
    await expect(transaction).rejects.toThrow(DeadlineExceeded)
    expect(attempts).toBeLessThanOrEqual(3)
  })

  test('is what ends it when it passes while a failed attempt is rolled back', async () => {
    let attempts = 0
    const transaction = engine.session((session) =>
      session.transaction(
        async ({ sql }) => {
          attempts += 1
          const until = performance.now() + 300
          await sql`do $$ begin raise exception 'again' using errcode = '40001'; end $$`.catch((error: unknown) => {
            // The timer of the deadline gets its turn only behind what follows.
            while (performance.now() < until);
            throw error
          })
        },
        { timeoutMs: 200, attempts: 100 },
      ),
    )
    await expect(transaction).rejects.toThrow(DeadlineExceeded)
    expect(attempts).toBe(1)
  })

  test('is inherited by the sessions opened in it', async () => {
    const inner: unknown[] = []
    const outer = engine.session((session) =>
      session.transaction(
        async () => {
          const nested = engine.session(({ sql }) => sql`select pg_sleep(60)`)
          await nested.catch((error: unknown) => inner.push(error))
          throw inner[0]
        },
        { timeoutMs: 100 },
      ),
    )
    await expect(outer).rejects.toThrow(DeadlineExceeded)
    await expect.poll(() => inner[0]).toBeInstanceOf(DeadlineExceeded)
  })

  test('says where the time went', async () => {
    const session = engine.session(
      async ({ sql }) => {
        await sql`select pg_sleep(0.1)`
        await sleep(10_000, undefined, { ref: false })
      },
      { timeoutMs: 1000 },
    )
    const error = (await session.catch((reason: unknown) => reason)) as DeadlineExceeded
    expect(error.phase).toBe('task')
    const { statement = 0, task = 0 } = error.spentMs
    expect(statement).toBeGreaterThan(90)
    expect(task).toBeGreaterThan(50)
    // All of the time is told, that for a connection too.
    const told = Object.values(error.spentMs).reduce((sum, ms) => sum + ms, 0)
    expect(told).toBeGreaterThan(900)
  })
})

test('a stream read on in a later transaction of its session is refused and harms nothing', async () => {
  await engine.session(async (session) => {
    let stale: AsyncGenerator<unknown> | undefined
    await session.transaction(async (first) => {
      stale = first.stream(fragment`select generate_series(1, 100) as n`, { batchSize: 1 })
      await stale.next()
    })
    const rows = await session.transaction(async ({ sql }) => {
      await expect(stale?.next()).rejects.toThrow(SessionEnded)
      return sql`select 1 as one`
    })
    expect(rows).toEqual([{ one: 1 }])
  })
})

test('work that outlived its session is not bound by its deadline', async () => {
  let later: Promise<unknown> | undefined
  const over = new AbortController()
  const startedAt = performance.now()
  await engine.session(
    () => {
      later = new Promise((resolve) => over.signal.addEventListener('abort', resolve)).then(() =>
        engine.session(({ sql }) => sql`select 1 as one`),
      )
    },
    { timeoutMs: 50 },
  )
  await expect.poll(() => performance.now() - startedAt).toBeGreaterThan(50)
  over.abort()
  expect(await later).toEqual([{ one: 1 }])
})

test('calls that were cancelled before they began cost no connection', async () => {
  await engine.session(({ sql }) => sql`select 1`)
  const before = engine.stats()
  for (let round = 0; round < 10; round++) {
    const cancelled = engine.session(({ sql }) => sql`select 1`, { signal: AbortSignal.abort() })
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' })
  }
  expect(engine.stats()).toMatchObject({ opened: before.opened, retired: before.retired })
})

test('the failure of a gather in a gather names the whole way to its task, and loses nothing', async () => {
  const gathered = engine.gather({
    outer: () =>
      engine.gather({
        inner: async ({ sql }) => {
          await sql`select 1`
          throw new RangeError('first')
        },
      }),
  })
  await expect(gathered).rejects.toMatchObject({ message: 'first', task: 'outer.inner' })
})

test('closing tells the signal of a session without a deadline', async () => {
  const own = await openEngine({ schema, url: database.url, pool: { max: 1 } })
  let seen: unknown
  const session = own.session(async ({ signal }) => {
    signal.addEventListener('abort', () => (seen = signal.reason))
    await sleep(10_000, undefined, { ref: false })
  })
  const [ended] = await Promise.allSettled([session, own.close({ timeoutMs: 0 })])
  expect(ended).toMatchObject({ status: 'rejected', reason: { code: 'pool_closed' } })
  expect(seen).toBeInstanceOf(PoolClosed)
})

test('a session of many different statements prepares no more of them than a connection may keep', async () => {
  await using bounded = await openEngine({ schema, url: database.url, pool: { max: 1, maxPreparedStatements: 5 } })
  const prepared = await bounded.session(async ({ db, sql }) => {
    for (let n = 0; n < 20; n++) {
      const rows = await db.execute(fragment`select ${n}::int as n, ${fragment.raw(String(n))} as text`)
      expect(rows).toEqual([{ n, text: n }])
    }
    return sql<{ count: number }>`select count(*)::int as count from pg_prepared_statements`
  })
  expect(prepared[0]?.count).toBe(5)
})
