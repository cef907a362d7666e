/** The pool: lazy growth, first come first served, its bounds, retirement, and what it answers when it cannot serve. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseDatabaseUrl, type PoolConfig, poolSettings } from '../../src/config.ts'
import { ConnectionLost, PoolDeadlock, PoolOverloaded, PoolTimeout } from '../../src/errors.ts'
import { Observers } from '../../src/observe/observers.ts'
import { openConnection } from '../../src/pool/open-connection.ts'
import { Pool } from '../../src/pool/pool.ts'
import { taskSessionOf } from '../../src/repository/session.ts'
import { type Bank, type BankSession, gate, meeting, openBank, Recorder } from '../support/bank.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

const pidOf = ({ backendPid }: BankSession) => backendPid

describe('growth', () => {
  test('opens one connection at first and more only when somebody waits', async () => {
    await using engine = await bank.engine({ pool: { max: 5 } })
    for (let turn = 0; turn < 5; turn++) await engine.session(({ sql }) => sql`select 1`)
    expect(engine.stats()).toMatchObject({ open: 1, opened: 1 })
    const { opened, open } = gate()
    const holders = [1, 2, 3].map(() => engine.session(() => opened))
    await eventually(() => expect(engine.stats()).toMatchObject({ leased: 3, opened: 3, waiting: 0 }))
    expect(await bank.admin.backends()).toHaveLength(3)
    open()
    await Promise.all(holders)
    await expectQuiet(engine, bank.admin)
  })

  test('is observed from the first connection on', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    expect(recorder.of('connection.opened')).toHaveLength(1)
    await engine.session(pidOf)
    await engine.close()
    expect(recorder.of('connection.opened')[0]).toMatchObject({ durationMs: expect.any(Number) })
    expect(recorder.of('connection.retired')).toHaveLength(1)
  })

  test('never has more than max backends on the server, also while connections are replaced', async () => {
    await using engine = await bank.engine({ pool: { max: 3 } })
    let done = false
    let most = 0
    const watching = (async () => {
      while (!done) most = Math.max(most, (await bank.admin.backends()).length)
    })()
    // SET makes every session's connection be replaced.
    await Promise.all(Array.from({ length: 60 }, () => engine.session(({ sql }) => sql`set work_mem = '5MB'`)))
    done = true
    await watching
    expect(most).toBeLessThanOrEqual(3)
    expect(engine.stats().retired).toBe(60)
  })
})

describe('the queue', () => {
  test('serves first come, first served', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const { opened, open } = gate()
    const order: number[] = []
    const holder = engine.session(() => opened)
    const waiters = [1, 2, 3, 4, 5].map((n) => engine.session(() => void order.push(n)))
    await eventually(() => expect(engine.stats().waiting).toBe(5))
    open()
    await Promise.all([holder, ...waiters])
    expect(order).toEqual([1, 2, 3, 4, 5])
  })

  test('rejects with PoolTimeout when acquireTimeoutMs passes first, and says what to do', async () => {
    await using engine = await bank.engine({ pool: { max: 1, acquireTimeoutMs: 60 } })
    const { opened, open } = gate()
    const holder = engine.session(() => opened)
    const late = engine.session(pidOf)
    await expect(late).rejects.toThrow(PoolTimeout)
    await expect(late).rejects.toThrow(/raise pool.max/)
    expect(engine.stats()).toMatchObject({ timeouts: 1, waiting: 0 })
    open()
    await holder
    await engine.session(pidOf)
    await expectQuiet(engine, bank.admin)
  })

  test('refuses at once with PoolOverloaded when maxQueue calls wait', async () => {
    await using engine = await bank.engine({ pool: { max: 1, maxQueue: 2 } })
    const { opened, open } = gate()
    const served = [1, 2, 3].map(() => engine.session(() => opened))
    // At once: before the event loop turns, whatever the machine does meanwhile.
    const turned = new Promise((resolve) => setImmediate(resolve, 'turned'))
    const refused = engine.session(pidOf).catch((error: unknown) => error)
    expect(await Promise.race([refused, turned])).toBeInstanceOf(PoolOverloaded)
    expect(engine.stats()).toMatchObject({ waiting: 2, overloads: 1 })
    open()
    await Promise.all(served)
    await expectQuiet(engine, bank.admin)
  })

  test('with maxQueue 0 still serves whoever finds a connection, or room for one', async () => {
    await using engine = await bank.engine({ pool: { max: 2, maxQueue: 0 } })
    const { opened, open } = gate()
    const served = [1, 2].map(() => engine.session(() => opened))
    await eventually(() => expect(engine.stats().leased).toBe(2))
    const refused = engine.session(pidOf)
    await expect(refused).rejects.toThrow(PoolOverloaded)
    await expect(refused).rejects.toThrow('no connection is free, and no more than 0 calls may wait')
    open()
    await Promise.all(served)
  })

  test('a waiter that was cancelled leaves no place taken, and its connection goes to the next', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const { opened, open } = gate()
    const holder = engine.session(() => opened)
    const controller = new AbortController()
    const cancelled = engine.session(pidOf, { signal: controller.signal })
    const next = engine.session(pidOf)
    controller.abort()
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' })
    expect(engine.stats().waiting).toBe(1)
    open()
    await Promise.all([holder, next])
    await expectQuiet(engine, bank.admin)
  })
})

describe('overload', () => {
  test('is over with the last caller: an engine that lost every connection under it refuses nobody', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 4 }, observe: recorder.observe })
    const controller = new AbortController()
    const { signal } = controller
    const calls = Array.from({ length: 120 }, () => engine.session(({ sql }) => sql`select pg_sleep(0.1)`, { signal }))
    const settled = Promise.allSettled(calls)
    await eventually(() => expect(recorder.of('overload.started')).toHaveLength(1))
    await eventually(() => expect(engine.stats().leased).toBe(4))
    controller.abort()
    await settled
    await eventually(() => expect(engine.stats()).toMatchObject({ open: 0, closing: 0, waiting: 0 }))
    expect(recorder.of('overload.ended')).toHaveLength(1)
    // Less time than four of these sessions take: a call that overload would have turned away.
    await engine.session(({ sql }) => sql`select 1`, { timeoutMs: 250 })
    expect(engine.stats().overloads).toBe(0)
    await expectQuiet(engine, bank.admin)
  })
})

describe('in an outage', () => {
  /** An engine whose server has gone away, and is known to have. */
  async function cutOff(pool: PoolConfig) {
    const proxy = await bank.proxy()
    const engine = await bank.engine({ proxy, pool })
    proxy.opening = 'end'
    for (const link of proxy.openLinks) link.reset()
    await eventually(() => expect(engine.stats().open).toBe(0))
    const first = engine.session(pidOf)
    await eventually(() => expect(engine.stats().connectFailures).toBeGreaterThan(0))
    return { proxy, engine, first, [Symbol.asyncDispose]: () => engine.close() }
  }

  test('no more than maxQueue calls wait, the others are refused at once', async () => {
    await using outage = await cutOff({ max: 4, maxQueue: 5 })
    const { proxy, engine, first } = outage
    const calls = Array.from({ length: 500 }, () => engine.session(pidOf))
    expect(engine.stats()).toMatchObject({ waiting: 5, overloads: 496 })
    proxy.opening = 'pass'
    const settled = await Promise.allSettled([first, ...calls])
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
    await expectQuiet(engine, bank.admin)
  })

  test('one call waits even with maxQueue 0, so that the return of the server is noticed', async () => {
    await using outage = await cutOff({ max: 4, maxQueue: 0 })
    const { proxy, engine, first } = outage
    await expect(engine.session(pidOf)).rejects.toThrow(PoolOverloaded)
    proxy.opening = 'pass'
    await first
    await engine.session(pidOf)
    await expectQuiet(engine, bank.admin)
  })

  test('an attempt that was swallowed is given up soon: probes succeed within 2 s of the return', async () => {
    await using outage = await cutOff({ connectTimeoutMs: 20_000 })
    const { proxy, engine, first } = outage
    const before = proxy.connections
    proxy.opening = 'silence'
    await eventually(() => expect(proxy.connections).toBeGreaterThan(before))
    proxy.opening = 'pass'
    const startedAt = performance.now()
    await first
    // Not after the 20 seconds an attempt may take.
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    await expectQuiet(engine, bank.admin)
  })

  test('so is one that was swallowed while another connection still lived, if only a task that holds it dead', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { connectTimeoutMs: 20_000 } })
    const { opened, open } = gate()
    const holder = engine.session(() => opened)
    proxy.opening = 'silence'
    const second = engine.session(pidOf)
    await eventually(() => expect(proxy.connections).toBe(2))
    proxy.links[0]?.reset()
    await eventually(() => expect(engine.stats().lost).toBe(1))
    proxy.opening = 'pass'
    const startedAt = performance.now()
    await second
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    open()
    await holder
    await expectQuiet(engine, bank.admin)
  })

  test('an attempt has its whole time while another connection lives: the server is there, and slow', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { connectTimeoutMs: 20_000 } })
    const { opened, open } = gate()
    const holder = engine.session(() => opened)
    proxy.onLink = (link) => void (link.delayMs = 300)
    const startedAt = performance.now()
    await engine.session(pidOf)
    expect(performance.now() - startedAt).toBeGreaterThan(1500)
    expect(engine.stats()).toMatchObject({ connectFailures: 0, opened: 2 })
    open()
    await holder
  })

  test('the pool says how the last attempt failed, and nothing once the server is back', async () => {
    const proxy = await bank.proxy()
    const settings = poolSettings({})
    const { connectTimeoutMs } = settings
    const address = parseDatabaseUrl(proxy.url)
    const pool = new Pool(settings, (signal) => openConnection({ address, connectTimeoutMs, signal }), new Observers())
    expect(pool.outage()).toBeUndefined()
    proxy.opening = 'end'
    const waiting = pool.acquire({ cancelled: () => new ConnectionLost('unused') })
    await eventually(() => expect(pool.outage()).toBeInstanceOf(ConnectionLost))
    proxy.opening = 'pass'
    pool.release(await waiting)
    expect(pool.outage()).toBeUndefined()
    await pool.close()
  })
})

describe('a server that takes no more connections', () => {
  /** An engine whose role may have `limit` connections. */
  async function limited(limit: number) {
    const role = `${bank.name}_limited`
    await bank.admin.sql.unsafe(`create role ${role} login password 'limited' connection limit ${limit}`)
    const url = bank.url.replace(/\/\/[^@/]*@|\/\//, `//${role}:limited@`)
    const engine = await bank.engine({ url, pool: { max: limit + 2, acquireTimeoutMs: 20_000 } })
    return {
      engine,
      raise: () => bank.admin.sql.unsafe(`alter role ${role} connection limit 20`),
      async [Symbol.asyncDispose]() {
        await engine.close()
        await bank.admin.sql.unsafe(`drop role ${role}`)
      },
    }
  }

  test('is asked again after a while, and serves whoever still waits', async () => {
    await using server = await limited(2)
    const { engine, raise } = server
    const { opened, open } = gate()
    const holders = [1, 2].map(() => engine.session(() => opened))
    // Of two that ask at once for the last place, the server may refuse both.
    await eventually(() => expect(engine.stats().leased).toBe(2))
    const third = engine.session(pidOf)
    await eventually(() => expect(engine.stats()).toMatchObject({ leased: 2, waiting: 1, connectFailures: 1 }))
    await raise()
    await third
    expect(engine.stats()).toMatchObject({ leased: 2, timeouts: 0 })
    open()
    await Promise.all(holders)
  })

  test('is no way out of a deadlock: the newest is refused as soon as the limit is known', async () => {
    await using server = await limited(2)
    const { engine } = server
    const meet = meeting(engine, 2)
    const task = () => meet(() => engine.session(() => 'served'))
    const startedAt = performance.now()
    const settled = await Promise.allSettled([task(), task()])
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    expect(settled).toContainEqual({ status: 'fulfilled', value: 'served' })
    expect(settled).toContainEqual({ status: 'rejected', reason: expect.any(PoolDeadlock) })
  })
})

test('closing closes what is still leased, which counts as closing until its socket has', async () => {
  const settings = poolSettings({})
  const { connectTimeoutMs } = settings
  const address = parseDatabaseUrl(bank.url)
  const pool = new Pool(settings, (signal) => openConnection({ address, connectTimeoutMs, signal }), new Observers())
  const connection = await pool.acquire({ cancelled: () => new ConnectionLost('unused') })
  expect(pool.stats()).toMatchObject({ open: 1, leased: 1, closing: 0 })
  const closed = pool.close()
  expect(pool.stats()).toMatchObject({ open: 0, leased: 0, closing: 1 })
  pool.release(connection)
  expect(pool.stats()).toMatchObject({ open: 0, leased: 0, closing: 1 })
  await closed
  expect(pool.stats()).toMatchObject({ open: 0, leased: 0, closing: 0 })
})

describe('retirement', () => {
  test('closes connections nobody used for idleTimeoutMs, down to none', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 4, idleTimeoutMs: 60 }, observe: recorder.observe })
    await engine.gather(
      [1, 2, 3].map(
        () =>
          ({ sql }: BankSession) =>
            sql`select pg_sleep(0.05)`,
      ),
    )
    await eventually(() => expect(engine.stats().open).toBe(0))
    expect(new Set(recorder.of('connection.retired').map(({ reason }) => reason))).toEqual(new Set(['idle']))
    await expectQuiet(engine, bank.admin)
    await engine.session(({ sql }) => sql`select 1`)
  })

  test('replaces connections older than maxLifetimeMs', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1, maxLifetimeMs: 50 }, observe: recorder.observe })
    const first = await engine.session(pidOf)
    await eventually(async () => expect(await engine.session(pidOf)).not.toBe(first))
    expect(recorder.of('connection.retired')[0]).toMatchObject({ reason: 'lifetime' })
  })

  test('replaces connections with more prepared statements than allowed', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1, maxPreparedStatements: 5 }, observe: recorder.observe })
    for (let width = 1; width <= 12; width++) {
      await engine.session((session) =>
        taskSessionOf(session).run(`select $1::text as a${width}`, ['x'], { prepare: true }),
      )
    }
    const reasons = recorder.of('connection.retired').map(({ reason }) => reason)
    expect(reasons).toEqual(['too_many_prepared_statements', 'too_many_prepared_statements'])
  })

  test('counts what one text makes with parameters of different types, as the server does', async () => {
    await using engine = await bank.engine({ pool: { max: 1, maxPreparedStatements: 3 } })
    await engine.session(async ({ sql }) => {
      for (const value of ['t', true, new Date(0), Buffer.from('t'), null, 1]) await sql`select ${value}::text as a`
      const [row] = await sql<{ count: number }>`select count(*)::int from pg_prepared_statements where ${1}::int = 1`
      expect(row?.count).toBe(3)
    })
  })

  test('replaces idle connections that the server closed, before anybody gets them', async () => {
    await using engine = await bank.engine({ pool: { max: 3 } })
    await engine.gather(
      [1, 2, 3].map(
        () =>
          ({ sql }: BankSession) =>
            sql`select pg_sleep(0.05)`,
      ),
    )
    await bank.admin.terminate()
    await eventually(() => expect(engine.stats()).toMatchObject({ lost: 3, open: 0 }))
    await engine.gather(
      [1, 2, 3].map(
        () =>
          ({ sql }: BankSession) =>
            sql`select 1`,
      ),
    )
    await expectQuiet(engine, bank.admin)
  })
})

test('one slow session among many quick ones does not hold them up', async () => {
  await using engine = await bank.engine({ pool: { max: 4 } })
  const { opened, open } = gate()
  const slow = engine.session(async ({ sql }) => {
    await sql`select 1`
    await opened
  })
  const quick = await Promise.all(
    Array.from({ length: 500 }, (_, n) =>
      engine.session(async ({ sql }) => (await sql<{ n: number }>`select ${n}::int as n`)[0]?.n),
    ),
  )
  expect(quick).toEqual(Array.from({ length: 500 }, (_, n) => n))
  expect(engine.stats().leased).toBe(1)
  open()
  await slow
})
