import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { orders, orderItems, products } from '../../schema/index.ts'
import { InvalidInput } from '../../src/errors.ts'
import { InsufficientStock, placeOrder } from '../../src/shop/place-order.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop

beforeAll(async () => {
  shop = await openTestShop({ pool: { max: 10 } })
})
afterAll(() => shop[Symbol.asyncDispose]())
beforeEach(async () => {
  await shop.engine.session(async ({ db }) => {
    await db.delete(orders)
    await db.update(products).set({ stock: 10, available: true, price: '19.99' })
  })
})

const stockOf = async (id: number) => {
  const [row] = await shop.engine.session(({ db }) => db.select().from(products).where(eq(products.id, id)))
  return row?.stock
}
/** Deadlocks the server broke. */
const deadlocks = async () => {
  const [row] = await shop.engine.session(
    ({ sql }) =>
      sql<{ n: number }>`select deadlocks::int as n from pg_stat_database where datname = current_database()`,
  )
  return row?.n
}
const written = () =>
  shop.engine.session(async ({ db }) => ({ orders: await db.$count(orders), items: await db.$count(orderItems) }))

test('50 concurrent orders for a stock of 10 sell exactly 10', async () => {
  const results = await Promise.allSettled(
    Array.from({ length: 50 }, (_, index) =>
      placeOrder(shop.engine, { customerId: 1 + (index % 20), items: [{ productId: 1, quantity: 1 }] }),
    ),
  )
  const refused = results.filter((result) => result.status === 'rejected')
  expect(results.length - refused.length).toBe(10)
  for (const { reason } of refused) {
    expect(reason).toBeInstanceOf(InsufficientStock)
    expect(reason).toMatchObject({ shortages: [{ productId: 1, wanted: 1, inStock: 0 }] })
  }
  expect(await stockOf(1)).toBe(0)
  expect(await written()).toEqual({ orders: 10, items: 10 })
  expect(shop.engine.stats()).toMatchObject({ leased: 0, waiting: 0, deadlocks: 0 })
})

test('concurrent orders that name the same products in opposite order do not deadlock', async () => {
  const before = await deadlocks()
  const forth = [1, 2, 3, 4].map((productId) => ({ productId, quantity: 1 }))
  const placed = await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      placeOrder(shop.engine, { customerId: 1, items: index % 2 === 0 ? forth : forth.toReversed() }, { attempts: 1 }),
    ),
  )
  expect(placed).toHaveLength(10)
  expect(await Promise.all([1, 2, 3, 4].map(stockOf))).toEqual([0, 0, 0, 0])
  expect(await deadlocks()).toBe(before)
})

test('an order has the sum of its lines at the prices of that moment, exactly', async () => {
  await shop.engine.session(({ db }) => db.update(products).set({ price: '0.10' }).where(eq(products.id, 2)))
  const { order, items } = await placeOrder(shop.engine, {
    customerId: 1,
    items: [
      { productId: 2, quantity: 3 },
      { productId: 1, quantity: 2 },
    ],
  })
  expect(order).toMatchObject({ customerId: 1, status: 'pending', total: '40.28' })
  expect(items).toMatchObject([
    { orderId: order.id, productId: 2, quantity: 3, unitPrice: '0.10' },
    { orderId: order.id, productId: 1, quantity: 2, unitPrice: '19.99' },
  ])
  expect(await stockOf(1)).toBe(8)
  expect(await stockOf(2)).toBe(7)
})

test('an order with one line too many changes nothing, and names every shortage', async () => {
  await shop.engine.session(({ db }) => db.update(products).set({ available: false }).where(eq(products.id, 3)))
  const order = placeOrder(shop.engine, {
    customerId: 1,
    items: [
      { productId: 1, quantity: 1 },
      { productId: 2, quantity: 11 },
      { productId: 3, quantity: 1 },
    ],
  })
  await expect(order).rejects.toMatchObject({
    code: 'insufficient_stock',
    shortages: [
      { productId: 2, wanted: 11, inStock: 10 },
      { productId: 3, wanted: 1, inStock: 0 },
    ],
  })
  expect(await written()).toEqual({ orders: 0, items: 0 })
  expect(await stockOf(1)).toBe(10)
})

test.each([
  ['an unknown customer', { customerId: 999, items: [{ productId: 1, quantity: 1 }] }, ['customerId']],
  ['an unknown product', { customerId: 1, items: [{ productId: 999, quantity: 1 }] }, ['items', 0, 'productId']],
])('%s is InvalidInput with its path, and nothing is written', async (_, request, path) => {
  const order = placeOrder(shop.engine, request)
  await expect(order).rejects.toThrow(InvalidInput)
  await expect(order).rejects.toMatchObject({ issues: [{ path }] })
  expect(await written()).toEqual({ orders: 0, items: 0 })
  expect(await stockOf(1)).toBe(10)
})

test('a total that no amount can hold is InvalidInput, not a failure', async () => {
  await shop.engine.session(({ db }) => db.update(products).set({ price: '9999999999.99' }).where(eq(products.id, 1)))
  const order = placeOrder(shop.engine, { customerId: 1, items: [{ productId: 1, quantity: 10 }] })
  await expect(order).rejects.toMatchObject({ code: 'invalid_input' })
  expect(await stockOf(1)).toBe(10)
})
