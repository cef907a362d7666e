/** One instant for several connections: no torn sums, no hold-and-wait, one round trip more. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { optional, withIdentity } from '../../src/gather/task-spec.ts'
import { type Bank, type BankEngine, type BankSession, gate, meetingOf, openBank } from '../support/bank.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'
import { long } from '../support/random.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

const sumOf =
  (from: number, to: number) =>
  async ({ sql }: BankSession) => {
    const [row] = await sql<{
      sum: number
    }>`select sum(balance)::int as sum from accounts where id between ${from} and ${to}`
    return row?.sum ?? 0
  }
const halves = [sumOf(1, 5), sumOf(6, 10)] as const

const pause = ({ sql }: BankSession) => sql`select pg_sleep(0.2)`

/** Moves money between the halves until stopped. */
function moveMoney(engine: BankEngine): () => Promise<void> {
  let stopped = false
  const moving = (async () => {
    for (let turn = 0; !stopped; turn++) {
      const step = turn % 2 === 0 ? 1 : -1
      await engine.transaction(async ({ sql }) => {
        await sql`update accounts set balance = balance - ${step}::int where id = 1`
        await sql`update accounts set balance = balance + ${step}::int where id = 6`
      })
    }
  })()
  return () => {
    stopped = true
    return moving
  }
}

describe('a shared snapshot', () => {
  test('never tears a sum that a plain gather does tear', async () => {
    await using writer = await bank.engine({ pool: { max: 1 } })
    await using engine = await bank.engine({ pool: { max: 4 } })
    const stop = moveMoney(writer)
    const gathers = long ? 5000 : 400
    const torn = { plain: 0, snapshot: 0 }
    for (let count = 0; count < gathers || torn.plain === 0; count++) {
      const [left, right] = await engine.gather(halves)
      if (left + right !== 1000) torn.plain += 1
      if (count >= gathers) continue
      const [a, b] = await engine.gather(halves, { snapshot: true })
      if (a + b !== 1000) torn.snapshot += 1
    }
    await stop()
    await writer.close()
    console.log(`torn sums in ${gathers} gathers: ${torn.plain} plain, ${torn.snapshot} with a snapshot`)
    expect(torn.snapshot).toBe(0)
    expect(torn.plain).toBeGreaterThan(0)
    await expectQuiet(engine, bank.admin)
  })

  test('is used from several backends, read only', async () => {
    await using engine = await bank.engine({ pool: { max: 3 } })
    const meet = meetingOf(3)
    const slow = async ({ sql, backendPid }: BankSession) => {
      await sql`select 1`
      await meet()
      return backendPid
    }
    expect(new Set(await engine.gather([slow, slow, slow], { snapshot: true })).size).toBe(3)
    const writing = engine.gather([({ sql }) => sql`update accounts set owner = 'x'`], { snapshot: true })
    await expect(writing).rejects.toMatchObject({ sqlState: '25006' })
    await expectQuiet(engine, bank.admin)
  })

  test.each([1, 2, 5])('works with a pool of %i and as many gathers at once', async (max) => {
    await using engine = await bank.engine({ pool: { max } })
    const gathers = Array.from({ length: max * 4 }, () => engine.gather(halves, { snapshot: true, timeoutMs: 10_000 }))
    const sums = await Promise.all(gathers)
    expect(sums.map(([left, right]) => left + right)).toEqual(sums.map(() => 1000))
    expect(engine.stats().deadlocks).toBe(0)
    await expectQuiet(engine, bank.admin)
  })

  test('works inside a session that holds a connection, on a pool of 2', async () => {
    await using engine = await bank.engine({ pool: { max: 2 } })
    const [left, right] = await engine.session(() => engine.gather(halves, { snapshot: true }))
    expect(left + right).toBe(1000)
    expect(engine.stats().deadlocks).toBe(0)
  })

  test('costs one round trip more than a plain gather', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { max: 2 } })
    // Each waits for the other, so that both connections are open and have the statement prepared.
    const both = gate()
    let running = 0
    const warm = async (session: BankSession) => {
      await halves[0](session)
      running += 1
      if (running === 2) both.open()
      await both.opened
    }
    await engine.gather([warm, warm])
    await engine.gather(halves, { snapshot: true })
    const longest = async (snapshot: boolean) => {
      // The rollback that ends a snapshot is answered before the next statement on its connection.
      for (let turn = 0; turn < 3; turn++) await engine.gather(halves)
      const before = proxy.links.map((link) => link.roundTrips)
      await engine.gather(halves, { snapshot })
      return Math.max(...proxy.links.map((link, index) => link.roundTrips - (before[index] ?? 0)))
    }
    // The fewest of many: what is sent together may arrive, and be answered, in parts.
    const fewest = async (snapshot: boolean) => {
      const counts = []
      for (let turn = 0; turn < 10; turn++) counts.push(await longest(snapshot))
      return Math.min(...counts)
    }
    const plain = await fewest(false)
    const shared = await fewest(true)
    expect({ plain, shared }).toEqual({ plain: 1, shared: 2 })
  })

  test('a task that fails leaves the snapshot to the next one on its connection', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const settled = await engine.gatherSettled([({ sql }) => sql`select 1/0`, ...halves], { snapshot: true })
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  })

  test('a late optional task costs no other task its result, even on a pool of 1', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const late = ({ sql }: BankSession) => sql`select pg_sleep(20)`
    const page = await engine.gather(
      {
        late: optional(late, 'late', { timeoutMs: 50 }),
        sum: sumOf(1, 10),
        again: optional(late, 'late', { timeoutMs: 50 }),
      },
      { snapshot: true },
    )
    expect(page).toEqual({ late: 'late', sum: 1000, again: 'late' })
    await expectQuiet(engine, bank.admin)
  })

  test('lost with its last connection fails the tasks that have not run, and none is undefined', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const dying = ({ sql }: BankSession) => sql`select pg_terminate_backend(pg_backend_pid())`
    const page = engine.gather({ dying: optional(dying, 'gone'), sum: sumOf(1, 10) }, { snapshot: true })
    await expect(page).rejects.toMatchObject({ code: 'connection_lost', task: 'sum' })
    await expectQuiet(engine, bank.admin)
  })

  test('whose exporter dies before it is imported is a lost connection, not an error of the task', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { max: 2 } })
    await engine.gather([pause, pause])
    for (const link of proxy.openLinks) {
      link.tap = (chunk, from) => {
        if (from === 'server' || !chunk.includes('set transaction snapshot')) return chunk
        // Held back until the exporter is gone.
        void (async () => {
          const [exporter] = await bank.admin.sql<{ pid: number }[]>`
            select pid from pg_stat_activity where application_name = 'rivulet' and datname = current_database()
              and backend_xmin is not null`
          await bank.admin.terminate(exporter?.pid)
          await eventually(async () => expect(await bank.admin.backends()).toHaveLength(1))
          link.server?.write(chunk)
        })()
        return undefined
      }
    }
    const settled = await engine.gatherSettled([pause, pause], { snapshot: true })
    for (const result of settled) expect(result).toMatchObject({ reason: { code: 'connection_lost' } })
    await expectQuiet(engine, bank.admin)
  })

  test('is shared by tasks of different identities, and no identity stays behind', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const who = async ({ sql }: BankSession) => {
      const [row] = await sql<{ id: string | null }>`select nullif(current_setting('request.user_id', true), '') as id`
      return row?.id ?? null
    }
    const identities = await engine.gather(
      [
        withIdentity({ settings: { 'request.user_id': '7' } }, who),
        who,
        withIdentity({ settings: { 'request.user_id': '8' } }, who),
      ],
      { snapshot: true },
    )
    expect(identities).toEqual(['7', null, '8'])
    expect(await engine.session(who)).toBe(null)
  })
})
