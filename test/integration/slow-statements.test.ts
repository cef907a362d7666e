/** `slowStatementMs`: what is told of slow statements, and what that never costs. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigInvalid, UniqueViolation } from '../../src/errors.ts'
import { accounts, type Bank, gate, openBank, Recorder } from '../support/bank.ts'
import { eventually, everythingIn, expectQuiet, secret } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

async function slowOf(recorder: Recorder, wanted: number) {
  await eventually(() => expect(recorder.of('statement.slow').length).toBeGreaterThanOrEqual(wanted))
  return recorder.of('statement.slow')
}

describe('a slow statement', () => {
  test('is told of with its plan, which holds no value', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, slowStatementMs: 0, pool: { max: 1 } })
    const named = { label: 'page' }
    await engine.session(({ repository }) => repository(accounts).list({ where: { owner: secret } }), named)
    const [slow] = await slowOf(recorder, 1)
    expect(slow).toMatchObject({ label: 'page', durationMs: expect.any(Number), plan: { generic: true } })
    expect(slow?.plan?.statement).toBe(slow?.text)
    expect(slow?.plan?.text).toContain('accounts.owner = $1')
    expect(everythingIn(recorder.all)).not.toContain(secret)
    await expectQuiet(engine, bank.admin)
    // It was asked for beside the sessions: nothing of it is among what they sent.
    expect(recorder.of('statement.finished').map(({ text }) => text)).toEqual([slow?.text])
  })

  test('is not told of below the limit, nor without a limit', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, slowStatementMs: 50, pool: { max: 1 } })
    await engine.session(async ({ sql }) => {
      await sql`select 1`
      await sql`select pg_sleep(0.06)`
    })
    expect((await slowOf(recorder, 1)).map(({ text }) => text)).toEqual(['select pg_sleep(0.06)'])
    const other = new Recorder()
    await using off = await bank.engine({ observe: other.observe })
    await off.session(({ sql }) => sql`select pg_sleep(0.06)`)
    await off.close()
    expect(other.of('statement.slow')).toEqual([])
  })

  test('is told of once a minute for each text', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, slowStatementMs: 0, pool: { max: 2 } })
    for (const id of [1, 2, 3]) await engine.session(({ sql }) => sql`select ${id}::int`)
    await engine.session(({ sql }) => sql`select 'another'`)
    const slow = await slowOf(recorder, 2)
    expect(slow.map(({ text }) => text)).toEqual(['select $1::int', "select 'another'"])
  })

  test('that writes is not run again, also when it failed', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, slowStatementMs: 0, pool: { max: 2 } })
    await engine.session(async ({ sql }) => {
      await sql`insert into entries (nonce, half) values (${secret}, 1)`
      await expect(sql`insert into entries (nonce, half) values (${secret}, 1), ('x', 1)`).rejects.toBeInstanceOf(
        UniqueViolation,
      )
    })
    const slow = await slowOf(recorder, 2)
    expect(slow.map(({ plan }) => plan?.root.kind)).toEqual(['ModifyTable', 'ModifyTable'])
    expect(slow.map(({ error }) => error === undefined)).toEqual([true, false])
    const [row] = await engine.session(({ sql }) => sql`select count(*)::int as n, max(id) as last from entries`)
    // The failed one took two keys; had either run again, the sequence would be further.
    const [next] = await engine.session(
      ({ sql }) => sql`insert into entries (nonce, half) values ('next', 1) returning id`,
    )
    expect([row, next]).toEqual([{ n: 1, last: 1 }, { id: expect.any(Number) }])
    expect(Number(next?.['id'])).toBeLessThanOrEqual(4)
  })

  test('is told of without a plan where it has none, or no longer means anything', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, slowStatementMs: 0, pool: { max: 2 } })
    await engine.session(async ({ sql }) => {
      await sql`create temporary table gone (id int)`
      await sql`select * from gone`
      await sql`select * from accounts`
    })
    const slow = await slowOf(recorder, 3)
    const plans = new Map(slow.map(({ text, plan }) => [text, plan?.root.kind]))
    expect(plans.get('create temporary table gone (id int)')).toBeUndefined()
    expect(plans.get('select * from gone')).toBeUndefined()
    expect(plans.get('select * from accounts')).toBe('Seq Scan')
    await expectQuiet(engine, bank.admin)
  })

  test('is not explained while calls wait for a connection', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, slowStatementMs: 0, pool: { max: 1 } })
    const [held, free] = [gate(), gate()]
    const holder = engine.session(async ({ sql }) => {
      held.open()
      await free.opened
      await sql`select 'held'`
    })
    await held.opened
    const waiting = engine.session(({ label }) => label, { label: 'waits' })
    expect(engine.stats().waiting).toBe(1)
    free.open()
    await Promise.all([holder, waiting])
    const [slow] = await slowOf(recorder, 1)
    expect(slow).toMatchObject({ text: "select 'held'", plan: undefined })
  })

  test('that waits for its plan keeps no engine from closing', async () => {
    const recorder = new Recorder()
    const engine = await bank.engine({ observe: recorder.observe, slowStatementMs: 0, pool: { max: 1 } })
    await engine.session(({ sql }) => sql`select 1`)
    await engine.close()
    expect((await slowOf(recorder, 1)).map(({ text }) => text)).toEqual(['select 1'])
  })

  test('has a limit that is a number', async () => {
    await expect(bank.engine({ slowStatementMs: 'slow' as never })).rejects.toBeInstanceOf(ConfigInvalid)
  })
})
