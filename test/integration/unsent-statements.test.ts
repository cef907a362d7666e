/**
 * A statement that is never sent, because a value of it cannot be: what was to travel in front of it (BEGIN, a role, a
 * savepoint, a snapshot) is not lost with it, but travels with the next one.
 */
import { sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RivuletError } from '../../src/errors.ts'
import { type Bank, type BankEngine, type BankSession, openBank } from '../support/bank.ts'
import { expectQuiet } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
  await bank.admin.sql.unsafe(`
    do $$ begin create role rivulet_test_sender; exception when others then null; end $$;
    create table sent (who text not null default current_user, isolation text default current_setting('transaction_isolation'));
    grant select, insert on sent to rivulet_test_sender`)
})
afterAll(() => bank[Symbol.asyncDispose]())

type Send = (session: BankSession) => Promise<unknown>

/** Statements that fail before they are sent. */
const unsent: Readonly<Record<string, Send>> = {
  'without a value': ({ sql }) => sql`select ${undefined}`,
  'with a NUL': ({ sql }) => sql`select ${'a\0b'}`,
  'with half a surrogate pair': ({ db }) => db.execute(fragment`select ${'\ud800'}`),
  'with an invalid Date': ({ sql }) => sql`select ${new Date(Number.NaN)}`,
  'with a function': ({ sql }) => sql`select ${() => 1}`,
  'with too many values': ({ db }) =>
    db.execute(
      fragment`select 1 where 1 in (${fragment.join(
        Array.from({ length: 65_600 }, () => fragment`${1}`),
        fragment`, `,
      )})`,
    ),
  'of a stream': async ({ stream }) => {
    for await (const row of stream(fragment`select ${'a\0b'}::text`)) return row
    return undefined
  },
}

const write: Send = ({ sql }) => sql`insert into sent default values returning who, isolation`
const who: Send = ({ sql }) =>
  sql`select current_user::text as who, current_setting('transaction_isolation') as isolation`
const sender = { role: 'rivulet_test_sender', settings: { 'request.user_id': '7' } }
const serializable = { isolation: 'serializable' } as const

/** Ways into a transaction; what is sent in it says who sends, and in what isolation. */
const ways: Readonly<
  Record<
    string,
    { run: (engine: BankEngine, task: Send) => Promise<unknown>; role?: true; isolation: string; reads?: true }
  >
> = {
  transaction: { run: (engine, task) => engine.transaction(task, serializable), isolation: 'serializable' },
  'transaction in a session': {
    run: (engine, task) => engine.session(({ transaction }) => transaction(task, serializable)),
    isolation: 'serializable',
  },
  'nested transaction': {
    run: (engine, task) => engine.transaction((session) => session.transaction(task), serializable),
    isolation: 'serializable',
  },
  'identity, session': {
    run: (engine, task) => engine.as(sender).session(task),
    role: true,
    isolation: 'read committed',
  },
  'identity, transaction': {
    run: (engine, task) => engine.as(sender).transaction(task, serializable),
    role: true,
    isolation: 'serializable',
  },
  'identity, nested transaction': {
    run: (engine, task) => engine.as(sender).session((session) => session.transaction(task)),
    role: true,
    isolation: 'read committed',
  },
  'identity, gather': {
    run: async (engine, task) => (await engine.as(sender).gather({ task })).task,
    role: true,
    isolation: 'read committed',
  },
  'identity, map': {
    run: async (engine, task) => {
      for await (const result of engine.as(sender).map([1], task)) return result
      return undefined
    },
    role: true,
    isolation: 'read committed',
  },
  'identity, snapshot': {
    run: async (engine, task) => (await engine.as(sender).gather({ task }, { snapshot: true })).task,
    role: true,
    isolation: 'repeatable read',
    reads: true,
  },
}

describe.each(Object.entries(ways))('in %s', (_way, { run, role, isolation, reads }) => {
  test.each(Object.entries(unsent))('a statement %s takes nothing with it', async (_kind, fail) => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const [login] = await bank.admin.sql<{ who: string }[]>`select current_user as who`
    const expected = { who: role ? sender.role : login?.who, isolation }
    const caught: Send = async (session) => {
      await expect(fail(session)).rejects.toBeInstanceOf(RivuletError)
      return (reads ? who : write)(session)
    }
    expect(await run(engine, caught)).toMatchObject([expected])
    const count = async () => (await bank.admin.sql`select * from sent`).length
    const before = await count()
    const together: Send = (session) => Promise.all([fail(session), (reads ? who : write)(session)])
    // A cursor's statements come when it is read.
    if (fail !== unsent['of a stream']) await expect(run(engine, together)).rejects.toBeInstanceOf(RivuletError)
    expect(await count()).toBe(before)
    await expectQuiet(engine, bank.admin)
  })
})

test('a read-only transaction writes nothing behind a statement that was not sent', async () => {
  await using engine = await bank.engine({ pool: { max: 1 } })
  const call = engine.transaction(
    async (session) => {
      await expect(session.sql`select ${undefined}`).rejects.toBeInstanceOf(RivuletError)
      await write(session)
    },
    { readOnly: true },
  )
  await expect(call).rejects.toThrow('read-only transaction')
})
