/** Values whose meaning depends on more than their column: the server's settings, types of the user's own, expressions. */
import { sql } from 'drizzle-orm'
import { integer, pgTable, timestamp } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Engine, openEngine, type Session } from '../../src/engine.ts'
import { conventions } from '../../src/repository/conventions.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'

const ddl = `
create table clocks (id integer primary key, note integer, updated_at timestamp, removed_at timestamp);
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

const schema = { clocks }

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
