/** The sandbox of `rivulet/testing`: what works inside one transaction as it does on connections of their own. */
import { eq } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SqlTag } from '../../src/drizzle/sql-tag.ts'
import { openEngine } from '../../src/engine.ts'
import {
  Cancelled,
  ConnectionLost,
  DeadlineExceeded,
  ForeignKeyViolation,
  PoolTimeout,
  UniqueViolation,
  UsageError,
} from '../../src/errors.ts'
import { openSandbox } from '../../src/testing/sandbox.ts'
import { Admin } from '../support/admin.ts'
import { delaysCancels, openFaultProxy } from '../support/fault-proxy.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'

const notes = pgTable('notes', {
  id: integer().generatedAlwaysAsIdentity().primaryKey(),
  text: text().notNull().unique(),
})
const schema = { notes }

const template = scriptTemplate(
  'notes',
  `create table notes (id int generated always as identity primary key, text text not null unique);
   create table parts (note int references notes deferrable initially deferred);
   do $$ begin create role rivulet_reader; exception when duplicate_object then null; end $$;
   grant select on notes to rivulet_reader`,
)

let database: TestDatabase
beforeAll(async () => (database = await openTestDatabase(template)))
afterAll(() => database[Symbol.asyncDispose]())

const open = (pool = {}) => openSandbox({ schema, url: database.url, pool })

/** What a real engine sees. */
async function committed(): Promise<number> {
  await using engine = await openEngine({ schema, url: database.url, pool: { max: 1 } })
  return engine.session(({ db }) => db.$count(notes))
}

describe('what is written', () => {
  test('is seen by every session of the sandbox, by nobody else, and gone afterwards', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    await engine.session(({ repository }) => repository(notes).insert({ text: 'plain' }))
    await engine.transaction(async ({ db, sql, transaction }) => {
      await db.insert(notes).values({ text: 'core' })
      await sql`insert into notes (text) values (${'sql'})`
      await transaction(({ repository }) => repository(notes).insertMany([{ text: 'a' }, { text: 'b' }]))
    })
    expect(await engine.session(({ repository }) => repository(notes).count())).toBe(5)
    expect(await committed()).toBe(0)
    await sandbox.rollback()
    expect(await engine.session(({ repository }) => repository(notes).count())).toBe(0)
    expect(await engine.session(({ db }) => db.insert(notes).values({ text: 'plain' }).returning())).toHaveLength(1)
    await sandbox.close()
    expect(await committed()).toBe(0)
  })

  test('is undone by a transaction that throws, and only that', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    await engine.session(({ repository }) => repository(notes).insert({ text: 'kept' }))
    const failed = engine.transaction(async (session) => {
      await session.repository(notes).insert({ text: 'lost' })
      await session.transaction((inner) => inner.repository(notes).insert({ text: 'lost too' }))
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    expect(await engine.session(({ db }) => db.select().from(notes))).toMatchObject([{ text: 'kept' }])
  })

  test('goes on after a unique violation: in a session, in a savepoint, and after a transaction', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    await engine.session(async ({ repository }) => {
      await repository(notes).insert({ text: 'one' })
      await expect(repository(notes).insert({ text: 'one' })).rejects.toBeInstanceOf(UniqueViolation)
      await repository(notes).insert({ text: 'two' })
    })
    await engine.transaction(async (session) => {
      const again = session.transaction((inner) => inner.repository(notes).insert({ text: 'one' }))
      await expect(again).rejects.toBeInstanceOf(UniqueViolation)
      await session.repository(notes).insert({ text: 'three' })
    })
    const failed = engine.transaction((session) => session.repository(notes).insert({ text: 'one' }))
    await expect(failed).rejects.toBeInstanceOf(UniqueViolation)
    expect(await engine.session(({ repository }) => repository(notes).count())).toBe(3)
  })

  test('is rolled back with an error when a failure in the transaction was caught', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    const failed = engine.transaction(async ({ sql, repository }) => {
      await repository(notes).insert({ text: 'lost' })
      await sql`select 1 / 0`.catch(() => undefined)
    })
    await expect(failed).rejects.toBeInstanceOf(UsageError)
    expect(await engine.session(({ repository }) => repository(notes).count())).toBe(0)
  })

  test('is checked by deferred constraints at COMMIT, every time', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    for (let round = 0; round < 2; round += 1) {
      await engine.transaction(async ({ sql }) => {
        await sql`insert into parts values (${1000 + round})`
        await sql`insert into notes (id, text) overriding system value values (${1000 + round}, ${`late ${round}`})`
      })
      const failed = engine.transaction(({ sql }) => sql`insert into parts values (77)`)
      await expect(failed).rejects.toBeInstanceOf(ForeignKeyViolation)
      await expect(engine.session(({ sql }) => sql`insert into parts values (77)`)).rejects.toBeInstanceOf(
        ForeignKeyViolation,
      )
    }
    expect(await engine.session(({ sql }) => sql`select count(*)::int as n from parts`)).toMatchObject([{ n: 2 }])
  })
})

test('what a transaction owes a deferred constraint is not blamed on a session inside it', async () => {
  await using sandbox = await open()
  const { engine } = sandbox
  await engine.transaction(async ({ sql }) => {
    await sql`insert into parts values (500)`
    const inside = engine.session(({ repository }) => repository(notes).insert({ text: 'inside' }))
    await expect(inside).rejects.toThrow(/this transaction violates a deferred constraint for now/)
    await sql`insert into notes (id, text) overriding system value values (500, 'late')`
    await engine.session(({ repository }) => repository(notes).insert({ text: 'inside' }))
    const own = engine.session((session) => session.sql`insert into parts values (501)`)
    await expect(own).rejects.toBeInstanceOf(ForeignKeyViolation)
  })
  expect(await engine.session(({ repository }) => repository(notes).count())).toBe(2)
})

describe('several sessions', () => {
  test('of a gather run one after the other, also with a snapshot and in the course of another session', async () => {
    await using sandbox = await open({ max: 1 })
    const { engine } = sandbox
    const seen = await engine.session(async ({ repository, backendPid }) => {
      await repository(notes).insert({ text: 'outer' })
      const { a, b, c } = await engine.gather({
        a: (session) => session.transaction((inner) => inner.repository(notes).insert({ text: 'a' })),
        b: ({ db }) => db.insert(notes).values({ text: 'b' }).returning(),
        c: ({ backendPid }) => backendPid,
      })
      expect([a.text, b[0]?.text, c]).toEqual(['a', 'b', backendPid])
      return engine.gather([(session) => session.repository(notes).count(), ({ db }) => db.select().from(notes)], {
        snapshot: true,
      })
    })
    expect(seen).toEqual([3, expect.arrayContaining([expect.objectContaining({ text: 'b' })])])
    const failed = engine.gather({
      bad: ({ sql }) => sql`select 1 / 0`,
      good: (session) => session.repository(notes).insert({ text: 'good' }),
    })
    await expect(failed).rejects.toMatchObject({ task: 'bad' })
    const doubled: number[] = []
    for await (const n of engine.map(
      [1, 2, 3, 4, 5],
      (session, n) => session.sql<{ n: number }>`select ${n}::int * 2 as n`,
    )) {
      doubled.push(n[0]?.n ?? 0)
    }
    expect(doubled).toEqual([2, 4, 6, 8, 10])
  })

  test('inside a transaction belong to it: it waits for them, and undoes them', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    const failed = engine.transaction(async (session) => {
      await session.repository(notes).insert({ text: 'outer' })
      const [inner, , after] = await Promise.all([
        engine.transaction(async (other) => {
          await other.repository(notes).insert({ text: 'inner' })
          return other.repository(notes).count()
        }),
        engine.session(({ sql }) => sql`select 1 / 0`).catch(() => undefined),
        session.repository(notes).count(),
      ])
      expect([inner, after].every((count) => count >= 1)).toBe(true)
      throw new Error('undo')
    })
    await expect(failed).rejects.toThrow('undo')
    expect(await engine.session(({ repository }) => repository(notes).count())).toBe(0)
  })

  test('that begin at once never mix their transactions', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    const work = Array.from({ length: 20 }, (_, n) =>
      engine
        .transaction(async ({ repository }) => {
          await repository(notes).insert({ text: `${n} a` })
          await repository(notes).insert({ text: `${n} b` })
          if (n % 2 === 1) throw new Error('odd')
        })
        .catch(() => undefined),
    )
    await Promise.all(work)
    expect(await engine.session(({ repository }) => repository(notes).count())).toBe(20)
  })

  test('of which one waits for another outside its course end with PoolTimeout', async () => {
    await using sandbox = await open({ acquireTimeoutMs: 100 })
    const { engine } = sandbox
    let begun!: () => void
    let answered!: (error: unknown) => void
    const beginning = new Promise<void>((resolve) => (begun = resolve))
    const outside = new Promise<unknown>((resolve) => (answered = resolve))
    const first = engine.transaction(
      async ({ sql }) => {
        await sql`select 1`
        begun()
        return outside
      },
      { label: 'first' },
    )
    await beginning
    engine.session(({ sql }) => sql`select 2`).catch(answered)
    const error = await first
    expect(error).toBeInstanceOf(PoolTimeout)
    expect((error as Error).message).toContain('first')
  })

  test('under an identity leave nothing of it to the next, nor to the one around them', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    const reader = engine.as({ role: 'rivulet_reader', settings: { 'app.user': 'r' } })
    const ask = ({ sql }: { sql: SqlTag }) =>
      sql<{
        role: string
        id: string
      }>`select current_user::text as role, coalesce(current_setting('app.user', true), '') as id`
    const [owner] = await engine.session(ask)
    expect(await reader.session(ask)).toEqual([{ role: 'rivulet_reader', id: 'r' }])
    expect(await engine.session(ask)).toEqual([owner])
    await reader.transaction(async (session) => {
      expect(await ask(session)).toEqual([{ role: 'rivulet_reader', id: 'r' }])
      expect(await engine.session(ask)).toEqual([owner])
      expect(await ask(session)).toEqual([{ role: 'rivulet_reader', id: 'r' }])
    })
    await engine.session(async (session) => {
      await session.sql`set timezone = 'Asia/Tokyo'`
      expect(await session.sql`show timezone`).toEqual([{ TimeZone: 'Asia/Tokyo' }])
      expect(await engine.session(({ sql }) => sql`show timezone`)).not.toEqual([{ TimeZone: 'Asia/Tokyo' }])
      expect(await session.sql`show timezone`).toEqual([{ TimeZone: 'Asia/Tokyo' }])
    })
    expect(await engine.session(({ sql }) => sql`show timezone`)).not.toEqual([{ TimeZone: 'Asia/Tokyo' }])
  })

  test('read only write nothing, and streams may be left', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    await engine.session(({ repository }) =>
      repository(notes).insertMany([{ text: '1' }, { text: '2' }, { text: '3' }]),
    )
    const write = engine.transaction((session) => session.repository(notes).insert({ text: 'x' }), {
      readOnly: true,
      isolation: 'serializable',
      attempts: 3,
    })
    await expect(write).rejects.toMatchObject({ sqlState: '25006' })
    const read: string[] = []
    await engine.session(async ({ stream, db }) => {
      for await (const row of stream(db.select().from(notes), { batchSize: 1 })) {
        read.push(row.text)
        await engine.session(({ repository }) => repository(notes).get(row.id))
        if (read.length === 2) break
      }
      expect(await db.select().from(notes).where(eq(notes.text, '3'))).toHaveLength(1)
    })
    expect(read).toEqual(['1', '2'])
  })
})

describe('a setting', () => {
  const ask = async ({ sql }: { sql: SqlTag }) =>
    (
      await sql<{ size: string; role: string }>`select coalesce(current_setting('app.size', true), '') as size,
        case current_user when session_user then 'owner' else current_user end as role`
    )[0]

  test('is taken back with its savepoint, whoever works in between', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    await engine.transaction(async (session) => {
      await session.sql`select set_config('app.size', 'outer', true)`
      const inner = session.transaction(async ({ sql }) => {
        await sql`select set_config('app.size', 'inner', true)`
        await sql`set local role rivulet_reader`
        expect(await engine.session(ask)).toEqual({ size: '', role: 'owner' })
        throw new Error('undo')
      })
      await expect(inner).rejects.toThrow('undo')
      expect(await engine.session(ask)).toEqual({ size: '', role: 'owner' })
      expect(await ask(session)).toEqual({ size: 'outer', role: 'owner' })
    })
  })

  test('is put in force anew without what the statement has written beside it', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    const who = (sql: SqlTag) =>
      sql`select current_setting('app.who', true) as who, (select count(*)::int from notes) as n`
    await engine.transaction(async ({ sql }) => {
      await sql`insert into notes (text) select set_config('app.who', ${'writer'}, true)`
      await engine.session((session) => session.sql`select 1`)
      expect(await who(sql)).toEqual([{ who: 'writer', n: 1 }])
    })
  })

  test('that is the session’s lasts when its transaction is committed, and only then', async () => {
    await using sandbox = await open()
    await sandbox.engine.session(async (session) => {
      await session.transaction(async ({ sql }) => {
        await sql`select set_config('app.size', ${'kept'}, ${false})`
        await sql`select set_config('app.size', ${'local'}, ${true})`
      })
      expect(await ask(session)).toMatchObject({ size: 'kept' })
      const failed = session.transaction(async ({ sql }) => {
        await sql`set app.size = 'lost'`
        throw new Error('undo')
      })
      await expect(failed).rejects.toThrow('undo')
      expect(await ask(session)).toMatchObject({ size: 'kept' })
      await session.transaction(({ sql }) => sql`reset app.size`)
      expect(await ask(session)).toMatchObject({ size: '' })
    })
    expect(await sandbox.engine.session(ask)).toMatchObject({ size: '' })
  })
})

describe('a statement that is cut short', () => {
  test('by its deadline is undone, and the sandbox goes on', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    await engine.session(({ repository }) => repository(notes).insert({ text: 'before' }))
    for (let round = 0; round < 5; round += 1) {
      const late = engine.transaction(
        async ({ repository, sql }) => {
          await repository(notes).insert({ text: 'lost' })
          await sql`select pg_sleep(60)`
        },
        { timeoutMs: 50 },
      )
      await expect(late).rejects.toBeInstanceOf(DeadlineExceeded)
      const alone = engine.session(({ sql }) => sql`select pg_sleep(60)`, { timeoutMs: 20 })
      await expect(alone).rejects.toBeInstanceOf(DeadlineExceeded)
    }
    expect(await engine.session(({ sql }) => sql`show statement_timeout`)).toEqual([{ statement_timeout: '0' }])
    expect(await engine.session(({ db }) => db.select().from(notes))).toMatchObject([{ text: 'before' }])
  })

  test('is over only when the request to stop it is: it would stop the next one', async () => {
    await using proxy = await openFaultProxy(database.url)
    proxy.onLink = (link) => (link.tap = delaysCancels(database.url, 400))
    await using sandbox = await openSandbox({ schema, url: proxy.url })
    const { engine } = sandbox
    for (const timeoutMs of [20, 50]) {
      const late = engine.session(({ sql }) => sql`select pg_sleep(60)`, { timeoutMs })
      await expect(late).rejects.toBeInstanceOf(DeadlineExceeded)
      await engine.session(({ sql }) => sql`select pg_sleep(0.6)`)
    }
  })

  test('although no request to stop it could be sent, costs the sandbox nothing', async () => {
    await using proxy = await openFaultProxy(database.url)
    await using sandbox = await openSandbox({ schema, url: proxy.url })
    const { engine } = sandbox
    await engine.session(({ repository }) => repository(notes).insert({ text: 'kept' }))
    await proxy.refuse()
    const late = engine.session(({ sql }) => sql`select pg_sleep(60)`, { timeoutMs: 50 })
    await expect(late).rejects.toBeInstanceOf(DeadlineExceeded)
    expect(await engine.session(({ db }) => db.select().from(notes))).toMatchObject([{ text: 'kept' }])
  })

  test('by a signal, or a sibling, is stopped on the server', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    await using admin = new Admin(database.url)
    const abort = new AbortController()
    const work = engine.session(({ sql }) => sql`select pg_sleep(60)`, { signal: abort.signal })
    work.catch(() => undefined)
    await expect.poll(() => admin.backends()).toContainEqual(expect.objectContaining({ waiting: 'PgSleep' }))
    abort.abort()
    await expect(work).rejects.toBeInstanceOf(Cancelled)
    const failed = engine.gather({
      bad: () => Promise.reject(new Error('bad')),
      slow: ({ sql }) => sql`select pg_sleep(60)`,
    })
    await expect(failed).rejects.toThrow('bad')
    expect(await engine.session(({ repository }) => repository(notes).count())).toBe(0)
  })

  test('by the end of the connection fails, and so does everything after it, at once', async () => {
    await using sandbox = await open()
    const { engine } = sandbox
    await using admin = new Admin(database.url)
    const pid = await engine.session(({ backendPid }) => backendPid)
    const work = engine.session(({ sql }) => sql`select pg_sleep(60)`)
    work.catch(() => undefined)
    await expect.poll(() => admin.backends()).toContainEqual(expect.objectContaining({ waiting: 'PgSleep' }))
    await admin.terminate(pid)
    await expect(work).rejects.toBeInstanceOf(ConnectionLost)
    await expect(engine.session(({ sql }) => sql`select 1`)).rejects.toThrow('the sandbox was lost')
  })
})

test('a sandbox is not rolled back while a session is open; what was given up is no hindrance', async () => {
  await using sandbox = await open()
  const { engine } = sandbox
  const early = engine.session(({ sql }) => sql`select 1`)
  await expect(sandbox.rollback()).rejects.toBeInstanceOf(UsageError)
  await early
  await engine.session(async ({ repository }) => {
    await repository(notes).insert({ text: 'kept' })
    await expect(sandbox.rollback()).rejects.toBeInstanceOf(UsageError)
    expect(await repository(notes).count()).toBe(1)
  })
  const late = engine.transaction(({ sql }) => sql`select pg_sleep(60)`, { timeoutMs: 20 })
  await expect(late).rejects.toBeInstanceOf(DeadlineExceeded)
  await sandbox.rollback()
  expect(await engine.session(({ repository }) => repository(notes).count())).toBe(0)
})

test('a sandbox is not rolled back while work is under way, and closing it ends that', async () => {
  const sandbox = await open()
  const { engine } = sandbox
  await engine.transaction(async ({ sql }) => {
    await sql`select 1`
    await expect(sandbox.rollback()).rejects.toBeInstanceOf(UsageError)
  })
  const hanging = engine.transaction(({ sql }) => sql`select pg_sleep(60)`)
  hanging.catch(() => undefined)
  await sandbox.close()
  // Nobody waited for it: its work would be undone all the same.
  await expect(hanging).rejects.toMatchObject({ code: 'pool_closed', message: expect.stringContaining('within 0 ms') })
  await using admin = new Admin(database.url)
  await expect.poll(() => admin.backends()).toEqual([])
})
