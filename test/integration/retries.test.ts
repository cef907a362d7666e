/** Retries: what conflicts with another transaction is run again as a whole, within attempts and deadline, observably. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeadlineExceeded, DeadlockDetected, SerializationFailure, UsageError } from '../../src/errors.ts'
import { type Bank, type BankSession, gate, openBank, Recorder } from '../support/bank.ts'
import { expectQuiet } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

/** Fails with the SQLSTATE until it has run `times` times. */
function failing(sqlState: string, times: number, nonce = sqlState) {
  let runs = 0
  return async ({ sql }: BankSession) => {
    runs += 1
    await sql`insert into entries (nonce, half) values (${nonce}, ${runs}::int)`
    if (runs < times) await sql`select fail(${sqlState})`
    return runs
  }
}

beforeAll(async () => {
  await bank.admin.sql.unsafe(`create function fail(text) returns void language plpgsql as
    $$ begin raise exception 'on purpose' using errcode = $1; end $$`)
})

describe('a transaction', () => {
  test.each(['40001', '40P01'])(
    'is run again after %s, as a whole: nothing of the failed runs stays',
    async (sqlState) => {
      const recorder = new Recorder()
      await using engine = await bank.engine({ observe: recorder.observe })
      expect(await engine.transaction(failing(sqlState, 4))).toBe(4)
      expect(await bank.admin.sql`select half from entries where nonce = ${sqlState}`).toEqual([{ half: 4 }])
      expect(recorder.of('transaction.retried').map(({ attempt }) => attempt)).toEqual([1, 2, 3])
      await expectQuiet(engine, bank.admin)
    },
  )

  test('is tried 5 times by default, or as often as said, and then throws the conflict', async () => {
    await using engine = await bank.engine()
    const runs = async (attempts?: number) => {
      let count = 0
      const unit = async (session: BankSession) => {
        count += 1
        await failing('40001', 1000)(session)
      }
      const call = engine.transaction(unit, attempts === undefined ? {} : { attempts })
      await expect(call).rejects.toThrow(SerializationFailure)
      return count
    }
    expect([await runs(), await runs(1), await runs(2)]).toEqual([5, 1, 2])
  })

  test('is not run again after any other failure', async () => {
    await using engine = await bank.engine()
    for (const sqlState of ['23505', '57014', '22012', 'P0001']) {
      let runs = 0
      const call = engine.transaction(async ({ sql }) => {
        runs += 1
        await sql`select fail(${sqlState})`
      })
      await expect(call).rejects.toMatchObject({ retryable: false })
      expect([sqlState, runs]).toEqual([sqlState, 1])
    }
  })

  test('is run again although the task wrapped the conflict in an error of its own', async () => {
    await using engine = await bank.engine()
    let runs = 0
    await engine.transaction(async ({ sql }) => {
      runs += 1
      if (runs === 1)
        await sql`select fail('40001')`.catch((cause: unknown) => Promise.reject(new Error('mine', { cause })))
    })
    expect(runs).toBe(2)
  })

  test('is run again when the conflict was swallowed and COMMIT answered with ROLLBACK', async () => {
    await using engine = await bank.engine()
    let runs = 0
    await engine.transaction(async ({ sql }) => {
      runs += 1
      if (runs === 1) await sql`select fail('40001')`.catch(() => undefined)
    })
    expect(runs).toBe(2)
  })

  test('inside another one is not run again by itself', async () => {
    await using engine = await bank.engine()
    const runs = { outer: 0, inner: 0 }
    await engine.transaction(async ({ transaction }) => {
      runs.outer += 1
      await transaction(async ({ sql }) => {
        runs.inner += 1
        if (runs.outer === 1) await sql`select fail('40001')`
      })
    })
    expect(runs).toEqual({ outer: 2, inner: 2 })
    const nested = engine.transaction(({ transaction }) => transaction(() => 1, { attempts: 3 }))
    await expect(nested).rejects.toThrow(UsageError)
  })

  test('under an identity keeps its isolation level, its retries and the identity in every run', async () => {
    await using engine = await bank.engine()
    let runs = 0
    const seen = await engine.as({ settings: { 'request.user_id': '7' } }).transaction(
      async ({ sql }) => {
        runs += 1
        if (runs < 3) await sql`select fail('40001')`
        const [row] = await sql<{ seen: string }>`select concat_ws(' ', current_setting('request.user_id'),
          current_setting('transaction_isolation')) as seen`
        return row?.seen
      },
      { isolation: 'serializable', attempts: 3 },
    )
    expect([runs, seen]).toEqual([3, '7 serializable'])
  })

  test('stops retrying at its deadline', async () => {
    await using engine = await bank.engine()
    const call = engine.transaction(failing('40001', 1000, 'late'), { attempts: 100, timeoutMs: 300 })
    await expect(call).rejects.toThrow(DeadlineExceeded)
    await expectQuiet(engine, bank.admin)
  })

  test.each([0, 101, 1.5])('with attempts %s is refused', async (attempts) => {
    await using engine = await bank.engine()
    await expect(engine.transaction(() => 1, { attempts })).rejects.toThrow(UsageError)
  })
})

describe('between real transactions', () => {
  test('a deadlock on the server is answered by running the one it ended again, and both commit', async () => {
    await bank.admin.sql`alter database ${bank.admin.sql(bank.name)} set deadlock_timeout = '20ms'`
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    const locked = { low: gate(), high: gate() }
    const swap =
      (first: number, second: number, mine: 'low' | 'high') =>
      async ({ sql }: BankSession) => {
        await sql`update accounts set balance = balance + 1 where id = ${first}`
        locked[mine].open()
        await locked[mine === 'low' ? 'high' : 'low'].opened
        await sql`update accounts set balance = balance - 1 where id = ${second}`
      }
    await Promise.all([engine.transaction(swap(1, 2, 'low')), engine.transaction(swap(2, 1, 'high'))])
    // Not always once: a second run that is quick takes its row again before the other one has woken, and they are where they were.
    const ended = recorder.of('transaction.retried').map(({ error }) => error)
    expect(ended).not.toEqual([])
    for (const error of ended) expect(error).toBeInstanceOf(DeadlockDetected)
    const rows = await bank.admin.sql`select balance::int from accounts where id in (1, 2)`
    expect(rows).toEqual([{ balance: 100 }, { balance: 100 }])
  })

  test('write skew under serializable is caught, also when only COMMIT finds it', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    const read = [gate(), gate()] as const
    const leave = (mine: 0 | 1) =>
      engine.transaction(
        async ({ sql }) => {
          const [row] = await sql<{
            n: number
          }>`select count(*)::int as n from accounts where id in (3, 4) and owner <> 'away'`
          read[mine].open()
          await read[mine === 0 ? 1 : 0].opened
          if ((row?.n ?? 0) < 2) return false
          await sql`update accounts set owner = 'away' where id = ${3 + mine}`
          return true
        },
        { isolation: 'serializable' },
      )
    const left = await Promise.all([leave(0), leave(1)])
    expect(left.toSorted()).toEqual([false, true])
    expect(recorder.of('transaction.retried').length).toBeGreaterThan(0)
  })
})
