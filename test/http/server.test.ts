import { once } from 'node:events'
import { Agent, get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ConfigInvalid, PortUnavailable } from '../../src/errors.ts'
import { createFront, taskOptions } from '../../src/http/front.ts'
import { jsonResponse } from '../../src/answer/json.ts'
import { openHttpServer } from '../../src/server/server.ts'
import type { ShopSession } from '../../src/shop/repositories.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop

beforeAll(async () => {
  shop = await openTestShop()
})
afterAll(() => shop[Symbol.asyncDispose]())

/** `/sleep` sleeps on the database; `/gather` does three times, concurrently; `/quick` answers at once. */
function createSleepyApp(requestTimeoutMs?: number) {
  const app = createFront({ requestTimeoutMs })
  app.get('/quick', () => jsonResponse({ quick: true }))
  app.get('/sleep', async (context) => {
    await shop.engine.session(sleep, taskOptions(context))
    return jsonResponse({})
  })
  app.get('/gather', async (context) => {
    await shop.engine.gather([sleep, sleep, sleep], taskOptions(context))
    return jsonResponse({})
  })
  app.get('/snapshot', async (context) => {
    await shop.engine.gather([sleep, sleep], taskOptions(context, { snapshot: true }))
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

/** A promise that another part of the test resolves. */
function createLatch(): { open(): void; readonly opened: Promise<unknown> } {
  const latch = new AbortController()
  return { open: () => latch.abort(), opened: once(latch.signal, 'abort') }
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

test('other options of a call stand beside those of its request', async () => {
  const app = createFront()
  app.get('/read', async (context) => {
    const { signal } = context.req.raw
    const asked: unknown[] = []
    Object.defineProperty(context.req.raw, 'signal', { get: () => (asked.push('signal'), signal) })
    const isolation = ({ sql }: ShopSession) => sql`show transaction_isolation`
    const seen: string[] = []
    const onTimings = (tasks: readonly { readonly key: string }[]) => seen.push(...tasks.map(({ key }) => key))
    const options = taskOptions(context, { snapshot: true, onTimings })
    const [[row]] = await shop.engine.gather([isolation], options)
    expect(() => taskOptions(context, { timeoutMs: 5 } as never)).toThrow('{ ...taskOptions(context), timeoutMs }')
    return jsonResponse({ row, seen, asked, label: options.label, names: Object.keys(options) })
  })
  expect(await (await app.request('/read')).json()).toEqual({
    row: { transaction_isolation: 'repeatable read' },
    seen: ['0'],
    // Nobody has asked for what costs most.
    asked: [],
    label: 'GET /read',
    names: ['label', 'snapshot', 'onTimings', 'signal', 'timeoutMs'],
  })
})

test('a client that goes away stops its statement on the server', async () => {
  await using server = await openHttpServer(createSleepyApp(), { port: 0 })
  const request = get(`${server.url}/sleep`)
  request.on('error', () => {})
  await expect.poll(sleeping).toBe(1)
  request.destroy()
  await expect.poll(sleeping).toBe(0)
  await expect.poll(() => shop.engine.stats().leased).toBe(0)
})

test.each([
  ['/gather', 3],
  ['/snapshot', 2],
])('a client that goes away stops every task of its gather: %s', async (path, tasks) => {
  await using server = await openHttpServer(createSleepyApp(), { port: 0 })
  const request = get(`${server.url}${path}`)
  request.on('error', () => {})
  await expect.poll(sleeping).toBe(tasks)
  request.destroy()
  await expect.poll(sleeping).toBe(0)
  await expect.poll(() => shop.engine.stats().leased).toBe(0)
})

test('a request that takes longer than it may is answered 504 and stopped on the server', async () => {
  await using server = await openHttpServer(createSleepyApp(100), { port: 0 })
  const { status, body } = await answer(`${server.url}/sleep`)
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

test('a taken port is a PortUnavailable that says what to do', async () => {
  await using server = await openHttpServer(createFront(), { port: 0 })
  const second = openHttpServer(createFront(), { port: server.port })
  await expect(second).rejects.toThrow(PortUnavailable)
  await expect(second).rejects.toThrow(
    `port ${server.port} of 127.0.0.1 is taken: stop what listens there, or give openHttpServer another port`,
  )
})

test('listens on this machine only', async () => {
  await using server = await openHttpServer(createFront(), { port: 0 })
  expect(server.url).toBe(`http://127.0.0.1:${server.port}`)
})

test('closing ends idle connections at once and lets requests under way finish', async () => {
  const app = createSleepyApp()
  const arrived = createLatch()
  const held = createLatch()
  app.get('/held', async () => {
    arrived.open()
    await held.opened
    return jsonResponse({})
  })
  const server = await openHttpServer(app, { port: 0 })
  const idle = await openIdleConnection(server.port)
  const underWay = answer(`${server.url}/held`, new Agent({ keepAlive: true }))
  await arrived.opened
  const startedAt = performance.now()
  const closed = server.close()
  await once(idle, 'close')
  await expect(answer(`${server.url}/quick`)).rejects.toThrow('ECONNREFUSED')
  held.open()
  const { status, headers } = await underWay
  expect(status).toBe(200)
  expect(headers.connection).toBe('close')
  await closed
  // Not five seconds later, when Node gives up on connections that were kept alive.
  expect(performance.now() - startedAt).toBeLessThan(4500)
})

test('closing lets a stream end, then its connection, and one that asks again on the way is answered', async () => {
  const app = createSleepyApp()
  const held = createLatch()
  app.get('/streamed', () => {
    const text = new TextEncoder()
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(text.encode('first;'))
        await held.opened
        controller.enqueue(text.encode('last.'))
        controller.close()
      },
    })
    return new Response(body)
  })
  const server = await openHttpServer(app, { port: 0 })
  const streamed = connect(server.port, '127.0.0.1')
  let answered = ''
  streamed.on('data', (chunk) => (answered += String(chunk)))
  streamed.write('GET /streamed HTTP/1.1\r\nhost: a\r\n\r\n')
  await expect.poll(() => answered).toContain('first;')
  const closed = server.close()
  // Sent behind the other before its sender could know that the server drains.
  streamed.write('GET /quick HTTP/1.1\r\nhost: a\r\n\r\n')
  await expect(answer(`${server.url}/quick`)).rejects.toThrow('ECONNREFUSED')
  expect(streamed.destroyed).toBe(false)
  held.open()
  await once(streamed, 'close')
  await closed
  expect(answered).toContain('last.')
  expect(answered).toMatch(/last\.[^]*HTTP\/1\.1 200[^]*connection: close[^]*\{"quick":true\}$/i)
})

test('closing cuts requests off when its time is up, or when hurried, and stops their work', async () => {
  for (const hurry of [false, true]) {
    const server = await openHttpServer(createSleepyApp(), { port: 0 })
    const request = answer(`${server.url}/sleep`)
    request.catch(() => {})
    await expect.poll(sleeping).toBe(1)
    const closed = server.close({ timeoutMs: hurry ? 60_000 : 50 })
    if (hurry) await server.close({ timeoutMs: 0 })
    await closed
    await expect(request).rejects.toThrow(/socket hang up|ECONNRESET/)
    await expect.poll(sleeping).toBe(0)
  }
})

test.each([
  ['no HTTP', 'nonsense\r\n\r\n', 400],
  ['a malformed Host', 'GET /quick HTTP/1.1\r\nhost: a b\r\n\r\n', 400],
  ['no Host', 'GET /quick HTTP/1.1\r\n\r\n', 400],
  ['headers that are too long', `GET /quick HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
])('%s is answered with a problem', async (_, text, status) => {
  await using server = await openHttpServer(createSleepyApp(), { port: 0 })
  const [head = '', body = ''] = (await exchange(server.port, text)).split('\r\n\r\n')
  expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(head).toMatch(/^content-type: application\/problem\+json$/m)
  expect(JSON.parse(body)).toMatchObject({ status, code: 'malformed_request' })
})

test('a body that breaks off into nonsense is answered with a problem, and the service goes on', async () => {
  const app = createSleepyApp()
  const arrived = createLatch()
  app.post('/read', async ({ req }) => {
    arrived.open()
    return jsonResponse({ length: (await req.text()).length })
  })
  await using server = await openHttpServer(app, { port: 0 })
  const start = 'POST /read HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n'
  expect(
    await exchange(
      server.port,
      start,
      arrived.opened.then(() => 'nonsense\r\n'),
    ),
  ).toMatch(/^HTTP\/1.1 400 /)
  expect((await answer(`${server.url}/quick`)).status).toBe(200)
})

/** Sends text, and more of it later, on a connection of its own; answers everything that comes back until its end. */
async function exchange(port: number, text: string, more?: Promise<string>): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(text)
  let answered = ''
  const ended = (async () => {
    for await (const chunk of socket) {
      answered += String(chunk)
      if (more === undefined && answered.includes('}')) socket.end()
    }
  })()
  if (more !== undefined) socket.write(await more)
  await ended
  return answered
}

async function openIdleConnection(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /quick HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
  await once(socket, 'data')
  return socket
}

test('an application that does not ask who is there is for this machine only, unless it is told to be insecure', async () => {
  const asking = createFront({ identity: () => ({ role: 'somebody' }) })
  const wrapped = { fetch: (request: Request) => asking.fetch(request) }
  for (const hostname of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example.com', '']) {
    for (const app of [createFront(), wrapped]) {
      const refused = openHttpServer(app, { port: 0, hostname })
      await expect(refused).rejects.toThrow(ConfigInvalid)
      await expect(refused).rejects.toThrow(/identity, or listen on 127\.0\.0\.1; insecure/)
    }
  }
  for (const options of [
    { insecure: true, hostname: '0.0.0.0' },
    { hostname: 'localhost' },
    { hostname: '127.0.0.1' },
  ]) {
    await using server = await openHttpServer(createFront(), { port: 0, ...options })
    expect(server.port).toBeGreaterThan(0)
  }
  await using server = await openHttpServer(asking, { port: 0, hostname: '0.0.0.0' })
  expect(server.port).toBeGreaterThan(0)
})
