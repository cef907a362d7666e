import { afterAll, beforeAll, expect, test } from 'vitest'
import { NotFound } from '../../src/errors.ts'
import type { TaskTiming } from '../../src/observe/observation.ts'
import { productPage } from '../../src/shop/product-page.ts'
import { customerRepository } from '../../src/shop/repositories.ts'
import { describeSamplePage, findSamplePage } from '../../src/shop/sample-page.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop

beforeAll(async () => {
  shop = await openTestShop()
})
afterAll(() => shop[Symbol.asyncDispose]())

const find = (name: string) => shop.engine.session((session) => customerRepository(session).findByName(name))

test('a page has the product, its reviews with their authors, and the orders, newest first', async () => {
  const { product, reviews, orders } = await productPage(shop.engine, { productId: 1, customerId: 1 })
  expect(product.id).toBe(1)
  expect(reviews).toHaveLength(8)
  for (const { customerName } of reviews) expect(customerName).toMatch(/\S/)
  const reviewed = reviews.map(({ createdAt }) => createdAt.getTime())
  expect(reviewed).toEqual(reviewed.toSorted((a, b) => b - a))
  expect(orders.length).toBeGreaterThan(1)
  expect(new Set(orders.map(({ customerId }) => customerId))).toEqual(new Set([1]))
  const placed = orders.map(({ placedAt }) => placedAt.getTime())
  expect(placed).toEqual(placed.toSorted((a, b) => b - a))
})

test('the three reads of a page run on three backends at the same time', async () => {
  // Each read waits for the row locks of the other two to be asked for: one after another they would never finish.
  const timings: TaskTiming[] = []
  const waiting = async () => {
    const [row] = await shop.engine.session(
      ({ sql }) => sql<{ n: number }>`
        select count(distinct pid)::int as n from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`,
    )
    return row?.n
  }
  let page: Promise<unknown> | undefined
  await shop.engine.transaction(async ({ sql }) => {
    await sql`lock table products, reviews, orders in access exclusive mode`
    const keys = { productId: 1, customerId: 1 }
    page = productPage(shop.engine, keys, { onTimings: (all) => timings.push(...all) })
    await expect.poll(waiting).toBe(3)
  })
  await page
  expect(new Set(timings.map(({ backendPid }) => backendPid)).size).toBe(3)
})

test.each([
  ['product', { productId: 999, customerId: 1 }, 'products'],
  ['customer', { productId: 1, customerId: 999 }, 'customers'],
])('a page of an unknown %s is NotFound and leaks no connection', async (_, keys, table) => {
  const page = productPage(shop.engine, keys)
  await expect(page).rejects.toThrow(NotFound)
  await expect(page).rejects.toMatchObject({ table })
  await expect.poll(() => shop.engine.stats().leased).toBe(0)
})

test('a customer without orders has a page with an empty history', async () => {
  const created = await shop.engine.session(
    ({ sql }) => sql<{ id: number }>`insert into customers (name) values ('Nobody Yet') returning id`,
  )
  const { orders } = await productPage(shop.engine, { productId: 1, customerId: created[0]?.id ?? 0 })
  expect(orders).toEqual([])
})

test('a customer is found by name, whatever the name holds', async () => {
  expect(await find('Lynn')).toMatchObject({ id: 1, name: 'Lynn', job: 'Backend Developer' })
  for (const name of ['', "'; drop table customers; --", 'x'.repeat(10_000), '💧'])
    expect(await find(name)).toBeUndefined()
  await expect(find('a\0b')).rejects.toMatchObject({ code: 'invalid_input' })
})

test('the sample page names three distinct backends', async () => {
  const keys = await findSamplePage(shop.engine)
  expect(keys).toEqual({ productId: 1, customerId: 1 })
  const text = await describeSamplePage(shop.engine, keys ?? { productId: 0, customerId: 0 })
  const backends = Array.from(text.matchAll(/^ {2}(product|reviews|orders) +(\d+) .* ms$/gm), (match) => match[2])
  expect(new Set(backends).size).toBe(3)
})
