/** Idempotency-Key: a request that is sent again gets the first answer, and does nothing. */
import { sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import * as schema from '../../schema/index.ts'
import { openEngine } from '../../src/engine.ts'
import { UsageError } from '../../src/errors.ts'
import { type AppOptions, createApp } from '../../src/http/app.ts'
import { jsonBody } from '../../src/http/input.ts'
import { idempotent } from '../../src/http/idempotency.ts'
import { jsonResponse } from '../../src/answer/json.ts'
import { Problem } from '../../src/answer/problem.ts'
import { createIdempotencyTable, removeIdempotencyKeys } from '../../src/idempotency/kept-answers.ts'
import { resource } from '../../src/resource/resource.ts'
import { createShopApp } from '../../src/shop/app.ts'
import { z } from 'zod'
import { Admin } from '../support/admin.ts'
import { openTestDatabase } from '../support/database.ts'
import { losesTheAnswer, losesTheRequest, openFaultProxy } from '../support/fault-proxy.ts'
import { type Send, sender } from '../support/http-client.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

const { customers, products } = schema

let shop: TestShop
let send: Send
let admin: Admin

beforeAll(async () => {
  shop = await openTestShop({ pool: { max: 10 } })
  send = sender(shop)
  admin = new Admin(shop.url)
})
beforeEach(() => {
  shop.faults.length = 0
})
afterAll(async () => {
  await admin[Symbol.asyncDispose]()
  await shop[Symbol.asyncDispose]()
})

let made = 0
const fresh = (what = 'key') => `${what} ${++made}`
const under = (key: string, headers: Record<string, string> = {}) => ({ 'idempotency-key': key, ...headers })
const order = (productId: number, quantity = 1) => ({ customerId: 1, items: [{ productId, quantity }] })
const count = async (table: 'orders' | 'customers') => {
  const [row] = await admin.sql`select count(*)::int as rows from ${admin.sql(table)}`
  return row?.rows as number
}
/** What of an answer is the same when it is given again. */
const lasting = ({ status, headers, text }: Awaited<ReturnType<Send>>) => {
  const kept = ['content-type', 'content-length', 'location', 'etag', 'cache-control', 'vary']
  return { status, text, headers: Object.fromEntries(kept.map((name) => [name, headers.get(name)])) }
}

describe('a request with a key', () => {
  test.each([
    ['one row', () => ({ name: fresh('once') })],
    ['several rows', () => [{ name: fresh('once') }, { name: fresh('once') }]],
  ])('that is sent again is answered as at first, and adds %s once', async (_, makeBody) => {
    const [key, body] = [fresh(), makeBody()]
    const first = await send('POST', '/customers', body, under(`"${key}"`))
    expect(first.status).toBe(201)
    expect(first.headers.get('idempotent-replayed')).toBeNull()
    const before = await count('customers')
    const again = await send('POST', '/customers', body, under(`"${key}"`))
    expect(lasting(again)).toEqual(lasting(first))
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(again.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'))
    expect(again.headers.get('server-timing')).toMatch(/^customers-wait/)
    expect(await count('customers')).toBe(before)
  })

  test('has the same key in quotes as without them', async () => {
    const body = { name: fresh('once') }
    const first = await send('POST', '/customers', body, under('7c1f-quoted'))
    expect(lasting(await send('POST', '/customers', body, under('"7c1f-quoted"')))).toEqual(lasting(first))
  })

  test('changes a row once, also under If-Match: the answer is not 412', async () => {
    const { headers } = await send('POST', '/customers', { name: fresh('changed') })
    const path = headers.get('location') ?? ''
    const conditions = under(`"${fresh()}"`, { 'if-match': headers.get('etag') ?? '' })
    const first = await send('PATCH', path, { job: 'Baker' }, conditions)
    expect([first.status, first.headers.get('etag')?.slice(0, 3)]).toEqual([200, '"2-'])
    await send('PATCH', path, { job: 'Nurse' })
    expect(lasting(await send('PATCH', path, { job: 'Baker' }, conditions))).toEqual(lasting(first))
    expect((await send('GET', path)).json).toMatchObject({ job: 'Nurse', version: 3 })
  })

  test('places one order, whoever of 50 at once comes first', async () => {
    const [key, before] = [`"${fresh()}"`, await count('orders')]
    const attempts = Array.from({ length: 50 }, () => send('POST', '/orders', order(4), under(key)))
    const answers = await Promise.all(attempts)
    expect(answers[0]).toMatchObject({ status: 201 })
    expect(new Set(answers.map((answer) => JSON.stringify(lasting(answer)))).size).toBe(1)
    expect(answers.filter(({ headers }) => headers.get('idempotent-replayed') === null)).toHaveLength(1)
    expect(await count('orders')).toBe(before + 1)
  })

  test.each([
    ['another body', 'POST', '/customers', { name: 'other' }],
    ['another path', 'PATCH', '/customers/1', undefined],
    ['another method and route', 'POST', '/orders', order(5)],
  ])('that is used for %s is a 422, and nothing is done', async (_, method, path, body) => {
    const [key, first] = [`"${fresh()}"`, { name: fresh('mine') }]
    await send('POST', '/customers', first, under(key))
    const before = [await count('customers'), await count('orders'), (await send('GET', '/customers/1')).text]
    const other = await send(method, path, body ?? first, under(key))
    expect(other).toMatchObject({ status: 422, json: { code: 'idempotency_key_reused' } })
    expect([await count('customers'), await count('orders'), (await send('GET', '/customers/1')).text]).toEqual(before)
  })

  test.each(['', '""', '"a', 'a"b', 'a b', 'a,b', '"a", "b"', 'ä', 'x'.repeat(256), '"a\\b"', '"a";p=1'])(
    'that is malformed (%j) is a 400',
    async (key) => {
      const { status, json } = await send('POST', '/customers', { name: 'never' }, under(key))
      expect({ status, json }).toMatchObject({ status: 400, json: { errors: [{ header: 'idempotency-key' }] } })
      expect((await send('GET', '/customers?name=never')).json.data).toEqual([])
    },
  )

  test('is as any other where the method is idempotent by itself', async () => {
    const { headers } = await send('POST', '/customers', { name: fresh('put') })
    const path = headers.get('location') ?? ''
    for (const name of [fresh('put'), fresh('put')]) {
      expect((await send('PUT', path, { name }, under('same'))).json).toMatchObject({ name })
    }
    expect((await send('GET', path, undefined, under(''))).status).toBe(200)
  })
})

describe('what is not kept', () => {
  test('is a body that is refused: the corrected one may have the same key', async () => {
    const key = `"${fresh()}"`
    expect((await send('POST', '/customers', { nme: 'x' }, under(key))).status).toBe(422)
    expect((await send('POST', '/customers', { name: fresh('right') }, under(key))).status).toBe(201)
  })

  test('is a refusal of the database', async () => {
    const [key, name] = [`"${fresh()}"`, fresh('taken')]
    const { headers } = await send('POST', '/customers', { name })
    expect((await send('POST', '/customers', { name }, under(key))).status).toBe(409)
    await send('DELETE', headers.get('location') ?? '')
    expect((await send('POST', '/customers', { name }, under(key))).status).toBe(201)
  })

  test('is a refusal of the service', async () => {
    const key = `"${fresh()}"`
    await admin.sql`update products set stock = 0 where id = 6`
    expect((await send('POST', '/orders', order(6), under(key))).status).toBe(409)
    await admin.sql`update products set stock = 5 where id = 6`
    expect((await send('POST', '/orders', order(6), under(key))).status).toBe(201)
    expect((await send('POST', '/orders', order(6), under(key))).status).toBe(201)
    expect((await send('GET', '/products/6')).json.stock).toBe(4)
  })

  test('is an answer that is longer than may be: its work is undone', async () => {
    const small = sender(
      createApp(shop.engine, { resources: [resource(customers)], idempotency: { maxAnswerBytes: 300 } }),
    )
    const [key, name] = [`"${fresh()}"`, fresh('long')]
    const rows = Array.from({ length: 5 }, (_, index) => ({ name: `${name} ${index}` }))
    expect(await small('POST', '/customers', rows, under(key))).toMatchObject({
      status: 422,
      json: { code: 'answer_too_long' },
    })
    expect((await send('GET', `/customers?name[like]=${name}%25`)).json.data).toEqual([])
    expect((await small('POST', '/customers', rows.slice(0, 1), under(key))).status).toBe(201)
  })

  test('is one whose time is up: the key is as good as new', async () => {
    const [key, body] = [`"${fresh()}"`, { name: fresh('old') }]
    const first = await send('POST', '/customers', body, under(key))
    await admin.sql`update rivulet.idempotency_keys set created_at = created_at - interval '25 hours' where key = ${key.slice(1, -1)}`
    await send('DELETE', first.headers.get('location') ?? '')
    const other = { name: fresh('new') }
    const second = await send('POST', '/customers', other, under(key))
    expect(second).toMatchObject({ status: 201, json: other })
    expect(lasting(await send('POST', '/customers', other, under(key)))).toEqual(lasting(second))
  })

  test('is removed when it is old, and only then', async () => {
    const [key, body] = [`"${fresh()}"`, { name: fresh('kept') }]
    await send('POST', '/customers', body, under(key))
    expect(await shop.engine.session((session) => removeIdempotencyKeys(session))).toBe(0)
    expect((await send('POST', '/customers', body, under(key))).status).toBe(201)
    const left = await shop.engine.session((session) => removeIdempotencyKeys(session, { olderThanMs: 0 }))
    expect(left).toBeGreaterThan(0)
    expect((await send('POST', '/customers', body, under(key))).status).toBe(409)
  })
})

/** Runs `work` while nobody else can lock the product; it may wait until so many backends wait for a lock. */
async function withLock(productId: number, work: (waiting: (backends: number) => Promise<void>) => Promise<void>) {
  await using holder = new Admin(shop.url)
  await holder.sql.begin(async (sql) => {
    await sql`select from products where id = ${productId} for update`
    await work(async (backends) => {
      await expect.poll(waiters).toHaveLength(backends)
    })
  })
}

const waiters = () => admin.sql`
  select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`

describe('a repeat of what is still under way', () => {
  test('waits for the first, and is answered as that is', async () => {
    const key = `"${fresh()}"`
    let attempts: ReturnType<Send>[] = []
    await withLock(7, async (waiting) => {
      attempts = [send('POST', '/orders', order(7), under(key))]
      await waiting(1)
      attempts.push(send('POST', '/orders', order(7), under(key)))
      await waiting(2)
    })
    const [first, again] = (await Promise.all(attempts)).map(lasting)
    expect(first).toMatchObject({ status: 201 })
    expect(again).toEqual(first)
  })

  test('waits no longer than its own time, and may be sent once more', async () => {
    const key = `"${fresh()}"`
    let first: ReturnType<Send> | undefined
    await withLock(8, async (waiting) => {
      first = send('POST', '/orders', order(8), under(key))
      await waiting(1)
      const late = await send('POST', '/orders', order(8), under(key, { prefer: 'wait=1' }))
      expect(late).toMatchObject({ status: 504, json: { code: 'deadline_exceeded' } })
    })
    expect((await send('POST', '/orders', order(8), under(key))).text).toBe((await first)?.text)
  })

  test('does the work itself when the client of the first went away', async () => {
    const [key, before, controller] = [`"${fresh()}"`, await count('orders'), new AbortController()]
    const headers = { ...under(key), 'content-type': 'application/json' }
    const body = JSON.stringify(order(9))
    let gone: Promise<Response> | undefined
    await withLock(9, async (waiting) => {
      gone = shop.request('/orders', { method: 'POST', headers, body, signal: controller.signal })
      await waiting(1)
      controller.abort()
      expect((await gone).status).toBe(499)
    })
    expect(await send('POST', '/orders', order(9), under(key))).toMatchObject({ status: 201 })
    expect(await count('orders')).toBe(before + 1)
  })
})

/** Whose every token has settings of its own. */
const byToken: AppOptions['identity'] = ({ req }) => ({
  settings: { 'token.expires': req.header('x-expires') ?? '' },
})

/** The same application for a tenant each. */
const appOfTenant = (name: string) => {
  const engine = shop.engine.as({ settings: { 'request.tenant': name } })
  return sender(createApp(engine, { resources: [resource(products)], idempotency: {} }))
}

describe('a key', () => {
  const role = 'rivulet_test_keys'

  test('belongs to who asks, whose role may know nothing of the table', async () => {
    await admin.sql.unsafe(`
      do $$ begin create role ${role}; exception when others then null; end $$;
      grant select, insert on customers to ${role}; grant usage on all sequences in schema public to ${role};
      alter table customers enable row level security;
      create policy anybody on customers to ${role} using (true) with check (job = current_setting('request.user_id'))`)
    const identity: AppOptions['identity'] = ({ req }) => {
      return { role, settings: { 'request.user_id': req.header('x-user') ?? '' } }
    }
    const app = createApp(shop.engine, {
      resources: [resource(customers, { hidden: ['userId'] })],
      identity,
      idempotency: {},
    })
    const as = sender(app)
    const key = `"${fresh()}"`
    const [ann, bob] = [
      { name: fresh('ann'), job: 'ann' },
      { name: fresh('bob'), job: 'bob' },
    ]
    const first = await as('POST', '/customers', ann, under(key, { 'x-user': 'ann' }))
    expect(first).toMatchObject({ status: 201, json: ann })
    expect(await as('POST', '/customers', bob, under(key, { 'x-user': 'bob' }))).toMatchObject({
      status: 201,
      json: bob,
    })
    expect(lasting(await as('POST', '/customers', ann, under(key, { 'x-user': 'ann' })))).toEqual(lasting(first))
    // The same request of somebody else is no repeat, and is refused by the policy as it would be without a key.
    expect((await as('POST', '/customers', ann, under(key, { 'x-user': 'eve' }))).status).toBe(403)
    await expect(
      shop.engine.as({ role }).session(({ sql }) => sql`select from rivulet.idempotency_keys`),
    ).rejects.toMatchObject({ code: 'insufficient_privilege' })
  })

  test('belongs to whom the application names, where settings change with each token', async () => {
    const resources = [resource(products)]
    const [key, body] = [`"${fresh()}"`, { sku: fresh('sku'), name: 'x', price: '1.00' }]
    const send = sender(createApp(shop.engine, { resources, identity: byToken, idempotency: { owner: () => 'one' } }))
    const first = await send('POST', '/products', body, under(key, { 'x-expires': '1' }))
    expect(lasting(await send('POST', '/products', body, under(key, { 'x-expires': '2' })))).toEqual(lasting(first))
    const strict = sender(createApp(shop.engine, { resources, identity: byToken, idempotency: {} }))
    expect((await strict('POST', '/products', body, under(key, { 'x-expires': '3' }))).status).toBe(409)
  })

  test('of an engine that has an identity of its own is that identity’s', async () => {
    const [key, body] = [`"${fresh()}"`, { sku: fresh('sku'), name: 'x', price: '1.00' }]
    expect((await appOfTenant('a')('POST', '/products', body, under(key))).status).toBe(201)
    expect((await appOfTenant('a')('POST', '/products', body, under(key))).status).toBe(201)
    expect((await appOfTenant('b')('POST', '/products', body, under(key))).status).toBe(409)
  })
})

const job = async () => (await send('GET', '/customers/2')).json.job as string

describe('an application', () => {
  test('that keeps no answers refuses a key', async () => {
    const none = sender(createApp(shop.engine, { resources: [resource(customers)] }))
    const { status, json } = await none('POST', '/customers', { name: 'never' }, under('"a"'))
    expect({ status, json }).toMatchObject({ status: 400, json: { code: 'invalid_header' } })
    expect(json.detail).toMatch(/leave it out/)
    expect((await none('GET', '/customers?name=never', undefined, under('"a"'))).json.data).toEqual([])
  })

  test('says in its document which operations take one', async () => {
    const none = sender(createApp(shop.engine, { resources: [resource(customers)] }))
    expect((await none('GET', '/openapi.json')).text).not.toContain('Idempotency-Key')
    const { paths } = (await send('GET', '/openapi.json')).json
    const taking = Object.entries(paths as Record<string, Record<string, { parameters?: { name: string }[] }>>)
      .flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, operation })))
      .filter(({ operation }) => operation.parameters?.some(({ name }) => name === 'Idempotency-Key'))
      .map(({ path, method }) => `${method} ${path}`)
    expect(taking).toEqual(expect.arrayContaining(['post /customers', 'patch /customers/{key}', 'post /orders']))
    expect(taking.filter((operation) => !/^(?:post|patch) /.test(operation))).toEqual([])
  })

  test('whose table is missing says so to its owner, and nothing is done', async () => {
    await using database = await openTestDatabase()
    await using engine = await openEngine({ schema, url: database.url })
    const faults: unknown[] = []
    const onFault = (error: unknown) => void faults.push(error)
    const send = sender(createApp(engine, { resources: [resource(customers)], idempotency: {}, onFault }))
    expect((await send('POST', '/customers', { name: 'never' }, under('"a"'))).status).toBe(500)
    expect(faults).toEqual([expect.any(UsageError)])
    expect(String(faults[0])).toContain('createIdempotencyTable')
    expect((await send('GET', '/customers')).json.data).toEqual([])
    await Promise.all(Array.from({ length: 5 }, () => engine.session(createIdempotencyTable)))
    expect((await send('POST', '/customers', { name: 'now' }, under('"a"'))).status).toBe(201)
  })

  test('bounds a body that a route of its own does not read, and hands it to one that does', async () => {
    const app = createApp(shop.engine, { idempotency: {}, maxBodyBytes: 100, requestTimeoutMs: 300 })
    app.post('/echo', (context) =>
      idempotent(context, shop.engine, async () => jsonResponse({ length: (await context.req.text()).length })),
    )
    const ask = (body: string | ReadableStream) => {
      const init = { method: 'POST', body, headers: under(`"${fresh()}"`), duplex: 'half' }
      return app.request('/echo', init as RequestInit)
    }
    const small = await ask('x'.repeat(100))
    expect([small.status, await small.json()]).toEqual([200, { length: 100 }])
    expect((await ask('x'.repeat(101))).status).toBe(413)
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(60)) })
    expect((await ask(endless)).status).toBe(413)
    expect((await ask(new ReadableStream({ pull: () => new Promise(() => {}) }))).status).toBe(408)
  })

  test('keeps the answers of routes of its own, whatever they are', async () => {
    const app = createApp(shop.engine, { idempotency: {} })
    let runs = 0
    app.post('/rename/:name', (context) =>
      idempotent(context, shop.engine, async ({ sql }) => {
        runs += 1
        await sql`update customers set job = ${context.req.param('name')} where id = 2`
        const wanted = context.req.query('answer')
        if (wanted === 'problem')
          return jsonResponse({}, { status: 409, headers: { 'content-type': 'application/problem+json' } })
        if (wanted === 'thrown') throw new Problem({ status: 418, code: 'teapot' })
        if (wanted === 'none') return new Response(null, { status: 204, headers: { 'x-own': 'kept' } })
        return new Response(new Uint8Array([0, 255, 10]), {
          headers: { 'set-cookie': 'a=b', 'server-timing': 'a;dur=1' },
        })
      }),
    )
    const ask = (path: string, key?: string) =>
      app.request(path, {
        method: 'POST',
        headers: { 'content-length': '0', ...(key === undefined ? {} : under(key)) },
      })
    for (const replayed of [null, 'true']) {
      const none = await ask('/rename/empty?answer=none', '"empty"')
      expect([none.status, none.headers.get('x-own'), await none.text()]).toEqual([204, 'kept', ''])
      expect(none.headers.get('idempotent-replayed')).toBe(replayed)
      const bytes = await ask('/rename/bytes', '"bytes"')
      expect([...new Uint8Array(await bytes.arrayBuffer())]).toEqual([0, 255, 10])
      expect([bytes.headers.get('set-cookie'), bytes.headers.get('server-timing')]).toEqual(
        replayed ? [null, null] : ['a=b', 'a;dur=1'],
      )
    }
    expect(runs).toBe(2)
    expect(await job()).toBe('bytes')
    for (const key of ['"refused"', undefined]) {
      expect((await ask('/rename/refused?answer=problem', key)).status).toBe(409)
      expect((await ask('/rename/refused?answer=thrown', key)).status).toBe(418)
      expect(await job()).toBe('bytes')
    }
    expect((await ask('/rename/anew', '"refused"')).status).toBe(200)
    expect(await job()).toBe('anew')
    expect((await ask('/rename/other', '"refused"')).status).toBe(422)
  })

  test('tells bodies apart, however its routes read them', async () => {
    const app = createApp(shop.engine, { idempotency: {} })
    app.post('/json', jsonBody(z.strictObject({ a: z.number() })), (context) =>
      idempotent(context, shop.engine, async () => jsonResponse(context.req.valid('json'))),
    )
    app.post('/text', async (context) => {
      const text = await context.req.text()
      return idempotent(context, shop.engine, async ({ db }) => {
        await db.execute(fragment`select 1`)
        return context.text(text)
      })
    })
    for (const path of ['/json', '/text']) {
      const key = `"${fresh()}"`
      const statuses = []
      for (const a of [1, 1, 2]) statuses.push((await sender(app)('POST', path, { a }, under(key))).status)
      expect(statuses).toEqual([200, 200, 422])
    }
  })
})

describe('a COMMIT of unknown outcome', () => {
  test.each([
    ['its answer', losesTheAnswer],
    ['its request', losesTheRequest],
  ])('whose connection lost %s is a 503 to try again; the repeat is answered, and one order placed', async (_, tap) => {
    await using proxy = await openFaultProxy(shop.url)
    await using engine = await openEngine({ schema, url: proxy.url, pool: { max: 1 } })
    const send = sender(createShopApp(engine, { idempotency: {} }))
    const [key, before] = [`"${fresh()}"`, await count('orders')]
    for (const link of proxy.links) link.tap = tap
    const unknown = await send('POST', '/orders', order(10), under(key))
    expect(unknown).toMatchObject({ status: 503, json: { code: 'commit_outcome_unknown' } })
    expect(unknown.headers.get('retry-after')).toBe('1')
    const answer = await send('POST', '/orders', order(10), under(key))
    expect(answer.status).toBe(201)
    expect(answer.headers.get('idempotent-replayed')).toBe(tap === losesTheAnswer ? 'true' : null)
    expect(await count('orders')).toBe(before + 1)
    // Nothing is left on a connection that would cost it.
    expect(engine.stats()).toMatchObject({ retired: 1, opened: 2 })
    // Without a key nobody may send it again unseen.
    for (const link of proxy.openLinks) link.tap = tap
    expect((await send('POST', '/orders', order(10))).status).toBe(500)
  })
})
