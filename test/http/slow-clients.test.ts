/** Clients that take or send rows slowly have a share of the pool, and no more: the other requests go on. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { integer, pgTable, pgView, text } from 'drizzle-orm/pg-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine.ts'
import { createApp } from '../../src/http/app.ts'
import { type HttpServer, openHttpServer } from '../../src/server/server.ts'
import { resource } from '../../src/resource/resource.ts'
import { Admin } from '../support/admin.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'
import { type Send, sender } from '../support/http-client.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'

const items = pgTable('items', { id: integer('id').primaryKey(), word: text('word').notNull() })
const many = pgView('many', { n: integer('n').notNull(), word: text('word') }).existing()

const ddl = `
create table items (id integer primary key, word text not null);
create view many as select n, repeat('w', 1000) as word from generate_series(1, 1000000) n;
`

let database: TestDatabase
let engine: Engine<{ items: typeof items; many: typeof many }>
let admin: Admin
let server: HttpServer
let send: Send
const sockets: Socket[] = []

beforeAll(async () => {
  database = await openTestDatabase(scriptTemplate('slow-clients', ddl))
  engine = await openEngine({ schema: { items, many }, url: database.url, pool: { max: 4 } })
  admin = new Admin(database.url)
  const app = createApp(engine, { resources: [resource(items), resource(many)] })
  send = sender(app)
  server = await openHttpServer(app, { port: 0 })
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await expectQuiet(engine, admin)
})
afterAll(async () => {
  await server.close()
  await engine.close()
  await admin[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

/** A request over a raw socket whose answer is not read. */
function begin(head: string, body = ''): Socket {
  const socket = connect(server.port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => undefined)
  socket.pause()
  socket.write(`${head} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${body}`)
  return socket
}

const download = () => begin('GET /many', 'accept: application/x-ndjson\r\n\r\n')

const chunked = (given: string) => `${Buffer.byteLength(given).toString(16)}\r\n${given}\r\n`

/** More lines than are written at once, and no end. */
function upload(nth: number): Socket {
  const lines = Array.from({ length: 2500 }, (_, index) => `{"id":${nth * 10_000 + index},"word":"w"}\n`).join('')
  return begin(
    'POST /items',
    `content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n${chunked(lines)}`,
  )
}

async function answerOf(socket: Socket): Promise<string> {
  let said = ''
  socket.on('data', (chunk) => void (said += String(chunk)))
  socket.resume()
  await once(socket, 'close')
  return said
}

const refused = /^HTTP\/1\.1 503 [\s\S]*retry-after: 1\r\n[\s\S]*"code":"pool_overloaded"/

describe.each([
  ['readers', download, download],
  ['uploads', upload, upload],
  ['a reader and an upload', (nth: number) => (nth === 1 ? download() : upload(nth)), upload],
])('%s that are slow', (_, slow, more) => {
  test('hold half of the pool; the next is told to come back, and plain requests go on', async () => {
    slow(1)
    slow(2)
    await eventually(() => expect(engine.stats().leased).toBe(2))
    for (let nth = 3; nth <= 12; nth++) expect(await answerOf(more(nth))).toMatch(refused)
    expect(engine.stats()).toMatchObject({ leased: 2, waiting: 0 })
    const plain = await Promise.all([send('GET', '/items'), send('GET', '/many?limit=1'), send('HEAD', '/items')])
    expect(plain.map(({ status }) => status)).toEqual([200, 200, 200])
  })

  test('leave their place to others when they are gone', async () => {
    for (let round = 1; round <= 3; round++) {
      const both = [slow(1), slow(2)]
      await eventually(() => expect(engine.stats().leased).toBe(2))
      for (const socket of both) socket.destroy()
      await eventually(() => expect(engine.stats().leased).toBe(0))
    }
    const headers = { accept: 'text/csv' }
    expect((await send('GET', '/items', undefined, headers)).status).toBe(200)
  })
})

describe('a stream that fails or ends', () => {
  test('leaves its place', async () => {
    const csv = { accept: 'text/csv' }
    const lines = { 'content-type': 'application/x-ndjson' }
    for (let nth = 1; nth <= 5; nth++) {
      expect((await send('GET', '/many?limit=10', undefined, csv)).status).toBe(200)
      expect((await send('HEAD', '/many', undefined, csv)).status).toBe(200)
      expect((await send('GET', '/many?n[gt]=x', undefined, csv)).status).toBe(400)
      expect((await send('POST', '/items', '{"id":1,"word":"w"}\n{"id":1,"word":"w"}', lines)).status).toBe(409)
    }
  })
})

test.each([
  [1, undefined, 1],
  [2, undefined, 1],
  [3, undefined, 1],
  [4, 3, 3],
  [4, 0, 0],
])('of a pool of %i with maxStreams %s streams may have %i', async (max, maxStreams, most) => {
  await using own = await openEngine({ schema: { many }, url: database.url, pool: { max } })
  const app = createApp(own, { resources: [resource(many)], maxStreams })
  const controller = new AbortController()
  const headers = { accept: 'application/x-ndjson' }
  const ask = async () => app.request('/many', { headers, signal: controller.signal })
  const streams: Response[] = []
  for (let nth = 1; nth <= most; nth++) streams.push(await ask())
  expect(streams.map(({ status }) => status)).toEqual(streams.map(() => 200))
  const next = await ask()
  expect([next.status, next.headers.get('retry-after')]).toEqual([503, '1'])
  controller.abort()
  await eventually(() => expect(own.stats().leased).toBe(0))
})
