/** Bodies that routes of a user's own send as they come, and that fail: on a socket, where the adapter would tell why. */
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { cors } from 'hono/cors'
import { stream } from 'hono/streaming'
import { sql as fragment } from 'drizzle-orm'
import { createFront, taskOptions } from '../../src/http/front.ts'
import { type HttpServer, openHttpServer } from '../../src/server/server.ts'
import type { ShopSession } from '../../src/shop/repositories.ts'
import { eventually } from '../support/invariants.ts'
import { openTestShop } from '../support/shop.ts'

const secret = new Error('secret postgres://u:pw@h/db')
const told: unknown[] = []
const entries: unknown[] = []
let server: HttpServer

/** A body of some rows, and then a fault. */
function failing(rows: number, wait: () => Promise<unknown> = () => Promise.resolve()): ReadableStream {
  let sent = 0
  return new ReadableStream({
    async pull(controller) {
      await wait()
      if (sent++ === rows) throw secret
      controller.enqueue(Buffer.from(`row ${sent}\n`))
    },
  })
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 20))

beforeAll(async () => {
  const app = createFront({
    middleware: [cors({ origin: 'https://shop.example' })],
    onFault: (error, { status, route }) => told.push({ error, status, route }),
    log: ({ route, status }) => entries.push({ route, status }),
  })
  const headers = { 'content-type': 'text/csv', etag: '"whole"', 'cache-control': 'max-age=60' }
  app.get('/first', (context) => context.body(failing(0), 200, headers))
  app.get('/sized', () => new Response(failing(0), { headers: { 'content-length': '12' } }))
  app.get('/late', (context) => context.body(failing(0, turn)))
  app.get('/middle', (context) => context.body(failing(3, turn)))
  app.get('/written', (context) =>
    stream(context, async (writer) => {
      await writer.write('row 1\n')
    }),
  )
  app.get('/whole', (context) => context.json({ whole: true }))
  server = await openHttpServer(app, { port: 0 })
})
afterAll(() => server.close())
beforeEach(() => {
  told.length = 0
  entries.length = 0
})

test.each(['/first', '/sized'])('a fault before the first bytes is a problem like any other: %s', async (path) => {
  const printed = vi.spyOn(console, 'error')
  const response = await fetch(`${server.url}${path}`, { headers: { origin: 'https://shop.example' } })
  const body = await response.text()
  expect(response.status).toBe(500)
  expect(JSON.parse(body)).toMatchObject({ code: 'internal', requestId: response.headers.get('x-request-id') })
  expect(body).not.toContain('secret')
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'application/problem+json',
    'content-length': String(body.length),
    'cache-control': 'no-store',
    'x-frame-options': 'DENY',
    'access-control-allow-origin': 'https://shop.example',
  })
  expect(response.headers.has('etag')).toBe(false)
  expect(told).toEqual([{ error: secret, status: 500, route: path }])
  expect(entries).toEqual([{ route: path, status: 500 }])
  expect(printed).not.toHaveBeenCalled()
})

test.each(['/late', '/middle'])('a later fault cuts the connection, without a word: %s', async (path) => {
  const printed = vi.spyOn(console, 'error')
  const response = await fetch(`${server.url}${path}`)
  expect(response.status).toBe(200)
  const text: string[] = []
  const read = async () => {
    for await (const chunk of response.body as ReadableStream<Uint8Array>) text.push(Buffer.from(chunk).toString())
  }
  await expect(read()).rejects.toThrow('terminated')
  expect(text.join('')).toMatch(path === '/late' ? /^$/ : /^(?:row \d\n)+$/)
  expect(told).toEqual([{ error: secret, status: 500, route: path }])
  expect(entries).toEqual([{ route: path, status: 500 }])
  expect(printed).not.toHaveBeenCalled()
})

test.each([
  ['/written', 'row 1\n'],
  ['/whole', '{"whole":true}'],
])('what does not fail arrives whole: %s', async (path, text) => {
  const response = await fetch(`${server.url}${path}`)
  expect(await response.text()).toBe(text)
  expect(told).toEqual([])
  expect(entries).toEqual([{ route: path, status: 200 }])
})

/** Writes many rows, as they are read. */
async function rows(session: ShopSession, write: (text: string) => Promise<unknown>) {
  const query = fragment<{ x: string }>`select repeat('x', 10000) as x from generate_series(1, 5000)`
  for await (const row of session.stream(query)) await write(JSON.stringify(row))
}

test('the work of a body that nobody takes ends with the time of its request, and gives its connection back', async () => {
  const shop = await openTestShop()
  const app = createFront({ requestTimeoutMs: 500 })
  app.get('/rows', (context) =>
    stream(context, (writer) =>
      shop.engine.session((session) => rows(session, (text) => writer.write(text)), taskOptions(context)),
    ),
  )
  const idle = await openHttpServer(app, { port: 0 })
  try {
    for (let count = 0; count < 3; count++) await fetch(`${idle.url}/rows`, { method: 'HEAD' })
    const { body } = await app.request('/rows')
    await body?.cancel()
    await eventually(() => expect(shop.engine.stats().leased).toBe(0))
  } finally {
    await idle.close()
    await shop[Symbol.asyncDispose]()
  }
})
