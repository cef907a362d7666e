/** A value that a row answered is accepted again, to be stored and to be compared with, and is stored as the same. */
import * as fc from 'fast-check'
import { bigint, char, interval, integer, numeric, pgTable, real, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { DatabaseError } from '../../src/errors.ts'
import { taskSessionOf } from '../../src/repository/session.ts'
import { ownTables } from '../support/own-tables.ts'
import { hasInfiniteIntervals, hasNegativeScale } from '../support/server-version.ts'

/** Digits before the point that are rounded. */
const hundreds = hasNegativeScale ? -2 : 0
const longest = hasInfiniteIntervals ? 'infinity' : '100000000 days'

const ddl = `
  create table written (id int primary key, single real, singles real[], code char(5), hours interval hour,
    span interval day to minute, days interval day, hundreds numeric(5, ${hundreds}));
  create table wanted (id text primary key, v int);
  create table given (id text primary key, v int);
  create table counters (id int primary key, big bigint, v int)`

const written = pgTable('written', {
  id: integer('id').primaryKey(),
  single: real('single'),
  singles: real('singles').array(),
  code: char('code', { length: 5, enum: ['ab', 'abcde'] }),
  hours: interval('hours', { fields: 'hour' }),
  span: interval('span', { fields: 'day to minute' }),
  days: interval('days', { fields: 'day' }),
  hundreds: numeric('hundreds', { precision: 5, scale: hundreds }),
})
const wanted = pgTable('wanted', { id: text('id').primaryKey(), v: integer('v') })
const given = pgTable('given', { id: text('id').primaryKey(), v: integer('v') })
const counters = pgTable('counters', {
  id: integer('id').primaryKey(),
  big: bigint('big', { mode: 'number' }),
  v: integer('v'),
})

const { undone } = ownTables('written_back', ddl, { written, wanted, given, counters })

describe('a row that was read', () => {
  test.each([
    `123456789, array[123456789, 1.5e15]::real[], 'ab', '2 hours', '1 day 02:03:00', '3 days', 1200`,
    `0.1, '{}', 'abcde', '-100 hours', '-01:30', '0', 0`,
    `9007199254740991, array[16777217]::real[], 'ab', '0', '0', '${longest}', -300`,
  ])('can be written back and found: %s', async (values) => {
    await undone(async (session) => {
      const { repository } = session
      await taskSessionOf(session).run(`insert into written values (1, ${values})`, [])
      const rows = repository(written)
      const { id, ...row } = await rows.get(1)
      expect(await rows.update(id, row)).toEqual({ id, ...row })
      expect(await rows.insert({ ...row, id: 2 })).toEqual({ ...row, id: 2 })
      const both = [
        { ...row, id: 2 },
        { ...row, id: 1 },
      ]
      expect(await rows.updateMany(both)).toEqual(both)
      const { single, hours, span, hundreds } = row
      expect(await rows.count({ single, hours, span, hundreds })).toBe(2)
    })
  })

  test('can be written back whatever the real, also half-way between two short numbers', async () => {
    await undone(async ({ repository, sql }) => {
      const rows = repository(written)
      const anyReal = fc.oneof(
        // Few digits and many noughts: half-way between two singles more often than not.
        fc
          .tuple(fc.integer({ min: 1, max: 9999 }), fc.integer({ min: 5, max: 34 }))
          .map(([n, noughts]) => n * 10 ** noughts),
        fc.float({ noNaN: true, noDefaultInfinity: true }),
        fc.integer({ min: 2 ** 24, max: 2 ** 31 }).map(Math.fround),
      )
      await fc.assert(
        fc.asyncProperty(fc.array(anyReal, { minLength: 1, maxLength: 50 }), async (numbers) => {
          const stored = await sql<{ single: number }>`select unnest(${numbers}::real[]) as single`
          const given = stored.map(({ single }, id) => ({ id, single }))
          expect(await rows.insertMany(given)).toMatchObject(given)
          await sql`delete from written`
        }),
      )
    })
  })

  test('refuses what real would round, to be stored', async () => {
    await undone(async ({ repository }) => {
      await expect(repository(written).insert({ id: 1, single: 16_777_217 })).rejects.toMatchObject({
        path: ['single'],
      })
      expect(await repository(written).count({ single: 16_777_217 })).toBe(0)
    })
  })
})

test.each([
  ['wanted', wanted],
  ['given', given],
])('getMany and load say which keys are missing of a table named %s', async (_name, table) => {
  await undone(async ({ repository }) => {
    const rows = repository(table)
    await rows.insertMany([{ id: 'a' }, { id: 'b' }])
    expect(await rows.getMany(['a', 'zz'])).toEqual({ rows: [{ id: 'a', v: null }], missing: ['zz'] })
    const [found, missing] = await Promise.allSettled([rows.load('a'), rows.load('zz')])
    expect([found.status, missing.status]).toEqual(['fulfilled', 'rejected'])
    const changed = [
      { id: 'b', v: 2 },
      { id: 'a', v: 1 },
    ]
    expect(await rows.updateMany(changed)).toEqual(changed)
  })
})

test('a write that answers a bigint which a number would round says that it is done', async () => {
  await undone(async (session) => {
    const { repository, sql } = session
    await taskSessionOf(session).run('insert into counters values (1, 9007199254740993, 1)', [])
    const failed: unknown = await repository(counters)
      .update(1, { v: 7 })
      .catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(DatabaseError)
    expect((failed as Error).message).toContain('what was written stays written')
    expect(await sql`select v from counters`).toEqual([{ v: 7 }])
  })
})
