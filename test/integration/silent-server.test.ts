/**
 * A server that has fallen silent: a call without a time limit ends when its backend cannot be found any more, and never
 * while its backend works. A stalled link of the proxy is a firewall that has forgotten a connection.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CommitOutcomeUnknown, ConnectionLost } from '../../src/errors.ts'
import { type Bank, type BankEngine, type BankSession, gate, openBank, Recorder } from '../support/bank.ts'
import type { FaultProxy } from '../support/fault-proxy.ts'
import { eventually, everythingIn, expectClosed, expectHealthy } from '../support/invariants.ts'

let bank: Bank
let proxy: FaultProxy
const recorder = { of: new Recorder() }
beforeEach(async () => {
  bank = await openBank()
  proxy = await bank.proxy()
  recorder.of = new Recorder()
})
afterEach(() => bank[Symbol.asyncDispose]())

function open(probeAfterMs = 100, max = 4): Promise<BankEngine> {
  const pool = { probeAfterMs, max, connectTimeoutMs: 2000 }
  return bank.engine({ proxy, pool, observe: recorder.of.observe })
}

const sleep =
  (seconds: number) =>
  ({ sql }: BankSession) =>
    sql`select pg_sleep(${seconds}::float8)`
const asleep = async () => (await bank.admin.backends()).filter((backend) => backend.waiting === 'PgSleep')
const waiting = async () => (await bank.admin.backends()).filter((backend) => backend.waiting === 'advisory')
const probes = () => bank.admin.sql`
  select from pg_stat_activity where application_name = 'rivulet (probe)' and datname = current_database()`

describe('a call without a time limit', () => {
  test('gets ConnectionLost when the server is out of reach', async () => {
    await using engine = await open()
    const call = engine.session(sleep(60))
    await eventually(async () => expect(await asleep()).toHaveLength(1))
    proxy.opening = 'silence'
    for (const link of proxy.links) link.stall()
    const error = await call.catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ConnectionLost)
    expect(everythingIn(error)).toContain('has fallen silent: no server answers there')
    expect(engine.stats()).toMatchObject({ lost: 1, leased: 0 })
  })

  test('gets ConnectionLost when its way is lost but not the server; its neighbour, long and quiet, is unharmed', async () => {
    await using engine = await open()
    const pid = gate()
    let lostPid = 0
    const lost = engine.session(async ({ sql, backendPid }) => {
      await sql`select 1`
      lostPid = backendPid
      await pid.opened
      return sql`select 2`
    })
    await eventually(() => expect(lostPid).toBeGreaterThan(0))
    const stalled = proxy.openLinks.at(-1)
    await bank.admin.sql`select pg_advisory_lock(1)`
    const neighbour = engine.session(({ sql }) => sql`select pg_advisory_xact_lock(1)`)
    await eventually(async () => expect(await waiting()).toHaveLength(1))
    // An idle connection that a firewall has forgotten: the statement never gets there.
    stalled?.stall()
    pid.open()
    const error = await lost.catch((reason: unknown) => reason)
    expect(everythingIn(error)).toContain('its backend waits for what has been lost on the way')
    expect(await waiting()).toHaveLength(1)
    // What is left of it is ended, because it may hold locks.
    await eventually(async () =>
      expect((await bank.admin.backends()).map((backend) => backend.pid)).not.toContain(lostPid),
    )
    await bank.admin.sql`select pg_advisory_unlock(1)`
    await expect(neighbour).resolves.toHaveLength(1)
    expect(engine.stats().lost).toBe(1)
  })

  test('gets ConnectionLost when its backend is gone and nobody said so', async () => {
    await using engine = await open()
    const call = engine.session(sleep(60))
    await eventually(async () => expect(await asleep()).toHaveLength(1))
    for (const link of proxy.openLinks) link.stall()
    await bank.admin.terminate()
    expect(everythingIn(await call.catch((reason: unknown) => reason))).toContain('its backend is not there any more')
    await expectHealthy(engine, bank.admin)
  })

  test('that is given up takes the idle connections to the same place with it: they have met the same', async () => {
    await using engine = await open()
    const { opened, open: release } = gate()
    const tasks = [1, 2, 3].map(() => engine.session(() => opened))
    await eventually(() => expect(engine.stats().leased).toBe(3))
    release()
    await Promise.all(tasks)
    for (const link of proxy.openLinks) link.stall()
    await expect(engine.session(({ sql }) => sql`select 1`)).rejects.toThrow(ConnectionLost)
    await eventually(() => expect(engine.stats()).toMatchObject({ open: 0, closing: 0, opened: 3 }))
    await expectHealthy(engine, bank.admin)
  })

  test('gets ConnectionLost also where the answer was lost, in the middle of a transaction that holds a lock', async () => {
    await using engine = await open()
    const call = engine.transaction(async ({ sql }) => {
      await sql`update accounts set balance = balance + 1 where id = 1`
      for (const link of proxy.openLinks) link.tap = (chunk, from) => (from === 'server' ? undefined : chunk)
      await sql`select 1`
    })
    expect(everythingIn(await call.catch((reason: unknown) => reason))).toContain('has fallen silent')
    await eventually(async () => expect(await bank.admin.locks()).toEqual([]))
    const [row] = await engine.session(({ sql }) => sql<{ balance: string }>`select balance from accounts where id = 1`)
    expect(Number(row?.balance)).toBe(100)
  })

  test('gets ConnectionLost also where statements may take less than the search for their backends', async () => {
    const role = `${bank.name}_hurried`
    await bank.admin.sql.unsafe(`create role ${role} login password 'hurried'`)
    await bank.admin.sql.unsafe(`alter role ${role} set statement_timeout = '1ms'`)
    const url = proxy.url.replace(/\/\/[^@/]*@/, `//${role}:hurried@`)
    const engine = await bank.engine({ url, pool: { probeAfterMs: 50, max: 1 } })
    for (const link of proxy.openLinks) link.stall()
    await expect(engine.session(({ sql }) => sql`select 1`)).rejects.toThrow(ConnectionLost)
    await engine.close()
    await bank.admin.sql.unsafe(`drop role ${role}`)
  })

  test('gets CommitOutcomeUnknown when it is COMMIT that is not answered', async () => {
    await using engine = await open()
    const call = engine.transaction(async ({ sql }) => {
      await sql`update accounts set balance = balance + 1 where id = 2`
      for (const link of proxy.openLinks) link.tap = (chunk, from) => (from === 'server' ? undefined : chunk)
    })
    await expect(call).rejects.toThrow(CommitOutcomeUnknown)
  })
})

describe('the probe', () => {
  test('leaves alone what waits long for a lock, a row or the server, however often it looks', async () => {
    await using engine = await open(20)
    const seen = new Set<unknown>()
    const { opened, open: release } = gate()
    const held = gate()
    const holder = engine.transaction(async ({ sql }) => {
      await sql`select from accounts where id = 3 for update`
      held.open()
      await opened
    })
    await held.opened
    const waiter = engine.session(({ sql }) => sql`update accounts set balance = 5 where id = 3 returning id`)
    const sleeper = engine.session(sleep(1.5))
    let done = false
    const watching = (async () => {
      while (!done) for (const row of await probes()) seen.add(row)
    })()
    await sleeper
    release()
    await holder
    await expect(waiter).resolves.toHaveLength(1)
    done = true
    await watching
    expect(seen.size).toBeGreaterThan(0)
    expect(engine.stats()).toMatchObject({ lost: 0, retired: 0 })
  })

  test('is not needed where other statements are heard of', async () => {
    const probeAfterMs = 600
    await using engine = await open(probeAfterMs)
    for (;;) {
      const before = proxy.connections
      const times: number[] = []
      for (let n = 0; n < 10; n++) {
        const startedAt = performance.now()
        await engine.session(sleep(0.1))
        times.push(performance.now() - startedAt)
      }
      // A machine that took longer over one of them says nothing.
      if (Math.max(...times) > probeAfterMs) continue
      expect(proxy.connections).toBe(before)
      break
    }
  })

  test('that the server refuses means that the server is there', async () => {
    const role = `${bank.name}_limited`
    await bank.admin.sql.unsafe(`create role ${role} login password 'limited' connection limit 1`)
    const url = proxy.url.replace(/\/\/[^@/]*@/, `//${role}:limited@`)
    const pool = { probeAfterMs: 50, max: 1, connectTimeoutMs: 5000 }
    const engine = await bank.engine({ url, pool })
    const before = proxy.connections
    await expect(engine.session(sleep(1))).resolves.toHaveLength(1)
    expect(proxy.connections).toBeGreaterThan(before)
    expect(engine.stats().lost).toBe(0)
    await engine.close()
    await bank.admin.sql.unsafe(`drop role ${role}`)
  })

  test('never comes with probeAfterMs 0, and ends with the engine', async () => {
    await using silent = await open(0)
    const before = proxy.connections
    await silent.session(sleep(0.3))
    expect(proxy.connections).toBe(before)
    await silent.close()
    const engine = await open(20)
    const call = engine.session(sleep(60)).catch((error: unknown) => error)
    await eventually(async () => expect(await asleep()).toHaveLength(1))
    proxy.opening = 'silence'
    for (const link of proxy.links) link.stall()
    const links = proxy.connections
    await eventually(() => expect(proxy.connections).toBeGreaterThan(links))
    await engine.close({ timeoutMs: 0 })
    await call
    await eventually(() => expect(proxy.openLinks).toEqual([]))
    await bank.admin.terminate()
    await expectClosed(engine, bank.admin)
  })
})
