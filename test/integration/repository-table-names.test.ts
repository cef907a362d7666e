/** Tables called like something within a statement are read and written like any others. */
import { relations } from 'drizzle-orm'
import { integer, pgTable, primaryKey } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine.ts'
import { conventions } from '../../src/repository/types/conventions.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'

// Not `excluded`, which PostgreSQL itself takes for the row of an upsert.
const names = ['wanted', 'given', 'page', 'total', 'ranked', 'keys', 'place', 'n']

const pairs = (name: string) =>
  conventions(
    pgTable(name, { n: integer().notNull(), k0: integer().notNull(), place: integer() }, (table) => [
      primaryKey({ columns: [table.n, table.k0] }),
    ]),
    { key: ['n', 'k0'] },
  )

const tables = names.map(pairs)
const schema = Object.fromEntries(
  tables.flatMap((table, index) => [
    [`table${index}`, table],
    [
      `relations${index}`,
      relations(table, ({ one, many }) => ({
        next: one(table, { fields: [table.k0, table.place], references: [table.n, table.k0], relationName: 'next' }),
        previous: many(table, { relationName: 'next' }),
      })),
    ],
  ]),
)
const ddl = names.map((name) => `create table "${name}" (n integer, k0 integer, place integer, primary key (n, k0));`)

let database: TestDatabase
let engine: Engine

beforeAll(async () => {
  database = await openTestDatabase(scriptTemplate('table_names', ddl.join('\n')))
  engine = await openEngine({ schema, url: database.url, pool: { max: 1 } })
})

afterAll(async () => {
  await engine.close()
  await database[Symbol.asyncDispose]()
})

test.each(names)('%s', async (name) => {
  const table = tables[names.indexOf(name)] as ReturnType<typeof pairs>
  const first = { n: 1, k0: 2, place: 3 }
  const second = { n: 2, k0: 3, place: null }
  const previous = (limit: number) => ({ with: { previous: { limit } } }) as object
  await engine.session(async ({ repository }) => {
    const repo = repository(table)
    expect(await repo.insertMany([first, second])).toEqual([first, second])
    expect(await repo.getMany([{ n: 2, k0: 3 }])).toEqual({ rows: [second], missing: [] })
    expect(await repo.load({ n: 1, k0: 2 })).toEqual(first)
    expect(await repo.list({ count: true, limit: 1 })).toMatchObject({ rows: [first], count: 2 })
    expect(await repo.list({ with: { next: true } } as object)).toMatchObject({ rows: [{ next: second }, second] })
    expect(await repo.get({ n: 2, k0: 3 }, previous(1))).toMatchObject({ previous: [first] })
    expect(await repo.upsert({ ...first, place: 4 })).toEqual({ ...first, place: 4 })
  })
})
