/** Repositories on tables that are allowed but odd: triggers that skip rows, domains, keys of several spellings. */
import { eq, relations, sql } from 'drizzle-orm'
import {
  char,
  customType,
  date,
  doublePrecision,
  integer,
  interval,
  numeric,
  pgTable,
  point,
  primaryKey,
  real,
  serial,
  text,
  time,
  timestamp,
  uniqueIndex,
  varchar,
} from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { InvalidInput, UniqueViolation, UsageError } from '../../src/errors.ts'
import { conventions } from '../../src/repository/types/conventions.ts'
import { defineRepository } from '../../src/repository/define-repository.ts'
import { ownTables } from '../support/own-tables.ts'

const ddl = `
create domain required as text not null;
create table tags (code text primary key, label text);
create table items (id integer primary key, code text, price numeric(10, 1), short char(5), amount numeric);
create table prices (price numeric(10, 3) primary key, name varchar(9) unique);
create table counted (id integer primary key, parent_id integer references counted, number serial, note text);
create table guarded (a integer not null, b integer not null, name text not null, note text, primary key (a, b));
create table papers (id integer primary key, access text, data jsonb);
create table picky (id integer primary key, word text unique);
create table drafts (
  id integer primary key, slug text, kind text, removed_at timestamptz, sku text constraint drafts_sku unique
);
create unique index drafts_slug on drafts (slug) where removed_at is null;
create table rooms (id integer primary key, number integer, state text);
create unique index rooms_open on rooms (number) where state = 'open';
create table seats (place jsonb primary key, guest text);
create table ticks (at timestamptz(3) primary key, note text);
create table moments (
  id integer primary key, at timestamp(0), at_text timestamp(1), day date, hour time(0), span interval(1),
  days interval day, place point, bytes bytea
);
create table measures (id integer primary key, large double precision, small real);
create table owned (id integer primary key, owner_id integer not null);
create function skip() returns trigger language plpgsql as
  $$ begin if new.word = 'skip' then return null; end if; return new; end $$;
create trigger skipping before insert on picky for each row execute function skip();
`

const anyJson = customType<{ data: unknown; driverData: unknown }>({
  dataType: () => 'jsonb',
  toDriver: (value) => value,
})

const tags = pgTable('tags', { code: text('code').primaryKey(), label: text('label') })
const items = pgTable('items', {
  id: integer('id').primaryKey(),
  code: text('code'),
  price: numeric('price', { precision: 10, scale: 1 }),
  short: char('short', { length: 5 }),
  amount: numeric('amount'),
})
const prices = pgTable('prices', {
  price: numeric('price', { precision: 10, scale: 3 }).primaryKey(),
  name: varchar('name', { length: 9 }).unique(),
})
const counted = pgTable('counted', {
  id: integer('id').primaryKey(),
  parentId: integer('parent_id'),
  number: serial('number'),
  note: text('note'),
})
const guarded = conventions(
  pgTable('guarded', {
    a: integer('a').notNull(),
    b: integer('b').notNull(),
    name: text('name').notNull().unique(),
    note: text('note'),
  }),
  { key: ['name'] },
)
/** The same table by its other key. */
const pairs = conventions(
  pgTable(
    'guarded',
    { a: integer('a').notNull(), b: integer('b').notNull(), name: text('name').notNull(), note: text('note') },
    (table) => [primaryKey({ columns: [table.a, table.b] })],
  ),
  { key: ['a', 'b'] },
)
const papers = pgTable('papers', { id: integer('id').primaryKey(), access: text('access'), data: anyJson('data') })
/** Slugs are unique among those that are not removed, which the schema does not say; skus among all. */
const drafts = conventions(
  pgTable('drafts', {
    id: integer('id').primaryKey(),
    slug: text('slug'),
    sku: text('sku'),
    kind: text('kind'),
    removedAt: timestamp('removed_at', { withTimezone: true }),
  }),
  { removedAt: 'removedAt' },
)
const ticks = pgTable('ticks', {
  at: timestamp('at', { withTimezone: true, precision: 3 }).primaryKey(),
  note: text('note'),
})
const rooms = pgTable(
  'rooms',
  { id: integer('id').primaryKey(), number: integer('number'), state: text('state') },
  (table) => [uniqueIndex('rooms_open').on(table.number).where(eq(table.state, 'open'))],
)
const place = customType<{ data: { readonly row: number; readonly seat: number } }>({ dataType: () => 'jsonb' })
const seats = pgTable('seats', { place: place('place').primaryKey(), guest: text('guest') })
const bytes = customType<{ data: Uint8Array }>({ dataType: () => 'bytea' })
const moments = pgTable('moments', {
  id: integer('id').primaryKey(),
  at: timestamp('at', { precision: 0 }),
  atText: timestamp('at_text', { precision: 1, mode: 'string' }),
  day: date('day', { mode: 'date' }),
  hour: time('hour', { precision: 0 }),
  span: interval('span', { precision: 1 }),
  days: interval('days', { fields: 'day' }),
  place: point('place'),
  bytes: bytes('bytes'),
})
const measures = pgTable('measures', {
  id: integer('id').primaryKey(),
  large: doublePrecision('large'),
  small: real('small'),
})
const owned = pgTable('owned', { id: integer('id').primaryKey(), ownerId: integer('owner_id').notNull() })
const ownedRelations = relations(owned, ({ one }) => ({
  owner: one(counted, { fields: [owned.ownerId], references: [counted.id] }),
}))
const countedRelations = relations(counted, ({ many }) => ({ owned: many(owned) }))
const picky = pgTable('picky', { id: integer('id').primaryKey(), word: text('word').unique() })

const itemsRelations = relations(items, ({ one }) => ({
  tag: one(tags, { fields: [items.code], references: [tags.code] }),
  rate: one(prices, { fields: [items.price], references: [prices.price], relationName: 'rate' }),
  named: one(prices, { fields: [items.short], references: [prices.name], relationName: 'named' }),
  numbered: one(counted, { fields: [items.amount], references: [counted.id] }),
}))
const pricesRelations = relations(prices, ({ many }) => ({ items: many(items, { relationName: 'rate' }) }))

const schema = {
  tags,
  items,
  prices,
  counted,
  guarded,
  papers,
  picky,
  drafts,
  rooms,
  seats,
  moments,
  measures,
  owned,
  ownedRelations,
  countedRelations,
  itemsRelations,
  pricesRelations,
}

const tables = ownTables('odd', ddl, schema)
const { undone } = tables

describe('relations', () => {
  test('a foreign key that is NULL has no related row, also when another key is the empty text', async () => {
    await undone(async ({ repository }) => {
      await repository(tags).insert({ code: '', label: 'empty' })
      await repository(items).insertMany([
        { id: 1, code: null },
        { id: 2, code: '' },
      ])
      const { rows } = await repository(items).list({ with: { tag: true } })
      expect(rows.map(({ tag }) => tag?.label)).toEqual([undefined, 'empty'])
    })
  })

  test('are found where both columns write the same value differently', async () => {
    await undone(async ({ repository }) => {
      await repository(prices).insertMany([
        { price: '1.500', name: 'ab' },
        { price: '2.000', name: 'c' },
      ])
      await repository(counted).insert({ id: 7 })
      await repository(items).insertMany([
        { id: 1, price: '1.5', short: 'ab', amount: '7.00' },
        { id: 2, price: '1.5', short: 'zz', amount: '7.5' },
      ])
      const { rows } = await repository(items).list({ with: { rate: true, numbered: { select: ['id'] } } })
      expect(rows.map(({ rate, numbered }) => [rate?.price, numbered?.id])).toEqual([
        ['1.500', 7],
        ['1.500', undefined],
      ])
      const named = await repository(items).get(1, { with: { named: { select: ['name'] } } })
      expect(named.named).toEqual({ name: 'ab' })
      const listed = await repository(prices).list({ with: { items: { select: ['id'], limit: 1 } } })
      expect(listed.rows.map((row) => row.items)).toEqual([[{ id: 1 }], []])
    })
  })
})

describe('writes', () => {
  test('a row that a trigger skips is an error, and none of its neighbours is kept', async () => {
    await tables.engine.session(async ({ repository }) => {
      const repo = repository(picky)
      await expect(repo.insert({ id: 1, word: 'skip' })).rejects.toMatchObject({ sqlState: '02000', table: 'picky' })
      await expect(repo.insertMany([{ id: 1 }, { id: 2, word: 'skip' }])).rejects.toThrow('trigger')
      await expect(
        repo.insertMany([
          { id: 1, word: 'a' },
          { id: 2, word: 'skip' },
        ]),
      ).rejects.toThrow('trigger')
      expect(await repo.count()).toBe(0)
    })
  })

  test('insertMany writes in the order given, whatever columns each row has', async () => {
    await undone(async ({ repository }) => {
      const rows = await repository(counted).insertMany([
        { id: 1 },
        { id: 2, parentId: 1 },
        { id: 3, note: 'x' },
        { id: 4, parentId: 3 },
        { id: 5 },
      ])
      expect(rows.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5])
      const numbers = rows.map(({ number }) => number)
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    })
  })

  test('a domain that is NOT NULL is no hindrance for keys, loads and rows of other columns', async () => {
    await undone(async ({ repository, sql }) => {
      await sql`alter table guarded alter column note type required using 'x'`
      const given = [
        { a: 1, b: 1, name: 'n', note: 'y' },
        { a: 1, b: 2, name: 'm', note: 'z' },
      ]
      expect(await repository(guarded).insertMany(given)).toEqual(given)
      expect(await repository(pairs).getMany([{ a: 1, b: 2 }])).toMatchObject({ rows: [given[1]], missing: [] })
      expect(await repository(pairs).load({ a: 1, b: 1 })).toEqual(given[0])
    })
  })

  test('what a JSON type of the user writes is JSON of its column, or InvalidInput, by every way in', async () => {
    const forged = '1,"access":"admin"'
    await tables.engine.session(async ({ repository }) => {
      const repo = repository(papers)
      const row = { id: 1, access: 'guest', data: forged }
      await expect(repo.insertMany([row])).rejects.toMatchObject({ code: 'invalid_input', path: [0, 'data'] })
      for (const refused of [repo.insert(row), repo.upsert(row)]) {
        await expect(refused).rejects.toMatchObject({ code: 'invalid_input', path: ['data'] })
      }
      expect(await repo.count()).toBe(0)
    })
    await undone(async ({ repository }) => {
      const rows = await repository(papers).insertMany([
        { id: 1, data: '{"a": "}"}' },
        { id: 2, data: 'null' },
        { id: 3, data: true },
        { id: 4, data: 1.5 },
      ])
      expect(rows.map(({ data }) => data)).toEqual([{ a: '}' }, null, true, 1.5])
      expect(await repository(papers).count({ data: { isNull: false } })).toBe(4)
    })
  })

  test('an object among the values of SQL is a value, whatever its properties are called', async () => {
    await undone(async ({ repository }) => {
      await repository(papers).insert({ id: 1, access: 'guest', data: { a: 1 } })
      const data = sql`${{ name: '0' }}::jsonb`
      expect(await repository(papers).update(1, { access: 'admin', data })).toEqual({
        id: 1,
        access: 'admin',
        data: { name: '0' },
      })
    })
  })

  test('insertMany is a unit of work of its own, whatever its rows are', async () => {
    await tables.engine.session(async ({ repository }) => {
      const repo = repository(papers)
      for (const rows of [[{ id: 1 }], [{ id: 1 }, { id: 2, access: 'x' }]]) {
        const inserting = repo.insertMany(rows)
        await expect(repo.count()).rejects.toThrow(UsageError)
        await inserting
        await repo.removeWhere({ id: { gt: 0 } })
      }
    })
  })
})

describe('upsertMany', () => {
  test('tells rows apart by keys that JavaScript writes alike', async () => {
    await undone(async ({ repository }) => {
      const at = (ms: number) => ({ at: new Date(Date.UTC(2026, 0, 1) + ms) })
      expect(await repository(ticks).upsertMany([at(1), at(2)])).toHaveLength(2)
      expect(
        await repository(seats).upsertMany([{ place: { row: 1, seat: 1 } }, { place: { row: 1, seat: 2 } }]),
      ).toHaveLength(2)
      const twice = repository(ticks).upsertMany([{ ...at(3), note: 'a' }, at(4), at(3)])
      await expect(twice).rejects.toThrow(InvalidInput)
    })
  })
})

describe('upsert', () => {
  test('decides by an index of the rows that are not removed, and by one of all rows', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(drafts)
      await repo.insert({ id: 1, slug: 'a', sku: 's' })
      expect(await repo.upsert({ id: 2, slug: 'a', kind: 'x' }, { on: 'slug', update: ['kind'] })).toMatchObject({
        id: 1,
        kind: 'x',
      })
      expect(await repo.upsert({ id: 2, slug: 'a' }, { on: 'slug', update: [] })).toMatchObject({ id: 1 })
      await repo.remove(1)
      expect(await repo.upsert({ id: 2, slug: 'a' }, { on: 'slug' })).toMatchObject({ id: 2 })
      const error = await repo.upsert({ id: 3, sku: 's' }, { on: 'sku' }).catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(UniqueViolation)
      expect(String(error)).toContain('removed')
    })
  })

  test('decides by a partial index that the schema declares', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(rooms)
      await repo.insert({ id: 1, number: 7, state: 'open' })
      expect(await repo.upsert({ id: 2, number: 7, state: 'open' }, { on: 'number', update: ['state'] })).toMatchObject(
        {
          id: 1,
        },
      )
      expect(await repo.upsert({ id: 3, number: 7, state: 'shut' }, { on: 'number' })).toMatchObject({ id: 3 })
    })
  })

  test('on columns that are not unique is a UsageError', async () => {
    await undone(async (session) => {
      const repo = session.repository(rooms)
      await expect(repo.upsert({ id: 1, state: 'x' }, { on: 'state' })).rejects.toThrow(UsageError)
    })
  })

  test('of a row that a trigger skips is an error that says so', async () => {
    await tables.engine.session(async ({ repository }) => {
      await expect(repository(picky).upsert({ id: 1, word: 'skip' })).rejects.toThrow('trigger')
      await expect(repository(picky).upsert({ id: 1, word: 'skip' }, { update: [] })).rejects.toThrow('trigger')
    })
  })

  test('takes SQL for its key, also where nothing is updated', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(papers)
      await repo.insert({ id: 1, access: 'a' })
      const key = sql`${1}::integer` as never
      expect(await repo.upsert({ id: key, access: 'b' }, { update: [] })).toMatchObject({ id: 1, access: 'a' })
    })
  })
})

describe('values that the server would round or drop', () => {
  test.each([
    ['at', new Date('2026-01-01T00:00:00.600Z'), new Date('2026-01-01T00:00:01Z')],
    ['atText', '2026-01-01 00:00:00.66', '2026-01-01 00:00:00.6'],
    ['day', new Date('2026-01-01T23:59:59Z'), new Date('2026-01-01T00:00:00Z')],
    ['hour', '12:00:00.7', '12:00:00'],
    ['span', '1.66 seconds', '1.6 seconds'],
    ['days', '1 day 5 hours', '2 mons 1 day'],
    ['days', '1 day 05:00', '1 year'],
    ['days', 'PT5H', 'P3D'],
    ['days', 'P1DT5H', 'P1Y2M3W4D'],
    ['span', '500 ms', '0.5 seconds'],
    ['place', [1, 2, 3], [1, 2]],
    ['place', [Number.NaN, 1], [0.5, -1]],
    ['bytes', 'abc', new Uint8Array([1, 2])],
  ])('%s is refused as %j, and stored as %j', async (property, bad, good) => {
    await undone(async ({ repository }) => {
      const repo = repository(moments)
      await expect(repo.insert({ id: 1, [property]: bad } as never)).rejects.toMatchObject({
        code: 'invalid_input',
        path: [property],
      })
      expect(await repo.insert({ id: 1, [property]: good } as never)).toMatchObject({ id: 1 })
    })
  })

  test('what is no row is no row of defaults', async () => {
    await tables.engine.session(async ({ repository }) => {
      for (const row of [new Map([['id', 1]]), Promise.resolve({ id: 1 }), new Date(), [1]]) {
        await expect(repository(moments).insert(row as never)).rejects.toThrow(UsageError)
      }
    })
  })
})

describe('reads', () => {
  test('pages by floating point numbers are exact, however many digits the server writes', async () => {
    await undone(async ({ repository, sql }) => {
      const repo = repository(measures)
      const large = [0.1 + 0.2, 0.3, 0.300_000_000_000_000_1, Number.NaN, Infinity, -0]
      await repo.insertMany(large.map((value, id) => ({ id, large: value, small: Math.fround(id / 3) })))
      await sql`set local extra_float_digits = -3`
      for (const name of ['large', 'small'] as const) {
        const seen = new Set<number>()
        let after: string | undefined
        for (let page = 0; page < large.length; page++) {
          const { rows, next } = await repo.list({ orderBy: { [name]: 'asc' }, limit: 1, after, count: page % 2 === 0 })
          for (const { id } of rows) seen.add(id)
          after = next
        }
        expect([seen.size, after]).toEqual([large.length, undefined])
      }
    })
  })

  test('a related row that the type promises and that is gone is NotFound', async () => {
    await undone(async ({ repository }) => {
      await repository(counted).insert({ id: 1 })
      await repository(owned).insertMany([
        { id: 1, ownerId: 1 },
        { id: 2, ownerId: 9 },
      ])
      expect((await repository(owned).get(1, { with: { owner: true } })).owner.id).toBe(1)
      await expect(repository(owned).get(2, { with: { owner: true } })).rejects.toMatchObject({
        code: 'not_found',
        table: 'counted',
      })
      await expect(repository(owned).list({ with: { owner: true } })).rejects.toThrow('relation owned.owner')
      expect(await repository(owned).get(2, { with: { owner: { where: { id: { gt: 0 } } } } })).toMatchObject({
        owner: null,
      })
      const { rows } = await repository(owned).list({ with: { owner: { where: {} } } })
      expect(rows.map(({ owner }) => owner?.id)).toEqual([1, undefined])
    })
  })
})

describe('a domain repository', () => {
  test('may be made of a class, with its methods and getters', async () => {
    const tagsOf = defineRepository(
      tags,
      (base) =>
        new (class {
          readonly prefix = 'x'
          #calls = 0
          get calls() {
            return this.#calls
          }
          add(code: string) {
            this.#calls += 1
            return base.insert({ code: this.prefix + code })
          }
        })(),
    )
    await undone(async (session) => {
      const repo = tagsOf(session)
      const { add } = repo
      expect(await add('a')).toMatchObject({ code: 'xa' })
      expect([repo.calls, repo.prefix, await repo.count()]).toEqual([1, 'x', 1])
    })
  })
})

describe('what could be taken for something else', () => {
  test('a key that is a plain object is a key, and a filter stays a filter', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(seats)
      const row = await repo.insert({ place: { row: 1, seat: 2 }, guest: 'Ada' })
      expect(await repo.find({ row: 1, seat: 2 })).toEqual(row)
      expect(await repo.exists({ row: 1, seat: 3 })).toBe(false)
      expect(await repo.find({ guest: 'Ada' })).toEqual(row)
    })
  })

  test('a write to all rows needs a filter that is not true of every row', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(tags)
      await repo.insertMany([{ code: 'a' }, { code: 'b' }])
      for (const where of [
        { code: { notIn: [] } },
        { not: { or: [] } },
        { not: { code: { in: [] } } },
        { or: [{ code: 'a' }, { code: { notIn: [] } }] },
        { and: [{ not: { or: [] } }] },
      ]) {
        await expect(repo.removeWhere(where)).rejects.toThrow(UsageError)
        await expect(repo.updateWhere(where, { label: 'x' })).rejects.toThrow(UsageError)
        expect(await repo.count(where)).toBe(2)
      }
      expect(await repo.removeWhere({ code: { in: [] } })).toBe(0)
      expect(await repo.removeWhere({ code: { notIn: [], eq: 'a' } })).toBe(1)
    })
  })

  test('an option that an operation does not have is a UsageError, and so is null', async () => {
    await tables.engine.session(async ({ repository }) => {
      const repo = repository(drafts)
      const wrong = { wher: 1 } as never
      const none = null as never
      for (const call of [
        () => repo.list(wrong),
        () => repo.list(none),
        () => repo.get(1, wrong),
        () => repo.find(1, wrong),
        () => repo.find({ slug: 'a' }, wrong),
        () => repo.getMany([1], wrong),
        () => repo.getMany('x' as never),
        () => repo.exists(1, wrong),
        () => repo.count({}, wrong),
        () => repo.update(1, {}, wrong),
        () => repo.remove(1, wrong),
        () => repo.upsert({ id: 1 }, wrong),
        () => repo.find(1, { removed: '' as never }),
        () => repo.stream(wrong).next(),
        () => repo.list({ with: { tag: { wher: {} } } } as never),
      ]) {
        await expect((async () => call())()).rejects.toThrow(UsageError)
      }
    })
  })

  test('an operator that a type does not have is a UsageError', async () => {
    await tables.engine.session(async ({ repository }) => {
      for (const where of [{ id: { like: 'x' } }, { id: { contains: 1 } }, { slug: { overlaps: 'x' } }]) {
        await expect(repository(drafts).count(where as never)).rejects.toThrow(UsageError)
      }
      await expect(repository(moments).count({ place: { eq: [1, 2] } } as never)).rejects.toThrow(UsageError)
      expect(await repository(moments).count({ place: { isNull: true } })).toBe(0)
      const route = pgTable('moments', { id: integer('id').primaryKey(), stops: point('place').array().array() })
      const stops = repository(route).count({ stops: { eq: [[[1, 2]]] } } as never)
      await expect(stops).rejects.toThrow(UsageError)
    })
  })

  test('a cursor with anything behind it is InvalidInput', async () => {
    await undone(async ({ repository }) => {
      await repository(tags).insertMany([{ code: 'a' }, { code: 'b' }])
      const { next } = await repository(tags).list({ limit: 1 })
      await expect(repository(tags).list({ after: `${next}!!` })).rejects.toThrow(InvalidInput)
    })
  })
})
