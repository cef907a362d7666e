/** Identity: every session of `engine.as(…)` is what row-level security sees, and nobody else's session is. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { InvalidInput, RivuletError, UsageError } from '../../src/errors.ts'
import { withIdentity } from '../../src/gather/task-spec.ts'
import { type Bank, type BankSession, openBank } from '../support/bank.ts'
import { expectQuiet } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
  await bank.admin.sql.unsafe(`
    do $$ begin create role rivulet_test_customer; exception when others then null; end $$;
    create table papers (id int, owner text);
    insert into papers values (1, '7'), (2, '8'), (3, '8');
    alter table papers enable row level security;
    create policy own on papers using (owner = nullif(current_setting('request.user_id', true), ''));
    grant select, insert on papers to rivulet_test_customer;
  `)
})
afterAll(() => bank[Symbol.asyncDispose]())

const customer = (id: string) => ({ role: 'rivulet_test_customer', settings: { 'request.user_id': id } })
const papers = async ({ sql }: BankSession) =>
  (await sql<{ id: number }>`select id from papers order by id`).map(({ id }) => id)
const who = async ({ sql }: BankSession) => (await sql<{ who: string }>`select current_user::text as who`)[0]?.who

describe('an identity', () => {
  test('is seen by row-level security in session, transaction, gather, map and stream', async () => {
    await using engine = await bank.engine({ pool: { max: 2 } })
    const seven = engine.as(customer('7'))
    const eight = engine.as(customer('8'))
    expect([await seven.session(papers), await eight.session(papers)]).toEqual([[1], [2, 3]])
    expect(await eight.transaction(papers)).toEqual([2, 3])
    expect(await eight.gather([papers, papers])).toEqual([
      [2, 3],
      [2, 3],
    ])
    expect(await eight.gather([papers], { snapshot: true })).toEqual([[2, 3]])
    const mapped = []
    for await (const ids of seven.map([1, 2], papers)) mapped.push(ids)
    expect(mapped).toEqual([[1], [1]])
    expect(await engine.session(papers)).toEqual([1, 2, 3])
    await expectQuiet(engine, bank.admin)
  })

  test('may differ between the tasks of one gather', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const ids = await engine.gather({
      seven: withIdentity(customer('7'), papers),
      eight: withIdentity(customer('8'), papers),
      all: papers,
    })
    expect(ids).toEqual({ seven: [1], eight: [2, 3], all: [1, 2, 3] })
  })

  test('adds to the identity of the engine it was made from', async () => {
    await using engine = await bank.engine()
    const both = engine.as({ role: 'rivulet_test_customer' }).as({ settings: { 'request.user_id': '7' } })
    expect(await both.session(papers)).toEqual([1])
  })

  test('commits what its session wrote, and undoes it when the task throws', async () => {
    await using engine = await bank.engine()
    const seven = engine.as(customer('7'))
    await seven.session(({ sql }) => sql`insert into papers values (4, '7')`)
    const failing = seven.session(async ({ sql }) => {
      await sql`insert into papers values (5, '7')`
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await bank.admin.sql`select id from papers where id in (4, 5)`).toEqual([{ id: 4 }])
    await bank.admin.sql`delete from papers where id = 4`
  })

  test('cannot be a statement: names and values with quotes stay what they are', async () => {
    await using engine = await bank.engine()
    const odd = `x'; drop table papers; --`
    await expect(engine.as({ role: odd }).session(who)).rejects.toMatchObject({ code: 'usage' })
    const seen = await engine
      .as({ settings: { 'request.user_id': odd } })
      .session(({ sql }) => sql<{ id: string }>`select current_setting('request.user_id') as id`)
    expect(seen[0]?.id).toBe(odd)
    expect(await bank.admin.sql`select * from papers`).toHaveLength(3)
    await expectQuiet(engine, bank.admin)
  })

  test.each([
    ['a setting without a prefix', { settings: { role: 'postgres' } }],
    ['a setting of the server', { settings: { work_mem: '5MB' } }],
    ['a setting with a quote in its name', { settings: { "request.user_id'": '7' } }],
    ['a value that is no text', { settings: { 'request.user_id': 7 as never } }],
    ['a value that PostgreSQL cannot store', { settings: { 'request.user_id': 'a\0' } }, InvalidInput],
    ['half a surrogate pair', { settings: { 'request.user_id': '\ud800' } }, InvalidInput],
    ['nothing in it', {}],
    ['a role left undefined', { role: undefined, settings: { 'request.user_id': '7' } }],
    ['the role none', { role: 'none' }],
    ['a misspelt role', { settings: { 'a.b': '1' }, rolle: 'anonymous' } as never],
    ['settings that are no object', { role: 'anonymous', settings: new Map([['a.b', 'c']]) as never }],
    ['settings of null', { role: 'anonymous', settings: null as never }],
  ])('with %s is refused', async (_name, identity, expected: typeof RivuletError = UsageError) => {
    await using engine = await bank.engine()
    expect(() => engine.as(identity)).toThrow(expected)
    expect(() => withIdentity(identity, who)).toThrow(expected)
    await expectQuiet(engine, bank.admin)
  })

  test('of nothing is told what an identity names', async () => {
    await using engine = await bank.engine()
    expect(() => engine.as({})).toThrow('names a role, settings, or both')
  })

  test('of nobody known to the server is an error, and no session runs as somebody else', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    let ran: unknown
    const stranger = engine.as({ role: 'rivulet_test_stranger' })
    const expected = { code: 'usage', message: 'the role "rivulet_test_stranger" of the identity does not exist' }
    await expect(stranger.session(async (session) => (ran = await who(session)))).rejects.toMatchObject(expected)
    await expect(stranger.transaction(async (session) => (ran = await who(session)))).rejects.toMatchObject(expected)
    // What is sent behind it without waiting, and a failure that is caught, have the same reason.
    const both = (session: BankSession) => Promise.allSettled([who(session), who(session)])
    const caught = stranger.transaction(async (session) => {
      const settled = await both(session)
      const codes = settled.map((one) => one.status === 'rejected' && (one.reason as RivuletError).message)
      expect(codes).toEqual([expected.message, expected.message])
      return who(session)
    })
    await expect(caught).rejects.toMatchObject(expected)
    const snapshot = stranger.gather([who, who], { snapshot: true })
    await expect(snapshot).rejects.toMatchObject(expected)
    expect(ran).toBeUndefined()
    expect(await engine.session(who)).not.toBe('rivulet_test_stranger')
  })

  test('of a role that the login role is no member of is refused by its name', async () => {
    const [login, other] = [`${bank.name}_login`, `${bank.name}_other`]
    await bank.admin.sql.unsafe(`create role ${login} login password 'login'; create role ${other}`)
    try {
      const url = bank.url.replace(/\/\/[^@/]*@|\/\//, `//${login}:login@`)
      await using engine = await bank.engine({ url })
      await expect(engine.as({ role: other }).session(({ sql }) => sql`select 1`)).rejects.toMatchObject({
        code: 'insufficient_privilege',
        sqlState: '42501',
        message: `the login role may not act as "${other}": make it a member of that role (GRANT)`,
      })
    } finally {
      await bank.admin.sql.unsafe(`drop role ${login}; drop role ${other}`)
    }
  })
})
