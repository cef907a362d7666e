/**
 * Prepared statements outlive what they were prepared for: a type is made anew, a column gets another type, a tenant has
 * a search path of its own. Every kind of change meets every way to run a statement, on the one connection that has
 * prepared it before.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sql as fragment } from 'drizzle-orm'
import { DatabaseError } from '../../src/errors.ts'
import { type Bank, type BankEngine, type BankSession, openBank, Recorder } from '../support/bank.ts'
import { expectHealthy } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => void (bank = await openBank()))
afterAll(() => bank[Symbol.asyncDispose]())

type Run = (session: BankSession) => Promise<unknown>

/** Ways to run one statement. */
const reading: Readonly<Record<string, (engine: BankEngine, run: Run) => Promise<unknown>>> = {
  session: (engine, run) => engine.session(run),
  transaction: (engine, run) => engine.transaction(run),
  'transaction, second statement': (engine, run) =>
    engine.transaction(async (session) => {
      await session.sql`select 1`
      return run(session)
    }),
  'nested transaction': (engine, run) => engine.transaction((session) => session.transaction(run)),
  'nested transaction, second statement': (engine, run) =>
    engine.transaction((session) =>
      session.transaction(async (nested) => {
        await nested.sql`select 1`
        return run(nested)
      }),
    ),
  'identity, session': (engine, run) => engine.as(someone).session(run),
  'identity, third statement': (engine, run) =>
    engine.as(someone).session(async (session) => {
      await session.sql`select ${1}::int`
      await session.sql`select ${2}::text`
      return run(session)
    }),
  'identity, among statements sent at once': async (engine, run) => {
    const [, rows] = await engine
      .as(someone)
      .session((session) => Promise.all([session.sql`select ${1}::int`, run(session), session.sql`select ${2}::int`]))
    return rows
  },
  'identity, the first of statements sent at once': async (engine, run) => {
    const [rows] = await engine
      .as(someone)
      .session((session) => Promise.all([run(session), session.sql`select ${2}::int`]))
    return rows
  },
  'identity, transaction': (engine, run) => engine.as(someone).transaction(run),
  'identity, nested transaction': (engine, run) => engine.as(someone).session((session) => session.transaction(run)),
  gather: async (engine, run) => (await engine.gather({ run })).run,
  'identity, gather': async (engine, run) => (await engine.as(someone).gather({ run })).run,
}

/** Ways that only read. */
const readingOnly: typeof reading = {
  snapshot: async (engine, run) => (await engine.gather({ run }, { snapshot: true })).run,
  'snapshot, second statement': async (engine, run) => {
    const task: Run = async (session) => {
      await session.sql`select ${1}::int`
      return run(session)
    }
    return (await engine.gather({ task }, { snapshot: true })).task
  },
  'identity, snapshot': async (engine, run) => (await engine.as(someone).gather({ run }, { snapshot: true })).run,
}

const someone = { settings: { 'request.user_id': '7' } }

interface Change {
  readonly before: string
  readonly change: string
  readonly read: Run
  readonly reads: unknown
  readonly write: Run
  readonly writes: unknown
}

const enumType = `create type tested.state as enum ('NEW', 'OLD'); `
const changes: Readonly<Record<string, Change>> = {
  'a type made anew': {
    before: `${enumType} create table tested.jobs (id int, state tested.state); insert into tested.jobs values (1, 'NEW')`,
    change: `alter table tested.jobs alter state type text; drop type tested.state; ${enumType}
      alter table tested.jobs alter state type tested.state using state::tested.state`,
    read: ({ sql }) => sql`select id from tested.jobs where state = ${'NEW'}`,
    reads: [{ id: 1 }],
    write: ({ sql }) => sql`insert into tested.jobs values (${2}, ${'OLD'}) returning state`,
    writes: [{ state: 'OLD' }],
  },
  'int to bigint': {
    before: 'create table tested.counts (id int, count int); insert into tested.counts values (1, 7)',
    change: 'alter table tested.counts alter count type bigint, alter id type bigint',
    read: ({ sql }) => sql`select id::text from tested.counts where id < ${'3000000000'}`,
    reads: [{ id: '1' }],
    write: ({ sql }) => sql`insert into tested.counts values (2, ${'3000000000'}) returning count::text`,
    writes: [{ count: '3000000000' }],
  },
  'another type of a result': {
    before: `create table tested.notes (id int, note varchar(3)); insert into tested.notes values (1, 'abc')`,
    change: 'alter table tested.notes alter note type text, add extra int',
    read: ({ sql }) => sql`select * from tested.notes where id = ${1}`,
    reads: [{ id: 1, note: 'abc', extra: null }],
    write: ({ sql }) => sql`insert into tested.notes (id, note) values (${2}, 'x') returning *`,
    writes: [{ id: 2, note: 'x', extra: null }],
  },
}

/** Prepares the statement as other calls do, changes the schema, and runs it by `way`. */
async function outdated(
  change: Change,
  kind: 'read' | 'write',
  way: (engine: BankEngine, run: Run) => Promise<unknown>,
) {
  await bank.admin.sql.unsafe('drop schema if exists tested cascade; create schema tested')
  await bank.admin.sql.unsafe(change.before)
  const recorder = new Recorder()
  await using engine = await bank.engine({ pool: { max: 1 }, observe: recorder.observe })
  const run = change[kind]
  const small = ({ sql }: BankSession) => run({ sql: smaller(sql) } as BankSession)
  await engine.session(small)
  await engine.transaction(small)
  await bank.admin.sql.unsafe(change.change)
  expect(await way(engine, run)).toEqual(kind === 'read' ? change.reads : change.writes)
  // It did meet the old preparation: the connection is replaced.
  await expect
    .poll(() => recorder.of('connection.retired').map(({ reason }) => reason))
    .toContain('prepared_statements_outdated')
  expect(await way(engine, run)).toEqual(kind === 'read' ? change.reads : change.writes)
  await expectHealthy(engine, bank.admin)
}

/** The same statement with a value that the old type can hold. */
function smaller(sql: BankSession['sql']): BankSession['sql'] {
  const tag = (strings: TemplateStringsArray, ...values: readonly unknown[]) =>
    sql(strings, ...values.map((value) => (value === '3000000000' ? '3000' : value)))
  return tag as BankSession['sql']
}

describe.each(Object.entries(changes))('after %s', (_name, change) => {
  test.each(Object.entries({ ...reading, ...readingOnly }))('a read runs: %s', (_way, way) =>
    outdated(change, 'read', way),
  )
  test.each(Object.entries(reading))('a write runs: %s', (_way, way) => outdated(change, 'write', way))
})

describe('a tenant with types of its own under one search path', () => {
  beforeAll(async () => {
    for (const tenant of ['tenant_a', 'tenant_b']) {
      await bank.admin.sql.unsafe(`create schema ${tenant}; set search_path to ${tenant};
        create type mood as enum ('good', 'bad'); create table days (mood mood); insert into days values ('good')`)
    }
  })

  const asTenant = (engine: BankEngine, tenant: string, run: Run) =>
    engine.transaction(async (session) => {
      await session.sql`select set_config('search_path', ${tenant}, true)`
      return run(session)
    })

  test('reads and writes, and connections are not replaced for every tenant', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const read: Run = ({ sql }) => sql`select count(*)::int from days where mood = ${'good'}`
    const write: Run = ({ sql }) => sql`insert into days values (${'bad'}) returning mood::text`
    for (let round = 0; round < 6; round++) {
      for (const tenant of ['tenant_a', 'tenant_b']) {
        expect(await asTenant(engine, tenant, read)).toEqual([{ count: 1 }])
        expect(await asTenant(engine, tenant, write)).toEqual([{ mood: 'bad' }])
      }
    }
    // Once for each of the two statements, at most.
    expect(engine.stats().retired).toBeLessThanOrEqual(2)
  })
})

describe('a tenant whose column has another type', () => {
  beforeAll(async () => {
    await bank.admin.sql.unsafe(`create schema plain; create table plain.meetings (at timestamp);
      create schema zoned; create table zoned.meetings (at timestamptz)`)
  })

  test.each([
    ['by set_config', ({ sql }: BankSession, path: string) => sql`select set_config('search_path', ${path}, true)`],
    [
      'by SET LOCAL',
      ({ db }: BankSession, path: string) => db.execute(fragment.raw(`set local search_path to ${path}`)),
    ],
  ])('gets the value it was given, the path set %s', async (_how, set) => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    await bank.admin.sql`truncate plain.meetings, zoned.meetings`
    for (const path of ['plain', 'zoned', 'plain', 'zoned']) {
      await engine.transaction(async (session) => {
        await set(session, path)
        await session.sql`insert into meetings values (${'2022-01-01 00:00:00-0200'})`
      })
    }
    const rows = await bank.admin.sql<
      { at: string }[]
    >`select distinct (at at time zone 'UTC')::text as at from zoned.meetings`
    expect(rows).toEqual([{ at: '2022-01-01 02:00:00' }])
  })
})

describe('an identity with many statements', () => {
  test('repeats an outdated one behind all of them', async () => {
    const change = changes['a type made anew'] as Change
    await bank.admin.sql.unsafe('drop schema if exists tested cascade; create schema tested')
    await bank.admin.sql.unsafe(change.before)
    await using engine = await bank.engine({ pool: { max: 1, catalogCheckMs: 0 } })
    await engine.session(change.read)
    await bank.admin.sql.unsafe(change.change)
    const call = engine.as(someone).session(async (session) => {
      for (let count = 0; count < 70; count++) await session.sql`select ${count}::int`
      return change.read(session)
    })
    expect(await call).toEqual(change.reads)
  })
})

describe('an outdated read', () => {
  test('is not repeated behind a write that was sent after it', async () => {
    const change = changes['a type made anew'] as Change
    await bank.admin.sql.unsafe('drop schema if exists tested cascade; create schema tested')
    await bank.admin.sql.unsafe(change.before)
    await using engine = await bank.engine({ pool: { max: 1, catalogCheckMs: 0 } })
    await engine.session(change.read)
    await bank.admin.sql.unsafe(change.change)
    const [read] = await engine.session((session) =>
      Promise.allSettled([change.read(session), session.sql`delete from tested.jobs`]),
    )
    if (read.status === 'fulfilled') expect(read.value).toEqual(change.reads)
    else expect(read.reason).toBeInstanceOf(DatabaseError)
  })
})

describe('a value that does not fit', () => {
  test('fails as ever, runs its unit of work once more at most, and costs no connection', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const find = ({ sql }: BankSession, id: string) => sql`select * from accounts where id = ${id}`
    await engine.session((session) => find(session, '1'))
    for (let round = 0; round < 3; round++) {
      await expect(engine.session((session) => find(session, 'one'))).rejects.toMatchObject({ code: 'invalid_input' })
      let runs = 0
      const call = engine.transaction(async (session) => {
        runs += 1
        await session.sql`select 1`
        await find(session, 'one')
      })
      await expect(call).rejects.toMatchObject({ code: 'invalid_input' })
      expect(runs).toBeLessThanOrEqual(2)
    }
    expect(engine.stats()).toMatchObject({ opened: 1, retired: 0 })
  })
})

describe('a column that changes its type under statements that do not fail', () => {
  const stored = async () =>
    (await bank.admin.sql<{ at: string }[]>`select at::text from tested.times order by id desc limit 1`)[0]?.at

  test('is noticed: the next write is parsed for the new type', async () => {
    await bank.admin.sql.unsafe(`drop schema if exists tested cascade; create schema tested;
      create table tested.times (id int generated always as identity, at timestamp)`)
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 2, catalogCheckMs: 20 }, observe: recorder.observe })
    const write = () =>
      engine.session(({ sql }) => sql`insert into tested.times (at) values (${'2022-01-01 00:00:00-0200'})`)
    await write()
    expect(await stored()).toBe('2022-01-01 00:00:00')
    await bank.admin.sql`alter table tested.times alter at type timestamptz using at at time zone 'UTC'`
    await expect
      .poll(() => recorder.of('connection.retired').map(({ reason }) => reason))
      .toContain('prepared_statements_outdated')
    await write()
    expect(new Date((await stored()) ?? '')).toEqual(new Date('2022-01-01T02:00:00Z'))
    await expectHealthy(engine, bank.admin)
  })

  const instant = '2022-01-01 00:00:00-0200'
  const addTime = ({ sql }: BankSession) => sql`insert into tested.times (at) values (${instant})`
  const renewed: Readonly<Record<string, string>> = {
    'a column renamed into its place': `alter table tested.times add later timestamptz;
      alter table tested.times rename at to old; alter table tested.times rename later to at`,
    'a table renamed into its place': `create table tested.later (id int generated always as identity, at timestamptz);
      alter table tested.times rename to old; alter table tested.later rename to times`,
    'a table moved into its schema': `create schema if not exists elsewhere; drop table if exists elsewhere.times;
      create table elsewhere.times (id int default 1, at timestamptz);
      alter table tested.times rename to old; alter table elsewhere.times set schema tested`,
  }

  test.each(Object.entries(renewed))('is noticed when it comes by %s', async (_how, change) => {
    await bank.admin.sql.unsafe(`drop schema if exists tested cascade; create schema tested;
      create table tested.times (id int generated always as identity, at timestamp)`)
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1, catalogCheckMs: 20 }, observe: recorder.observe })
    await engine.session(addTime)
    await bank.admin.sql.unsafe(change)
    await expect
      .poll(() => recorder.of('connection.retired').map(({ reason }) => reason))
      .toContain('prepared_statements_outdated')
    await engine.session(addTime)
    expect(new Date((await stored()) ?? '')).toEqual(new Date('2022-01-01T02:00:00Z'))
  })

  test('is noticed by a session that was there before and goes on', async () => {
    await bank.admin.sql.unsafe(`drop schema if exists tested cascade; create schema tested;
      create table tested.times (id int generated always as identity, at timestamp)`)
    await using engine = await bank.engine({ pool: { max: 1, catalogCheckMs: 20 } })
    await engine.session(async (session) => {
      await addTime(session)
      await bank.admin.sql`alter table tested.times alter at type timestamptz using at at time zone 'UTC'`
      await expect
        .poll(async () => {
          await addTime(session)
          return new Date((await stored()) ?? '').toISOString()
        })
        .toBe('2022-01-01T02:00:00.000Z')
    })
  })

  test('of a table made after the engine was opened as well', async () => {
    await bank.admin.sql`drop schema if exists tested cascade`
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1, catalogCheckMs: 20 }, observe: recorder.observe })
    await bank.admin.sql.unsafe('create schema tested; create table tested.late (n int)')
    await engine.session(({ sql }) => sql`insert into tested.late values (${1})`)
    // Two looks, so that the table is known.
    const looks = await lookedAt()
    await expect.poll(lookedAt).toBeGreaterThan(looks + 1)
    await bank.admin.sql`alter table tested.late alter n type bigint`
    await expect
      .poll(() => recorder.of('connection.retired').map(({ reason }) => reason))
      .toContain('prepared_statements_outdated')
  })

  test('is not taken for changed by new tables, temporary ones or rows, and costs no connection', async () => {
    await bank.admin.sql.unsafe(`drop schema if exists tested cascade`)
    await using engine = await bank.engine({ pool: { max: 1, catalogCheckMs: 20 } })
    await engine.session(({ sql }) => sql`select ${1}::int`)
    await bank.admin.sql.unsafe(`create schema tested; create table tested.more (n int); create temp table more (n int);
      create index on tested.more (n); insert into tested.more values (1)`)
    const looks = await lookedAt()
    await expect.poll(lookedAt).toBeGreaterThan(looks + 2)
    expect(engine.stats()).toMatchObject({ opened: 1, retired: 0 })
  })

  /** How often the catalog has been looked at by the connection there is: pg_stat_activity shows its last query. */
  let seen = ''
  let count = 0
  const lookedAt = async () => {
    const rows = await bank.admin.sql<{ at: string }[]>`select query_start::text as at from pg_stat_activity
      where datname = current_database() and application_name = 'rivulet' and query like '%hashoidextended%'`
    const now = rows.map(({ at }) => at).join()
    if (now !== seen) count += 1
    seen = now
    return count
  }
})
