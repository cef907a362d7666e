/** Values whose meaning depends on more than their column: the server's settings, types of the user's own, expressions. */
import { sql } from 'drizzle-orm'
import { customType, integer, pgTable, point, timestamp } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Engine, openEngine, type Session } from '../../src/engine.ts'
import { conventions } from '../../src/repository/conventions.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'

const ddl = `
create table clocks (id integer primary key, note integer, updated_at timestamp, removed_at timestamp);
create table foreigners (span int4range primary key, bits varbit, flag integer);
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

const schema = { clocks, routes, foreigners }

let database: TestDatabase
let engine: Engine<typeof schema>

beforeAll(async () => {
  database = await openTestDatabase(scriptTemplate('custom_values', ddl))
  engine = await openEngine({ schema, url: database.url, pool: { max: 1 } })
})

afterAll(async () => {
  await engine.close()
  await database[Symbol.asyncDispose]()
})

/** Runs a task on tables of its own: what it does is undone. */
async function undone(task: (session: Session<typeof schema>) => Promise<void>): Promise<void> {
  const done = new Error('undone')
  await engine
    .transaction(async (session) => {
      await task(session)
      throw done
    })
    .catch((error: unknown) => {
      if (error !== done) throw error
    })
}

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
    await engine.session(async ({ repository }) => {
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
        ['span', () => repo.get('x')],
        ['span', () => repo.exists('x')],
        ['span', () => repo.remove('x')],
      ] as const) {
        await expect(refused()).rejects.toMatchObject({ code: 'invalid_input', column })
      }
    })
  })
})
