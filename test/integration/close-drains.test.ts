/** Drain: `close` refuses new work, lets running work finish, then cancels it, and leaves nothing behind. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PoolClosed } from '../../src/errors.ts'
import { type Bank, gate, openBank } from '../support/bank.ts'
import { compiledProgram } from '../support/compiled-package.ts'
import { activeHandles, eventually, expectClosed } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

describe('close', () => {
  test('refuses new work at once with PoolClosed', async () => {
    const engine = await bank.engine()
    const { opened, open } = gate()
    const running = engine.session(() => opened)
    const closing = engine.close({ timeoutMs: 5000 })
    await expect(engine.session(() => 1)).rejects.toThrow(PoolClosed)
    await expect(engine.transaction(() => 1)).rejects.toThrow(PoolClosed)
    await expect(engine.gather({ a: () => 1 })).rejects.toThrow(PoolClosed)
    expect(() => engine.map([1], () => 1)).toThrow(PoolClosed)
    open()
    await running
    await closing
    await expect(engine.session(() => 1)).rejects.toThrow(PoolClosed)
    await expectClosed(engine, bank.admin)
  })

  test('lets running work finish, what it asks for in its course included, and what already waits', async () => {
    const engine = await bank.engine({ pool: { max: 2 } })
    const { opened, open } = gate()
    const running = engine.session(async ({ sql }) => {
      await opened
      const [row] = await sql<{ n: number }>`select 1 as n`
      return (row?.n ?? 0) + (await engine.session(() => 1))
    })
    const second = engine.session(() => opened)
    const waiting = engine.session(({ sql }) => sql`select 2 as n`)
    const closing = engine.close({ timeoutMs: 5000 })
    open()
    expect(await running).toBe(2)
    await second
    expect(await waiting).toMatchObject([{ n: 2 }])
    await closing
    await expectClosed(engine, bank.admin)
  })

  test('cancels on the server what has not finished in time, and says PoolClosed', async () => {
    const engine = await bank.engine()
    const running = engine.session(({ sql }) => sql`select pg_sleep(20)`)
    running.catch(() => undefined)
    await eventually(() => expect(engine.stats().leased).toBe(1))
    const startedAt = performance.now()
    await engine.close({ timeoutMs: 100 })
    // The statement would sleep for 20 seconds.
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    await expect(running).rejects.toThrow(PoolClosed)
    await expectClosed(engine, bank.admin)
  })

  test('gives up connections that are still being opened', async () => {
    const proxy = await bank.proxy()
    const engine = await bank.engine({ proxy, pool: { max: 4, connectTimeoutMs: 20_000 } })
    proxy.opening = 'silence'
    const waiting = Promise.allSettled([1, 2, 3].map(() => engine.session(({ sql }) => sql`select pg_sleep(0.2)`)))
    await eventually(() => expect(engine.stats().opening).toBe(2))
    const startedAt = performance.now()
    await engine.close({ timeoutMs: 400 })
    // An attempt may take 20 seconds.
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    const settled = await waiting
    expect(settled.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(0)
    await eventually(() => expect(proxy.openLinks).toHaveLength(0))
    await expectClosed(engine, bank.admin)
  })

  test('settles a session whose task waits for something else and never would end', async () => {
    const engine = await bank.engine()
    const stuck = engine.session(() => new Promise(() => undefined))
    stuck.catch(() => undefined)
    await engine.close({ timeoutMs: 50 })
    await expect(stuck).rejects.toThrow(PoolClosed)
    await expectClosed(engine, bank.admin)
  })

  test('is idempotent, and may be called by many at once and by await using', async () => {
    const engine = await bank.engine()
    await Promise.all([engine.close(), engine.close({ timeoutMs: 1 }), engine[Symbol.asyncDispose]()])
    await engine.close()
    await expectClosed(engine, bank.admin)
  })

  test('leaves no timer, socket or listener in the process, after use of every kind and a failed one', async () => {
    const once = async () => {
      const engine = await bank.engine({ pool: { max: 3, idleTimeoutMs: 1000 }, observe: () => undefined })
      await engine.gather([({ sql }) => sql`select 1`, ({ sql }) => sql`select 2`], {
        snapshot: true,
        timeoutMs: 60_000,
      })
      await engine.session(({ sql }) => sql`select pg_sleep(20)`, { timeoutMs: 30 }).catch(() => undefined)
      await engine.close()
    }
    await once()
    const before = activeHandles()
    for (let turn = 0; turn < 5; turn++) await once()
    await eventually(() => {
      const more = Object.entries(activeHandles()).filter(([kind, count]) => count > (before[kind] ?? 0))
      expect(more).toEqual([])
    })
    expect(process.listenerCount('SIGTERM') + process.listenerCount('beforeExit')).toBeLessThan(5)
  })
})

/** Runs a program that opens an engine on this database; answers its exit code and how long it took. */
async function run(body: string): Promise<{ code: number | null; output: string }> {
  const program = `
    import { integer, pgTable } from 'drizzle-orm/pg-core'
    import { openEngine } from ${JSON.stringify(compiledProgram('src/engine.ts'))}
    const accounts = pgTable('accounts', { id: integer('id').primaryKey() })
    const engine = await openEngine({ schema: { accounts }, url: process.env.TEST_URL })
    ${body}`
  const args = ['--input-type=module', '--eval', program]
  const child = spawn(process.execPath, args, {
    env: { ...process.env, TEST_URL: bank.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (output += String(chunk)))
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  return { code, output }
}

describe('a process', () => {
  test('ends by itself after close, work cancelled by the drain included', async () => {
    const { code, output } = await run(`
      const slow = engine.session(({ sql }) => sql\`select pg_sleep(20)\`).catch((error) => error.code)
      await engine.session(({ sql }) => sql\`select 1\`)
      await engine.close({ timeoutMs: 50 })
      console.log(await slow)`)
    expect({ code, output: output.trim() }).toEqual({ code: 0, output: 'pool_closed' })
  })
})
