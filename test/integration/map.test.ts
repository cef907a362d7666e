/** Map: bounded concurrency, backpressure on both sides, leaving early, and flat memory however many items there are. */
import { EventEmitter, on } from 'node:events'
import { keptBytes } from '../support/memory.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeadlineExceeded, PoolClosed, PoolTimeout, UsageError } from '../../src/errors.ts'
import { type Bank, type BankSession, gate, openBank, Recorder } from '../support/bank.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'
import { long } from '../support/random.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

const double = async ({ sql }: BankSession, n: number) => (await sql<{ n: number }>`select ${n}::int * 2 as n`)[0]?.n

async function collect<T>(results: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const result of results) all.push(result)
  return all
}

describe('map', () => {
  test('yields the results of sync and async inputs in the order of the input', async () => {
    await using engine = await bank.engine()
    const items = Array.from({ length: 50 }, (_, index) => index)
    expect(await collect(engine.map(items, double))).toEqual(items.map((n) => n * 2))
    async function* input() {
      yield* items
    }
    expect(await collect(engine.map(input(), double))).toEqual(items.map((n) => n * 2))
    expect(await collect(engine.map([], double))).toEqual([])
    await expectQuiet(engine, bank.admin)
  })

  test('unordered yields what has finished first', async () => {
    await using engine = await bank.engine()
    const { opened, open } = gate()
    const results = engine.map([1, 2, 3], async (_session, n) => (n === 1 ? opened.then(() => n) : n), {
      ordered: false,
    })
    const first = [(await results.next()).value, (await results.next()).value]
    open()
    expect(first.toSorted()).toEqual([2, 3])
    expect((await results.next()).value).toBe(1)
    expect((await results.next()).done).toBe(true)
  })

  test('runs at most `concurrency` tasks at once and reads the input no further ahead than that', async () => {
    await using engine = await bank.engine({ pool: { max: 8 } })
    let read = 0
    let taken = 0
    let most = { ahead: 0, running: 0 }
    let running = 0
    function* input() {
      for (let n = 0; n < 200; n++) {
        read += 1
        most = { ...most, ahead: Math.max(most.ahead, read - taken) }
        yield n
      }
    }
    const task = async (session: BankSession, n: number) => {
      running += 1
      most = { ...most, running: Math.max(most.running, running) }
      const result = await double(session, n)
      running -= 1
      return result
    }
    for await (const _ of engine.map(input(), task, { concurrency: 3 })) taken += 1
    expect(taken).toBe(200)
    expect(most.running).toBeLessThanOrEqual(3)
    expect(most.ahead).toBeLessThanOrEqual(4)
  })

  test.each([
    { max: 1, acquireTimeoutMs: 300 },
    { max: 2, maxQueue: 3, acquireTimeoutMs: 300 },
    { max: 2, maxQueue: 0, acquireTimeoutMs: 300 },
  ])(
    'alone on a pool of %o runs as many tasks as that has connections, and never fails by its own queueing',
    async (pool) => {
      await using engine = await bank.engine({ pool })
      const items = Array.from({ length: 10 }, (_, index) => index)
      const running = new Set<number>()
      let most = 0
      const task = async ({ sql }: BankSession, n: number) => {
        most = Math.max(most, running.add(n).size)
        await sql`select pg_sleep(0.06)`
        running.delete(n)
        return n
      }
      expect(await collect(engine.map(items, task))).toEqual(items)
      expect(most).toBe(pool.max)
      expect(engine.stats()).toMatchObject({ timeouts: 0, overloads: 0 })
      await expectQuiet(engine, bank.admin)
    },
  )

  test('with fewer connections left than it may use waits for its own tasks, however long they take', async () => {
    await using engine = await bank.engine({ pool: { max: 2, acquireTimeoutMs: 50 } })
    // To open a connection may take longer than that: both are there before.
    await eventually(() => Promise.all([1, 2].map(() => engine.session(({ sql }) => sql`select pg_sleep(0.02)`))))
    await eventually(() => expect(engine.stats()).toMatchObject({ idle: 2 }))
    const task = ({ sql }: BankSession, n: number) => sql`select pg_sleep(0.1)`.then(() => n)
    // The session holds the other connection all along.
    const inside = () => collect(engine.map([1, 2, 3, 4], task))
    expect(await engine.session(inside)).toEqual([1, 2, 3, 4])
    expect(engine.stats().timeouts).toBeGreaterThan(0)
    await expectQuiet(engine, bank.admin)
  })

  test('fails with PoolTimeout when no task of its own has a connection either', async () => {
    await using engine = await bank.engine({ pool: { max: 1, acquireTimeoutMs: 50 } })
    const { opened, open } = gate()
    const holding = engine.session(() => opened)
    await expect(collect(engine.map([1, 2, 3], double))).rejects.toThrow(PoolTimeout)
    open()
    await holding
    await expectQuiet(engine, bank.admin)
  })

  test('left early cancels what runs on the server and closes the input', async () => {
    await using engine = await bank.engine()
    let closed = false
    async function* input() {
      try {
        for (let n = 0; ; n++) yield n
      } finally {
        closed = true
      }
    }
    const task = ({ sql }: BankSession, n: number) => sql`select pg_sleep(${n === 0 ? 0 : 20})`
    for await (const _ of engine.map(input(), task, { concurrency: 4 })) break
    expect(closed).toBe(true)
    await eventually(async () => {
      expect((await bank.admin.backends()).filter(({ waiting }) => waiting === 'PgSleep')).toEqual([])
    }, 1000)
    await expectQuiet(engine, bank.admin)
  })

  test('left while its input is asked for the next item lets go of it', async () => {
    await using engine = await bank.engine()
    const emitter = new EventEmitter()
    const events = on(emitter, 'item') as AsyncIterableIterator<number[]>
    emitter.emit('item', 1)
    for await (const n of engine.map(events, (session, [item = 0]) => double(session, item))) {
      expect(n).toBe(2)
      break
    }
    expect(emitter.listenerCount('item')).toBe(0)
    await expectQuiet(engine, bank.admin)
  })

  test.each(['next', 'return'] as const)('left is over also when %s of the input never answers', async (silent) => {
    await using engine = await bank.engine()
    const asked: string[] = []
    const answer = (call: string, value: number, last = false): Promise<IteratorResult<number>> => {
      asked.push(call)
      return silent === call && asked.length > 1 ? new Promise(() => undefined) : Promise.resolve({ value, done: last })
    }
    const input = { next: () => answer('next', 1), return: () => answer('return', 0, true) }
    const results = engine.map({ [Symbol.asyncIterator]: () => input }, double, { concurrency: 2 })
    for await (const _ of results) break
    expect(asked.at(-1)).toBe('return')
    expect(asked.filter((call) => call === 'return')).toHaveLength(1)
    await expectQuiet(engine, bank.admin)
  })

  test('left does not hear of an input that fails while it is let go', async () => {
    await using engine = await bank.engine()
    const fails = () => Promise.reject(new Error('the input broke'))
    const input = { next: () => Promise.resolve({ value: 1, done: false }), return: fails }
    for await (const n of engine.map({ [Symbol.asyncIterator]: () => input }, double)) {
      expect(n).toBe(2)
      break
    }
    await expectQuiet(engine, bank.admin)
  })

  test('is not let go twice: an input that has ended or failed is over', async () => {
    await using engine = await bank.engine()
    let returned = 0
    const input = (next: () => Promise<IteratorResult<number>>) => ({
      [Symbol.asyncIterator]: () => ({ next, return: () => Promise.resolve({ value: ++returned, done: true }) }),
    })
    expect(
      await collect(
        engine.map(
          input(() => Promise.resolve({ value: 0, done: true })),
          double,
        ),
      ),
    ).toEqual([])
    const broken = engine.map(
      input(() => Promise.reject(new Error('broke'))),
      double,
    )
    await expect(collect(broken)).rejects.toThrow('broke')
    expect(returned).toBe(0)
  })

  test('throws the failure of a task, or of the input, and cancels the rest', async () => {
    await using engine = await bank.engine()
    const task = ({ sql }: BankSession, n: number) => sql`select 1 / (${n}::int - 3)`
    await expect(collect(engine.map([1, 2, 3, 4, 5], task))).rejects.toMatchObject({ code: 'database_error' })
    function* broken() {
      yield 1
      throw new Error('the input broke')
    }
    await expect(collect(engine.map(broken(), double))).rejects.toThrow('the input broke')
    await expectQuiet(engine, bank.admin)
  })

  test('ends by its deadline also when the input does not answer', async () => {
    await using engine = await bank.engine()
    const { opened, open } = gate()
    async function* input() {
      yield 1
      await opened
      yield 2
    }
    const results = collect(engine.map(input(), double, { timeoutMs: 100 }))
    await expect(results).rejects.toThrow(DeadlineExceeded)
    open()
    await expectQuiet(engine, bank.admin)
  })

  test('ends when its signal is aborted', async () => {
    await using engine = await bank.engine()
    const controller = new AbortController()
    const task = ({ sql }: BankSession) => sql`select pg_sleep(20)`
    const results = collect(engine.map([1, 2], task, { signal: controller.signal }))
    await eventually(() => expect(engine.stats().leased).toBe(2))
    controller.abort()
    await expect(results).rejects.toMatchObject({ code: 'cancelled' })
    await expectQuiet(engine, bank.admin)
  })

  test('is drained like any work when the engine closes', async () => {
    const engine = await bank.engine()
    const results = engine.map([1, 2, 3], double)
    await results.next()
    const closing = engine.close({ timeoutMs: 5000 })
    expect(await collect(results)).toEqual([4, 6])
    await closing
    expect(() => engine.map([1], double)).toThrow(PoolClosed)
  })

  test('names the place that asked for it where a session of its own is reported', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, idleSessionMs: 20 })
    const held = () => eventually(() => expect(recorder.of('session.held_idle')).toHaveLength(1))
    await collect(engine.map([1], held))
    expect(recorder.of('session.held_idle')[0]?.acquiredAt).toContain('map.test.ts')
  })

  test('takes the memory of a few items, however many there are', async () => {
    await using engine = await bank.engine({ pool: { max: 4 } })
    const total = long ? 100_000 : 10_000
    function* input() {
      for (let n = 0; n < total; n++) yield n
    }
    const heap: number[] = []
    let count = 0
    for await (const _ of engine.map(input(), double)) {
      count += 1
      if (count % (total / 4) === 0) heap.push(keptBytes())
    }
    expect(count).toBe(total)
    // What is kept an item would show between the first quarter and the last.
    expect((heap[3] ?? 0) - (heap[0] ?? 0)).toBeLessThan(total * 50)
  })

  test.each([0, 1.5, Number.NaN])('refuses a concurrency of %s', async (concurrency) => {
    await using engine = await bank.engine()
    expect(() => collect(engine.map([1], double, { concurrency }))).toThrow(UsageError)
    expect(() => engine.map(5 as never, double)).toThrow(/iterable/)
  })
})
