import { expect, test } from 'vitest'
import * as schema from '../../schema/index.ts'
import { openEngine } from '../../src/engine.ts'
import { placeOrder } from '../../src/shop/place-order.ts'
import type { ShopEngine } from '../../src/shop/product-page.ts'
import { seed } from '../../src/shop/seed.ts'
import { openTestDatabase } from '../support/database.ts'

async function openEmptyShop() {
  const database = await openTestDatabase()
  const engine = await openEngine({ schema, url: database.url })
  return {
    engine,
    [Symbol.asyncDispose]: async () => {
      await engine.close()
      await database[Symbol.asyncDispose]()
    },
  }
}

/** Everything that is in the shop. */
function everything(engine: ShopEngine) {
  return engine.session(async ({ db }) => ({
    users: await db.select().from(schema.users).orderBy(schema.users.email),
    customers: await db.select().from(schema.customers).orderBy(schema.customers.id),
    products: await db.select().from(schema.products).orderBy(schema.products.id),
    reviews: await db.select().from(schema.reviews).orderBy(schema.reviews.id),
    orders: await db.select().from(schema.orders).orderBy(schema.orders.id),
    items: await db.select().from(schema.orderItems).orderBy(schema.orderItems.orderId, schema.orderItems.productId),
  }))
}

test('two empty shops get the same data, with Lynn, Backend Developer, as customer 1', async () => {
  await using one = await openEmptyShop()
  await using other = await openEmptyShop()
  expect(await seed(one.engine)).toEqual({ seeded: true })
  expect(await seed(other.engine)).toEqual({ seeded: true })
  const data = await everything(one.engine)
  expect(data).toEqual(await everything(other.engine))
  expect(data.customers[0]).toMatchObject({ id: 1, name: 'Lynn', job: 'Backend Developer' })
  for (const rows of Object.values(data)) expect(rows.length).toBeGreaterThan(10)
  for (const { id, total } of data.orders) {
    const cents = data.items
      .filter(({ orderId }) => orderId === id)
      .reduce((sum, { quantity, unitPrice }) => sum + quantity * Math.round(Number(unitPrice) * 100), 0)
    expect(Number(total)).toBeCloseTo(cents / 100)
    expect(cents).toBeGreaterThan(0)
  }
})

test('a shop that has anything in it is left alone', async () => {
  await using shop = await openEmptyShop()
  await shop.engine.session(({ db }) => db.insert(schema.customers).values({ name: 'First' }))
  expect(await seed(shop.engine)).toEqual({ seeded: false })
  expect((await everything(shop.engine)).customers).toHaveLength(1)
})

test('of two seeds at once one fills the shop', async () => {
  await using shop = await openEmptyShop()
  const results = await Promise.all([seed(shop.engine), seed(shop.engine)])
  expect(results.filter(({ seeded }) => seeded)).toHaveLength(1)
})

test('rows added afterwards do not meet the keys of the sample data', async () => {
  await using shop = await openEmptyShop()
  await seed(shop.engine)
  await shop.engine.session(async ({ db }) => {
    await db.insert(schema.customers).values({ name: 'Next' })
    await db.insert(schema.products).values({ sku: 'NEXT', name: 'Next', price: '1.00' })
  })
  const { order } = await placeOrder(shop.engine, { customerId: 1, items: [{ productId: 1, quantity: 1 }] })
  expect(order.id).toBe(BigInt((await everything(shop.engine)).orders.length))
})
