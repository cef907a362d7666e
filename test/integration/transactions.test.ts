/** Transactions and savepoints, and what they cost in round trips, counted at the proxy. */
import { eq, sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { UniqueViolation, UsageError } from '../../src/errors.ts'
import { accounts, type Bank, type BankSession, meeting, openBank } from '../support/bank.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

const written = async (nonce: string) => (await bank.admin.sql`select * from entries where nonce = ${nonce}`).length

describe('a transaction', () => {
  test('commits when it returns and is rolled back when it throws', async () => {
    await using engine = await bank.engine()
    await engine.transaction(({ sql }) => sql`insert into entries (nonce, half) values ('kept', 1)`)
    const failing = engine.transaction(async ({ sql }) => {
      await sql`insert into entries (nonce, half) values ('undone', 1)`
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect([await written('kept'), await written('undone')]).toEqual([1, 0])
    await expectQuiet(engine, bank.admin)
  })

  test('has the isolation, the access mode and the deferrability it asked for', async () => {
    await using engine = await bank.engine()
    const modes = await engine.transaction(
      async ({ sql }) => {
        const [row] = await sql<{ modes: string }>`select concat_ws(' ', current_setting('transaction_isolation'),
          current_setting('transaction_read_only'), current_setting('transaction_deferrable')) as modes`
        return row?.modes
      },
      { isolation: 'serializable', readOnly: true, deferrable: true },
    )
    expect(modes).toBe('serializable on on')
  })

  test('nested is a savepoint: its failure undoes its own work only', async () => {
    await using engine = await bank.engine()
    await engine.transaction(async ({ sql, transaction }) => {
      await sql`insert into entries (nonce, half) values ('outer', 1)`
      const nested = transaction(async ({ sql }) => {
        await sql`insert into entries (nonce, half) values ('inner', 1)`
        await sql`insert into entries (nonce, half) values ('outer', 1)`
      })
      await expect(nested).rejects.toThrow(UniqueViolation)
      await sql`insert into entries (nonce, half) values ('outer', 2)`
    })
    expect([await written('outer'), await written('inner')]).toEqual([2, 0])
  })

  test('of Drizzle, db.transaction, is the same thing', async () => {
    await using engine = await bank.engine()
    await engine.session(({ db }) =>
      db.transaction(async (tx) => {
        await tx.update(accounts).set({ owner: 'renamed' }).where(eq(accounts.id, 2))
        await expect(tx.transaction((inner) => inner.execute(fragment`select 1/0`))).rejects.toThrow('division')
      }),
    )
    expect(await bank.admin.sql`select owner from accounts where id = 2`).toMatchObject([{ owner: 'renamed' }])
  })

  test('in which a failed statement was caught is answered with an error, never as committed', async () => {
    await using engine = await bank.engine()
    const swallowing = engine.transaction(async ({ sql }) => {
      await sql`insert into entries (nonce, half) values ('swallowed', 1)`
      await sql`select 1/0`.catch(() => undefined)
    })
    await expect(swallowing).rejects.toThrow(UsageError)
    await expect(swallowing).rejects.toMatchObject({ cause: { message: 'division by zero' } })
    expect(await written('swallowed')).toBe(0)
    await expectQuiet(engine, bank.admin)
  })

  test('refuses BEGIN and COMMIT written by hand, and its outer session while it is open', async () => {
    await using engine = await bank.engine()
    await engine.session(async ({ sql, transaction }) => {
      await expect(sql`commit`).rejects.toThrow(UsageError)
      await expect(sql`/* so */ begin`).rejects.toThrow(UsageError)
      await transaction(async () => {
        await expect(sql`select 1`).rejects.toThrow(/unit of work is open/)
      })
      await expect(sql`select 1 as n`).resolves.toMatchObject([{ n: 1 }])
    })
  })

  test('with an unknown isolation level is refused before anything is sent', async () => {
    await using engine = await bank.engine()
    const wrong = engine.transaction(({ sql }) => sql`select 1`, { isolation: 'chaos' as never })
    await expect(wrong).rejects.toThrow(/isolation must be one of/)
    await expectQuiet(engine, bank.admin)
  })

  test('opened in one branch keeps a statement of another branch out', async () => {
    await using engine = await bank.engine()
    await engine.session(async ({ sql, transaction }) => {
      const [inside, outside] = await Promise.allSettled([
        transaction(({ sql }) => sql`insert into entries (nonce, half) values ('branch', 1)`),
        sql`insert into entries (nonce, half) values ('branch', 2)`,
      ])
      expect([inside.status, outside.status]).toEqual(['fulfilled', 'rejected'])
    })
    expect(await written('branch')).toBe(1)
  })
})

describe('round trips at the proxy', () => {
  const read = (engine: Awaited<ReturnType<Bank['engine']>>) => () => engine.session(({ sql }) => sql`select ${1}::int`)

  test('a prepared read is one; BEGIN, settings and the first statement are one; COMMIT is one more', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { max: 1 } })
    await read(engine)()
    expect(await proxy.countRoundTrips(read(engine))).toBe(1)
    const unit = () => engine.transaction(({ sql }) => sql`select ${1}::int`, { isolation: 'serializable' })
    expect(await proxy.countRoundTrips(unit)).toBe(2)
    const bounded = () => engine.transaction(({ sql }) => sql`select ${1}::int`, { timeoutMs: 5000 })
    expect(await proxy.countRoundTrips(bounded)).toBe(2)
  })

  test('a deadline costs a read no round trip, and an identity none but its transaction', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { max: 1 } })
    await read(engine)()
    expect(
      await proxy.countRoundTrips(() => engine.session(({ sql }) => sql`select ${1}::int`, { timeoutMs: 5000 })),
    ).toBe(1)
    const identified = engine.as({ settings: { 'request.user_id': '7' } })
    await identified.session(({ sql }) => sql`select ${1}::int`)
    expect(await proxy.countRoundTrips(() => identified.session(({ sql }) => sql`select ${1}::int`))).toBe(2)
  })

  test('statements at once in a transaction are two, as they wait for the batch that opens it', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { max: 1 } })
    const three = ({ sql }: BankSession) =>
      Promise.all([sql`select ${1}::int`, sql`select ${2}::int`, sql`select ${3}::int`])
    await engine.transaction(three)
    expect(await proxy.countRoundTrips(() => engine.session(three))).toBe(1)
    expect(await proxy.countRoundTrips(() => engine.transaction(three))).toBe(3)
  })

  test('a snapshot gather is two until its result, the export and the tasks, on any number of connections', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { max: 3, catalogCheckMs: 0 } })
    const meet = meeting(engine, 3)
    const warm = () => meet(() => undefined)
    await Promise.all([warm(), warm(), warm()])
    const task = ({ sql }: BankSession) => sql`select 1`
    const gathered = async () => {
      await eventually(() => expect(engine.stats()).toMatchObject({ idle: 3, leased: 0 }))
      const before = proxy.links.map(({ roundTrips }) => roundTrips)
      await engine.gather([task, task, task], { snapshot: true })
      return proxy.links.map(({ roundTrips }, index) => roundTrips - (before[index] ?? 0)).sort()
    }
    // The leader exports, then reads; the others import and read in one. Where the machine is busy, one of them may have
    // read twice while another came late: not every time.
    await eventually(async () => expect(await gathered()).toEqual([1, 1, 2]))
  })

  test('an empty transaction and an empty session are none', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { max: 1 } })
    expect(await proxy.countRoundTrips(() => engine.transaction(() => 1))).toBe(0)
    expect(await proxy.countRoundTrips(() => engine.session(({ transaction }) => transaction(() => 1)))).toBe(0)
  })
})
