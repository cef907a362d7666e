/**
 * A client that openapi-typescript makes from the document, with openapi-fetch: it compiles under the strictest options of
 * TypeScript, and does what it says against a server. The types are made anew by every run, so that they cannot be stale.
 */
import openapiTS, { astToString } from 'openapi-typescript'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createShopApp } from '../../src/shop/app.ts'
import { openHttpServer } from '../../src/server/server.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'
import { createToyApp, openToy } from '../support/toy.ts'
import { TypeFolder } from '../support/type-folder.ts'

let shop: TestShop
let folder: TypeFolder
beforeAll(async () => {
  shop = await openTestShop()
  folder = new TypeFolder()
})
afterAll(async () => {
  folder.remove()
  await shop[Symbol.asyncDispose]()
})

async function typesOf(app: { request(path: string): Response | Promise<Response> }): Promise<string> {
  const response = await app.request('/openapi.json')
  return astToString(await openapiTS(await response.text()))
}

const program = `
import createClient from 'openapi-fetch'
import type { paths } from './shop.ts'

type Json = 'application/json' | 'application/problem+json'

export async function shopping(baseUrl: string) {
  const client = createClient<paths, Json>({ baseUrl })

  const page = await client.GET('/reviews', {
    params: { query: { rating: { in: '4,5' }, createdAt: { gte: '2020-01-01T00:00:00Z' }, sort: '-rating,id', limit: 2, with: 'product', count: true } },
  })
  if (page.error) throw new Error(page.error.title)
  const ratings: (number | undefined)[] = page.data.data.map((review) => review.rating)
  const products: (string | undefined)[] = page.data.data.map((review) => review.product?.name)

  const added = await client.POST('/customers', { body: { name: 'Generated', job: 'Client' } })
  if (!added.data || !('id' in added.data)) throw new Error('not added')
  const key = String(added.data.id)
  const etag = added.response.headers.get('etag') ?? ''

  const changed = await client.PATCH('/customers/{key}', { params: { path: { key } }, headers: { 'if-match': etag }, body: { job: 'Tester' } })
  const job: string | null | undefined = changed.data?.job

  const late = await client.PATCH('/customers/{key}', { params: { path: { key } }, headers: { 'if-match': etag }, body: { job: 'Late' } })
  const code: string | undefined = late.error?.code

  const placed = await client.POST('/orders', { body: { customerId: added.data.id ?? 0, items: [{ productId: 1, quantity: 1 }] } })
  const total: string | undefined = placed.data?.order.total

  const seen = await client.GET('/product/{productId}/{customerId}', { params: { path: { productId: 1, customerId: added.data.id ?? 0 } } })
  const orders: number | undefined = seen.data?.orders.length

  const gone = await client.GET('/customers/{key}', { params: { path: { key: '999999' } } })
  const status: number | undefined = gone.error?.status

  return { ratings, products, job, code, total, orders, status }
}

export function wrong() {
  const client = createClient<paths, Json>()
  // @ts-expect-error a row without its name
  void client.POST('/customers', { body: { job: 'y' } })
  // @ts-expect-error an operator that the type does not have
  void client.GET('/reviews', { params: { query: { rating: { like: '4' } } } })
  // @ts-expect-error orders are placed, not written
  void client.PATCH('/orders/{key}', { params: { path: { key: '1' } }, body: {} })
  // @ts-expect-error nothing of this name is served
  void client.GET('/users')
}
`

test('of the shop compiles strictly, and works against a server', { timeout: 120_000 }, async () => {
  folder.write('shop.ts', await typesOf(shop))
  const file = folder.write('program.ts', program)
  expect(folder.check('program.ts')).toBe('')
  await using server = await openHttpServer(createShopApp(shop.engine), { port: 0 })
  const { shopping } = (await import(file)) as { shopping(url: string): Promise<unknown> }
  expect(await shopping(server.url)).toEqual({
    ratings: [5, 5],
    products: [expect.any(String), expect.any(String)],
    job: 'Tester',
    code: 'precondition_failed',
    total: expect.stringMatching(/^\d+\.\d\d$/) as string,
    orders: 1,
    status: 404,
  })
})

test('of a schema with everything compiles strictly', { timeout: 120_000 }, async () => {
  await using toy = await openToy()
  folder.write('toy.ts', await typesOf(createToyApp(toy)))
  expect(folder.check('toy.ts')).toBe('')
})
