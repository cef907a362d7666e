/** Deadlines: one absolute instant from the call down to the statement, and an error that says where the time went. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeadlineExceeded, UsageError } from '../../src/errors.ts'
import { type Bank, type BankSession, gate, openBank } from '../support/bank.ts'
import { eventually, expectQuiet, stopwatch } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

const sleeping = ({ sql }: BankSession) => sql`select pg_sleep(20)`
const asleep = async () => (await bank.admin.backends()).filter(({ waiting }) => waiting === 'PgSleep')

/** What a call ends with. It must end long before what it cuts short would have: no statement here sleeps for less than 20 s. */
async function outcome(call: Promise<unknown>): Promise<unknown> {
  const watch = stopwatch()
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(watch()).toBeLessThan(10_000)
  return error
}

describe('a deadline', () => {
  test('that passes in the queue says so, and leaves the queue', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const { opened, open } = gate()
    const holder = engine.session(() => opened)
    const error = await outcome(engine.session(sleeping, { timeoutMs: 100, label: 'page' }))
    expect(error).toBeInstanceOf(DeadlineExceeded)
    expect(error).toMatchObject({ phase: 'queue', spentMs: { queue: expect.any(Number) } })
    expect(String(error)).toContain('page')
    expect(engine.stats().waiting).toBe(0)
    open()
    await holder
  })

  test('that passes while connecting says so', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { max: 1, idleTimeoutMs: 20 } })
    await eventually(() => expect(engine.stats().open).toBe(0))
    proxy.opening = 'silence'
    expect(await outcome(engine.session(sleeping, { timeoutMs: 100 }))).toMatchObject({ phase: 'connect' })
    proxy.opening = 'pass'
    for (const link of proxy.openLinks) link.reset()
  })

  test('that passes in a statement stops it on the server', async () => {
    await using engine = await bank.engine()
    const error = await outcome(engine.session(sleeping, { timeoutMs: 500 }))
    expect(error).toMatchObject({ code: 'deadline_exceeded', phase: 'statement' })
    expect((error as DeadlineExceeded).spentMs.statement).toBeGreaterThan(50)
    await eventually(async () => expect(await asleep()).toEqual([]))
    await expectQuiet(engine, bank.admin)
  })

  test('that passes between statements ends the call although its task goes on', async () => {
    await using engine = await bank.engine()
    const { opened, open } = gate()
    let refused: unknown
    const task = async ({ sql, signal }: BankSession) => {
      await sql`select 1`
      await opened
      refused = await sql`select 1`.catch((error: unknown) => error)
      return signal.aborted
    }
    expect(await outcome(engine.session(task, { timeoutMs: 1000 }))).toMatchObject({ phase: 'task' })
    await expectQuiet(engine, bank.admin)
    open()
    await eventually(() =>
      expect(refused).toMatchObject({ code: expect.stringMatching(/deadline_exceeded|session_ended/) }),
    )
  })

  test('that passes in COMMIT is told from one before it, and COMMIT is not left running', async () => {
    await using engine = await bank.engine()
    await bank.admin.sql`create table slow_commits (id int)`
    await bank.admin.sql.unsafe(`create function slowly() returns trigger language plpgsql as
      'begin perform pg_sleep(20); return null; end'`)
    await bank.admin.sql`create constraint trigger slowly after insert on slow_commits initially deferred
      for each row execute function slowly()`
    // The connection is there, and the time is enough for the INSERT on a busy machine: COMMIT alone outlasts it.
    await engine.session(({ sql }) => sql`select 1`)
    const call = engine.transaction(({ sql }) => sql`insert into slow_commits values (1)`, { timeoutMs: 2000 })
    const error = await outcome(call)
    expect(error).toMatchObject({ code: 'deadline_exceeded', phase: 'commit' })
    expect(await bank.admin.sql`select * from slow_commits`).toHaveLength(0)
    await expectQuiet(engine, bank.admin)
  })

  test('is inherited: the tighter one of caller and nested call holds', async () => {
    await using engine = await bank.engine()
    const outer = engine.session(() => engine.session(sleeping, { timeoutMs: 60_000 }), { timeoutMs: 100 })
    expect(await outcome(outer)).toBeInstanceOf(DeadlineExceeded)
    const inner = engine.session(() => engine.session(sleeping, { timeoutMs: 100 }), { timeoutMs: 60_000 })
    expect(await outcome(inner)).toBeInstanceOf(DeadlineExceeded)
    const nested = engine.session(({ transaction }) => transaction(sleeping, { timeoutMs: 100 }), { timeoutMs: 60_000 })
    expect(await outcome(nested)).toBeInstanceOf(DeadlineExceeded)
    const gathered = engine.session(() => engine.gather({ a: sleeping }), { timeoutMs: 100 })
    expect(await outcome(gathered)).toBeInstanceOf(DeadlineExceeded)
    await expectQuiet(engine, bank.admin)
  })

  test('reaches the server as statement_timeout, which a later session without one does not inherit', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const timeout = async ({ sql }: BankSession) => {
      const [row] = await sql<{
        ms: number
      }>`select extract(epoch from current_setting('statement_timeout')::interval)::int as ms`
      return row?.ms
    }
    const [seconds, none] = [await engine.session(timeout, { timeoutMs: 50_000 }), await engine.session(timeout)]
    // Rounded up to the next of few steps, so that it seldom has to be sent.
    expect(seconds).toBeGreaterThanOrEqual(49)
    expect(seconds).toBeLessThan(50 * 1.1)
    expect(none).toBe(0)
  })

  test('of a nested transaction is forgotten with its savepoint', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    await engine.transaction(async ({ transaction, sql }) => {
      await transaction(({ sql }) => sql`select 1`, { timeoutMs: 150 })
      await transaction(async ({ sql }) => {
        await sql`select 1`
        throw new Error('undone')
      }).catch(() => undefined)
      await sql`select pg_sleep(0.4)`
    })
  })

  test('of 0 ms is over before anything is sent; one of Infinity never is', async () => {
    await using engine = await bank.engine()
    await expect(engine.session(sleeping, { timeoutMs: 0 })).rejects.toThrow(DeadlineExceeded)
    await expect(engine.session(() => 1, { timeoutMs: Infinity })).resolves.toBe(1)
    await expectQuiet(engine, bank.admin)
  })

  test.each([-1, Number.NaN, '100' as never])('of %s is refused', async (timeoutMs) => {
    await using engine = await bank.engine()
    await expect(engine.session(() => 1, { timeoutMs })).rejects.toThrow(UsageError)
  })

  test('is kept although the event loop was blocked beyond it', async () => {
    await using engine = await bank.engine()
    const blocked = engine.session(
      async ({ sql }) => {
        const running = sql`select pg_sleep(20)`
        running.catch(() => undefined)
        await eventually(async () => expect(await asleep()).toHaveLength(1))
        const until = performance.now() + 500
        while (performance.now() < until);
        await running
      },
      { timeoutMs: 400 },
    )
    await expect(blocked).rejects.toThrow(DeadlineExceeded)
    await expectQuiet(engine, bank.admin)
  })
})

test('a task may catch the deadline of a transaction inside it and answer something else', async () => {
  await using engine = await bank.engine()
  const answer = engine.session(({ transaction }) =>
    transaction(sleeping, { timeoutMs: 50 }).catch((error: unknown) => (error as DeadlineExceeded).code),
  )
  expect(await answer).toBe('deadline_exceeded')
  await expectQuiet(engine, bank.admin)
})

test('a task that caught the deadline of a transaction inside it is still bound by its own', async () => {
  await using engine = await bank.engine()
  const call = engine.session(
    async ({ transaction }) => {
      await transaction(sleeping, { timeoutMs: 50 }).catch(() => undefined)
      await new Promise(() => undefined)
    },
    { timeoutMs: 200 },
  )
  expect(await outcome(call)).toBeInstanceOf(DeadlineExceeded)
  await expectQuiet(engine, bank.admin)
})
