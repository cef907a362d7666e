/** Nothing leaks from one session into the next, on a pool of one connection; and what cannot leak costs no connection. */
import { sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { accounts, type Bank, type BankSession, openBank, Recorder } from '../support/bank.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
  await bank.admin.sql`do $$ begin create role rivulet_test_reader; exception when others then null; end $$`
  await bank.admin.sql`create function pretends_to_read() returns text language sql as
    $$ select set_config('TimeZone', 'Asia/Tokyo', false) $$`
})
afterAll(() => bank[Symbol.asyncDispose]())

/** Everything of a server session that a later one could notice. */
const state = async ({ sql }: BankSession) => {
  const [row] = await sql`select current_setting('work_mem') as work_mem, current_setting('search_path') as path,
    current_setting('app.tenant', true) as tenant, current_setting('statement_timeout') as timeout,
    current_setting('TimeZone') as zone,
    current_user as who, current_setting('transaction_isolation') as isolation,
    (select count(*)::int from pg_locks where pid = pg_backend_pid() and locktype = 'advisory') as locks,
    (select count(*)::int from pg_class where relpersistence = 't') as temporary,
    (select count(*)::int from pg_prepared_statements where not from_sql is null and from_sql) as prepared,
    (select count(*)::int from pg_listening_channels()) as channels,
    (select count(*)::int from pg_cursors) as cursors`
  return row
}

const leaks: readonly (readonly [string, (session: BankSession) => unknown])[] = [
  ['SET', ({ sql }) => sql`set work_mem = '5MB'`],
  ['SET SESSION', ({ sql }) => sql`set session statement_timeout = '1s'`],
  ['SET after a comment', ({ sql }) => sql`/* local */ set work_mem = '5MB'`],
  ['set_config for the session', ({ sql }) => sql`select set_config('work_mem', '5MB', false)`],
  ['set_config with parameters', ({ sql }) => sql`select set_config(${'app.tenant'}, ${'7'}, ${false})`],
  ['set_config through Drizzle', ({ db }) => db.execute(fragment`select set_config('app.tenant', '7', false)`)],
  ['SET ROLE', ({ sql }) => sql`set role rivulet_test_reader`],
  ['search_path', ({ sql }) => sql`set search_path = pg_catalog`],
  ['SET in a transaction', ({ transaction }) => transaction(({ sql }) => sql`set work_mem = '5MB'`)],
  ['default isolation', ({ sql }) => sql`set session characteristics as transaction isolation level serializable`],
  ['a temporary table', ({ sql }) => sql`create temporary table scratch (id int)`],
  ['SELECT INTO TEMP', ({ sql }) => sql`select 1 as id into temp scratch`],
  ['CREATE TEMP TABLE AS', ({ sql }) => sql`create temp table scratch as select 1 as id`],
  ['an advisory lock', ({ sql }) => sql`select pg_advisory_lock(1)`],
  ['a shared advisory lock tried for', ({ sql }) => sql`select pg_try_advisory_lock_shared(2)`],
  [
    'an advisory lock of a statement that failed',
    ({ sql }) => sql`select pg_advisory_lock(3), 1 / (balance - 100) from accounts where id = 1`.catch(() => undefined),
  ],
  [
    'an advisory lock of a transaction that was rolled back',
    ({ transaction }) =>
      transaction(async ({ sql }) => {
        await sql`select pg_advisory_lock(4)`
        throw new Error('undone')
      }).catch(() => undefined),
  ],
  ['LISTEN', ({ sql }) => sql`listen news`],
  ['PREPARE', ({ sql }) => sql`prepare mine as select 1`],
  [
    'a cursor WITH HOLD',
    ({ transaction }) => transaction(({ sql }) => sql`declare mine cursor with hold for select 1`),
  ],
  ['DO', ({ sql }) => sql`do $$ begin perform set_config('app.tenant', '7', false); end $$`],
  ['a setting that a function changes', ({ sql }) => sql`select pretends_to_read()`],
  ['set_config spelt in escapes', ({ sql }) => sql`select U&"set\\005fconfig"('app.tenant', '7', false)`],
  ['a CTE that locks', ({ sql }) => sql`with locked as (select pg_advisory_lock(5)) select * from locked`],
]

describe('the next session sees nothing of', () => {
  test.each(leaks)('%s', async (_name, leak) => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1 }, observe: recorder.observe })
    const before = await engine.session(state)
    await engine.session(async (session) => void (await leak(session)))
    expect(await engine.session(state)).toEqual(before)
    expect(recorder.of('connection.retired')).toMatchObject([{ reason: 'session_state_changed' }])
    await expectQuiet(engine, bank.admin)
  })

  test('the last value of a sequence, even if its own statements came first', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const add = ({ sql }: BankSession, nonce: string) =>
      sql<{ id: number }>`insert into entries (nonce, half) values (${nonce}, 1) returning id`
    const last = ({ sql }: BankSession) => sql<{ id: number }>`select lastval()::int as id`
    await engine.session((session) => add(session, 'sequence'))
    await expect(engine.session(last)).rejects.toThrow('lastval is not yet defined in this session')
    await engine.transaction(async (session) => {
      const [added] = await add(session, 'sequence 2')
      expect(await last(session)).toEqual([added])
    })
    const behind = engine.session(async (session) => {
      await session.sql`select 1`
      return last(session)
    })
    await expect(behind).rejects.toThrow('lastval is not yet defined in this session')
    expect(engine.stats()).toMatchObject({ opened: 1, retired: 0 })
    await engine.session((session) => add(session, 'sequence 3'))
    const explained = engine.session(({ sql }) => sql`explain analyze select lastval()`)
    await expect(explained).rejects.toThrow('lastval is not yet defined in this session')
  })

  test('a transaction left open by a stream that nobody finished', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const abandoned = engine.session(async (session) => {
      await session.stream(session.db.select().from(accounts), { batchSize: 2 }).next()
    })
    await expect(abandoned).rejects.toThrow('a stream in it was still open')
    await engine.session(({ sql }) => sql`insert into entries (nonce, half) values ('after a stream', 1)`)
    expect(await bank.admin.sql`select * from entries where nonce = 'after a stream'`).toHaveLength(1)
    await expectQuiet(engine, bank.admin)
  })

  test('a deadline, an identity, a snapshot or an isolation level of ours, at the cost of no connection', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const before = await engine.session(state)
    await engine.session(({ sql }) => sql`select 1`, { timeoutMs: 60_000 })
    await engine
      .as({ role: 'rivulet_test_reader', settings: { 'request.id': '7' } })
      .session(({ sql }) => sql`select 1`)
    await engine.gather([({ sql }) => sql`select 1`], { snapshot: true })
    await engine.transaction(({ sql }) => sql`select 1`, { isolation: 'serializable', readOnly: true })
    await engine.transaction(({ sql }) => sql`set local work_mem = '5MB'`)
    await engine.transaction(({ sql }) => sql`select set_config('work_mem', ${'5MB'}, true), pg_advisory_xact_lock(9)`)
    expect(await engine.session(state)).toEqual(before)
    expect(engine.stats()).toMatchObject({ opened: 1, retired: 0 })
  })
})

test('statements that only read and write rows keep their connection', async () => {
  await using engine = await bank.engine({ pool: { max: 1 } })
  await engine.session(async ({ sql, db }) => {
    await sql`insert into entries (nonce, half) values ('kept', 1) returning id`
    await sql`update entries set half = 2 where nonce = 'kept'`
    await sql`delete from entries where nonce = 'kept'`
    await sql`with a as (select 1 as n) select * from a`
    await sql`explain select 1`
    await sql`show work_mem`
    await sql`values (1), (2)`
    await db.select().from(accounts)
    await sql`select 1/0`.catch(() => undefined)
  })
  await eventually(() => expect(engine.stats()).toMatchObject({ opened: 1, retired: 0, idle: 1 }))
})
