/** What writes say is what happened: which statement ran, which row was in the way, why none was changed. */
import { sql } from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Engine, openEngine, type Session } from '../../src/engine.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'

const ddl = `
create table sums (id integer primary key, v integer, n integer);
create table others (id integer primary key, v integer);
`

const sums = pgTable('sums', { id: integer().primaryKey(), v: integer(), n: integer() })
const others = pgTable('others', { id: integer().primaryKey(), v: integer() })

const schema = { sums, others }

let database: TestDatabase
let engine: Engine<typeof schema>

beforeAll(async () => {
  database = await openTestDatabase(scriptTemplate('writes', ddl))
  engine = await openEngine({ schema, url: database.url, pool: { max: 1 } })
})

afterAll(async () => {
  await engine.close()
  await database[Symbol.asyncDispose]()
})

/** Runs a task whose writes are undone. */
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

describe('SQL of the caller', () => {
  test('that differs in the table of a column alone is another statement', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(sums)
      await repo.insert({ id: 1, v: 1 })
      await repository(others).insert({ id: 1, v: 2 })
      const greatest = [others, sums].map((table) => sql`(select max(${table.v}) from sums, others)`)
      for (const [index, n] of greatest.entries()) {
        expect(await repo.update(1, { n })).toMatchObject({ n: 2 - index })
        expect(await repo.insert({ id: 10 + index, n })).toMatchObject({ n: 2 - index })
        expect(await repo.insertMany([{ id: 20 + index, n }])).toMatchObject([{ n: 2 - index }])
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
