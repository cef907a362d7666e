/** Cancellation: stops the right statement on the server, soon, with a full pool too, and never another one. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Cancelled } from '../../src/errors.ts'
import { type Bank, type BankSession, gate, openBank, Recorder } from '../support/bank.ts'
import { eventually, expectQuiet, stopwatch } from '../support/invariants.ts'
import { createRandom } from '../support/random.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

const sleeping = ({ sql }: BankSession) => sql`select pg_sleep(20)`
const asleep = async () => (await bank.admin.backends()).filter(({ waiting }) => waiting === 'PgSleep')

describe('an aborted signal', () => {
  test('stops the statement on the server within 50 ms, with every connection in use', async () => {
    await using engine = await bank.engine({ pool: { max: 3 } })
    const { opened, open } = gate()
    const holders = [1, 2].map(() => engine.session(() => opened))
    const took: number[] = []
    for (let turn = 0; turn < 5; turn++) {
      const controller = new AbortController()
      const call = engine.session(sleeping, { signal: controller.signal })
      await eventually(async () => expect(await asleep()).toHaveLength(1))
      const watch = stopwatch()
      controller.abort()
      await expect(call).rejects.toThrow(Cancelled)
      await eventually(async () => expect(await asleep()).toEqual([]), 1000)
      took.push(watch())
    }
    // The best of five: what the machine adds to the others is not the engine's.
    expect(Math.min(...took)).toBeLessThan(50)
    open()
    await Promise.all(holders)
    await expectQuiet(engine, bank.admin)
  })

  test('rejects with Cancelled whose cause is the reason given', async () => {
    await using engine = await bank.engine()
    const reason = new Error('the client hung up')
    const controller = new AbortController()
    const call = engine.session(sleeping, { signal: controller.signal })
    await eventually(() => expect(engine.stats().leased).toBe(1))
    controller.abort(reason)
    await expect(call).rejects.toMatchObject({ code: 'cancelled', cause: reason })
  })

  test('that was aborted before the call sends nothing', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    await expect(engine.session(sleeping, { signal: AbortSignal.abort() })).rejects.toThrow(Cancelled)
    await expect(engine.transaction(sleeping, { signal: AbortSignal.abort() })).rejects.toThrow(Cancelled)
    await expect(engine.gather({ a: sleeping }, { signal: AbortSignal.abort() })).rejects.toThrow(Cancelled)
    expect(recorder.of('statement.finished')).toEqual([])
    await expectQuiet(engine, bank.admin)
  })

  test('rolls the transaction back', async () => {
    await using engine = await bank.engine()
    const controller = new AbortController()
    const call = engine.transaction(
      async ({ sql }) => {
        await sql`insert into entries (nonce, half) values ('cancelled', 1)`
        controller.abort()
        await sql`insert into entries (nonce, half) values ('cancelled', 2)`
      },
      { signal: controller.signal },
    )
    await expect(call).rejects.toThrow(Cancelled)
    await expectQuiet(engine, bank.admin)
    expect(await bank.admin.sql`select * from entries where nonce = 'cancelled'`).toHaveLength(0)
  })

  test('discards the connection and replaces it', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1 }, observe: recorder.observe })
    const controller = new AbortController()
    let cancelledPid = 0
    const call = engine.session(
      async (session) => {
        cancelledPid = session.backendPid
        await sleeping(session)
      },
      { signal: controller.signal },
    )
    await eventually(async () => expect(await asleep()).toHaveLength(1))
    controller.abort()
    await expect(call).rejects.toThrow(Cancelled)
    expect(await engine.session(({ backendPid }) => backendPid)).not.toBe(cancelledPid)
    expect(recorder.of('connection.retired')).toMatchObject([{ reason: 'cancelled' }])
  })

  test('leaves no listener behind on the signal', async () => {
    await using engine = await bank.engine()
    const controller = new AbortController()
    let listeners = 0
    const { addEventListener, removeEventListener } = controller.signal
    controller.signal.addEventListener = (...args: unknown[]) => {
      listeners += 1
      Reflect.apply(addEventListener, controller.signal, args)
    }
    controller.signal.removeEventListener = (...args: unknown[]) => {
      listeners -= 1
      Reflect.apply(removeEventListener, controller.signal, args)
    }
    for (let turn = 0; turn < 20; turn++) {
      await engine.session(() => 1, { signal: controller.signal })
      await engine.gather({ a: () => 1 }, { signal: controller.signal })
    }
    expect(listeners).toBe(0)
  })
})

test('1,000 cancels aimed at statements that are just ending leave every innocent statement alone', async () => {
  const random = createRandom('cancels at the last moment')
  await using engine = await bank.engine({ pool: { max: 4 } })
  let innocent = 0
  let cancelled = 0
  let done = false
  // Bystanders on the same pool: they get the connections that follow the cancelled ones.
  const bystander = async () => {
    while (!done) {
      const nonce = random.between(0, 2 ** 30)
      const [row] = await engine.session(
        ({ sql }) => sql<{ n: number }>`select ${nonce}::int as n from pg_sleep(0.001)`,
      )
      expect(row?.n).toBe(nonce)
      innocent += 1
    }
  }
  const bystanders = [bystander(), bystander()]
  const attacker = async () => {
    for (let shot = 0; shot < 500; shot++) {
      const controller = new AbortController()
      const call = engine.session(({ sql }) => sql`select pg_sleep(0.002)`, { signal: controller.signal })
      call.catch(() => undefined)
      const aimMs = 1 + random.next() * 3
      const startedAt = performance.now()
      while (performance.now() - startedAt < aimMs) await new Promise(setImmediate)
      controller.abort()
      await call.catch((error: unknown) => {
        expect(error).toBeInstanceOf(Cancelled)
        cancelled += 1
      })
    }
  }
  await Promise.all([attacker(), attacker()])
  done = true
  await Promise.all(bystanders)
  console.log(`1000 cancels, ${cancelled} hit, ${innocent} innocent statements unharmed`)
  expect(cancelled).toBeGreaterThan(0)
  expect(innocent).toBeGreaterThan(0)
  await expectQuiet(engine, bank.admin)
})
