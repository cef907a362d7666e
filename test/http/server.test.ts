import { once } from 'node:events'
import { Agent, get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ConfigInvalid } from '../../src/errors.ts'
import { type App, createApp, taskOptions } from '../../src/http/app.ts'
import { jsonResponse } from '../../src/http/json.ts'
import { openHttpServer } from '../../src/http/server.ts'
import type { ShopSession } from '../../src/shop/repositories.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop

beforeAll(async () => {
  shop = await openTestShop()
})
afterAll(() => shop[Symbol.asyncDispose]())

/** `/sleep/:seconds` sleeps on the database; `/gather` does three times, concurrently; `/quick` answers at once. */
function createSleepyApp(requestTimeoutMs?: number): App {
  const app = createApp({ requestTimeoutMs })
  app.get('/quick', () => jsonResponse({ quick: true }))
  app.get('/sleep/:seconds', async (context) => {
    const seconds = Number(context.req.param('seconds'))
    await shop.engine.session(({ sql }) => sql`select pg_sleep(${seconds})`, taskOptions(context))
    return jsonResponse({ slept: seconds })
  })
  app.get('/gather', async (context) => {
    await shop.engine.gather([sleep, sleep, sleep], taskOptions(context))
    return jsonResponse({})
  })
  return app
}

function sleep({ sql }: Pick<ShopSession, 'sql'>): Promise<unknown> {
  return sql`select pg_sleep(30)`
}

/** Statements that run on the shop's database and sleep. */
async function sleeping(): Promise<number> {
  const [row] = await shop.engine.session(
    ({ sql }) => sql<{ n: number }>`
      select count(*)::int as n from pg_stat_activity
      where datname = current_database() and state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()`,
  )
  return row?.n ?? -1
}

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: IncomingHttpHeaders
  /** The client's end of the connection. */
  readonly clientPort: number | undefined
}

async function answer(url: string, agent?: Agent): Promise<Answer> {
  const request = get(url, agent ? { agent } : {})
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const clientPort = response.socket.localPort
  let body = ''
  for await (const chunk of response) body += String(chunk)
  return { status: response.statusCode ?? 0, body, headers: response.headers, clientPort }
}

test('a client that goes away stops its statement on the server', async () => {
  await using server = await openHttpServer(createSleepyApp(), { port: 0 })
  const request = get(`${server.url}/sleep/30`)
  request.on('error', () => {})
  await expect.poll(sleeping).toBe(1)
  request.destroy()
  await expect.poll(sleeping).toBe(0)
  await expect.poll(() => shop.engine.stats().leased).toBe(0)
})

test('a client that goes away stops every task of its gather', async () => {
  await using server = await openHttpServer(createSleepyApp(), { port: 0 })
  const request = get(`${server.url}/gather`)
  request.on('error', () => {})
  await expect.poll(sleeping).toBe(3)
  request.destroy()
  await expect.poll(sleeping).toBe(0)
  await expect.poll(() => shop.engine.stats().leased).toBe(0)
})

test('a request that takes longer than it may is answered 504 and stopped on the server', async () => {
  await using server = await openHttpServer(createSleepyApp(100), { port: 0 })
  const { status, body } = await answer(`${server.url}/sleep/30`)
  expect(status).toBe(504)
  expect(JSON.parse(body)).toMatchObject({ code: 'deadline_exceeded' })
  await expect.poll(sleeping).toBe(0)
})

test('a connection is kept for the next request', async () => {
  await using server = await openHttpServer(createSleepyApp(), { port: 0 })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const first = await answer(`${server.url}/quick`, agent)
  const second = await answer(`${server.url}/quick`, agent)
  expect(second.clientPort).toBe(first.clientPort)
  agent.destroy()
})

test('a taken port is a ConfigInvalid that says what to do', async () => {
  await using server = await openHttpServer(createApp(), { port: 0 })
  const second = openHttpServer(createApp(), { port: server.port })
  await expect(second).rejects.toThrow(ConfigInvalid)
  await expect(second).rejects.toThrow(`port ${server.port} of 127.0.0.1 is taken`)
})

test('listens on this machine only', async () => {
  await using server = await openHttpServer(createApp(), { port: 0 })
  expect(server.url).toBe(`http://127.0.0.1:${server.port}`)
})

test('closing ends idle connections at once and lets requests under way finish', async () => {
  const server = await openHttpServer(createSleepyApp(), { port: 0 })
  const idle = await openIdleConnection(server.port)
  const underWay = answer(`${server.url}/sleep/0.3`, new Agent({ keepAlive: true }))
  await expect.poll(sleeping).toBe(1)
  const startedAt = performance.now()
  const closed = server.close()
  await once(idle, 'close')
  await expect(answer(`${server.url}/quick`)).rejects.toThrow('ECONNREFUSED')
  const { status, headers } = await underWay
  expect(status).toBe(200)
  expect(headers.connection).toBe('close')
  await closed
  // Not five seconds later, when Node gives up on connections that were kept alive.
  expect(performance.now() - startedAt).toBeLessThan(2000)
})

test('closing cuts requests off when its time is up, or when hurried, and stops their work', async () => {
  for (const hurry of [false, true]) {
    const server = await openHttpServer(createSleepyApp(), { port: 0 })
    const request = answer(`${server.url}/sleep/30`)
    request.catch(() => {})
    await expect.poll(sleeping).toBe(1)
    const closed = server.close({ timeoutMs: hurry ? 60_000 : 50 })
    if (hurry) await server.close({ timeoutMs: 0 })
    await closed
    await expect(request).rejects.toThrow(/socket hang up|ECONNRESET/)
    await expect.poll(sleeping).toBe(0)
  }
})

async function openIdleConnection(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /quick HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
  await once(socket, 'data')
  return socket
}
