/** Streams: rows through a cursor on the server, in flat memory, closed when the loop is left, bound by the deadline. */
import { asc, gt, sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeadlineExceeded, UsageError } from '../../src/errors.ts'
import { accounts, type Bank, openBank, Recorder } from '../support/bank.ts'
import { expectQuiet } from '../support/invariants.ts'
import { long } from '../support/random.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

const numbers = (count: number) => fragment<{ n: number }>`select n::int from generate_series(1, ${count}::int) n`

describe('stream', () => {
  test('gives typed rows of a Drizzle select and plain rows of a fragment, in order', async () => {
    await using engine = await bank.engine()
    await engine.session(async (session) => {
      const { db } = session
      const ids: number[] = []
      const query = db.select({ id: accounts.id }).from(accounts).where(gt(accounts.id, 3)).orderBy(asc(accounts.id))
      for await (const row of session.stream(query, { batchSize: 2 })) ids.push(row.id)
      expect(ids).toEqual([4, 5, 6, 7, 8, 9, 10])
      const plain: number[] = []
      for await (const row of session.stream(numbers(5), { batchSize: 2 })) plain.push(row.n)
      expect(plain).toEqual([1, 2, 3, 4, 5])
    })
    await expectQuiet(engine, bank.admin)
  })

  test.each([0, 1, 2, 3, 4])('of %i rows in batches of 2 gives each once', async (count) => {
    await using engine = await bank.engine()
    const rows = await engine.session(async (session) => {
      const all: unknown[] = []
      for await (const row of session.stream(numbers(count), { batchSize: 2 })) all.push(row)
      return all
    })
    expect(rows).toHaveLength(count)
  })

  test('reads a great many rows in flat memory', async () => {
    await using engine = await bank.engine()
    const total = long ? 1_000_000 : 200_000
    const heap: number[] = []
    let count = 0
    await engine.session(async (session) => {
      for await (const row of session.stream(numbers(total))) {
        count += 1
        expect(row.n === count).toBe(true)
        if (count % (total / 10) === 0) heap.push(process.memoryUsage().heapUsed / 2 ** 20)
      }
    })
    expect(count).toBe(total)
    expect(Math.min(...heap.slice(5)) - Math.min(...heap.slice(0, 5))).toBeLessThan(30)
  })

  test('left early closes its cursor, and the session goes on', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    await engine.session(async (session) => {
      for await (const row of session.stream(numbers(100_000))) if (row.n === 10) break
      const [row] = await session.sql<{
        open: number
      }>`select count(*)::int as open from pg_cursors where name like 'rivulet%'`
      expect(row?.open).toBe(0)
    })
    expect(engine.stats().retired).toBe(0)
    await expectQuiet(engine, bank.admin)
  })

  test('in a transaction lets other statements run between rows, and ends with the transaction', async () => {
    await using engine = await bank.engine()
    await engine.transaction(async (session) => {
      for await (const row of session.stream(numbers(5), { batchSize: 2 })) {
        await session.sql`insert into entries (nonce, half) values ('streamed', ${row.n})`
      }
    })
    expect(await bank.admin.sql`select * from entries where nonce = 'streamed'`).toHaveLength(5)
  })

  test('two at once in one transaction do not meet', async () => {
    await using engine = await bank.engine()
    const seen = await engine.transaction(async (session) => {
      const [a, b] = [session.stream(numbers(3), { batchSize: 1 }), session.stream(numbers(3), { batchSize: 1 })]
      const rows = []
      for (let turn = 0; turn < 3; turn++) rows.push((await a.next()).value?.n, (await b.next()).value?.n)
      await Promise.all([a.return(), b.return()])
      return rows
    })
    expect(seen).toEqual([1, 1, 2, 2, 3, 3])
  })

  test('outside a transaction keeps other statements of the session out while it is open', async () => {
    await using engine = await bank.engine()
    await engine.session(async (session) => {
      const rows = session.stream(numbers(10), { batchSize: 1 })
      await rows.next()
      await expect(session.sql`select 1`).rejects.toThrow(UsageError)
      await rows.return()
      await session.sql`select 1`
    })
    await expectQuiet(engine, bank.admin)
  })

  test('stops at the deadline of its session', async () => {
    await using engine = await bank.engine()
    const call = engine.session(
      async (session) => {
        const slow = fragment<{ n: number }>`select n from generate_series(1, 1000) n, pg_sleep(0.02)`
        const slowly = fragment<{ n: number }>`select n, pg_sleep(0.02) from generate_series(1, 1000) n`
        for await (const _ of session.stream(slow, { batchSize: 1 }));
        for await (const _ of session.stream(slowly, { batchSize: 1 }));
      },
      { timeoutMs: 200 },
    )
    await expect(call).rejects.toThrow(DeadlineExceeded)
    await expectQuiet(engine, bank.admin)
  })

  test('of a query that fails throws its error, at the start or in the middle', async () => {
    await using engine = await bank.engine()
    await engine.session(async (session) => {
      await expect(session.stream(fragment`select * from nothing`).next()).rejects.toMatchObject({ sqlState: '42P01' })
      const rows = session.stream(fragment`select 1 / (3 - n) as q from generate_series(1, 5) n`, { batchSize: 1 })
      await rows.next()
      await rows.next()
      await expect(rows.next()).rejects.toMatchObject({ sqlState: '22012' })
      await session.sql`select 1`
    })
    await expectQuiet(engine, bank.admin)
  })

  test('is one work, not statements that ran one after another', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    await engine.session(async (session) => {
      for await (const _ of session.stream(numbers(10), { batchSize: 2 }));
    })
    expect(recorder.of('session.pipelined')).toEqual([])
  })

  test.each([0, 1.5, 100_001])('with batches of %s is InvalidInput, as a limit is', async (batchSize) => {
    await using engine = await bank.engine()
    const call = engine.session((session) => session.stream(numbers(1), { batchSize }).next())
    await expect(call).rejects.toMatchObject({ code: 'invalid_input', path: ['batchSize'] })
    await expectQuiet(engine, bank.admin)
  })
})
