/**
 * Statements that Rivulet sends of itself may fail like any other: an operator cancels one, a limit hits it. What is told
 * then is what happened, never a fault of the task, and nothing is kept that was said to have failed.
 */
import { sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Bank, type BankEngine, type BankSession, openBank, Recorder } from '../support/bank.ts'
import { eventually, expectHealthy } from '../support/invariants.ts'
import { RefusedSteps } from '../support/refused-steps.ts'

let bank: Bank
beforeAll(async () => void (bank = await openBank()))
afterAll(() => bank[Symbol.asyncDispose]())

const write = ({ sql }: BankSession, nonce: string) => sql`insert into entries (nonce, half) values (${nonce}, 1)`
const stored = async (nonce: string) => (await bank.admin.sql`select * from entries where nonce = ${nonce}`).length

async function refusing(
  pattern: RegExp,
  run: (engine: BankEngine, arm: () => void) => Promise<unknown>,
  recorder = new Recorder(),
) {
  const proxy = await bank.proxy()
  await using engine = await bank.engine({ proxy, pool: { max: 1 }, observe: recorder.observe })
  const refused = new RefusedSteps(proxy)
  const outcome = await run(engine, () => refused.arm(pattern)).then(
    (value: unknown) => ({ value }),
    (error: unknown) => ({ error }),
  )
  expect(refused.count).toBe(1)
  await expectHealthy(engine, bank.admin)
  return outcome
}

const cancelled = {
  error: { code: 'statement_timeout', message: expect.stringContaining('canceling statement') as string },
}

describe('a transaction says what happened when what is refused is', () => {
  test('the question for its id, before COMMIT', async () => {
    const call = refusing(/pg_current_xact_id_if_assigned/, (engine, arm) =>
      engine.transaction(async (session) => {
        await write(session, 'id')
        arm()
      }),
    )
    expect(await call).toMatchObject(cancelled)
    expect(await stored('id')).toBe(0)
  })

  test('COMMIT', async () => {
    const call = refusing(/^commit/, (engine, arm) =>
      engine.transaction(async (session) => {
        await write(session, 'commit')
        arm()
      }),
    )
    expect(await call).toMatchObject(cancelled)
    expect(await stored('commit')).toBe(0)
  })

  test('the release of a savepoint', async () => {
    const call = refusing(/^release savepoint/, (engine, arm) =>
      engine.transaction(async (session) => {
        await session.transaction(async (nested) => {
          await write(nested, 'release')
          arm()
        })
      }),
    )
    expect(await call).toMatchObject(cancelled)
    expect(await stored('release')).toBe(0)
  })

  test('the return to a savepoint', async () => {
    const call = refusing(/^rollback to savepoint/, (engine, arm) =>
      engine.transaction(async (session) => {
        const nested = session.transaction(async (inner) => {
          await write(inner, 'return')
          arm()
          throw new Error('undo this')
        })
        await expect(nested).rejects.toThrow('undo this')
      }),
    )
    expect(await call).toMatchObject(cancelled)
    expect(await stored('return')).toBe(0)
  })

  test('ROLLBACK', async () => {
    const call = refusing(/^rollback$/, (engine, arm) =>
      engine.transaction(async (session) => {
        await write(session, 'rollback')
        arm()
        throw new Error('undo this')
      }),
    )
    expect(await call).toMatchObject({ error: { message: 'undo this' } })
    expect(await stored('rollback')).toBe(0)
  })

  test('the end of a snapshot, which no later session runs in', async () => {
    const call = refusing(/^rollback$/, async (engine, arm) => {
      arm()
      await engine.gather([({ sql }) => sql`select 1`], { snapshot: true })
      await engine.session((session) => write(session, 'after a snapshot'))
      return 'written'
    })
    expect(await call).toEqual({ value: 'written' })
    expect(await stored('after a snapshot')).toBe(1)
  })

  test('the end of a snapshot that is never answered costs its connection, and keeps none', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { max: 1 } })
    for (const link of proxy.links) {
      link.tap = (chunk, from) => {
        if (from !== 'client' || !chunk.includes('rollback')) return chunk
        link.stall()
        return undefined
      }
    }
    expect(await engine.gather([() => 1, ({ sql }) => sql`select 1`], { snapshot: true })).toHaveLength(2)
    await eventually(() => expect(engine.stats()).toMatchObject({ leased: 0, closing: 0 }))
    await engine.session((session) => write(session, 'after a silent snapshot'))
    expect(await stored('after a silent snapshot')).toBe(1)
  })

  test.each([/^declare/, /^fetch/, /^close/])('%s of a stream', async (pattern) => {
    const nonce = `stream ${pattern.source}`
    const call = refusing(pattern, (engine, arm) =>
      engine.transaction(async (session) => {
        await write(session, nonce)
        arm()
        for await (const row of session.stream(fragment`select generate_series(1, 10)`, { batchSize: 2 })) {
          void row
          break
        }
      }),
    )
    expect(await call).toMatchObject(cancelled)
    expect(await stored(nonce)).toBe(0)
  })
})

describe('the time limit of an earlier call', () => {
  const limited = (engine: BankEngine) => engine.session(({ sql }) => sql`select 1`, { timeoutMs: 2000 })

  test.each([/^set statement_timeout = default/, /^select 1$/])(
    'is lifted all the same when %s is refused',
    async (pattern) => {
      const nonce = `lift ${pattern.source}`
      const call = refusing(pattern, async (engine, arm) => {
        await limited(engine)
        arm()
        await engine.transaction((session) => write(session, nonce))
        return engine.session(({ sql }) => sql`show statement_timeout`)
      })
      expect(await call).toMatchObject({ value: [{ statement_timeout: '0' }] })
      expect(await stored(nonce)).toBe(1)
    },
  )

  test('is lifted before anything runs in a call that has more time', async () => {
    const call = refusing(/^set statement_timeout/, async (engine, arm) => {
      await limited(engine)
      arm()
      await engine.session((session) => write(session, 'more time'), { timeoutMs: 60_000 })
      return 'written'
    })
    expect(await call).toEqual({ value: 'written' })
    expect(await stored('more time')).toBe(1)
  })

  test('that could not be set harms nobody, and is not taken for set', async () => {
    const call = refusing(/^set statement_timeout/, async (engine, arm) => {
      arm()
      await engine.session((session) => write(session, 'not set'), { timeoutMs: 60_000 })
      return engine.session(({ sql }) => sql`show statement_timeout`)
    })
    expect(await call).toMatchObject({ value: [{ statement_timeout: '0' }] })
    expect(await stored('not set')).toBe(1)
  })
})
