/** Lists as streams of rows: what they say, in how much memory, and what becomes of them when something goes wrong. */
import { connect } from 'node:net'
import { bigint, customType, doublePrecision, integer, jsonb, pgTable, pgView, real, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Engine, openEngine } from '../../src/engine.ts'
import { DatabaseError, DeadlineExceeded } from '../../src/errors.ts'
import { createApp } from '../../src/http/app.ts'
import type { RequestEntry } from '../../src/http/request-log.ts'
import { type HttpServer, openHttpServer } from '../../src/server/server.ts'
import { resource } from '../../src/resource/resource.ts'
import { Admin } from '../support/admin.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'
import { type Send, sender } from '../support/http-client.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'
import { keptBytes } from '../support/memory.ts'
import { createRandom } from '../support/random.ts'
import { openToy, type Toy } from '../support/toy.ts'
import * as toySchema from '../support/toy-schema.ts'

const ndjson = { accept: 'application/x-ndjson' }
const csv = { accept: 'text/csv' }

const numbered = { n: integer('n').notNull(), word: text('word') }
const paper = customType<{ data: unknown }>({ dataType: () => 'paper' })
const papers = pgTable('papers', {
  id: integer('id').primaryKey(),
  paper: paper('paper'),
  big: bigint('big', { mode: 'number' }),
})
const documents = pgTable('documents', {
  id: integer('id').primaryKey(),
  document: jsonb('document'),
  double: doublePrecision('double'),
  real: real('real'),
})
const many = pgView('many', numbered).existing()
const broken = pgView('broken', numbered).existing()
const slow = pgView('slow', numbered).existing()
const late = pgView('late', numbered).existing()
const wide = pgView('wide', numbered).existing()
const schema = { papers, documents, many, broken, slow, late, wide }

const ddl = `
create domain paper as jsonb;
create table papers (id integer primary key, paper paper, big bigint);
insert into papers select n, case n % 3 when 0 then null when 1 then '{"a": [1, "x"]}' else '"x"' end::jsonb, n from generate_series(1, 40) n;
create table documents (id integer primary key, document jsonb, double float8, real float4);
create view many as select n, 'the word of ' || n as word from generate_series(1, 1000000) n;
create view broken as select n, (1 / (100000 - n))::text as word from generate_series(1, 200000) n;
create view slow as select n, repeat('x', 200) || pg_sleep(0.001 * (n / 1000)) as word from generate_series(1, 100000) n;
create view late as select n, pg_sleep(60)::text as word from generate_series(1, 10) n;
create view wide as select n, repeat('w', 1000000) as word from generate_series(1, 150) n;
`

let database: TestDatabase
let engine: Engine<typeof schema>
let admin: Admin
let server: HttpServer
let send: Send
const faults: unknown[] = []
const logged: RequestEntry[] = []
const printed = vi.spyOn(console, 'error')

beforeAll(async () => {
  database = await openTestDatabase(scriptTemplate('row-streams', ddl))
  engine = await openEngine({ schema, url: database.url, pool: { max: 3 } })
  admin = new Admin(database.url)
  const resources = Object.values(schema).map((table) => resource(table as typeof papers))
  const app = createApp(engine, {
    resources,
    onFault: (error) => faults.push(error),
    log: (entry) => logged.push(entry),
    streamIdleMs: 6000,
  })
  send = sender(app)
  server = await openHttpServer(app, { port: 0 })
})
afterAll(async () => {
  await server.close()
  await engine.close()
  await admin[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

describe('a stream of every type', () => {
  let toy: Toy
  let ask: Send
  beforeAll(async () => {
    toy = await openToy(2)
    const { samples, exhibits, notes, heavy } = toySchema
    const resources = [samples, exhibits, notes, heavy].map((table) => resource(table as typeof notes))
    ask = sender(createApp(toy.engine, { resources }))
    const texts = ['', 'null', '"q"', 'a,b', 'a\nb', '=cmd()', '\u0001\u001f\u007f\\', 'ü 🙂 \u2028', 'x'.repeat(5000)]
    const rows = texts.map((aText, index) => ({ ...samples0, aText, aSmallint: index }))
    for (let turn = 0; turn < 5; turn++) {
      await ask('POST', '/samples', [...rows, {}, odd])
    }
    await toy.engine.session(
      ({ sql }) => sql`insert into exhibits (title, weight) select 't' || n, n from generate_series(1, 200) n`,
    )
  })
  afterAll(() => toy[Symbol.asyncDispose]())

  const samples0 = {
    anInteger: -2_147_483_648,
    aBigint: '9223372036854775807',
    aSafeBigint: 9_007_199_254_740_991,
    aNumeric: '123456789012345678901234567890.10',
    aNumericNumber: 0.1,
    aNumericBigint: '12345678901234567890',
    aReal: 1.5,
    aDouble: 1e21,
    aBoolean: true,
    aVarchar: '🙂',
    aChar: 'x',
    aUuid: '00000000-0000-0000-0000-000000000001',
    aMood: 'happy',
    aTimestamp: '2026-01-01T10:00:00.1',
    anInstant: '2026-01-01T10:00:00.123456Z',
    aDate: '2026-02-28',
    aTime: '23:59:59.999999',
    anInterval: '1 day 02:03:04',
    aJson: { a: [1, 'x\n', null] },
    aJsonb: 'text',
    aBytea: 'AAEC/w==',
    anInet: '10.0.0.1',
    aPoint: [1, -2.5],
    aMoney: '1.50',
    integers: [1, null, 3],
    texts: ['a,b', null, '"', ''],
    matrix: [[1], [2]],
    instants: ['2026-01-01T10:00:00.500Z'],
    documents: [{ a: 1 }, null],
  }
  const odd = {
    anInstant: 'infinity',
    aTimestamp: '0044-03-15T00:00:00 BC',
    aDouble: 'NaN',
    aJsonb: null,
    aBoolean: false,
    aReal: 0,
  }

  test('says line by line exactly what the list says', async () => {
    expect((await ask('GET', '/samples?limit=1&count=true')).json.count).toBe(55)
    for (const path of ['/samples', '/samples?select=aText,anInstant,id&sort=-id', '/exhibits', '/heavy', '/notes']) {
      const list = await ask('GET', `${path}${path.includes('?') ? '&' : '?'}limit=1000`)
      const { status, headers, text: lines } = await ask('GET', path, undefined, ndjson)
      expect([status, headers.get('content-type'), headers.get('vary')]).toEqual([
        200,
        'application/x-ndjson',
        'accept, authorization',
      ])
      const rows = (list.json.data as unknown[]).map((row) => JSON.stringify(row))
      expect(new Set(lines.split('\n'))).toEqual(new Set([...rows, '']))
      expect(lines.split('\n')).toHaveLength(rows.length + 1)
    }
  })

  test('is CSV with the same values, each line like the first of its kind', async () => {
    const { headers, text: whole } = await ask(
      'GET',
      '/samples?select=aText,aBoolean,texts,aJsonb,anInstant',
      undefined,
      csv,
    )
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present')
    const rest = String.raw`,true,"[""a,b"",null,""\"""",""""]","""text""",2026-01-01T10:00:00.123456Z`
    const texts = [
      '""',
      'null',
      '"""q"""',
      '"a,b"',
      '"a\nb"',
      '=cmd()',
      '\u0001\u001F\u007F\\',
      'ü 🙂 \u2028',
      'x'.repeat(5000),
    ]
    const turn = [...texts.map((given) => given + rest), ',,,,', ',false,,,infinity', ''].join('\r\n')
    expect(whole).toBe(`aText,aBoolean,texts,aJsonb,anInstant\r\n${turn.repeat(5)}`)
  })

  test('without rows is nothing, or a line of names', async () => {
    expect((await ask('GET', '/notes', undefined, ndjson)).text).toBe('')
    expect((await ask('GET', '/notes?select=id,slug', undefined, csv)).text).toBe('id,slug\r\n')
  })

  test('is in the order of the pages, and as long as its limit', async () => {
    const ids = async (query: string) => {
      const { text: lines } = await ask('GET', `/exhibits?select=id${query}`, undefined, csv)
      return lines.split('\r\n').slice(1, -1)
    }
    const list = await ask('GET', '/exhibits?select=id&limit=1000')
    const all = (list.json.data as { id: string }[]).map(({ id }) => id)
    expect(await ids('')).toEqual(all)
    expect(await ids('&limit=3&sort=-id')).toEqual(all.slice(-3).toReversed())
    expect(await ids('&limit=5000')).toHaveLength(200)
    expect(await ids('&weight[gt]=198&sort=-weight')).toEqual(all.slice(-2).toReversed())
  })

  test('under an identity is of a transaction', async () => {
    const app = createApp(toy.engine, {
      resources: [resource(toySchema.exhibits)],
      identity: () => ({ settings: { 'request.user': 'x' } }),
    })
    const answer = await app.request('/exhibits?select=id', { headers: ndjson })
    expect((await answer.text()).split('\n')).toHaveLength(201)
  })
})

test('values of types that only the database knows are those of the list', async () => {
  const list = await send('GET', '/papers')
  const { text: lines } = await send('GET', '/papers', undefined, ndjson)
  expect(lines).toBe(list.json.data.map((row: unknown) => `${JSON.stringify(row)}\n`).join(''))
})

test('documents and floating point numbers are those of the list, byte for byte', async () => {
  const random = createRandom('documents')
  const texts = [
    '',
    ' a : b, c ',
    '"',
    '\\',
    '\\" , ',
    String.raw`\u0041`,
    '\u0001\u001f\u007f\n\t\r\b\f',
    'ü 🙂 \u2028',
    '{"a": 1}',
  ]
  const numbers = ['0', '-0', '1.10', '1e30', '-12345678901234567890.5', '0.0000001', '9007199254740993', '1e-7']
  const document = (depth: number): string => {
    const some = <T>(make: () => T) => Array.from({ length: random.between(0, 4) }, make)
    const leaf = () => random.pick([...numbers, 'null', 'true', 'false', ...texts.map((text) => JSON.stringify(text))])
    const kind = depth === 0 ? 'leaf' : random.pick(['leaf', 'array', 'object'])
    if (kind === 'leaf') return leaf()
    if (kind === 'array') return `[ ${some(() => document(depth - 1)).join(' , ')} ]`
    return `{ ${some(() => `${JSON.stringify(random.pick(texts))} : ${document(depth - 1)}`).join(' , ')} }`
  }
  const doubles = ['0', '-0', '0.1', '-1.5e-7', '1e15', '123456789012345.6', '1e21', '5e-324', 'NaN', '-Infinity', '-1']
  const reals = ['0', '-0', '0.1', '1e-5', '16777216', '3.4e38', 'NaN', 'Infinity', '-2.5', '0.0001', '1e6']
  await engine.session(({ sql }) => {
    const ids = Array.from({ length: 300 }, (_, index) => index)
    return sql`insert into documents select * from unnest(${ids}::integer[], ${ids.map(() => document(5))}::jsonb[],
      ${ids.map((id) => doubles[id % doubles.length])}::float8[], ${ids.map((id) => reals[id % reals.length])}::float4[])`
  })
  const list = await send('GET', '/documents?limit=1000&sort=id')
  const { text: lines } = await send('GET', '/documents?sort=id', undefined, ndjson)
  expect(list.text.slice('{"data":['.length)).toMatch(/^\{/)
  expect(list.text.startsWith(`{"data":[${lines.trimEnd().split('\n').join(',')}]`)).toBe(true)
})

describe('the type of an answer', () => {
  test.each([
    ['application/x-ndjson', 'application/x-ndjson'],
    ['text/csv', 'text/csv; charset=utf-8; header=present'],
    ['TEXT/CSV', 'text/csv; charset=utf-8; header=present'],
    ['text/*', 'text/csv; charset=utf-8; header=present'],
    ['text/csv; charset=utf-8', 'text/csv; charset=utf-8; header=present'],
    ['*/*', 'application/json'],
    ['', 'application/json'],
    ['application/*', 'application/json'],
    ['text/csv;q=0.5, application/json;q=0.4', 'text/csv; charset=utf-8; header=present'],
    ['text/csv;q=0.5, application/json', 'application/json'],
    ['text/csv, application/json', 'application/json'],
    ['application/json;q=0, */*', 'application/x-ndjson'],
    ['application/*;q=0, */*;q=0.1', 'text/csv; charset=utf-8; header=present'],
    ['text/html, application/x-ndjson;q=0.9, */*;q=0.8', 'application/x-ndjson'],
  ])('for accept: %s is %s', async (accept, type) => {
    const { status, headers } = await send('GET', '/papers?limit=1', undefined, { accept })
    expect([status, headers.get('content-type'), headers.get('vary')]).toEqual([200, type, 'accept, authorization'])
  })

  test.each([
    'text/csv;q=0',
    'application/ndjson',
    'application/x-ndjson;q=0, text/*;q=0',
    'application/xml',
    '*/*;q=0',
  ])('for accept: %s is 406', async (accept) => {
    const { status, headers, json } = await send('GET', '/papers', undefined, { accept })
    expect([status, json.code, headers.get('vary')]).toEqual([406, 'not_acceptable', 'accept, authorization'])
  })

  test('of one row is JSON only', async () => {
    expect((await send('GET', '/papers/1', undefined, csv)).status).toBe(406)
  })
})

describe('a parameter of a stream', () => {
  test.each([
    ['after=x', 'after'],
    ['before=x', 'before'],
    ['count=true', 'count'],
    ['with=x', 'with'],
    ['limit=0', 'limit'],
    ['limit=1000000000', 'limit'],
    ['limit=1e3', 'limit'],
    ['sort=nothing', 'sort'],
    ['nothing=1', 'nothing'],
    ['big=x', 'big'],
  ])('that is %s is a 400 with its name', async (query, parameter) => {
    for (const headers of [ndjson, csv]) {
      const { status, json } = await send('GET', `/papers?${query}`, undefined, headers)
      expect([status, json.code, json.errors[0].parameter]).toEqual([400, 'invalid_parameter', parameter])
    }
  })
})

test('HEAD has the headers of a stream, runs no further than its first rows, and holds no connection', async () => {
  const { status, headers, text: body } = await send('HEAD', '/many', undefined, ndjson)
  expect([status, headers.get('content-type'), body]).toEqual([200, 'application/x-ndjson', ''])
  expect((await send('HEAD', '/many', undefined, csv)).headers.get('content-type')).toMatch(/^text\/csv/)
  await expectQuiet(engine, admin)
})

/** A request over a raw socket, of which nothing is read until it is asked for. */
function ask(path: string, accept = 'application/x-ndjson') {
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.pause()
  socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\naccept: ${accept}\r\nconnection: close\r\n\r\n`)
  return socket
}

async function wholeOf(socket: ReturnType<typeof ask>): Promise<string> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of socket) chunks.push(chunk as Buffer)
  } catch {
    // Reset by the server: what has come is what there is.
  }
  return Buffer.concat(chunks).toString('latin1')
}

const lastChunk = '\r\n0\r\n\r\n'

describe('a stream of a million rows', () => {
  test('takes little memory, also where its client is slow', async () => {
    await wholeOf(ask('/many?limit=100000'))
    const before = { heap: keptBytes(), rss: process.memoryUsage().rss }
    const most = { heap: 0, rss: 0 }
    const socket = ask('/many')
    let received = 0
    let lines = 0
    let look = 0
    for await (const chunk of socket) {
      received += (chunk as Buffer).length
      for (const byte of chunk as Buffer) if (byte === 10) lines += 1
      if (received < look) continue
      look += 4_000_000
      // Until the server can do no more: its statement waits, and so does this client.
      await eventually(async () => {
        const backends = await admin.backends()
        expect(backends.some(({ state, waiting }) => state !== 'active' || waiting === 'ClientWrite')).toBe(true)
      })
      most.heap = Math.max(most.heap, keptBytes())
      most.rss = Math.max(most.rss, process.memoryUsage().rss)
    }
    expect(lines).toBeGreaterThanOrEqual(1_000_000)
    expect(received).toBeGreaterThan(40_000_000)
    expect((most.heap - before.heap) / 2 ** 20).toBeLessThan(16)
    expect((most.rss - before.rss) / 2 ** 20).toBeLessThan(150)
    await expectQuiet(engine, admin)
  })

  test('has every row once', async () => {
    const { text: lines } = await send('GET', '/many?select=n', undefined, csv)
    const numbers = lines.split('\r\n').slice(1, -1)
    expect(numbers).toHaveLength(1_000_000)
    expect(numbers.every((number, index) => Number(number) === index + 1)).toBe(true)
  })
})

test('rows of a megabyte each are few at a time', async () => {
  const before = keptBytes()
  const socket = ask('/wide')
  let most = 0
  let next = 0
  let received = 0
  for await (const chunk of socket) {
    received += (chunk as Buffer).length
    if (received < next) continue
    next += 20_000_000
    most = Math.max(most, keptBytes() + process.memoryUsage().external)
  }
  expect(received).toBeGreaterThan(150_000_000)
  expect((most - before) / 2 ** 20).toBeLessThan(100)
  await expectQuiet(engine, admin)
})

describe('what ends a stream early', () => {
  test('an error after the first rows cuts it off, so that it does not look whole, and is told', async () => {
    faults.length = 0
    for (const accept of [ndjson.accept, csv.accept]) {
      const answer = await wholeOf(ask('/broken', accept))
      expect(answer.slice(0, 13)).toBe('HTTP/1.1 200 ')
      expect(/^transfer-encoding: chunked/im.test(answer)).toBe(true)
      expect(/^(?:\{"n":1,|1,0)/m.test(answer)).toBe(true)
      expect(answer.endsWith(lastChunk)).toBe(false)
      expect(/problem|division/.test(answer)).toBe(false)
    }
    expect(faults).toEqual([expect.any(DatabaseError), expect.any(DatabaseError)])
    await eventually(() => expect(logged.slice(-2).map(({ status }) => status)).toEqual([500, 500]))
    // A whole one has its end, as this client reads it.
    expect((await wholeOf(ask('/many?limit=100000'))).endsWith(lastChunk)).toBe(true)
    await expectQuiet(engine, admin)
  })

  test('an error before the first row is a problem', async () => {
    faults.length = 0
    const { status, json } = await send('GET', '/broken?n=100000', undefined, ndjson)
    expect([status, json.code]).toEqual([400, 'invalid_parameter'])
    const { status: late, json: problem } = await send('GET', '/late', undefined, { ...csv, prefer: 'wait=1' })
    expect([late, problem.code, problem.phase]).toEqual([504, 'deadline_exceeded', 'statement'])
    expect(faults).toEqual([expect.any(DeadlineExceeded)])
    await expectQuiet(engine, admin)
  })

  test('a client that goes away stops the statement on the server', async () => {
    faults.length = 0
    for (const path of ['/slow', '/many', '/late']) {
      const socket = ask(path)
      await eventually(async () => expect((await admin.backends()).map(({ state }) => state)).not.toEqual(['idle']))
      await eventually(() => expect(engine.stats().leased).toBe(1))
      socket.destroy()
      await expectQuiet(engine, admin)
    }
    expect(faults).toEqual([])
  })

  test('a reader that cancels the body does, too', async () => {
    const app = createApp(engine, { resources: [resource(many)] })
    const answer = await app.request('/many', { headers: ndjson })
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    expect((await reader.read()).done).toBe(false)
    expect(engine.stats().leased).toBe(1)
    await reader.cancel()
    await expectQuiet(engine, admin)
  })

  test(
    'a client that takes nothing for too long is cut off, and its connection is free again',
    { timeout: 40_000 },
    async () => {
      faults.length = 0
      const socket = ask('/many')
      await eventually(() => expect(engine.stats().leased).toBe(1))
      await eventually(() => expect(engine.stats().leased).toBe(0), 20_000)
      await expectQuiet(engine, admin)
      expect((await wholeOf(socket)).endsWith(lastChunk)).toBe(false)
      expect(faults).toEqual([])
    },
  )

  test('a lost connection cuts it off', async () => {
    faults.length = 0
    const socket = ask('/many')
    await eventually(async () =>
      expect((await admin.backends()).some(({ query }) => query.startsWith('fetch'))).toBe(true),
    )
    await admin.sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'rivulet' and query like 'fetch%' and datname = current_database()`
    expect((await wholeOf(socket)).endsWith(lastChunk)).toBe(false)
    await expectQuiet(engine, admin)
  })
})

test('nothing is printed, whatever ends a stream', () => {
  expect(printed).not.toHaveBeenCalled()
})
