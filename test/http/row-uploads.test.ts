/** Rows as NDJSON in the body of a POST: written in chunks while they arrive, all or none of them. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { integer, numeric, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine.ts'
import { createApp } from '../../src/http/app.ts'
import { type HttpServer, openHttpServer } from '../../src/server/server.ts'
import { resource } from '../../src/resource/resource.ts'
import { Admin } from '../support/admin.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'
import { type Send, sender } from '../support/http-client.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'
import { keptBytes } from '../support/memory.ts'

const items = pgTable('items', {
  id: integer('id').primaryKey(),
  word: text('word').notNull(),
  price: numeric('price', { precision: 6, scale: 2 }),
  twice: integer('twice').generatedAlwaysAs(1),
})

const ddl = `
create table items (id integer primary key, word text not null, price numeric(6, 2), twice integer generated always as (id * 2) stored,
                    check (price > 0));
`

let database: TestDatabase
let engine: Engine<{ items: typeof items }>
let admin: Admin
let server: HttpServer
let send: Send
const faults: unknown[] = []

beforeAll(async () => {
  database = await openTestDatabase(scriptTemplate('row-uploads', ddl))
  engine = await openEngine({ schema: { items }, url: database.url, pool: { max: 2 } })
  admin = new Admin(database.url)
  const app = createApp(engine, {
    resources: [resource(items)],
    onFault: (error) => faults.push(error),
    maxBodyBytes: 10_000,
    maxStreamBytes: 60_000_000,
    streamIdleMs: 6000,
  })
  send = sender(app)
  server = await openHttpServer(app, { port: 0 })
})
afterEach(async () => {
  await admin.sql`truncate items`
})
afterAll(async () => {
  await server.close()
  await engine.close()
  await admin[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const type = { 'content-type': 'application/x-ndjson' }
const line = (id: number, more = '') => `{"id":${id},"word":"w${id}"${more}}`
const lines = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => `${line(from + index)}\n`).join('')

const post = (body: string | Uint8Array, headers: Record<string, string> = type) =>
  send('POST', '/items', body, headers)

async function stored(): Promise<number> {
  const [row] = await admin.sql<{ n: number }[]>`select count(*)::int as n from items`
  return row?.n ?? -1
}

describe('lines of JSON', () => {
  test('are rows, whose number is the answer', async () => {
    const { status, json } = await post(
      `${line(1, ',"price":"1.5"')}\n${line(2, ',"price":null')}\r\n{ "word": "ü 🙂", "id": 3 }`,
    )
    expect([status, json]).toEqual([201, { inserted: 3 }])
    expect((await send('GET', '/items')).json.data).toEqual([
      { id: 1, word: 'w1', price: '1.50', twice: 2 },
      { id: 2, word: 'w2', price: null, twice: 4 },
      { id: 3, word: 'ü 🙂', price: null, twice: 6 },
    ])
  })

  test('may be none', async () => {
    expect(await post('')).toMatchObject({ status: 201, json: { inserted: 0 } })
  })

  test('of several chunks are all there', async () => {
    expect(await post(lines(1, 3500))).toMatchObject({ status: 201, json: { inserted: 3500 } })
    expect(await stored()).toBe(3500)
  })

  test('are refused by their number, with the place in the line, and nothing is written', async () => {
    const cases: [name: string, given: string, detail: RegExp, pointer?: string][] = [
      ['empty', '', /not valid JSON/],
      ['cut off', '{"id":3,', /not valid JSON/],
      ['two values', `${line(3)} ${line(4)}`, /not valid JSON/],
      ['a list', `[${line(3)}]`, /must be an object/],
      ['a word', '"x"', /must be an object/],
      ['NaN', '{"id":NaN,"word":"x"}', /not valid JSON/],
      ['a comma too many', '{"id":3,"word":"x",}', /not valid JSON/],
      ['a key twice', '{"id":3,"id":4,"word":"x"}', /twice/, '#/id'],
      ['an unknown property', '{"id":3,"word":"x","w":1}', /no property/, '#/w'],
      ['__proto__', '{"id":3,"word":"x","__proto__":1}', /no property/, '#/__proto__'],
      ['a generated property', '{"id":3,"word":"x","twice":6}', /kept by the service/, '#/twice'],
      ['a missing property', '{"id":3}', /missing/, '#/word'],
      ['null where there must be a value', '{"id":3,"word":null}', /null/, '#/word'],
      ['digits that a number loses', '{"id":3,"word":"x","price":0.12345678901234567890}', /digits/, '#/price'],
      ['a number out of range', '{"id":2147483648,"word":"x"}', /2147483647/, '#/id'],
      ['NUL in a text', '{"id":3,"word":"\\u0000"}', /NUL/i, '#/word'],
      ['a lone surrogate', '{"id":3,"word":"\\ud800"}', /surrogate/i, '#/word'],
      ['a byte order mark', `\uFEFF${line(3)}`, /not valid JSON/],
      ['too long a line', line(3, `,"price":"${'1'.repeat(10_000)}"`), /longer than 10000 bytes/],
      ['depth', '['.repeat(5000), /deep/],
    ]
    for (const [name, given, detail, pointer = '#'] of cases) {
      const { status, json } = await post(`${lines(1, 2)}${given}\n${lines(8, 9)}`)
      const [{ line: number, pointer: place, detail: said }] = json.errors
      expect([name, status, json.code, number, place]).toEqual([name, 422, 'invalid_input', 3, pointer])
      expect(said).toMatch(detail)
    }
    const invalid = Buffer.concat([
      Buffer.from(`${lines(1, 2)}{"id":3,"word":"`),
      Buffer.from([0xc3, 0x28]),
      Buffer.from('"}\n'),
    ])
    expect((await post(invalid)).json.errors).toEqual([{ line: 3, pointer: '#', detail: 'is not valid UTF-8' }])
    expect(await stored()).toBe(0)
  })

  test('with many faults are told the first of them', async () => {
    const { status, json } = await post(`${line(1)}\n${'{"id":"x"}\n'.repeat(500)}`)
    expect(status).toBe(422)
    expect(json.errors).toHaveLength(20)
    expect(json.errors.map(({ line: number }: { line: number }) => number)).toEqual(
      Array.from({ length: 20 }, (_, index) => 2 + Math.floor(index / 2)),
    )
    expect(await stored()).toBe(0)
  })

  test('behind which one is wrong are undone, however many were written', async () => {
    for (const wrong of ['{"id":1,"word":"again"}', '{"id":9999}', '{"id":9999,"word":"x","price":"-1"}', '{']) {
      const { status } = await post(`${lines(1, 4200)}${wrong}\n`)
      expect([wrong, status]).toEqual([wrong, wrong.includes('again') ? 409 : 422])
      expect(await stored()).toBe(0)
    }
  })
})

describe('a body', () => {
  test.each([
    ['in another charset', 415, { 'content-type': 'application/x-ndjson; charset=latin1' }],
    ['that is encoded', 415, { ...type, 'content-encoding': 'gzip' }],
    ['of another type', 415, { 'content-type': 'application/ndjson' }],
    ['of a type that only looks right', 415, { 'content-type': 'application/x-ndjson2' }],
    ['in UTF-8', 201, { 'content-type': 'Application/X-NDJSON; charset=UTF-8' }],
  ])('%s is a %i', async (_, status, headers) => {
    expect((await post(lines(1, 1), headers)).status).toBe(status)
  })

  test('takes no parameters', async () => {
    expect((await send('POST', '/items?limit=1', lines(1, 1), type)).status).toBe(400)
  })

  test('larger than it may be is a 413, also where it does not say so before', async () => {
    const app = createApp(engine, { resources: [resource(items)], maxStreamBytes: 100_000 })
    const much = lines(1, 5000)
    const body = new ReadableStream({
      start: (controller) => {
        for (const part of much.match(/[\s\S]{1,1000}/g) ?? []) controller.enqueue(Buffer.from(part))
        controller.close()
      },
    })
    const streamed = { method: 'POST', body, headers: type, duplex: 'half' } as RequestInit
    expect((await app.request('/items', streamed)).status).toBe(413)
    const said = { ...type, 'content-length': String(much.length) }
    expect((await app.request('/items', { method: 'POST', body: much, headers: said })).status).toBe(413)
    expect(await stored()).toBe(0)
  })
})

/** A request over a raw socket whose body is sent in pieces. */
function upload(): { socket: Socket; write: (text: string) => boolean; end: () => void; answer: Promise<string> } {
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(
    `POST /items HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n`,
  )
  const write = (given: string) => socket.write(`${Buffer.byteLength(given).toString(16)}\r\n${given}\r\n`)
  let said = ''
  socket.on('data', (chunk) => void (said += String(chunk)))
  const answer = once(socket, 'close').then(() => said)
  return { socket, write, end: () => void socket.write('0\r\n\r\n'), answer }
}

describe('while a body arrives', () => {
  test('200,000 lines of it take little memory', async () => {
    const { socket, write, end, answer } = upload()
    const before = keptBytes()
    let most = 0
    for (let from = 1; from <= 200_000; from += 2000) {
      if (!write(lines(from, from + 1999))) await once(socket, 'drain')
      if (from % 20_000 === 1) most = Math.max(most, keptBytes())
    }
    end()
    expect(await answer).toMatch(/^HTTP\/1\.1 201 [\s\S]*\{"inserted":200000\}/)
    expect(await stored()).toBe(200_000)
    expect((most - before) / 2 ** 20).toBeLessThan(20)
    await expectQuiet(engine, admin)
  })

  test('it is read no faster than its rows are written', async () => {
    const { socket, write, answer } = upload()
    let sent = 0
    await admin.sql.begin(async (sql) => {
      await sql`lock table items in exclusive mode`
      const part = lines(1, 4000)
      // Until the buffers of both sides are full: what the server does not take stays here.
      for (let idle = 0; idle < 200 && sent < 50_000_000;) {
        if (socket.writableLength < 1_000_000) {
          write(part)
          sent += part.length
          idle = 0
        } else idle += 1
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
    expect(sent).toBeLessThan(50_000_000)
    socket.destroy()
    await answer
    await expectQuiet(engine, admin)
    expect(await stored()).toBe(0)
  })

  test('one that stalls is a 408, and nothing is written', async () => {
    const { write, answer } = upload()
    write(lines(1, 2500))
    expect(await answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*request_timeout/)
    await expectQuiet(engine, admin)
    expect(await stored()).toBe(0)
  })

  test('a client that goes away leaves nothing behind, and its connection is free', async () => {
    const { socket, write, answer } = upload()
    write(lines(1, 2500))
    await eventually(() => expect(engine.stats().leased).toBe(1))
    socket.destroy()
    await answer
    await expectQuiet(engine, admin)
    expect(await stored()).toBe(0)
  })

  test('no connection is taken before there are rows to write', async () => {
    const { socket, write, answer } = upload()
    write(lines(1, 10))
    await eventually(() => expect(socket.bytesWritten).toBeGreaterThan(100))
    expect(engine.stats().leased).toBe(0)
    socket.destroy()
    await answer
  })

  test('a chunk that cannot be written in time is a 504', async () => {
    const { write, end, answer } = upload()
    await admin.sql.begin(async (sql) => {
      await sql`lock table items in exclusive mode`
      write(lines(1, 10))
      end()
      expect(await answer).toMatch(/^HTTP\/1\.1 504 /)
    })
    faults.length = 0
    await expectQuiet(engine, admin)
  })

  test('a table that is changed meanwhile does not lose rows', async () => {
    await post(lines(1, 10))
    await admin.sql`truncate items`
    const { write, end, answer } = upload()
    write(lines(1, 2500))
    await eventually(async () =>
      expect((await admin.backends()).map(({ state }) => state)).toContain('idle in transaction'),
    )
    const altered = new Admin(database.url, 'none')
    const altering = altered.sql`alter table items alter column price type numeric(7, 2)`.execute()
    write(lines(2501, 3000))
    end()
    expect(await answer).toMatch(/^HTTP\/1\.1 201 [\s\S]*\{"inserted":3000\}/)
    await altering
    await altered[Symbol.asyncDispose]()
    expect(await stored()).toBe(3000)
  })
})

test('none of it was a fault of the service', () => {
  expect(faults).toEqual([])
})
