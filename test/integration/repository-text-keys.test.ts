/** Keys of text that the server compares by rules of its own: get, getMany and load must agree on what a key finds. */
import { date, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { conventions } from '../../src/repository/types/conventions.ts'
import { ownTables } from '../support/own-tables.ts'

const ddl = `
create extension citext;
create collation caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create table terms (term citext primary key, n integer);
create table senses (term citext, n integer, day date, primary key (term, n, day));
create table names (name text collate caseless primary key, n integer);
`

const terms = pgTable('terms', { term: text('term').primaryKey(), n: integer('n') })
const senses = conventions(
  pgTable(
    'senses',
    {
      term: text('term').notNull(),
      n: integer('n').notNull(),
      day: date('day', { mode: 'date' }).notNull(),
    },
    (table) => [primaryKey({ columns: [table.term, table.n, table.day] })],
  ),
  { key: ['term', 'n', 'day'] },
)
const names = pgTable('names', { name: text('name').primaryKey(), n: integer('n') })

const schema = { terms, names, senses }

const { undone } = ownTables('text_keys', ddl, schema)

describe('keys of text that the server compares without case', () => {
  test.each([
    ['citext', (key: string, n: number) => ({ term: key, n }), terms],
    ['a collation that is not deterministic', (key: string, n: number) => ({ name: key, n }), names],
  ] as const)('under %s find the same rows one by one and together', async (_, row, table) => {
    await undone(async ({ repository }) => {
      const repo = repository(table as typeof terms)
      await repo.insertMany([row('Abc', 1), row('x', 2)] as never)
      const found = await repo.get('abc')
      expect(found).toMatchObject({ n: 1 })
      const { rows, missing } = await repo.getMany(['X', 'ABC', 'nobody', 'Abc', 'x'])
      expect(rows.map(({ n }) => n)).toEqual([2, 1, 1, 2])
      expect(missing).toEqual(['nobody'])
      expect(await repo.updateMany([row('X', 2), row('aBC', 1)] as never)).toMatchObject([{ n: 2 }, { n: 1 }])
      await expect(repo.updateMany([row('abc', 1), row('ABC', 1)] as never)).rejects.toThrow('are the same row')
      await expect(repo.updateMany([row('x', 2), row('nobody', 1)] as never)).rejects.toThrow('rows[1]: no row')
      const loads = await Promise.allSettled(['abc', 'Abc', 'nobody'].map((key) => repo.load(key)))
      expect(loads.map((load) => (load.status === 'fulfilled' ? load.value : load.reason.code))).toEqual([
        found,
        found,
        'not_found',
      ])
    })
  })
})

test('a key of several columns finds the same rows one by one and together, also where one is citext', async () => {
  await undone(async ({ repository }) => {
    const repo = repository(senses)
    const day = new Date('2026-01-01T00:00:00Z')
    const row = await repo.insert({ term: 'Abc', n: 1, day })
    const keys = [
      { term: 'ABC', n: 1, day },
      { term: 'abc', n: 2, day },
    ] as const
    expect(await repo.get(keys[0])).toEqual(row)
    expect(await repo.getMany(keys)).toEqual({ rows: [row], missing: [keys[1]] })
    expect(await Promise.all([repo.load(keys[0]), repo.load(row)])).toEqual([row, row])
  })
})
