/** Gather as structured concurrency: a session and a backend a task, overlap in time, one failure, no child left over. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Cancelled, ConnectionLost, DeadlineExceeded, UsageError } from '../../src/errors.ts'
import type { TaskTiming } from '../../src/observe/observation.ts'
import { optional } from '../../src/gather/task-spec.ts'
import { accounts, type Bank, type BankSession, gate, meetingOf, openBank, Recorder } from '../support/bank.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

const pause =
  (seconds: number) =>
  async ({ sql, backendPid }: BankSession) => {
    await sql`select pg_sleep(${seconds})`
    return backendPid
  }
const asleep = async () => (await bank.admin.backends()).filter(({ waiting }) => waiting === 'PgSleep')

describe('concurrency', () => {
  test('k tasks run on k backends, and all of them at once', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 6 }, observe: recorder.observe })
    const meet = meetingOf(6)
    const task = (session: BankSession) => meet().then(() => pause(0.3)(session))
    const pids = await engine.gather(Array.from({ length: 6 }, () => task))
    expect(new Set(pids).size).toBe(6)
    const [finished] = recorder.of('gather.finished')
    expect(finished?.overlap).toBeGreaterThan(3)
    expect(new Set(finished?.tasks.map((task) => task.backendPid)).size).toBe(6)
    await expectQuiet(engine, bank.admin)
  })

  test('6 tasks on a pool of 2 never take more than 2 backends of the server', async () => {
    await using engine = await bank.engine({ pool: { max: 2 } })
    let done = false
    let most = 0
    const watching = (async () => {
      while (!done) most = Math.max(most, (await bank.admin.backends()).length)
    })()
    const meet = meetingOf(2)
    const task = (session: BankSession) => meet().then(() => pause(0.05)(session))
    const pids = await engine.gather(Array.from({ length: 6 }, () => task))
    done = true
    await watching
    expect(new Set(pids).size).toBe(2)
    expect(most).toBe(2)
  })

  test('concurrency caps the connections of one gather, and one connection is enough to finish', async () => {
    await using engine = await bank.engine({ pool: { max: 6 } })
    const two = await engine.gather(
      Array.from({ length: 6 }, () => pause(0.01)),
      { concurrency: 2 },
    )
    expect(new Set(two).size).toBeLessThanOrEqual(2)
    const { a, b } = await engine.gather({ a: pause(0), b: pause(0) }, { concurrency: 1 })
    expect(a).toBe(b)
  })

  test('many gathers at once on a pool of 1 all finish', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const gathers = Array.from({ length: 20 }, () => engine.gather({ a: pause(0), b: pause(0), c: pause(0) }))
    await Promise.all(gathers)
    await expectQuiet(engine, bank.admin)
  })

  test('more tasks than the queue has places, and longer than acquireTimeoutMs in all, still finish', async () => {
    await using engine = await bank.engine({ pool: { max: 2, maxQueue: 3, acquireTimeoutMs: 300 } })
    await expect(engine.gather(Array.from({ length: 12 }, () => pause(0.1)))).resolves.toHaveLength(12)
    expect(engine.stats()).toMatchObject({ overloads: 0, timeouts: 0 })
  })

  test('keeps the keys and the order of its tasks, and an empty one is empty', async () => {
    await using engine = await bank.engine()
    const page = await engine.gather({
      slow: pause(0.02),
      rows: ({ db }) => db.select().from(accounts),
      plain: ({ sql }) => sql<{ n: number }>`select 1 as n`,
    })
    expect(Object.keys(page)).toEqual(['slow', 'rows', 'plain'])
    expect(page.plain[0]?.n).toBe(1)
    expect(await engine.gather({})).toEqual({})
    expect(await engine.gather([])).toEqual([])
    expect(await engine.gather({}, { snapshot: true })).toEqual({})
  })

  test('reports wait, run time and backend of every task to onTimings', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    let timings: readonly TaskTiming[] = []
    await engine.gather({ a: pause(0.05), b: pause(0.05) }, { onTimings: (given) => (timings = given) })
    expect(timings.map(({ key, outcome }) => [key, outcome])).toEqual([
      ['a', 'done'],
      ['b', 'done'],
    ])
    expect(timings[1]?.waitMs).toBeGreaterThan((timings[0]?.runMs ?? 0) * 0.9)
  })
})

describe('failure', () => {
  test('the first one stops its siblings on the server and is thrown with its key', async () => {
    await using engine = await bank.engine()
    const failing = engine.gather({
      slow: pause(20),
      wrong: async ({ sql }) => {
        await eventually(async () => expect(await asleep()).toHaveLength(1))
        await sql`select 1/0`
      },
    })
    await expect(failing).rejects.toMatchObject({ code: 'database_error', task: 'wrong' })
    await eventually(async () => expect(await asleep()).toEqual([]))
    await expectQuiet(engine, bank.admin)
  })

  test('waits until every sibling function has returned, and keeps what they threw meanwhile', async () => {
    await using engine = await bank.engine()
    const late = new Error('thrown while being cancelled')
    let ended = false
    const { opened, open } = gate()
    const failing = engine.gather({
      wrong: () => opened.then(() => Promise.reject(new Error('first'))),
      stubborn: async ({ signal }) => {
        open()
        await eventually(() => expect(signal.aborted).toBe(true))
        await sleep(30)
        ended = true
        throw late
      },
    })
    await expect(failing).rejects.toMatchObject({ message: 'first', related: [late] })
    expect(ended).toBe(true)
  })

  test('a sibling sees Cancelled, with the failure as its cause', async () => {
    await using engine = await bank.engine()
    const first = new Error('first')
    let seen: unknown
    const { opened, open } = gate()
    const failing = engine.gather({
      wrong: () => opened.then(() => Promise.reject(first)),
      sibling: ({ sql }) => {
        open()
        return sql`select pg_sleep(20)`.catch((error: unknown) => (seen = error))
      },
    })
    await expect(failing).rejects.toBe(first)
    expect(seen).toBeInstanceOf(Cancelled)
    expect(seen).toMatchObject({ cause: first })
  })

  test('tasks not yet begun never begin', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    let began = false
    const failing = engine.gather([() => Promise.reject(new Error('first')), () => void (began = true)])
    await expect(failing).rejects.toThrow('first')
    expect(began).toBe(false)
  })

  test('gatherSettled lets all finish and answers how each ended', async () => {
    await using engine = await bank.engine()
    const settled = await engine.gatherSettled({
      good: pause(0.02),
      bad: ({ sql }) => sql`select 1/0`,
    })
    expect(settled.good.status).toBe('fulfilled')
    expect(settled.bad).toMatchObject({ status: 'rejected', reason: { code: 'database_error' } })
  })

  test('optional yields its fallback when its task fails or is late, and the others go on', async () => {
    await using engine = await bank.engine()
    const page = await engine.gather({
      failed: optional(({ sql }: BankSession) => sql`select 1/0`, 'fallback'),
      late: optional(pause(20), 'fallback', { timeoutMs: 50 }),
      needed: pause(0.1),
    })
    expect(page).toMatchObject({ failed: 'fallback', late: 'fallback', needed: expect.any(Number) })
    await eventually(async () => expect(await asleep()).toEqual([]))
    await expectQuiet(engine, bank.admin)
  })

  test('optional waits for a connection within its own time only', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const page = await engine.gather({ slow: pause(0.3), late: optional(pause(0), 'fallback', { timeoutMs: 50 }) })
    expect(page.slow).toEqual(expect.any(Number))
    const late = engine.session(pause(0.3))
    expect(await engine.gather([optional(pause(0), 'late', { timeoutMs: 50 })])).toEqual(['late'])
    await late
  })

  test('a deadline ends the gather, also over fallbacks that would come later', async () => {
    await using engine = await bank.engine()
    await expect(engine.gather({ a: pause(20), b: pause(0) }, { timeoutMs: 100 })).rejects.toThrow(DeadlineExceeded)
    await expectQuiet(engine, bank.admin)
  })

  test('a lost backend fails its own task only', async () => {
    await using engine = await bank.engine()
    const settled = await engine.gatherSettled({
      killed: ({ sql }) => sql`select pg_terminate_backend(pg_backend_pid())`,
      other: pause(0.1),
    })
    expect(settled.other.status).toBe('fulfilled')
    expect(settled.killed).toMatchObject({ status: 'rejected', reason: expect.any(ConnectionLost) })
  })
})

describe('the key of the failed task', () => {
  test('does not grow when gathers throw the same error one after another, nor do the failures beside it', async () => {
    await using engine = await bank.engine()
    const shared = new Error('shared')
    for (let round = 0; round < 3; round++) {
      const failing = engine.gather({ a: () => Promise.reject(shared), b: () => Promise.reject(shared) })
      await expect(failing).rejects.toMatchObject({ message: 'shared', task: 'a', related: [] })
    }
  })

  test('names the gathers that ran in its course, not those beside it that threw the same error', async () => {
    await using engine = await bank.engine()
    const shared = new Error('shared')
    const fails = () => Promise.reject(shared)
    const outer = (inner: () => Promise<unknown>) => {
      const { opened, open } = gate()
      return engine.gather({
        caught: () => engine.gather({ beside: fails }).catch(open),
        fails: () => opened.then(inner),
      })
    }
    await expect(outer(fails)).rejects.toMatchObject({ message: 'shared', task: 'fails' })
    await expect(outer(() => engine.gather({ inner: fails }))).rejects.toMatchObject({ task: 'fails.inner' })
    // Also from within a session and a transaction of its own.
    const deep = () => engine.transaction(() => engine.gather({ inner: () => engine.gather({ most: fails }) }))
    await expect(outer(deep)).rejects.toMatchObject({ task: 'fails.inner.most' })
    await expectQuiet(engine, bank.admin)
  })

  test('is its own for each gather that one cancellation ends', async () => {
    await using engine = await bank.engine()
    const controller = new AbortController()
    let both: PromiseSettledResult<unknown>[] = []
    const session = engine.session(
      async () => {
        both = await Promise.allSettled([engine.gather({ x: pause(20) }), engine.gather({ y: pause(20) })])
      },
      { signal: controller.signal },
    )
    await eventually(async () => expect(await asleep()).toHaveLength(2))
    controller.abort(new Error('enough'))
    await expect(session).rejects.toMatchObject({ code: 'cancelled' })
    await eventually(() => {
      expect(both).toMatchObject([
        { reason: { code: 'cancelled', task: 'x', cause: { message: 'enough' } } },
        { reason: { code: 'cancelled', task: 'y', cause: { message: 'enough' } } },
      ])
    })
    await expectQuiet(engine, bank.admin)
  })
})

describe('misuse', () => {
  test.each([
    ['a promise', Promise.resolve(1), /has already started/],
    ['a value', 5, /must be a function/],
    ['null', null, /must be a function/],
  ])('%s in place of a task is refused, naming its key', async (_name, task, message) => {
    await using engine = await bank.engine()
    const wrong = engine.gather({ page: task } as never)
    await expect(wrong).rejects.toThrow(message)
    await expect(wrong).rejects.toThrow(/"page"/)
    await expectQuiet(engine, bank.admin)
  })

  test.each([0, -1, 1.5, Number.NaN])('concurrency %s is refused', async (concurrency) => {
    await using engine = await bank.engine()
    await expect(engine.gather({ a: pause(0) }, { concurrency })).rejects.toThrow(UsageError)
  })
})
