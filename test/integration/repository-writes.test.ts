/** What writes say is what happened: which statement ran, which row was in the way, why none was changed. */
// oxlint-disable unicorn/no-thenable -- one table has a column of this name
import { sql } from 'drizzle-orm'
import { integer, jsonb, pgTable, text, timestamp, unique } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import type { Session } from '../../src/repository/session.ts'
import { ForeignKeyViolation, InvalidInput, NotFound, UsageError, VersionConflict } from '../../src/errors.ts'
import { conventions } from '../../src/repository/types/conventions.ts'
import { ownTables } from '../support/own-tables.ts'
import { asKnown, hasNullsNotDistinct } from '../support/server-version.ts'

const ddl = `
create table sums (id integer primary key, v integer, n integer);
create table others (id integer primary key, v integer);
create table sheets (id integer primary key, version integer not null, tags text[], data jsonb);
create table slots (
  id integer primary key, k integer unique nulls not distinct, a integer, b integer, free integer unique,
  unique nulls not distinct (a, b)
);
create table bosses (id integer primary key);
create table employees (
  number integer primary key, email text,
  boss_id integer references bosses, mentor_id integer references bosses on delete restrict
);
create unique index employees_email on employees (coalesce(email, 'a, b=('));
create table watched (id integer primary key, note text);
alter table watched enable row level security;
create policy everybody on watched for select using (true);
create policy nobody on watched for update using (false);
insert into watched values (1, 'a');
grant select, update on watched to pg_monitor;
create table oddly (id integer primary key, "then" text, "toJSON" text);
create table frozen (id integer primary key, version integer not null default 1, note text, removed_at timestamptz);
create function skip() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger skipping before insert on slots for each row when (new.id < 0) execute function skip();
create trigger skipping before update or delete on frozen for each row execute function skip();
`

const sums = pgTable('sums', { id: integer().primaryKey(), v: integer(), n: integer() })
const others = pgTable('others', { id: integer().primaryKey(), v: integer() })
/** Its version has a default neither in the database nor in the schema. */
const sheets = conventions(
  pgTable('sheets', {
    id: integer().primaryKey(),
    version: integer().notNull(),
    tags: text().array(),
    data: jsonb(),
  }),
  { version: 'version' },
)
/** The same table with versions of its own. */
const fromTen = conventions(
  pgTable('sheets', {
    id: integer().primaryKey(),
    version: integer()
      .notNull()
      .$defaultFn(() => 10),
  }),
  { version: 'version' },
)
/** A trigger skips whatever is done to its rows, once they are there. */
const frozen = conventions(
  pgTable('frozen', { id: integer().primaryKey(), version: integer().notNull().default(1), note: text() }),
  { version: 'version' },
)
/** The same table with soft delete. */
const hidden = conventions(
  pgTable('frozen', { id: integer().primaryKey(), removedAt: timestamp('removed_at', { withTimezone: true }) }),
  { removedAt: 'removedAt' },
)
const slots = pgTable(
  'slots',
  {
    id: integer().primaryKey(),
    k: integer().unique('slots_k', { nulls: 'not distinct' }),
    a: integer(),
    b: integer(),
    free: integer().unique(),
  },
  (table) => [unique().on(table.a, table.b).nullsNotDistinct()],
)
const bosses = pgTable('bosses', { id: integer().primaryKey() })
const employees = pgTable('employees', {
  number: integer().primaryKey(),
  email: text(),
  bossId: integer('boss_id'),
  mentorId: integer('mentor_id'),
})
const oddly = pgTable('oddly', { id: integer().primaryKey(), then: text(), toJSON: text() })
/** Whoever may see its rows may not change them. */
const watched = pgTable('watched', { id: integer().primaryKey(), note: text() })

const schema = { sums, others, sheets, frozen }

const tables = ownTables('writes', asKnown(ddl), schema)
const { undone } = tables

describe('SQL of the caller', () => {
  test('that differs in the table of a column alone is another statement', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(sums)
      await repo.insert({ id: 1, v: 1 })
      await repository(others).insert({ id: 1, v: 2 })
      const greatest = [others, sums].map((table) => sql`(select max(${table.v}) from sums, others)`)
      for (const [index, n] of greatest.entries()) {
        expect(await repo.update(1, { n })).toMatchObject({ n: 2 - index })
        expect(await repo.insert({ id: 10 + index, n: n as never })).toMatchObject({ n: 2 - index })
        expect(await repo.insertMany([{ id: 20 + index, n: n as never }])).toMatchObject([{ n: 2 - index }])
        expect(await repo.upsert({ id: 1 }, { update: { n } })).toMatchObject({ n: 2 - index })
        expect(await repo.updateWhere({ id: 20 }, { n })).toBe(1)
        expect(await repo.get(20)).toMatchObject({ n: 2 - index })
      }
    })
  })

  test('does not become what stands beside it in another statement', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(sums)
      await repo.insert({ id: 1 })
      await repo.update(1, { v: sql`1`, n: 2 })
      await expect(repo.update(1, { v: sql`1,n` })).rejects.toThrow('syntax')
    })
  })
})

describe('what would check nothing or hit everything', () => {
  test('an ifVersion that is undefined is a UsageError, and null is InvalidInput', async () => {
    await tables.engine.session(async ({ repository }) => {
      const repo = repository(sheets)
      const none = { ifVersion: undefined } as never
      await expect(repo.update(1, { tags: [] }, none)).rejects.toThrow(UsageError)
      await expect(repo.update(1, {}, none)).rejects.toThrow(UsageError)
      await expect(repo.remove(1, none)).rejects.toThrow(UsageError)
      await expect(repo.update(1, {}, { ifVersion: null as never })).rejects.toThrow(InvalidInput)
    })
  })

  test('a filter that every array or object of JSON passes is refused, and one that none passes is not', async () => {
    await undone(async ({ repository, sql }) => {
      const repo = repository(sheets)
      await sql`insert into sheets values (1, 1, '{a}', '{"a": 1}')`
      for (const where of [
        { tags: { contains: [] } },
        { data: { contains: {} } },
        { data: { contains: [] } },
        { not: { tags: { overlaps: [] } } },
        { or: [{ id: 7 }, { tags: { contains: [] } }] },
      ]) {
        await expect(repo.removeWhere(where)).rejects.toThrow(UsageError)
        await expect(repo.updateWhere(where, { tags: [] })).rejects.toThrow(UsageError)
        await repo.count(where)
      }
      expect(await repo.removeWhere({ not: { tags: { contains: [] } } })).toBe(0)
      expect(await repo.removeWhere({ tags: { contains: [] }, id: 7 })).toBe(0)
      expect(await repo.removeWhere({ tags: { contains: ['a'] }, data: { contains: { a: 1 } } })).toBe(1)
    })
  })
})

describe('a write by key that hit no row', () => {
  test('is told from a missing row and a moved version when a trigger skips it', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(frozen)
      await repo.insert({ id: 1 })
      const skipped = { code: 'database_error', sqlState: '02000', table: 'frozen' }
      await expect(repo.update(1, { note: 'x' })).rejects.toMatchObject(skipped)
      await expect(repo.update(1, { note: 'x' }, { ifVersion: 1 })).rejects.toMatchObject(skipped)
      await expect(repo.update(1, { note: 'x' }, { ifVersion: 2 })).rejects.toThrow(VersionConflict)
      await expect(repo.update(2, { note: 'x' }, { ifVersion: 1 })).rejects.toThrow(NotFound)
      await expect(repo.remove(1)).rejects.toMatchObject(skipped)
      await expect(repo.remove(1, { ifVersion: 1 })).rejects.toMatchObject(skipped)
      await expect(repo.remove(1, { ifVersion: 2 })).rejects.toThrow(VersionConflict)
      await expect(repo.remove(2)).rejects.toThrow(NotFound)
    })
  })

  test('is told from a missing row when a policy keeps it from being written', async () => {
    await undone(async ({ repository, sql }) => {
      await sql`set local role pg_monitor`
      await expect(repository(watched).update(1, { note: 'b' })).rejects.toThrow('policy of watched skipped')
      await expect(repository(watched).update(2, { note: 'b' })).rejects.toThrow(NotFound)
    })
  })

  test('looks for the rows that the operation is for, removed or not', async () => {
    await undone(async ({ repository, sql }) => {
      const repo = repository(hidden)
      await sql`insert into frozen (id, removed_at) values (1, null), (2, now())`
      const skipped = { sqlState: '02000' }
      await expect(repo.remove(1)).rejects.toMatchObject(skipped)
      await expect(repo.remove(2)).rejects.toThrow(NotFound)
      await expect(repo.restore(1)).rejects.toThrow(NotFound)
      await expect(repo.restore(2)).rejects.toMatchObject(skipped)
      await expect(repo.purge(1)).rejects.toMatchObject(skipped)
      await expect(repo.purge(2)).rejects.toMatchObject(skipped)
      await expect(repo.purge(3)).rejects.toThrow(NotFound)
    })
  })
})

test('a version begins at 1 where neither database nor schema say at what', async () => {
  await undone(async ({ repository }) => {
    const repo = repository(sheets)
    expect(await repo.insert({ id: 1 })).toMatchObject({ version: 1 })
    expect(await repo.insertMany([{ id: 2 }, { id: 3 }])).toMatchObject([{ version: 1 }, { version: 1 }])
    expect(await repo.upsert({ id: 4, tags: [] })).toMatchObject({ version: 1 })
    expect(await repo.upsert({ id: 4, tags: ['a'] })).toMatchObject({ version: 2 })
    expect(await repository(fromTen).insert({ id: 5 })).toMatchObject({ version: 10 })
    expect(await repository(frozen).insert({ id: 6 })).toMatchObject({ version: 1 })
  })
})

describe('upsert on columns that are NULL', () => {
  test.runIf(hasNullsNotDistinct)('finds the row in the way where NULLs are equal', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(slots)
      const row = await repo.insert({ id: 1, a: 5, b: null, k: null })
      expect(await repo.upsert({ id: 2, k: null }, { on: 'k', update: [] })).toEqual(row)
      expect(await repo.upsert({ id: 2, a: 5, b: null }, { on: ['b', 'a'], update: [] })).toEqual(row)
      expect(await repo.upsert({ id: 2, k: null, free: 1 }, { on: 'k', update: ['free'] })).toEqual({ ...row, free: 1 })
    })
  })

  test('inserts where they are not, and takes no other row for its own when a trigger skips it', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(slots)
      await repo.insert({ id: 1, k: 1, a: 1, free: null })
      expect(await repo.upsert({ id: 2, k: 2, a: 2, free: null }, { on: 'free', update: [] })).toMatchObject({ id: 2 })
      const skipped = repo.upsert({ id: -1, k: 3, a: 3, free: null }, { on: 'free', update: [] })
      await expect(skipped).rejects.toMatchObject({ sqlState: '02000' })
    })
  })
})

test('columns may be called like a method that others look for', async () => {
  await undone(async ({ repository }) => {
    const repo = repository(oddly)
    const row = { id: 1, then: 'x', toJSON: 'y' }
    expect(await repo.insert(row)).toEqual(row)
    expect(await repo.find({ toJSON: 'y' })).toEqual(row)
    expect(await repo.update(1, { then: 'z' })).toEqual({ ...row, then: 'z' })
    const query = { ...row, then: () => undefined } as never
    await expect(repo.insert(query)).rejects.toThrow(UsageError)
  })
})

test('purge is refused without soft delete, as restore is, and deletes nothing', async () => {
  await undone(async ({ repository }) => {
    const repo = repository(oddly) as unknown as Record<'purge' | 'restore', (key: number) => Promise<unknown>>
    await repository(oddly).insert({ id: 1 })
    await expect(repo.purge(1)).rejects.toThrow('removedAt')
    await expect(repo.restore(1)).rejects.toThrow(UsageError)
    expect(await repository(oddly).exists(1)).toBe(true)
  })
})

describe('a violation', () => {
  const write = (task: (session: Session<typeof schema>) => Promise<unknown>) =>
    tables.engine.transaction(async (session) => {
      await session.repository(bosses).insertMany([{ id: 1 }, { id: 2 }])
      await session.repository(employees).insert({ number: 7, email: 'x', bossId: 1, mentorId: 2 })
      await task(session)
    })

  test('of a foreign key names the table written to, with its columns', async () => {
    const missing = write(({ repository }) => repository(employees).insert({ number: 8, bossId: 9 }))
    await expect(missing).rejects.toMatchObject({ table: 'employees', columns: ['boss_id'] })
    for (const [id, constraint] of [
      [1, 'employees_boss_id_fkey'],
      [2, 'employees_mentor_id_fkey'],
    ] as const) {
      const referenced = write(({ repository }) => repository(bosses).remove(id))
      await expect(referenced).rejects.toMatchObject({ table: 'bosses', columns: ['id'], constraint })
      await expect(referenced).rejects.toThrow(ForeignKeyViolation)
    }
  })

  test('of an index on an expression names no columns', async () => {
    const twice = write(({ repository }) => repository(employees).insert({ number: 8, email: 'x' }))
    await expect(twice).rejects.toMatchObject({ constraint: 'employees_email', columns: [] })
  })
})
