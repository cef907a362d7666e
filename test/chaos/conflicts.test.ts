/** Transactions against each other, and against a changing schema: deadlocks, write skew, DDL. */
import { setTimeout as sleep } from 'node:timers/promises'
import { eq } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { accounts, Recorder } from '../support/bank.ts'
import { eventually } from '../support/invariants.ts'
import { long } from '../support/random.ts'
import { scenario } from '../support/scenario.ts'

test('200 deadlocks: every transaction commits in the end, once', { timeout: 120_000 }, async () => {
  const wanted = long ? 200 : 30
  const recorder = new Recorder()
  const options = { timeoutMs: 20_000, pool: { max: 8 }, observe: recorder.observe }
  await scenario(`${wanted} deadlocks`, options, async ({ engine, bank, ledger, random, fault }) => {
    await bank.admin.sql`alter database ${bank.admin.sql(bank.name)} set deadlock_timeout = '5ms'`
    await bank.admin.terminate()
    await eventually(() => expect(engine.stats().open).toBe(0))
    let done = 0
    const worker = async (name: number) => {
      while (recorder.of('transaction.retried').length < wanted) {
        const [first, second] = [random.between(1, 3), random.between(1, 3)]
        if (first === second) continue
        const outcome = await ledger.watch(20_000, () =>
          engine.transaction(
            async ({ sql }) => {
              await sql`update accounts set balance = balance - 1 where id = ${first}`
              await sql`select pg_sleep(0.002)`
              await sql`update accounts set balance = balance + 1 where id = ${second}`
              await sql`insert into entries (nonce, half) values (${`deadlock-${name}-${done}`}, ${random.between(1, 2 ** 30)})`
            },
            { attempts: 50, timeoutMs: 20_000 },
          ),
        )
        expect('error' in outcome ? outcome.error : undefined).toBeUndefined()
        done += 1
      }
    }
    await Promise.all(Array.from({ length: 8 }, (_, name) => worker(name)))
    for (const { error } of recorder.of('transaction.retried')) {
      expect(error).toMatchObject({ code: 'deadlock_detected' })
      fault()
    }
    expect(await bank.admin.sql`select * from entries`).toHaveLength(done)
  })
})

test(
  'write skew under serializable never happens, found by a statement or by COMMIT',
  { timeout: 60_000 },
  async () => {
    const recorder = new Recorder()
    const options = { timeoutMs: 10_000, pool: { max: 8 }, observe: recorder.observe }
    await scenario('write skew', options, async ({ engine, bank, ledger, fault }) => {
      // The rule: accounts 1 and 2 together keep at least 100. Each alone may go below.
      const withdraw = (id: number) =>
        engine.transaction(
          async ({ sql }) => {
            const [row] = await sql<{ sum: number }>`select sum(balance)::int as sum from accounts where id in (1, 2)`
            if ((row?.sum ?? 0) < 150) return 0
            const { count } = await sql`update accounts set balance = balance - 50 where id = ${id} and balance >= 50`
            await sql`update accounts set balance = balance + 50 * ${count}::int where id = ${id + 8}`
            return count
          },
          { isolation: 'serializable', attempts: 50, timeoutMs: 10_000 },
        )
      for (let turn = 0; turn < (long ? 200 : 15); turn++) {
        await bank.admin.sql`update accounts set balance = 100 where true`
        const outcomes = await Promise.all([1, 2, 1, 2, 1, 2].map((id) => ledger.watch(10_000, () => withdraw(id))))
        expect(outcomes.filter((outcome) => 'error' in outcome)).toEqual([])
        const [row] = await bank.admin.sql<
          { sum: number }[]
        >`select sum(balance)::int as sum from accounts where id in (1, 2)`
        expect(row?.sum).toBeGreaterThanOrEqual(100)
      }
      for (const _ of recorder.of('transaction.retried')) fault()
      expect(recorder.of('transaction.retried').length).toBeGreaterThan(0)
      await bank.admin.sql`update accounts set balance = 100 where true`
    })
  },
)

test('DDL under load: prepared statements follow the schema, outside transactions without an error', async () => {
  await scenario('DDL under load', { timeoutMs: 5000 }, async ({ engine, bank, ledger, workload, random, fault }) => {
    workload.start(4)
    let stopped = false
    const readers = Array.from({ length: 4 }, async () => {
      while (!stopped) {
        const id = random.between(1, 10)
        const outcome = await ledger.watch(5000, () =>
          engine.session(async ({ db, sql }) => {
            const [row] = await db.select().from(accounts).where(eq(accounts.id, id))
            expect(row?.id).toBe(id)
            const [all] = await sql<{ id: number }>`select * from accounts where id = ${id}`
            expect(all?.id).toBe(id)
          }),
        )
        expect('error' in outcome ? outcome.error : undefined).toBeUndefined()
      }
    })
    for (let turn = 0; turn < (long ? 100 : 8); turn++) {
      await bank.admin.sql.unsafe(`alter table accounts add column extra_${turn} int default ${turn}`)
      await sleep(random.between(20, 80))
      await bank.admin.sql.unsafe(`alter table accounts drop column extra_${turn}`)
      fault()
    }
    stopped = true
    await Promise.all(readers)
  })
})
