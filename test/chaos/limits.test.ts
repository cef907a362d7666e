/** Limits reached: of connections, of the pool, of time on the server, of disk. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ConnectionLost, LockTimeout, PoolDeadlock, PoolTimeout, StatementTimeout } from '../../src/errors.ts'
import { Recorder } from '../support/bank.ts'
import { eventually } from '../support/invariants.ts'
import { openPrivateServer } from '../support/private-server.ts'
import { long } from '../support/random.ts'
import { scenario } from '../support/scenario.ts'

test(
  'the server has too many connections: the pool shrinks and serves with those it has',
  { timeout: 60_000 },
  async () => {
    await using server = await openPrivateServer({ max_connections: '12', superuser_reserved_connections: '0' })
    const recorder = new Recorder()
    const options = {
      serverUrl: server.url,
      // However slow the machine is, nobody fails for want of connections that the server does not give.
      pool: { max: 30, acquireTimeoutMs: 60_000 },
      timeoutMs: 60_000,
      observe: recorder.observe,
    }
    await scenario('53300', options, async ({ workload, ledger, engine, bank, fault }) => {
      await workload.run(24, long ? 20_000 : 2500)
      for (const _ of recorder.of('connection.failed')) fault()
      expect(recorder.of('connection.failed').length).toBeGreaterThan(0)
      expect(ledger.failures.get('connection_lost') ?? 0).toBe(0)
      const outcome = `${ledger.summary('53300', 0)} ${JSON.stringify(engine.stats())}`
      expect(ledger.succeeded / ledger.operations, outcome).toBeGreaterThan(0.95)
      expect(engine.stats().open).toBeLessThanOrEqual(12)
      expect((await bank.admin.backends()).length).toBe(engine.stats().open)
    })
  },
)

test('the pool is exhausted: callers fail in time, and all is well when sessions come back', async () => {
  await scenario('pool exhausted', { pool: { max: 2, acquireTimeoutMs: 200 } }, async ({ engine, ledger, fault }) => {
    // Connecting is not what has to be quick.
    await eventually(
      () => Promise.all([1, 2].map(() => engine.session(({ sql }) => sql`select pg_sleep(0.1)`))),
      20_000,
    )
    const hogs = [1, 2].map(() => engine.session(({ sql }) => sql`select pg_sleep(1)`))
    await eventually(() => expect(engine.stats().leased).toBe(2))
    fault()
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => ledger.watch(600, () => engine.session(() => 1))),
    )
    expect(outcomes.every((outcome) => 'error' in outcome && outcome.error instanceof PoolTimeout)).toBe(true)
    await Promise.all(hogs)
    await engine.session(() => 1)
  })
})

test('statement and lock timeouts of the server end their statement only', async () => {
  await scenario('statement and lock timeouts', {}, async ({ engine, bank, ledger, fault }) => {
    for (let turn = 0; turn < (long ? 100 : 5); turn++) {
      const slow = await ledger.watch(2000, () =>
        engine.transaction(async ({ sql }) => {
          await sql`set local statement_timeout = '30ms'`
          await sql`select pg_sleep(10)`
        }),
      )
      expect('error' in slow && slow.error).toBeInstanceOf(StatementTimeout)
      const blocked = await bank.admin.sql.begin(async (admin) => {
        await admin`select * from accounts where id = 1 for update`
        return ledger.watch(2000, () =>
          engine.transaction(async ({ sql }) => {
            await sql`set local lock_timeout = '30ms'`
            await sql`update accounts set owner = 'x' where id = 1`
          }),
        )
      })
      expect('error' in blocked && blocked.error).toBeInstanceOf(LockTimeout)
      fault()
    }
  })
})

test('an idle-in-transaction timeout is a lost connection, and its work is undone', async () => {
  await scenario('idle in transaction', {}, async ({ engine, bank, fault }) => {
    const name = bank.admin.sql(bank.name)
    await bank.admin.sql`alter database ${name} set idle_in_transaction_session_timeout = '50ms'`
    await bank.admin.terminate()
    await eventually(() => expect(engine.stats().open).toBe(0))
    const idle = engine.transaction(async ({ sql, backendPid }) => {
      await sql`insert into entries (nonce, half) values ('idle', 1)`
      await eventually(async () => {
        expect((await bank.admin.backends()).map(({ pid }) => pid)).not.toContain(backendPid)
      })
      await sql`insert into entries (nonce, half) values ('idle', 2)`
    })
    fault()
    await expect(idle).rejects.toThrow(ConnectionLost)
    expect(await bank.admin.sql`select * from entries where nonce = 'idle'`).toHaveLength(0)
    await bank.admin.sql`alter database ${name} reset idle_in_transaction_session_timeout`
  })
})

test('nested acquisition on a full pool: refused at once, and the others go on', async () => {
  await scenario('nested acquisition', { pool: { max: 3 } }, async ({ engine, ledger, workload, fault }) => {
    workload.start(3)
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, () =>
        ledger.watch(3000, () => engine.session(() => engine.session(() => engine.session(() => 'served')))),
      ),
    )
    for (const outcome of outcomes) {
      if ('value' in outcome) expect(outcome.value).toBe('served')
      else {
        fault()
        expect(outcome.error).toBeInstanceOf(PoolDeadlock)
      }
    }
    await sleep(100)
  })
})

test('out of disk for a sort: its statement fails, and nobody else notices', async () => {
  await scenario('disk full', { timeoutMs: 5000 }, async ({ engine, bank, ledger, workload, fault }) => {
    await bank.admin.sql`alter database ${bank.admin.sql(bank.name)} set temp_file_limit = '64kB'`
    await bank.admin.sql`alter database ${bank.admin.sql(bank.name)} set work_mem = '64kB'`
    await bank.admin.terminate()
    await eventually(() => expect(engine.stats().open).toBe(0))
    workload.start(4)
    for (let turn = 0; turn < (long ? 50 : 4); turn++) {
      const outcome = await ledger.watch(10_000, () =>
        engine.session(({ sql }) => sql`select md5(n::text) as m from generate_series(1, 50000) n order by 1`),
      )
      fault()
      expect('error' in outcome && outcome.error).toMatchObject({ code: 'database_error', sqlState: '53400' })
    }
  })
})
