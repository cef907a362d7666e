/** What browsers, other origins, proxies and clients that ask too often meet, on a socket where it matters. */
import { cors } from 'hono/cors'
import { rateLimiter } from 'hono-rate-limiter'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { customers } from '../../schema/index.ts'
import { createApp } from '../../src/http/app.ts'
import { clientAddress } from '../../src/http/client-address.ts'
import type { FrontOptions } from '../../src/http/front.ts'
import { Problem } from '../../src/answer/problem.ts'
import { openHttpServer } from '../../src/server/server.ts'
import { resource } from '../../src/resource/resource.ts'
import { sender } from '../support/http-client.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop

beforeAll(async () => {
  shop = await openTestShop()
})
afterAll(() => shop[Symbol.asyncDispose]())

function createTestApp(options: FrontOptions = {}) {
  const app = createApp(shop.engine, { resources: [resource(customers)], ...options })
  app.get('/bug', () => {
    throw new TypeError('a bug')
  })
  return app
}

/** Two requests a minute. */
function limit(proxies: number) {
  return rateLimiter({
    windowMs: 60_000,
    limit: 2,
    keyGenerator: (context) => clientAddress(context, { proxies }) ?? 'nobody',
    handler: () => {
      throw new Problem({ status: 429, code: 'too_many_requests', detail: 'ask again later' })
    },
  })
}

/** Requests whose answers come from every place that answers. */
const places = [
  ['a list', 'GET', '/customers', 200],
  ['a row', 'GET', '/customers/1', 200],
  ['the index', 'GET', '/', 200],
  ['a row that is not there', 'GET', '/customers/4711', 404],
  ['a wrong parameter', 'GET', '/customers?limit=x', 400],
  ['a wrong body', 'POST', '/customers', 415],
  ['a path that is not there', 'GET', '/nowhere', 404],
  ['another method', 'DELETE', '/customers', 405],
  ['a bug', 'GET', '/bug', 500],
] as const

describe('every answer', () => {
  test.each(places)('has the headers that make browsers careful: %s', async (_, method, path, status) => {
    const response = await createTestApp().request(path, { method })
    expect(response.status).toBe(status)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-security-policy': expect.stringMatching(/^default-src 'none'.*frame-ancestors 'none'/) as string,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'cross-origin-opener-policy': 'same-origin',
    })
    // An answer over HTTP must not say that all of its host has TLS.
    expect(response.headers.get('strict-transport-security')).toBeNull()
    expect(response.headers.get('x-powered-by')).toBeNull()
  })

  test.each(places)('lets no other origin in, unless that was asked for: %s', async (_, method, path, status) => {
    const headers = { origin: 'https://shop.example' }
    const closed = await createTestApp().request(path, { method, headers })
    expect([...closed.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])

    const open = createTestApp({ middleware: [cors({ origin: 'https://shop.example', exposeHeaders: ['etag'] })] })
    const response = await open.request(path, { method, headers })
    expect(response.status).toBe(status)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'access-control-allow-origin': 'https://shop.example',
      'access-control-expose-headers': 'etag',
      vary: expect.stringMatching(/\borigin\b/i) as string,
      'x-content-type-options': 'nosniff',
    })
    const other = await open.request(path, { method, headers: { origin: 'https://other.example' } })
    expect(other.headers.get('access-control-allow-origin')).toBeNull()
  })
})

describe('a preflight', () => {
  const headers = {
    origin: 'https://shop.example',
    'access-control-request-method': 'PATCH',
    'access-control-request-headers': 'content-type,if-match',
  }

  test('is a 405 by default, as any OPTIONS is', async () => {
    const { status, headers: answered } = await sender(createTestApp())('OPTIONS', '/customers/1', undefined, headers)
    expect(status).toBe(405)
    expect(answered.get('allow')).toBe('GET, HEAD, PATCH, PUT, DELETE')
  })

  test('is answered where CORS is on, and other methods stay a 405', async () => {
    const app = createTestApp({ middleware: [cors({ origin: ['https://shop.example'], maxAge: 600 })] })
    const preflight = await app.request('/customers/1', { method: 'OPTIONS', headers })
    expect(preflight.status).toBe(204)
    expect(Object.fromEntries(preflight.headers)).toMatchObject({
      'access-control-allow-origin': 'https://shop.example',
      'access-control-allow-methods': expect.stringContaining('PATCH') as string,
      'access-control-allow-headers': 'content-type,if-match',
      'access-control-max-age': '600',
      'x-request-id': expect.any(String) as string,
    })
    const { status, headers: answered } = await sender(app)('POST', '/customers/1', {}, { origin: headers.origin })
    expect(status).toBe(405)
    expect(answered.get('access-control-allow-origin')).toBe('https://shop.example')
  })
})

describe('a limit of requests', () => {
  test('answers 429 as a problem with Retry-After, and says in every answer how many are left', async () => {
    await using server = await openHttpServer(createTestApp({ middleware: [limit(0)] }), { port: 0 })
    const send = sender({ request: (path, init) => fetch(server.url + path, init) })
    // The body as it is, and as a context makes it.
    expect((await send('GET', '/')).headers.get('ratelimit-remaining')).toBe('1')
    expect((await send('GET', '/customers/1')).headers.get('ratelimit-remaining')).toBe('0')
    const { status, headers, json } = await send('GET', '/customers/1')
    expect(status).toBe(429)
    expect(json).toMatchObject({ code: 'too_many_requests', type: 'urn:problem-type:rivulet:too_many_requests' })
    const wait = Number(headers.get('retry-after'))
    expect(wait).toBeGreaterThan(0)
    expect(wait).toBeLessThanOrEqual(60)
  })

  test('counts the client that the proxy has seen, whatever the client itself says', async () => {
    await using server = await openHttpServer(createTestApp({ middleware: [limit(1)] }), { port: 0 })
    const ask = async (invented: string, seen: string) => {
      const headers = { 'x-forwarded-for': `${invented}, ${seen}` }
      return (await fetch(`${server.url}/livez`, { headers })).status
    }
    const statuses = []
    for (const invented of ['1.1.1.1', '2.2.2.2', '3.3.3.3']) statuses.push(await ask(invented, '203.0.113.7'))
    expect(statuses).toEqual([200, 200, 429])
    expect(await ask('203.0.113.7', '203.0.113.8')).toBe(200)
  })
})

test('the address of a client is that of its connection, and the header counts as far as there are proxies', async () => {
  const app = createTestApp()
  app.get('/address/:proxies', (context) => {
    return context.text(String(clientAddress(context, { proxies: Number(context.req.param('proxies')) })))
  })
  await using server = await openHttpServer(app, { port: 0 })
  const headers = { 'x-forwarded-for': 'invented, 203.0.113.7 , 10.0.0.1' }
  const ask = async (proxies: number, init = {}) => (await fetch(`${server.url}/address/${proxies}`, init)).text()
  expect(await ask(0)).toBe('127.0.0.1')
  expect(await ask(0, { headers })).toBe('127.0.0.1')
  expect(await ask(1)).toBe('127.0.0.1')
  expect(await ask(1, { headers })).toBe('10.0.0.1')
  expect(await ask(2, { headers })).toBe('203.0.113.7')
  expect(await (await app.request('/address/0')).text()).toBe('undefined')
})

test('what middleware throws is a problem, and what it answers is the answer', async () => {
  const app = createTestApp({
    middleware: [
      (context, next) => {
        if (context.req.header('x-closed')) throw new Problem({ status: 503, code: 'closed' })
        return context.req.header('x-short') ? Promise.resolve(context.text('short')) : next()
      },
    ],
  })
  const send = sender(app)
  expect((await send('GET', '/customers', undefined, { 'x-closed': '1' })).status).toBe(503)
  const { text, headers } = await send('GET', '/customers', undefined, { 'x-short': '1' })
  expect(text).toBe('short')
  expect(headers.get('x-request-id')).not.toBeNull()
  expect((await send('GET', '/customers')).status).toBe(200)
})
