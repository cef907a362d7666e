import { afterAll, beforeAll, expect, test } from 'vitest'
import * as schema from '../../schema/index.ts'
import { customers, products } from '../../schema/index.ts'
import { type Engine, openEngine } from '../../src/engine.ts'
import { NotFound } from '../../src/errors.ts'
import { defineRepository } from '../../src/repository/define-repository.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let engine: Engine<typeof schema>

beforeAll(async () => {
  database = await openTestDatabase()
  engine = await openEngine({ schema, url: database.url, pool: { max: 1 } })
})

afterAll(async () => {
  await engine.close()
  await database[Symbol.asyncDispose]()
})

const customersOf = defineRepository(customers, (base) => ({ byName: (name: string) => base.find({ name }) }))

test('a row can be inserted, read, found, listed, updated and removed', async () => {
  await engine.session(async ({ repository }) => {
    const { get, find } = repository(products)
    const repo = repository(products)
    const row = await repo.insert({ sku: 'A-1', name: 'Lamp', price: '10.50', tags: ['a', 'b,"'] })
    expect(row.price).toBe('10.50')
    expect(await repo.get(row.id)).toEqual(row)
    expect(await repo.find({ sku: 'A-1', price: { lte: '11' } })).toEqual(row)
    expect((await repo.list({ where: { tags: { contains: ['a'] } }, orderBy: { price: 'desc' } })).rows).toEqual([row])
    const updated = await repo.update(row.id, { name: 'Light', stock: 3 })
    expect(updated).toMatchObject({ name: 'Light', stock: 3 })
    expect(await repo.remove(row.id)).toEqual(updated)
    await expect(repo.get(row.id)).rejects.toThrow(NotFound)
    void get
    void find
  })
})

test('repositories of a domain work in a session, a transaction and a gather', async () => {
  await engine.transaction(async (session) => {
    await customersOf(session).insert({ name: 'Lynn' })
    await session.transaction(async (nested) => expect((await customersOf(nested).byName('Lynn'))?.name).toBe('Lynn'))
  })
  const { lynn } = await engine.gather({ lynn: (session) => customersOf(session).byName('Lynn') })
  expect(lynn?.name).toBe('Lynn')
})
