/** What networks do: cut, reset, swallow, delay, slice, refuse and lie, while connecting and while connected. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { ConnectionLost, PoolTimeout, RivuletError } from '../../src/errors.ts'
import type { Link, Opening } from '../support/fault-proxy.ts'
import { eventually, secret, stopwatch, recoveryMs } from '../support/invariants.ts'
import { long } from '../support/random.ts'
import { scenario } from '../support/scenario.ts'

test('connections cut, reset, stalled and talked garbage to at random under load', { timeout: 300_000 }, async () => {
  await scenario('sockets at random', { timeoutMs: 500 }, async ({ proxy, workload, random, fault }) => {
    const faults: readonly ((link: Link) => void)[] = [
      (link) => link.cut(),
      (link) => link.reset(),
      (link) => link.stall(),
      (link) => link.talkGarbage(),
      (link) => void (link.delayMs = 5),
      (link) => void (link.sliced = true),
    ]
    workload.start(16)
    const until = performance.now() + (long ? 60_000 : 4000)
    // However slow the machine: enough must be served in spite of the faults, which become rarer where they are all it has time for.
    for (let turn = 0; performance.now() < until || workload.count('acknowledged') <= 50; turn++) {
      await sleep(random.between(20, 120) + turn)
      if (proxy.openLinks.length === 0) continue
      random.pick(faults)(random.pick(proxy.openLinks))
      fault()
    }
    await workload.stop()
    for (const link of proxy.openLinks) if (link.stalled) link.reset()
  })
})

test('every established socket black-holed at once', { timeout: 300_000 }, async () => {
  await scenario('black holes', { timeoutMs: 500 }, async ({ proxy, workload, engine, fault }) => {
    for (let turn = 0; turn < (long ? 20 : 2); turn++) {
      workload.start(8)
      await sleep(200)
      for (const link of proxy.openLinks) {
        link.stall()
        fault()
      }
      const watch = stopwatch()
      await eventually(() => engine.session(({ sql }) => sql`select 1`, { timeoutMs: 500 }), recoveryMs)
      // Idle ones among them are found out one by one, each by the deadline of whoever gets it.
      expect(watch()).toBeLessThan(10_000)
      await workload.stop()
    }
    for (const link of proxy.openLinks) if (link.stalled) link.reset()
  })
})

describe('connecting', () => {
  const openings: readonly Opening[] = [
    'end',
    'reset',
    'silence',
    'garbage',
    'end after first answer',
    'half an answer',
  ]

  test.each(openings)('to a server that answers with "%s" for a while', async (opening) => {
    const pool = { connectTimeoutMs: 300 }
    await scenario(`connecting: ${opening}`, { pool }, async ({ proxy, workload, engine, fault }) => {
      proxy.opening = opening
      for (const link of proxy.openLinks) link.reset()
      fault()
      await workload.run(4, long ? 10_000 : 1200)
      expect(workload.count('acknowledged')).toBe(0)
      proxy.opening = 'pass'
      await eventually(() => engine.session(({ sql }) => sql`select 1`, { timeoutMs: 2000 }), recoveryMs)
      await workload.run(4, 200)
    })
  })

  test('refused: at most 10 attempts in 5 s, typed errors by the deadline, and back by itself', async () => {
    await scenario('outage', { pool: { acquireTimeoutMs: 800 } }, async ({ proxy, engine, ledger, fault }) => {
      // A closed port counts nothing, so the outage is one of connections that are closed at once.
      proxy.opening = 'end'
      for (const link of proxy.openLinks) link.reset()
      fault()
      await eventually(() => expect(engine.stats().open).toBe(0))
      const before = proxy.connections
      const until = performance.now() + 5000
      const callers = Array.from({ length: 10 }, async () => {
        while (performance.now() < until) {
          const outcome = await ledger.watch(1000, () =>
            engine.session(({ sql }) => sql`select ${secret}`, { timeoutMs: 1000 }),
          )
          const error = 'error' in outcome ? outcome.error : undefined
          expect(error instanceof ConnectionLost || error instanceof PoolTimeout).toBe(true)
        }
      })
      await Promise.all(callers)
      const attempts = proxy.connections - before
      console.log(`outage: ${attempts} attempts to connect in 5 s`)
      expect(attempts).toBeLessThanOrEqual(10)
      expect(attempts).toBeGreaterThan(1)
      proxy.opening = 'pass'
      await eventually(() => engine.session(({ sql }) => sql`select 1`, { timeoutMs: 2000 }), recoveryMs)
    })
  }, 30_000)

  test('to a closed port fails with ConnectionLost, and the pool is back when the port is', async () => {
    await scenario('refused', { pool: { acquireTimeoutMs: 500 } }, async ({ proxy, engine, fault }) => {
      await proxy.refuse()
      for (const link of proxy.openLinks) link.reset()
      fault()
      await eventually(() => expect(engine.stats().open).toBe(0))
      await expect(engine.session(() => 1)).rejects.toThrow(ConnectionLost)
      await proxy.accept()
      await eventually(() => engine.session(() => 1), recoveryMs)
    })
  })
})

test('answers in slices of one byte are whole answers', async () => {
  await scenario('one-byte slices', { timeoutMs: 30_000 }, async ({ proxy, engine, workload, fault }) => {
    proxy.onLink = (link) => void (link.sliced = true)
    for (const link of proxy.links) link.sliced = true
    fault()
    const rows = await engine.session(
      ({ sql }) => sql<{ n: number; text: string }>`
      select n, repeat('x', n) as text from generate_series(1, 100) n`,
    )
    expect(rows.map(({ n, text }) => [n, text.length])).toEqual(Array.from({ length: 100 }, (_, n) => [n + 1, n + 1]))
    await workload.run(2, 400)
    expect(engine.stats().lost).toBe(0)
  })
})

test('a reset in the middle of a result is an error, never a shorter result', async () => {
  await scenario('reset mid-result', {}, async ({ proxy, engine, random, ledger, fault }) => {
    for (let turn = 0; turn < (long ? 500 : 40); turn++) {
      let left = random.between(1, 60_000)
      for (const link of proxy.openLinks) {
        link.tap = (chunk, from) => {
          if (from === 'client') return chunk
          left -= chunk.length
          if (left < 0) setImmediate(() => link.reset())
          return left < 0 ? chunk.subarray(0, chunk.length + left) : chunk
        }
      }
      const outcome = await ledger.watch(3000, () =>
        engine.session(({ sql }) => sql`select n, repeat('x', 100) from generate_series(1, 500) n`, {
          timeoutMs: 3000,
        }),
      )
      fault()
      if ('value' in outcome) expect(outcome.value).toHaveLength(500)
      else expect(outcome.error).toBeInstanceOf(RivuletError)
      for (const link of proxy.openLinks) link.tap = undefined
    }
  })
})

test('delayed by 30 ms each way, calls are slow and nothing else', async () => {
  await scenario('delay', { timeoutMs: 5000 }, async ({ proxy, workload, ledger, fault }) => {
    proxy.onLink = (link) => void (link.delayMs = 30)
    for (const link of proxy.links) link.delayMs = 30
    fault()
    await workload.run(8, 1000)
    expect(ledger.failures.size).toBe(0)
    proxy.onLink = undefined
    for (const link of proxy.links) link.delayMs = 0
  })
})
