/** Server processes that die: by an administrator, by kill -9, all at once, while used and while lent to somebody else. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ConnectionLost } from '../../src/errors.ts'
import { eventually, recoveryMs } from '../support/invariants.ts'
import { openPrivateServer } from '../support/private-server.ts'
import { long } from '../support/random.ts'
import { scenario } from '../support/scenario.ts'

test('backends terminated at random under load', { timeout: 300_000 }, async () => {
  await scenario('backends terminated at random', {}, async ({ bank, workload, random, fault }) => {
    workload.start(16)
    const until = performance.now() + (long ? 60_000 : 4000)
    // However slow the machine: enough must be served in spite of the faults, which become rarer where they are all it has time for.
    for (let turn = 0; performance.now() < until || workload.count('acknowledged') <= 100; turn++) {
      await sleep(random.between(20, 120) + turn)
      const backends = await bank.admin.backends()
      if (backends.length === 0) continue
      await bank.admin.terminate(random.pick(backends).pid)
      fault()
    }
    await workload.stop()
  })
})

test('a backend dies while its task awaits something else and another task has a connection', async () => {
  await scenario('a backend dies under an idle task', {}, async ({ bank, engine, ledger, fault }) => {
    for (let turn = 0; turn < (long ? 200 : 20); turn++) {
      const nonce = `idle-${turn}`
      const outcome = await ledger.watch(30_000, () =>
        engine.transaction(
          async ({ sql, backendPid }) => {
            await sql`insert into entries (nonce, half) values (${nonce}, 1)`
            await bank.admin.terminate(backendPid)
            fault()
            // Others come and go meanwhile, on new connections; nothing of this task may reach one.
            await engine.session(({ sql }) => sql`select 1`)
            await engine.transaction(({ sql }) => sql`select 1`)
            await sql`insert into entries (nonce, half) values (${nonce}, 2)`
          },
          { timeoutMs: 30_000 },
        ),
      )
      expect('error' in outcome && outcome.error).toBeInstanceOf(ConnectionLost)
      expect(await bank.admin.sql`select * from entries where nonce = ${nonce}`).toEqual([])
    }
  })
})

test('kill -9 of one backend resets all, and the engine comes back by itself', { timeout: 300_000 }, async () => {
  await using server = await openPrivateServer()
  await scenario(
    'kill -9 of one backend',
    { serverUrl: server.url },
    async ({ bank, workload, random, engine, fault }) => {
      workload.start(8)
      for (let turn = 0; turn < (long ? 10 : 2); turn++) {
        await sleep(random.between(100, 400))
        const backends = await eventually(async () => {
          const found = await bank.admin.backends()
          expect(found.length).toBeGreaterThan(0)
          return found
        })
        process.kill(random.pick(backends).pid, 'SIGKILL')
        fault()
        const { lost } = engine.stats()
        await eventually(() => expect(engine.stats().lost).toBeGreaterThanOrEqual(lost), recoveryMs)
        await eventually(() => engine.session(({ sql }) => sql`select 1`, { timeoutMs: 500 }), recoveryMs)
      }
      await sleep(300)
    },
  )
})

test('SIGKILL of the server and a restart on the same data', { timeout: 300_000 }, async () => {
  await using server = await openPrivateServer()
  await scenario(
    'SIGKILL of the server',
    { serverUrl: server.url },
    async ({ bank, proxy, workload, engine, fault }) => {
      workload.start(8)
      for (let turn = 0; turn < (long ? 5 : 1); turn++) {
        const before = workload.count('acknowledged')
        await eventually(() => expect(workload.count('acknowledged')).toBeGreaterThan(before), recoveryMs)
        await sleep(500)
        await server.kill()
        fault()
        await sleep(500)
        await server.start()
        proxy.retarget(server.urlOf(bank.name))
        await eventually(() => engine.session(({ sql }) => sql`select 1`, { timeoutMs: 500 }), recoveryMs)
      }
      const before = workload.count('acknowledged')
      await eventually(() => expect(workload.count('acknowledged')).toBeGreaterThan(before), recoveryMs)
    },
  )
})

test('SIGSTOP of the whole server', { timeout: 300_000 }, async () => {
  await using server = await openPrivateServer()
  await scenario('SIGSTOP', { serverUrl: server.url, timeoutMs: 500 }, async ({ workload, engine, fault }) => {
    workload.start(8)
    await sleep(300)
    await server.pause()
    fault()
    await sleep(long ? 10_000 : 1500)
    await server.resume()
    await eventually(() => engine.session(({ sql }) => sql`select 1`, { timeoutMs: 500 }), recoveryMs)
    await sleep(300)
  })
})
