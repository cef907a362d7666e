/** HTTP that nobody means, over real sockets: what never becomes a request of the application, and what never ends. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createShopApp } from '../../src/shop/app.ts'
import { type HttpServer, openHttpServer } from '../../src/server/server.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop
/** In a hurry, so that what stalls has a soon end. */
let server: HttpServer
let patient: HttpServer
const faults: unknown[] = []

beforeAll(async () => {
  shop = await openTestShop()
  const app = createShopApp(shop.engine, { requestTimeoutMs: 300, onFault: (error) => faults.push(error) })
  server = await openHttpServer(app, { port: 0, headersTimeoutMs: 300 })
  patient = await openHttpServer(createShopApp(shop.engine), { port: 0 })
})
afterAll(async () => {
  await server.close()
  await patient.close()
  await shop[Symbol.asyncDispose]()
})

/** Sends lines as they are and answers all that comes back until the server ends the connection. */
function exchange(...lines: readonly string[]): Promise<{ status: number; head: string; body: string }> {
  return exchangeWith(server, lines)
}

function exchangeWith({ port }: HttpServer, lines: readonly string[]) {
  const socket = connect(port, '127.0.0.1')
  socket.write(lines.join('\r\n'))
  return answerOf(socket)
}

async function answerOf(socket: Socket): Promise<{ status: number; head: string; body: string }> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  const [head = '', body = ''] = text.split('\r\n\r\n')
  return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]), head: head.toLowerCase(), body }
}

/** In whatever order, which means nothing. */
const aboutContent = (head = '') =>
  head
    .split('\r\n')
    .filter((line) => /^(?:http|content-|etag|cache|vary)/.test(line))
    .sort()

const end = ['connection: close', '', '']
const post = 'POST /customers HTTP/1.1'
const json = 'content-type: application/json'

describe('a request', () => {
  const cases: [name: string, status: number, lines: string[]][] = [
    ['with two Host headers', 400, ['GET /livez HTTP/1.1', 'host: a', 'host: b', ...end]],
    ['with the same Host header twice', 400, ['GET /livez HTTP/1.1', 'host: a', 'Host: a', ...end]],
    ['without a Host header', 400, ['GET /livez HTTP/1.1', ...end]],
    ['with an empty Host header', 400, ['GET /livez HTTP/1.1', 'host:', ...end]],
    ['with a Host header of two words', 400, ['GET /livez HTTP/1.1', 'host: a b', ...end]],
    ['with a path in its Host header', 400, ['GET /livez HTTP/1.1', 'host: a/b', ...end]],
    ['with a user in its Host header', 400, ['GET /livez HTTP/1.1', 'host: a@b', ...end]],
    ['with a list in its Host header', 400, ['GET /livez HTTP/1.1', 'host: a, b', ...end]],
    ['with a port that is none in its Host header', 400, ['GET /livez HTTP/1.1', 'host: a:x', ...end]],
    ['with a target on another host', 400, ['GET http://b/livez HTTP/1.1', 'host: a', ...end]],
    ['with a target on its host', 200, ['GET http://a/livez HTTP/1.1', 'host: A', ...end]],
    ['of HTTP/1.0 without a Host header', 200, ['GET /livez HTTP/1.0', ...end]],
    ['with an address of IPv6', 200, ['GET /livez HTTP/1.1', 'host: [::1]:3000', ...end]],
    ['of HTTP/2.0', 505, ['GET /livez HTTP/2.0', 'host: a', ...end]],
    ['of HTTP/0.9', 505, ['GET /livez', '', '']],
    ['with two lengths', 400, [post, 'host: a', json, 'content-length: 2', 'content-length: 3', ...end, '{}']],
    ['with a length of letters', 400, [post, 'host: a', json, 'content-length: x', ...end, '{}']],
    ['with a negative length', 400, [post, 'host: a', json, 'content-length: -1', ...end, '{}']],
    [
      'with a length and chunks',
      400,
      [post, 'host: a', json, 'content-length: 2', 'transfer-encoding: chunked', ...end],
    ],
    ['with an unknown transfer encoding', 400, [post, 'host: a', json, 'transfer-encoding: x', ...end]],
    ['with a body of no length', 411, [post, 'host: a', json, ...end]],
    ['with an expectation', 417, [post, 'host: a', json, 'expect: magic', 'content-length: 2', ...end, '{}']],
    ['with a header of 20 kB', 431, ['GET /livez HTTP/1.1', 'host: a', `x: ${'x'.repeat(20_000)}`, ...end]],
    ['with a target of 20 kB', 431, [`GET /${'x'.repeat(20_000)} HTTP/1.1`, 'host: a', ...end]],
    ['with a space in a header name', 400, ['GET /livez HTTP/1.1', 'host: a', 'x y: 1', ...end]],
    ['with a folded header', 400, ['GET /livez HTTP/1.1', 'host: a', 'x: 1', ' 2', ...end]],
    ['with NUL in a header', 400, ['GET /livez HTTP/1.1', 'host: a', 'x: a\0b', ...end]],
    ['with a chunk that is none', 400, [post, 'host: a', json, 'transfer-encoding: chunked', ...end, 'nonsense\r\n']],
    ['with a line feed alone in a header', 400, ['GET /livez HTTP/1.1', 'host: a', 'x-request-id: a\nb', ...end]],
    ['with a carriage return alone in a header', 400, ['GET /livez HTTP/1.1', 'host: a', 'x: a\rb', ...end]],
    ['with a header of no name', 400, ['GET /livez HTTP/1.1', 'host: a', ': 1', ...end]],
    ['with two transfer encodings', 400, [post, 'host: a', json, 'transfer-encoding: gzip, chunked, chunked', ...end]],
    [
      'with a chunk longer than it is',
      400,
      [post, 'host: a', json, 'transfer-encoding: chunked', ...end, '1\r\n{}\r\n0\r\n\r\n'],
    ],
    ['with a chunk of a negative length', 400, [post, 'host: a', json, 'transfer-encoding: chunked', ...end, '-1\r\n']],
    [
      'with the same length twice',
      400,
      [post, 'host: a', json, 'content-length: 2', 'content-length: 2', ...end, '{}'],
    ],
    ['with a length that is a list', 400, [post, 'host: a', json, 'content-length: 2, 2', ...end, '{}']],
    ['with a length of a plus', 400, [post, 'host: a', json, 'content-length: +2', ...end, '{}']],
    [
      'with a length beyond all numbers',
      400,
      [post, 'host: a', json, 'content-length: 99999999999999999999', ...end, '{}'],
    ],
    [
      'in HTTP/1.0 with chunks',
      400,
      ['POST /customers HTTP/1.0', json, 'transfer-encoding: chunked', ...end, '0\r\n\r\n'],
    ],
    ['of a method in small letters', 400, ['get /livez HTTP/1.1', 'host: a', ...end]],
    ['with a tab in its first line', 400, ['GET\t/livez HTTP/1.1', 'host: a', ...end]],
    ['of the method TRACE', 405, ['TRACE /customers/1 HTTP/1.1', 'host: a', ...end]],
    ['of the method TRACE to nowhere', 404, ['TRACE /nowhere HTTP/1.1', 'host: a', ...end]],
    ['of the method CONNECT', 405, ['CONNECT a:443 HTTP/1.1', 'host: a:443', ...end]],
    ['of an unknown method', 400, ['GRAB /customers/1 HTTP/1.1', 'host: a', ...end]],
    ['of the method PROPFIND', 405, ['PROPFIND /customers/1 HTTP/1.1', 'host: a', ...end]],
    ['to everything', 400, ['OPTIONS * HTTP/1.1', 'host: a', ...end]],
    ['with a path of dots', 404, ['GET /../../etc/passwd HTTP/1.1', 'host: a', ...end]],
    ['with a backslash in its path', 400, ['GET /a\\b HTTP/1.1', 'host: a', ...end]],
    [
      'that wants another protocol',
      200,
      ['GET /livez HTTP/1.1', 'host: a', 'upgrade: h2c', 'connection: upgrade, close', '', ''],
    ],
    ['of a body that stalls', 408, [post, 'host: a', json, 'content-length: 100', '', '{"name":']],
    ['of chunks that stall', 408, [post, 'host: a', json, 'transfer-encoding: chunked', '', '3', '{"n', '']],
    ['of an order that stalls', 408, ['POST /orders HTTP/1.1', 'host: a', json, 'content-length: 100', '', '{']],
    ['of headers that stall', 408, ['GET /livez HTTP/1.1', 'host: a', 'x: ']],
  ]
  test.each(cases)('%s is a %i', async (_, status, lines) => {
    const answer = await exchange(...lines)
    expect(answer.status).toBe(status)
    if (status < 400) return
    expect(answer.head).toContain('content-type: application/problem+json')
    expect(JSON.parse(answer.body)).toMatchObject({
      status,
      type: expect.stringMatching(/^urn:problem-type:rivulet:/) as string,
    })
  })

  test.each([
    ['a body', ['content-length: 100', '', '{"name":"half']],
    ['chunks', ['transfer-encoding: chunked', '', '20', '{"name":"half']],
    ['headers', ['x: ']],
  ])('whose client stops in the middle of %s is a 400, and writes nothing', async (_, rest) => {
    const socket = connect(server.port, '127.0.0.1')
    socket.end([post, 'host: a', json, ...rest].join('\r\n'))
    expect((await answerOf(socket)).status).toBe(400)
    const { status, body } = await exchange('GET /customers?name=half HTTP/1.1', 'host: a', ...end)
    expect([status, JSON.parse(body).data]).toEqual([200, []])
  })

  test('of the method CONNECT or TRACE is told which methods there are', async () => {
    expect((await exchange('CONNECT a:1 HTTP/1.1', 'host: a:1', ...end)).head).toMatch(/^allow: get, head, post/m)
    expect((await exchange('TRACE /customers HTTP/1.1', 'host: a', ...end)).head).toMatch(/^allow: get, head, post/m)
  })

  test('for the head of an answer gets the headers of the answer', async () => {
    const [got, head] = await Promise.all(
      ['GET', 'HEAD'].map((method) => exchangeWith(patient, [`${method} /customers/1 HTTP/1.1`, 'host: a', ...end])),
    )
    expect(got?.status).toBe(200)
    expect(aboutContent(head?.head)).toEqual(aboutContent(got?.head))
    expect(head?.body).toBe('')
    expect(got?.head).toContain(`content-length: ${Buffer.byteLength(got?.body ?? '')}`)
  })

  test('with a great many headers has all of them: none is left out behind which another one hides', async () => {
    const many = Array.from({ length: 2100 }, () => 'a:b')
    const hidden = await exchange('GET /customers/1 HTTP/1.1', 'host: a', ...many, 'host: b', ...end)
    expect(hidden.status).toBe(400)
    const body = '{"job":"x"}'
    const lines = [
      'host: a',
      json,
      `content-length: ${body.length}`,
      ...many,
      'if-match: "stale"',
      'connection: close',
      '',
      body,
    ]
    expect((await exchangeWith(patient, ['PATCH /customers/1 HTTP/1.1', ...lines])).status).toBe(412)
  })

  test('that cannot wait is not waited for', async () => {
    const held = new AbortController()
    const { max } = shop.engine.stats()
    const holders = Array.from({ length: max }, () => shop.engine.session(() => once(held.signal, 'abort')))
    await expect.poll(() => shop.engine.stats().leased).toBe(max)
    const { status, body } = await exchange('GET /customers/1 HTTP/1.1', 'host: a', 'prefer: wait=0', ...end)
    expect([status, JSON.parse(body).code, JSON.parse(body).phase]).toEqual([504, 'deadline_exceeded', 'queue'])
    held.abort()
    await Promise.all(holders)
  })
})

test('a client that goes away stops its statement on the server', async () => {
  await using other = await openTestShop()
  const app = createShopApp(other.engine)
  await using slow = await openHttpServer(app, { port: 0 })
  await other.engine.session(({ db }) =>
    db.execute(`
    create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(30); return new; end $$;
    create trigger slow before insert on customers for each row execute function slow()`),
  )
  const running = async () => {
    const [row] = await other.engine.session(
      ({ sql }) => sql<{ n: number }>`
        select count(*)::int as n from pg_stat_activity
        where datname = current_database() and state = 'active' and query like 'insert%'`,
    )
    return row?.n
  }
  const client = connect(slow.port, '127.0.0.1')
  client.write(['POST /customers HTTP/1.1', 'host: a', json, 'content-length: 15', '', '{"name":"gone"}'].join('\r\n'))
  await expect.poll(running).toBe(1)
  client.destroy()
  await expect.poll(running).toBe(0)
  await expect.poll(() => other.engine.stats().leased).toBe(0)
})

test('nothing of this was a fault of the service, and it works as before', async () => {
  expect(faults.filter((error) => (error as { code?: string }).code !== 'deadline_exceeded')).toEqual([])
  await expect.poll(() => shop.engine.stats().leased).toBe(0)
  expect((await exchangeWith(patient, ['GET /readyz HTTP/1.1', 'host: a', ...end])).status).toBe(200)
})
