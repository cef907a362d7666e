/** Hono's typed client against the shop on a port: what the types say is what comes back. */
import { hc } from 'hono/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type HttpServer, openHttpServer } from '../../src/server/server.ts'
import { createShopApp } from '../../src/shop/app.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop
let server: HttpServer
const connect = (url: string) => hc<ReturnType<typeof createShopApp>>(url)
let client: ReturnType<typeof connect>

beforeAll(async () => {
  shop = await openTestShop()
  server = await openHttpServer(createShopApp(shop.engine), { port: 0 })
  client = connect(server.url)
})
afterAll(async () => {
  await server.close()
  await shop[Symbol.asyncDispose]()
})

test('reads pages', async () => {
  const first = await client.reviews.$get({ query: { limit: '2', sort: '-rating,id', count: 'true' } })
  const { data, next, count } = await first.json()
  expect(data.map(({ rating }) => rating)).toEqual([5, 5])
  expect(count).toBeGreaterThan(2)
  const second = await client.reviews.$get({ query: { limit: '2', sort: '-rating,id', after: next ?? '' } })
  expect((await second.json()).previous).toEqual(expect.any(String))
})

test('adds, changes and removes a row, and reads it by its key', async () => {
  const added = await client.customers.$post({ json: { name: 'Typed', job: 'Client' } })
  expect(added.status).toBe(201)
  const { id, version } = await added.json()
  const param = { key: String(id) }
  const headers = { 'if-match': added.headers.get('etag') ?? '' }
  const changed = await client.customers[':key'].$patch({ param, json: { job: 'Tester' } }, { headers })
  expect(await changed.json()).toMatchObject({ job: 'Tester', version: version + 1 })
  const late = await client.customers[':key'].$patch({ param, json: { job: 'Late' } }, { headers })
  expect([late.ok, late.status]).toEqual([false, 412])
  expect((await client.customers[':key'].$delete({ param })).status).toBe(204)
  expect((await client.customers[':key'].$get({ param })).status).toBe(404)
})

test('places an order, and sees it on the product page and by its composite key', async () => {
  const placed = await client.orders.$post({ json: { customerId: 2, items: [{ productId: 3, quantity: 1 }] } })
  if (placed.status !== 201) throw new Error(await placed.text())
  const { order } = await placed.json()
  const param = { productId: '3', customerId: '2' }
  const page = await client.product[':productId'][':customerId'].$get({ param })
  expect((await page.json()).orders[0]).toEqual(order)
  const line = await client['order-items'][':key'].$get({ param: { key: `${order.id},3` } })
  expect(await line.json()).toMatchObject({ orderId: order.id, productId: 3, quantity: 1 })
})
