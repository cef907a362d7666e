import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createApp } from '../../src/http/app.ts'
import { createFront, taskOptions } from '../../src/http/front.ts'
import type { RequestEntry } from '../../src/http/request-log.ts'
import { openHttpServer } from '../../src/server/server.ts'
import { resource } from '../../src/resource/resource.ts'
import { createShopApp } from '../../src/shop/app.ts'
import { customers } from '../../schema/index.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop
let entries: RequestEntry[] = []
const log = (entry: RequestEntry) => void entries.push(entry)

beforeAll(async () => {
  shop = await openTestShop()
})
afterAll(() => shop[Symbol.asyncDispose]())
beforeEach(() => {
  entries = []
})

test('an answered request is one entry with its route, time, bytes and the names of its parameters', async () => {
  const app = createApp(shop.engine, { resources: [resource(customers)], log })
  const response = await app.request('/customers?limit=2&name[like]=L%25', { headers: { 'x-request-id': 'seen-1' } })
  const body = await response.text()
  expect(entries).toEqual([
    {
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      method: 'GET',
      route: '/customers',
      parameters: ['limit', 'name[like]'],
      status: 200,
      ms: expect.any(Number) as number,
      bytes: Buffer.byteLength(body),
      waitMs: expect.any(Number) as number,
      requestId: 'seen-1',
    },
  ])
  expect(entries[0]!.ms).toBeGreaterThanOrEqual(entries[0]!.waitMs!)
})

test('no key of a path and no value of a query is in it, whatever becomes of the request', async () => {
  const app = createShopApp(shop.engine, { log })
  const paths = [
    '/customers/4711',
    '/customers/secret',
    '/customers?name=secret',
    '/customers?secret%20name=1&secret=%00',
    '/secret/secret?secret',
    '/product/1/1?secret',
  ]
  for (const path of paths) await (await app.request(path, { method: path.includes('=1') ? 'DELETE' : 'GET' })).text()
  expect(entries.map(({ method, route, status }) => `${method} ${route} ${status}`)).toEqual([
    'GET /customers/:key 404',
    'GET /customers/:key 400',
    'GET /customers 200',
    'DELETE /* 405',
    'GET /* 404',
    'GET /product/:productId/:customerId 200',
  ])
  const written = JSON.stringify(entries.map((entry) => ({ ...entry, parameters: [] })))
  expect(written).not.toMatch(/secret|4711/)
  expect(entries.map(({ parameters }) => parameters)).toEqual([
    undefined,
    undefined,
    ['name'],
    ['?', 'secret'],
    ['secret'],
    ['secret'],
  ])
})

test('the page of a gather waits as long as its slowest task; an answer to HEAD has no bytes', async () => {
  const app = createShopApp(shop.engine, { log })
  await app.request('/product/1/1')
  await app.request('/customers/1', { method: 'HEAD' })
  expect(entries[0]).toMatchObject({ waitMs: expect.any(Number) as number })
  expect(entries[1]).toMatchObject({ method: 'HEAD', status: 200, bytes: 0 })
})

test('many names of parameters are cut off', async () => {
  const query = Array.from({ length: 1000 }, (_, index) => `p${index}=1`).join('&')
  await createFront({ log }).request(`/?${query}`)
  expect(entries[0]!.parameters).toHaveLength(20)
})

test('a client that goes away before its answer is an entry with the status 499', async () => {
  const app = createFront({ log })
  app.get('/sleep', async (context) => {
    await shop.engine.session(({ sql }) => sql`select pg_sleep(30)`, taskOptions(context))
    return new Response()
  })
  await using server = await openHttpServer(app, { port: 0 })
  const request = get(`${server.url}/sleep`)
  request.on('error', () => {})
  await expect.poll(() => shop.engine.stats().leased).toBe(1)
  request.destroy()
  await expect.poll(() => entries).toMatchObject([{ route: '/sleep', status: 499 }])
})

test('a streamed answer is an entry once it has been read, or with the status of what cut it off', async () => {
  const app = createFront({ log })
  let chunks = 0
  const chunk = new Uint8Array(1000)
  app.get('/endless', () => {
    return new Response(new ReadableStream({ pull: (controller) => void (controller.enqueue(chunk), (chunks += 1)) }))
  })
  app.get('/three', () => {
    const parts = [chunk, chunk, chunk]
    return new Response(
      new ReadableStream({
        pull: (controller) => {
          const part = parts.pop()
          if (part) controller.enqueue(part)
          else controller.close()
        },
      }),
    )
  })
  app.get('/broken', () => {
    const pull = (controller: ReadableStreamDefaultController) => {
      if (read) throw new Error('broken')
      controller.enqueue(chunk)
      read = true
    }
    let read = false
    return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }))
  })
  await using server = await openHttpServer(app, { port: 0 })
  expect((await (await fetch(`${server.url}/three`)).arrayBuffer()).byteLength).toBe(3000)
  expect(entries).toMatchObject([{ route: '/three', status: 200, bytes: 3000 }])

  const request = get(`${server.url}/endless`)
  request.on('error', () => {})
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  await once(response, 'data')
  expect(entries).toHaveLength(1)
  request.destroy()
  await expect.poll(() => entries.length).toBe(2)
  expect(entries[1]).toMatchObject({ route: '/endless', status: 499 })
  expect(entries[1]!.bytes).toBeGreaterThan(0)
  const read = chunks
  expect(entries[1]!.bytes).toBeLessThanOrEqual(read * 1000)

  await expect((await app.request('/broken')).text()).rejects.toThrow('broken')
  expect(entries[2]).toMatchObject({ route: '/broken', status: 500, bytes: 1000 })
})
