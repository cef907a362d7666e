/** Values whose meaning depends on more than their column: the server's settings, types of the user's own, expressions. */
import { sql } from 'drizzle-orm'
import { bigint, customType, integer, pgTable, pgView, point, timestamp } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { conventions } from '../../src/repository/types/conventions.ts'
import { ownTables } from '../support/own-tables.ts'
import { everythingIn } from '../support/invariants.ts'

const ddl = `
create table clocks (id integer primary key, note integer, updated_at timestamp, removed_at timestamp);
create extension citext;
create table texts (id integer primary key, words tsvector, numbers integer[], flags boolean[], places point[],
  price numeric(5,2), code varchar(3), letter char, at timestamp(0), day date, title citext, label name, prices numeric(5, 2)[], initial "char");
create view summaries as select 1 as id, '{"a": 9007199254740993, "b": [1]}'::json as j, jsonb_build_object('a', 1) as k,
  '"x"'::jsonb as text_json, array[1, 2] as list, 'x'::text as name, now() as at, 1.5::numeric as amount
  union all select 2, null, '{}', 'null', '{}', 'y', now(), 2;
create table counters (id bigint primary key, n bigint, many bigint[]);
create table foreigners (span int4range primary key, bits varbit, flag integer);
create table spellings (id integer primary key, words tsvector, query tsquery, relation regclass, callee regprocedure,
  namespace regnamespace);
create table routes (id integer primary key, stops point[]);
`

const clocks = conventions(
  pgTable('clocks', {
    id: integer('id').primaryKey(),
    note: integer('note'),
    updatedAt: timestamp('updated_at'),
    removedAt: timestamp('removed_at'),
  }),
  { updatedAt: 'updatedAt', removedAt: 'removedAt' },
)

const routes = pgTable('routes', { id: integer('id').primaryKey(), stops: point('stops').array() })

const range = customType<{ data: string }>({ dataType: () => 'int4range' })
const bits = customType<{ data: string }>({ dataType: () => 'varbit' })
const foreigners = pgTable('foreigners', {
  span: range('span').primaryKey(),
  bits: bits('bits'),
  flag: integer('flag'),
})

/** Types that call what they cannot read a syntax error, or a thing that does not exist. */
const spelled = (type: string) => customType<{ data: string }>({ dataType: () => type })()
const spellings = pgTable('spellings', {
  id: integer('id').primaryKey(),
  words: spelled('tsvector'),
  query: spelled('tsquery'),
  relation: spelled('regclass'),
  callee: spelled('regprocedure'),
  namespace: spelled('regnamespace'),
})

/** Types of the user's own: written as SQL, as arrays, and not mapped at all. */
const tsvector = customType<{ data: string }>({
  dataType: () => 'tsvector',
  toDriver: (value) => sql`to_tsvector('simple', ${value})`,
})
const integers = customType<{ data: number[] }>({ dataType: () => 'integer[]' })
const booleans = customType<{ data: (boolean | null)[] }>({ dataType: () => 'boolean[]' })
const places = customType<{ data: string[] }>({ dataType: () => 'point[]' })
const plain = (type: string) => customType<{ data: unknown }>({ dataType: () => type })
const price = plain('numeric(5, 2)')
const prices = customType<{ data: string[] }>({ dataType: () => 'numeric(5, 2)[]' })
const code = plain('varchar(3)')
const letter = plain('char')
const second = plain('timestamp(0)')
const day = plain('date')
const citext = plain('citext')
const label = plain('name')
const initial = plain('"char"')
const texts = pgTable('texts', {
  id: integer('id').primaryKey(),
  words: tsvector('words'),
  numbers: integers('numbers'),
  flags: booleans('flags'),
  places: places('places'),
  price: price('price'),
  prices: prices('prices'),
  code: code('code'),
  letter: letter('letter'),
  at: second('at'),
  day: day('day'),
  title: citext('title'),
  label: label('label'),
  initial: initial('initial'),
})

const summaries = conventions(
  pgView('summaries').as((query) =>
    query
      .select({
        id: sql<number>`1`.as('id'),
        j: sql<{ b: number[] }>`json '{}'`.as('j'),
        k: sql<{ a?: number }>`jsonb '{}'`.as('k'),
        textJson: sql<string>`jsonb '"x"'`.as('text_json'),
        list: sql<number[]>`array[1]`.as('list'),
        name: sql<string>`''`.as('name'),
        at: sql<string>`now()`.as('at'),
        amount: sql<string>`1.5`.as('amount'),
      })
      .from(clocks),
  ),
  { key: ['id'] },
)

const counters = pgTable('counters', {
  id: bigint('id', { mode: 'number' }).primaryKey(),
  n: bigint('n', { mode: 'number' }),
  many: bigint('many', { mode: 'number' }).array(),
})

const schema = { clocks, routes, foreigners, spellings, texts, summaries, counters }

const tables = ownTables('custom_values', ddl, schema)
const { undone } = tables

describe("the conventions' timestamps", () => {
  test('are UTC in columns without time zone, whatever the TimeZone of the session', async () => {
    await undone(async ({ repository, sql: plain }) => {
      await plain`set local time zone 'Asia/Kolkata'`
      const repo = repository(clocks)
      const [{ now } = { now: new Date(0) }] = await plain<{ now: Date }>`select now()`
      const instant = { updatedAt: now }
      expect(await repo.insert({ id: 1 })).toMatchObject(instant)
      expect(await repo.insertMany([{ id: 2 }, { id: 3 }])).toMatchObject([instant, instant])
      expect(await repo.update(1, { note: 1 })).toMatchObject(instant)
      expect(await repo.upsert({ id: 1, note: 2 })).toMatchObject(instant)
      expect(await repo.remove(1)).toMatchObject({ ...instant, removedAt: now })
      await repo.removeWhere({ id: 2 })
      expect(await repo.get(2, { removed: 'only' })).toMatchObject({ ...instant, removedAt: now })
      expect(await repo.restore(1)).toMatchObject({ ...instant, removedAt: null })
      await repo.updateWhere({ id: 3 }, { note: sql`1` })
      expect(await repo.get(3)).toMatchObject(instant)
    })
  })
})

describe('an array whose elements have no equality', () => {
  test('can only be filtered by isNull', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(routes)
      const stops: [number, number][] = [
        [1, 2],
        [-0.5, 1e21],
      ]
      expect(await repo.insert({ id: 1, stops })).toEqual({ id: 1, stops })
      for (const name of ['eq', 'ne', 'contains', 'overlaps']) {
        await expect(repo.count({ stops: { [name]: stops } } as never)).rejects.toThrow('isNull')
      }
      expect(await repo.count({ stops: { isNull: false } })).toBe(1)
    })
  })
})

describe('a value that only the server can refuse', () => {
  test('is InvalidInput that names its column', async () => {
    await tables.engine.session(async ({ repository }) => {
      const repo = repository(foreigners)
      for (const [column, refused] of [
        ['bits', () => repo.insert({ span: '[1,2)', bits: '2', flag: 1 })],
        ['span', () => repo.insert({ bits: '1', span: 'x', flag: 1 })],
        ['bits', () => repo.update('[1,2)', { flag: 1, bits: '2' })],
        ['span', () => repo.update('x', { flag: 1, bits: '1' })],
        ['bits', () => repo.updateWhere({ flag: 1 }, { bits: '2' })],
        ['bits', () => repo.upsert({ span: '[1,2)', flag: 1, bits: '2' })],
        ['bits', () => repo.list({ where: { flag: 1, or: [{ bits: { gt: '2' } }] } })],
        ['bits', () => repo.count({ flag: 1, bits: { in: ['1', '2'] } })],
        ['bits', () => repo.stream({ where: { bits: '2' as never } }).next()],
        ['span', () => repo.get('x')],
        ['span', () => repo.exists('x')],
        ['span', () => repo.remove('x')],
      ] as const) {
        await expect(refused()).rejects.toMatchObject({ code: 'invalid_input', path: [column] })
      }
    })
  })

  test.each([
    ['words', "'SECRET"],
    ['words', 'x'.repeat(3000)],
    ['query', 'SECRET &'],
    ['relation', 'SECRET'],
    ['callee', 'SECRET('],
    ['namespace', 'SECRET'],
  ] as const)('is InvalidInput whatever its type calls it: %s', async (column, value) => {
    await tables.engine.session(async ({ repository }) => {
      const repo = repository(spellings)
      const refused = { code: 'invalid_input', path: [column] }
      const error: unknown = await repo.insert({ id: 1, [column]: value }).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject(refused)
      // What is said of it says nothing of the value.
      expect(everythingIn(error)).not.toContain(value)
      await expect(repo.update(1, { [column]: value })).rejects.toMatchObject(refused)
      // Of many rows the server does not say whose value it is.
      const many = [{ id: 2 }, { id: 3 }].map((row) => ({ ...row, [column]: value }))
      for (const write of [repo.insertMany, repo.upsertMany, repo.updateMany]) {
        const among: unknown = await write(many as never).catch((thrown: unknown) => thrown)
        expect(among).toMatchObject({ code: 'invalid_input' })
        expect(everythingIn(among)).not.toContain(value)
      }
      await expect(repo.count({ [column]: { isNull: false, eq: value } } as never)).rejects.toMatchObject(refused)
      await expect(repo.count({ [column]: { in: [value] } } as never)).rejects.toMatchObject(refused)
    })
  })
})

describe("a type of the user's own", () => {
  test('may write SQL, in rows, patches and filters', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(texts)
      expect(await repo.insert({ id: 1, words: 'B a' })).toMatchObject({ words: "'a':2 'b':1" })
      expect(await repo.insertMany([{ id: 2, words: 'x' }, { id: 3, words: 'y' }, { id: 4 }])).toMatchObject([
        { id: 2, words: "'x':1" },
        { id: 3, words: "'y':1" },
        { id: 4, words: null },
      ])
      expect(await repo.update(4, { words: 'z' })).toMatchObject({ words: "'z':1" })
      expect(await repo.upsert({ id: 4, words: 'Q' })).toMatchObject({ words: "'q':1" })
      for (const [word, id] of [
        ['X', 2],
        ['Y', 3],
      ] as const) {
        expect(await repo.find({ words: word })).toMatchObject({ id })
        expect(await repo.find({ words: { in: ['nothing', word] }, id: { gt: 0 } })).toMatchObject({ id })
      }
      expect(await repo.count({ words: { notIn: ['X', 'Y'] } })).toBe(2)
      expect(await repo.updateWhere({ words: 'X' }, { words: 'w' })).toBe(1)
      expect(await repo.get(2)).toMatchObject({ words: "'w':1" })
    })
  })

  test('may hold arrays', async () => {
    await undone(async ({ repository, db }) => {
      const repo = repository(texts)
      const row = { id: 1, numbers: [1, -2], flags: [true, null, false], places: ['(1,2)'], prices: ['1.50'] }
      expect(await repo.insert(row)).toMatchObject(row)
      expect(
        await repo.insertMany([
          { ...row, id: 2 },
          { id: 3, numbers: [] },
        ]),
      ).toMatchObject([{ ...row, id: 2 }, { numbers: [] }])
      expect(
        await db
          .select()
          .from(texts)
          .where(sql`id = 1`),
      ).toMatchObject([row])
      expect(await repo.count({ numbers: [1, -2] })).toBe(2)
      expect(await repo.count({ numbers: { contains: [1] } })).toBe(2)
      const { next } = await repo.list({ orderBy: { numbers: 'asc' }, limit: 1 })
      expect((await repo.list({ orderBy: { numbers: 'asc' }, after: next })).rows).toHaveLength(2)
      await expect(repo.insert({ id: 4, numbers: [new Map()] as never })).rejects.toMatchObject({ path: ['numbers'] })
    })
  })

  test('is refused what its column would cut off or round', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(texts)
      let id = 1
      for (const [name, bad, good] of [
        ['price', '1.239', '1.23'],
        ['price', 1.239, 1.5],
        ['code', 'abc   ', 'abc'],
        ['letter', 'x ', 'x'],
        ['at', new Date('2026-01-01T00:00:00.6Z'), new Date('2026-01-01T00:00:01Z')],
        ['day', new Date('2026-01-01T12:00:00Z'), new Date('2026-01-01T00:00:00Z')],
        ['title', new Date(0), 'a title'],
        ['title', true, ''],
        ['title', 1, '1'],
        ['label', 'x'.repeat(70), 'x'.repeat(63)],
        ['initial', 'ab', 'a'],
      ] as const) {
        await expect(repo.insert({ id, [name]: bad })).rejects.toMatchObject({ code: 'invalid_input', path: [name] })
        await repo.insertMany([{ id, [name]: good }])
        expect(await repo.count({ id, [name]: good }), name).toBe(1)
        id += 1
      }
      for (const where of [{ label: 'x'.repeat(64) }, { initial: 'ab' }, { day: new Date('2026-01-01T12:00:00Z') }]) {
        const [column] = Object.keys(where)
        await expect(repo.count(where as never)).rejects.toMatchObject({ code: 'invalid_input', path: [column] })
      }
      expect(await repo.count({ price: { eq: '1.2345' }, code: { eq: 'abcdef' } })).toBe(0)
    })
  })
})

describe('expressions of a view', () => {
  test('that are JSON are read as Drizzle reads them, by every operation', async () => {
    await tables.engine.transaction(async ({ repository, db }) => {
      const repo = repository(summaries)
      const [first, second] = await db.select().from(summaries).orderBy(summaries.id)
      expect(first).toMatchObject({ k: { a: 1 }, textJson: 'x' })
      expect([await repo.get(1), await repo.get(2)]).toEqual([first, second])
      expect(await repo.get(1, { select: ['k', 'name'] })).toEqual({ k: first?.k, name: 'x' })
      expect(await repo.find({ name: 'y' })).toEqual(second)
      expect((await repo.getMany([2, 1])).rows).toEqual([second, first])
      expect(await repo.load(1)).toEqual(first)
      for (const count of [false, true]) {
        expect((await repo.list({ orderBy: { k: 'desc' }, count })).rows).toEqual([first, second])
      }
      const { next } = await repo.list({ orderBy: { k: 'asc' }, limit: 1 })
      expect((await repo.list({ orderBy: { k: 'asc' }, after: next })).rows).toEqual([first])
      const streamed: unknown[] = []
      for await (const row of repo.stream({ orderBy: { id: 'asc' } })) streamed.push(row)
      expect(streamed).toEqual([first, second])
    })
  })

  test('are filtered by values of their kind, and others are InvalidInput with their name', async () => {
    await tables.engine.session(async ({ repository }) => {
      const repo = repository(summaries)
      expect(await repo.find({ k: { eq: { a: 1 } } })).toMatchObject({ id: 1 })
      expect(await repo.find({ list: [1, 2] })).toMatchObject({ id: 1 })
      expect(await repo.count({ at: { lt: new Date('2100-01-01') as never }, id: { in: [1, 2, 3] } })).toBe(2)
      for (const [column, value] of [
        ['name', 'a\0'],
        ['id', 1.5],
        ['id', Infinity],
        ['id', Number.NaN],
        ['at', new Date(Number.NaN)],
        ['k', new Map()],
        ['k', { eq: { a: Number.NaN } }],
        ['list', [1.5]],
        ['amount', 'x'],
      ] as const) {
        const refused = repo.count({ [column]: value })
        await expect(refused, column).rejects.toMatchObject({ code: 'invalid_input', path: [column] })
      }
    })
  })
})

describe('a bigint in number mode', () => {
  test('beyond 2^53 is an error that names the column, never a rounded number', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(counters)
      const beyond = sql`9007199254740993` as never
      await repo.insert({ id: 1, n: Number.MAX_SAFE_INTEGER, many: [Number.MIN_SAFE_INTEGER] })
      expect(await repo.get(1)).toMatchObject({ n: Number.MAX_SAFE_INTEGER, many: [Number.MIN_SAFE_INTEGER] })
      await repo.updateWhere({ id: 1 }, { n: beyond })
      await expect(repo.get(1)).rejects.toMatchObject({ code: 'database_error', sqlState: '22003', columns: ['n'] })
      await expect(repo.list()).rejects.toThrow(
        'n holds a bigint beyond 2^53, which a number would round: give it mode',
      )
      expect(await repo.get(1, { select: ['id'] })).toEqual({ id: 1 })
      await repo.updateWhere({ id: 1 }, { n: null, many: sql`array[1, 9007199254740993]` })
      await expect(repo.get(1)).rejects.toMatchObject({ columns: ['many'] })
    })
  })
})

describe('insertMany', () => {
  test('says which row it refuses', async () => {
    await tables.engine.session(async ({ repository }) => {
      const repo = repository(counters)
      const rows = Array.from({ length: 70_000 }, (_, id) => ({ id, n: id === 66_000 ? 0.5 : id }))
      await expect(repo.insertMany(rows)).rejects.toMatchObject({
        code: 'invalid_input',
        path: [66_000, 'n'],
        message: 'rows[66000]: n must be a whole number',
      })
      await expect(repo.insertMany([{ id: 1 }, { id: 2, m: 1 } as never])).rejects.toThrow(
        /^rows\[1\]: .* no column "m"/,
      )
    })
  })
})
