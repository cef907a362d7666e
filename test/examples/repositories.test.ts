/**
 * Stories of repositories on the shop's tables, as a reader of the README would write them: each is a few lines, runs on
 * a real server, and says what comes out.
 */
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as schema from '../../schema/index.ts'
import { customers, orderItems, orders, products, reviews } from '../../schema/index.ts'
import {
  defineRepository,
  type Engine,
  InvalidInput,
  NotFound,
  openEngine,
  UniqueViolation,
  VersionConflict,
} from '../../src/index.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let engine: Engine<typeof schema>

beforeAll(async () => {
  database = await openTestDatabase()
  engine = await openEngine({ schema, url: database.url })
  await engine.transaction(async ({ repository }) => {
    const people = await repository(customers).insertMany([
      { name: 'Lynn', job: 'Backend Developer' },
      { name: 'Ada', job: 'Analyst' },
      { name: 'Grace', job: 'Admiral' },
    ])
    const things = await repository(products).insertMany([
      { sku: 'LAMP', name: 'Lamp', price: '19.90', tags: ['light', 'desk'], stock: 5 },
      { sku: 'DESK', name: 'Desk', price: '249.00', tags: ['desk'], stock: 1 },
      { sku: 'BOOK', name: 'Book', price: '9.99', stock: 100 },
    ])
    const [lynn, ada] = people.map(({ id }) => id) as [number, number]
    const [lamp, desk] = things.map(({ id }) => id) as [number, number]
    await repository(reviews).insertMany([
      { productId: lamp, customerId: lynn, rating: 5, body: 'Bright.' },
      { productId: lamp, customerId: ada, rating: 3 },
      { productId: desk, customerId: lynn, rating: 4 },
    ])
  })
})

afterAll(async () => {
  await engine.close()
  await database[Symbol.asyncDispose]()
})

test('get throws, find does not', async () => {
  await engine.session(async ({ repository }) => {
    const lamp = await repository(products).find({ sku: 'LAMP' })
    expect(lamp?.name).toBe('Lamp')
    expect(await repository(products).find({ sku: 'SOFA' })).toBeUndefined()
    await expect(repository(products).get(0)).rejects.toThrow(NotFound)
  })
})

test('pages follow each other by cursor', async () => {
  await engine.session(async ({ repository }) => {
    const options = { where: { stock: { gt: 0 } }, orderBy: { price: 'desc' }, limit: 2, count: true } as const
    const first = await repository(products).list(options)
    expect(first.rows.map(({ name }) => name)).toEqual(['Desk', 'Lamp'])
    expect(first.count).toBe(3)
    const second = await repository(products).list({ ...options, after: first.next })
    expect(second.rows.map(({ name }) => name)).toEqual(['Book'])
  })
})

test('filters are objects, and say what they mean', async () => {
  await engine.session(async ({ repository }) => {
    const { rows } = await repository(products).list({
      where: { or: [{ price: { lt: '15' } }, { tags: { contains: ['light'] } }], not: { sku: { like: 'D%' } } },
      select: ['sku', 'price'],
    })
    expect(rows).toEqual([
      { sku: 'LAMP', price: '19.90' },
      { sku: 'BOOK', price: '9.99' },
    ])
  })
})

test('relations are loaded with the rows, typed, one statement each', async () => {
  await engine.session(async ({ repository }) => {
    const lamp = await repository(products).find(
      { sku: 'LAMP' },
      {
        select: ['name'],
        with: {
          reviews: {
            where: { rating: { gte: 4 } },
            orderBy: { createdAt: 'desc' },
            select: ['rating'],
            with: { customer: { select: ['name'] } },
          },
        },
      },
    )
    expect(lamp).toEqual({ name: 'Lamp', reviews: [{ rating: 5, customer: { name: 'Lynn' } }] })
  })
})

test('optimistic locking: an update that expects an older version is told so', async () => {
  await engine.session(async ({ repository }) => {
    const lynn = await repository(customers).find({ name: 'Lynn' })
    const { id, version } = lynn as NonNullable<typeof lynn>
    await repository(customers).update(id, { job: 'Staff Engineer' }, { ifVersion: version })
    const late = repository(customers).update(id, { job: 'Manager' }, { ifVersion: version })
    await expect(late).rejects.toThrow(VersionConflict)
  })
})

test('upsert decides by any unique columns and says what to update', async () => {
  await engine.session(async ({ repository }) => {
    const row = { sku: 'LAMP', name: 'Lamp', price: '17.50', stock: 0 }
    const lamp = await repository(products).upsert(row, { on: 'sku', update: ['price'] })
    expect(lamp).toMatchObject({ price: '17.50', stock: 5 })
  })
})

test('a place in an order: lock, check, write, all in one transaction', async () => {
  await engine.transaction(async ({ repository }) => {
    const lynn = await repository(customers).find({ name: 'Lynn' })
    const desk = await repository(products).find({ sku: 'DESK' })
    if (!lynn || !desk) throw new Error('not there')
    const { stock, price } = await repository(products).lock(desk.id, 'update')
    expect(stock).toBe(1)
    const order = await repository(orders).insert({ customerId: lynn.id, total: price })
    await repository(orderItems).insert({ orderId: order.id, productId: desk.id, quantity: 1, unitPrice: price })
    await repository(products).update(desk.id, { stock: sql`${products.stock} - 1` })
    const key = { orderId: order.id, productId: desk.id }
    expect((await repository(orderItems).get(key, { with: { product: true } })).product.stock).toBe(0)
  })
})

test('loads of one tick are one statement, so a resolver may ask row by row', async () => {
  await engine.session(async ({ repository }) => {
    const { rows } = await repository(reviews).list()
    const authors = await Promise.all(rows.map(({ customerId }) => repository(customers).load(customerId)))
    expect(authors.map(({ name }) => name)).toEqual(['Lynn', 'Ada', 'Lynn'])
  })
})

test('a stream reads a table of any size in the memory of one batch', async () => {
  const names = await engine.session(async ({ repository }) => {
    const seen: string[] = []
    for await (const { name } of repository(customers).stream({ orderBy: { name: 'asc' } })) seen.push(name)
    return seen
  })
  expect(names).toEqual(['Ada', 'Grace', 'Lynn'])
})

test('errors name column or constraint, never a value', async () => {
  await engine.session(async ({ repository }) => {
    const twice = repository(products).insert({ sku: 'BOOK', name: 'Another', price: '1.00' })
    await expect(twice).rejects.toMatchObject({
      constraint: 'products_sku_unique',
      columns: ['sku'],
      table: 'products',
    })
    await expect(twice).rejects.toThrow(UniqueViolation)
    const finer = repository(products).insert({ sku: 'X', name: 'X', price: '0.001' })
    await expect(finer).rejects.toThrow(InvalidInput)
    await expect(finer).rejects.toThrow('price must have at most 2 digits after the point')
  })
})

const customersOf = defineRepository(
  customers,
  (base, { repository }) => ({
    byName: (name: string) => base.find({ name }),
    /** Nobody who wrote a review is removed. */
    remove: async (id: number) => {
      if (await repository(reviews).exists({ customerId: id })) throw new Error('has written reviews')
      return base.remove(id)
    },
  }),
  { schema },
)

test('a domain repository has the operations of its table and methods of its own', async () => {
  const { grace, lynn } = await engine.gather({
    grace: (session) => customersOf(session).byName('Grace'),
    lynn: (session) => customersOf(session).byName('Lynn'),
  })
  await engine.transaction(async (session) => {
    await customersOf(session).remove(grace?.id ?? 0)
    await expect(customersOf(session).remove(lynn?.id ?? 0)).rejects.toThrow('has written reviews')
    expect(await customersOf(session).count()).toBe(2)
  })
})
