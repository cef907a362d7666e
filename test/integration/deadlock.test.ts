/** Pool deadlock: tasks that hold a connection and wait for another. What can be served is served, the rest is told at once. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PoolDeadlock } from '../../src/errors.ts'
import { type Bank, type BankEngine, gate, meeting, openBank, Recorder } from '../support/bank.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

/** Sessions inside sessions, `depth` deep. */
function nest(engine: BankEngine, depth: number): Promise<number> {
  return engine.session(() => (depth === 1 ? 1 : nest(engine, depth - 1)), { label: `depth ${depth}` })
}

describe('a nested acquisition', () => {
  test('that can be served is served', async () => {
    await using engine = await bank.engine({ pool: { max: 3 } })
    expect(await nest(engine, 3)).toBe(1)
    expect(engine.stats().deadlocks).toBe(0)
  })

  test('that can never be served rejects at once with PoolDeadlock, naming label and place of the holders', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1, acquireTimeoutMs: 20_000 }, observe: recorder.observe })
    const startedAt = performance.now()
    const stuck = engine.session(() => engine.session(() => 1, { label: 'inner' }), { label: 'outer' })
    await expect(stuck).rejects.toThrow(PoolDeadlock)
    await expect(stuck).rejects.toThrow(/inner.*outer.*deadlock\.test\.ts/)
    // Not when the time to wait for a connection is over.
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    expect(recorder.of('deadlock.detected')).toMatchObject([{ label: 'inner' }])
    await expectQuiet(engine, bank.admin)
  })

  test.each([1, 2, 3, 4])('one deeper than a pool of %i is found, however long the chain', async (max) => {
    await using engine = await bank.engine({ pool: { max, acquireTimeoutMs: 20_000 } })
    await expect(nest(engine, max + 1)).rejects.toThrow(PoolDeadlock)
    await expectQuiet(engine, bank.admin)
  })

  test('of two tasks on a pool of 2: the newest is refused, the other one served', async () => {
    await using engine = await bank.engine({ pool: { max: 2, acquireTimeoutMs: 20_000 } })
    const meet = meeting(engine, 2)
    const task = () => meet(() => engine.session(() => 'served'))
    const [first, second] = await Promise.allSettled([task(), task()])
    expect(first).toMatchObject({ status: 'fulfilled', value: 'served' })
    expect(second).toMatchObject({ status: 'rejected', reason: expect.any(PoolDeadlock) })
    await expectQuiet(engine, bank.admin)
  })

  test('waits, when one of the holders is busy with something else', async () => {
    await using engine = await bank.engine({ pool: { max: 2 } })
    const { opened, open } = gate()
    const busy = engine.session(() => opened)
    const nested = engine.session(() => engine.session(() => 'served'))
    await eventually(() => expect(engine.stats().waiting).toBe(1))
    expect(engine.stats().deadlocks).toBe(0)
    open()
    expect(await nested).toBe('served')
    await busy
  })

  test('inside a gather that holds what is left fails that task, and nothing hangs', async () => {
    await using engine = await bank.engine({ pool: { max: 2, acquireTimeoutMs: 20_000 } })
    const both = gate()
    let holding = 0
    const nested = async () => {
      holding += 1
      if (holding === 2) both.open()
      await both.opened
      return engine.session(() => 1)
    }
    await expect(engine.gather({ a: nested, b: nested })).rejects.toThrow(PoolDeadlock)
    await expect(engine.session(() => engine.gather({ a: nested }))).rejects.toThrow(PoolDeadlock)
    await expectQuiet(engine, bank.admin)
  })

  test('by a gather inside a session that holds the only connection is found', async () => {
    await using engine = await bank.engine({ pool: { max: 1, acquireTimeoutMs: 20_000 } })
    await expect(engine.session(() => engine.gather({ a: () => 1, b: () => 2 }))).rejects.toThrow(PoolDeadlock)
    await expect(engine.session(() => engine.gather([() => 1], { snapshot: true }))).rejects.toThrow(PoolDeadlock)
    await expect(
      engine.session(async () => {
        for await (const _ of engine.map([1], () => 1)) break
      }),
    ).rejects.toThrow(PoolDeadlock)
    await expectQuiet(engine, bank.admin)
  })

  test('session.transaction inside a session takes no second connection', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const pids = await engine.session(({ transaction, backendPid }) =>
      transaction((outer) => outer.transaction((inner) => [backendPid, outer.backendPid, inner.backendPid])),
    )
    expect(new Set(pids).size).toBe(1)
  })

  test.each([
    [2, 5],
    [2, 2],
    [3, 5],
    [3, 3],
  ])(
    '%i deep, a hundred at once on a pool of %i: a deadlock costs one call, and teaches the pool',
    async (depth, max) => {
      await using engine = await bank.engine({ pool: { max, acquireTimeoutMs: 20_000 } })
      const busyNest = (deep: number): Promise<unknown> =>
        engine.session(async ({ sql }) => {
          await sql`select 1`
          return deep === 1 ? 'served' : busyNest(deep - 1)
        })
      const settled = await Promise.allSettled(Array.from({ length: 100 }, () => busyNest(depth)))
      const refused = settled.filter((result) => result.status === 'rejected')
      expect(refused.every(({ reason }) => reason instanceof PoolDeadlock)).toBe(true)
      expect(refused).toHaveLength(engine.stats().deadlocks)
      expect(refused.length).toBeLessThanOrEqual(depth + 1)
      await expectQuiet(engine, bank.admin)
    },
  )

  test('comes before calls of tasks that hold nothing', async () => {
    await using engine = await bank.engine({ pool: { max: 2 } })
    const [busy, holding] = [gate(), gate()]
    const order: string[] = []
    const first = engine.session(() => busy.opened)
    const outer = engine.session(async () => {
      await holding.opened
      await engine.session(() => order.push('nested'))
    })
    await eventually(() => expect(engine.stats().leased).toBe(2))
    const fresh = engine.session(() => order.push('fresh'))
    holding.open()
    await eventually(() => expect(engine.stats().waiting).toBe(2))
    busy.open()
    await Promise.all([first, outer, fresh])
    expect(order).toEqual(['nested', 'fresh'])
  })

  test('that deadlocked once holds nobody back for long afterwards', async () => {
    await using engine = await bank.engine({ pool: { max: 2, acquireTimeoutMs: 20_000 } })
    await expect(nest(engine, 3)).rejects.toThrow(PoolDeadlock)
    const meet = meeting(engine, 2)
    await Promise.all([meet(() => 1), meet(() => 2)])
    await expectQuiet(engine, bank.admin)
  })

  test('under load on a full pool: every call ends, served or refused', async () => {
    await using engine = await bank.engine({ pool: { max: 4, acquireTimeoutMs: 20_000 } })
    const calls = Array.from({ length: 200 }, (_, n) => nest(engine, (n % 3) + 1))
    const settled = await Promise.allSettled(calls)
    const refused = settled.filter((result) => result.status === 'rejected')
    expect(refused.every(({ reason }) => reason instanceof PoolDeadlock)).toBe(true)
    expect(refused.length).toBeLessThan(200)
    await expectQuiet(engine, bank.admin)
  })
})
