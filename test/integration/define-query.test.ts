/** Queries of a program's own, rendered once an engine. */
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, defineQuery, type Engine, openEngine } from '../../src/index.ts'
import * as schema from '../../schema/index.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'

const { customers } = schema

let database: TestDatabase
let engine: Engine<typeof schema>
beforeAll(async () => {
  database = await openTestDatabase()
  engine = await openEngine({ schema, url: database.url })
  await engine.session(({ repository }) => repository(customers).insertMany([{ name: 'Lynn' }, { name: 'Ada' }]))
})
afterAll(async () => {
  await engine.close()
  await database[Symbol.asyncDispose]()
})

test('a defined query is built once an engine, and runs in sessions, transactions and gathers', async () => {
  let built = 0
  const idOf = defineQuery((db: Database<typeof schema>) => {
    built += 1
    return db
      .select({ id: customers.id })
      .from(customers)
      .where(eq(customers.name, sql.placeholder('name')))
  })
  const [lynn] = await engine.session((session) => idOf(session, { name: 'Lynn' }))
  const page = await engine.gather({
    ada: (session) => idOf(session, { name: 'Ada' }),
    nobody: (session) => idOf(session, { name: 'Nobody' }),
  })
  const again = await engine.transaction((session) => idOf(session, { name: 'Lynn' }))
  expect(again).toEqual([lynn])
  expect(page.ada).toHaveLength(1)
  expect(page.nobody).toEqual([])
  expect(built).toBe(1)

  await using other = await openEngine({ schema, url: database.url })
  expect(await other.session((session) => idOf(session, { name: 'Lynn' }))).toEqual([lynn])
  expect(built).toBe(2)
})

test('a defined relational query keeps its relations', async () => {
  const withOrders = defineQuery((db: Database<typeof schema>) =>
    db.query.customers.findFirst({ where: eq(customers.name, sql.placeholder('name')), with: { orders: true } }),
  )
  const lynn = await engine.session((session) => withOrders(session, { name: 'Lynn' }))
  expect(lynn?.orders).toEqual([])
})

test('a defined query with a placeholder left out is an error, not another query', async () => {
  const idOf = defineQuery((db: Database<typeof schema>) =>
    db
      .select({ id: customers.id })
      .from(customers)
      .where(eq(customers.name, sql.placeholder('name'))),
  )
  await expect(engine.session((session) => idOf(session))).rejects.toThrow('name')
  expect(engine.stats().leased).toBe(0)
})
