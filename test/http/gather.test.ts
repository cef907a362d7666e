/** POST /gather: several reads in one request, a status for each, each as its own GET would answer. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { customers, orders, products } from '../../schema/index.ts'
import { createApp } from '../../src/http/app.ts'
import { resource } from '../../src/resource/resource.ts'
import { Admin } from '../support/admin.ts'
import { type Send, sender } from '../support/http-client.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop
let send: Send
let admin: Admin

beforeAll(async () => {
  shop = await openTestShop({ pool: { max: 4 } })
  send = sender(shop)
  admin = new Admin(shop.url)
})
afterAll(async () => {
  await admin[Symbol.asyncDispose]()
  await shop[Symbol.asyncDispose]()
})

const gather = (queries: unknown, more: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
  send('POST', '/gather', { queries, ...more }, headers)

const waiting = () => admin.sql`
  select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`

const paths = {
  product: '/products/7',
  customer: '/customers/2',
  loaded: '/customers/2?select=id,name&with=orders(limit:2;with:items)',
  reviews: '/reviews?rating[gte]=4&sort=-rating,id&limit=5&count=true',
  line: '/order-items?limit=3',
  all: '/products',
}

describe('a gather', () => {
  test.each([{}, { snapshot: true }, { concurrency: 1 }, { snapshot: true, concurrency: 1 }])(
    'answers each read as its GET does, by its name (%j)',
    async (more) => {
      const { status, headers, text } = await gather(paths, more)
      expect([status, headers.get('content-type')]).toEqual([200, 'application/json'])
      const members = await Promise.all(
        Object.entries(paths).map(async ([name, path]) => {
          const got = await send('GET', path)
          return `"${name}":{"status":200,"etag":${JSON.stringify(got.headers.get('etag'))},"body":${got.text}}`
        }),
      )
      expect(text).toBe(`{${members.join(',')}}`)
    },
  )

  test('says where the time of each went', async () => {
    const { headers } = await gather({ a: '/products/1', 'b.c': '/products/2' })
    const names = headers
      .get('server-timing')
      ?.split(', ')
      .map((metric) => metric.split(';')[0])
    expect(names).toEqual(['a-wait', 'a', 'b.c-wait', 'b.c', 'total'])
  })

  test('goes on where one of them fails, which is answered by its problem', async () => {
    const { status, json, headers } = await gather({
      fine: '/products/1',
      missing: '/products/999999',
      wrong: '/products/x',
      filter: '/reviews?nothing=1',
      limit: '/reviews?limit=-1',
      twice: '/reviews?limit=1&limit=2',
      ascii: '/customers?name=%ff',
      misfit: '/orders?status[gt]=never',
    })
    expect(status).toBe(200)
    const said = Object.entries(json as Record<string, { status: number; body: { code?: string } }>)
    expect(said.map(([name, { status, body }]) => [name, status, body.code])).toEqual([
      ['fine', 200, undefined],
      ['missing', 404, 'not_found'],
      ...['wrong', 'filter', 'limit', 'twice', 'ascii', 'misfit'].map((name) => [name, 400, 'invalid_parameter']),
    ])
    for (const [name, path] of [
      ['wrong', '/products/x'],
      ['filter', '/reviews?nothing=1'],
    ] as const) {
      const { json: alone } = await send('GET', path)
      expect(json[name].body).toEqual({ ...alone, requestId: headers.get('x-request-id') })
    }
    expect(shop.faults).toEqual([])
  })

  test('under a snapshot sees one instant: of a change between its reads both ends, or neither', async () => {
    await admin.sql`update products set stock = 0 where id in (1, 2)`
    const done = new AbortController()
    const writer = (async () => {
      for (let stock = 1; !done.signal.aborted; stock++) {
        await admin.sql.begin(async (sql) => {
          await sql`update products set stock = ${stock} where id = 1`
          await sql`update products set stock = ${stock} where id = 2`
        })
      }
    })()
    const torn: unknown[] = []
    const seen = new Set<number>()
    const queries = { one: '/products/1', others: '/reviews?limit=50', two: '/products?id=2&select=stock' }
    await expect
      .poll(async () => {
        const { json } = await gather(queries, { snapshot: true })
        const [one, two] = [json.one.body.stock, json.two.body.data[0].stock]
        if (one !== two) torn.push([one, two])
        return seen.add(one as number).size
      })
      .toBeGreaterThan(20)
    done.abort()
    await writer
    expect(torn).toEqual([])
  })

  test('has one deadline for all of it; what is done by then is answered', async () => {
    await admin.sql.begin(async (sql) => {
      await sql`lock table reviews in access exclusive mode`
      const queries = { fine: '/products/1', late: '/reviews', later: '/reviews?limit=1' }
      const { json } = await gather(queries, {}, { prefer: 'wait=1' })
      expect(json).toMatchObject({
        fine: { status: 200 },
        late: { status: 504, body: { code: 'deadline_exceeded', phase: 'statement' } },
        later: { status: 504 },
      })
    })
    shop.faults.length = 0
    await expect.poll(() => shop.engine.stats().leased).toBe(0)
  })

  test('whose client goes away is stopped on the server', async () => {
    await using holder = new Admin(shop.url)
    await holder.sql.begin(async (sql) => {
      await sql`lock table reviews in access exclusive mode`
      const controller = new AbortController()
      const body = JSON.stringify({ queries: { a: '/reviews', b: '/reviews?limit=1' } })
      const headers = { 'content-type': 'application/json' }
      const gone = shop.request('/gather', { method: 'POST', body, headers, signal: controller.signal })
      await expect.poll(waiting).toHaveLength(2)
      controller.abort()
      expect((await gone).status).toBe(499)
      await expect.poll(waiting).toHaveLength(0)
    })
    expect(shop.faults).toEqual([])
    await expect.poll(() => shop.engine.stats().leased).toBe(0)
  })

  test('of more reads than the pool has connections needs no more than it has', async () => {
    const queries = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [`q${index}`, `/products/${1 + (index % 5)}`]),
    )
    const answers = await Promise.all(Array.from({ length: 10 }, () => gather(queries, { snapshot: true })))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200))
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
    await expect.poll(() => shop.engine.stats()).toMatchObject({ leased: 0, waiting: 0 })
  })

  test('tells who watches over faults of a read that failed by ours', async () => {
    await using shop = await openTestShop()
    await shop.engine.session(({ sql }) => sql`drop table reviews`)
    const answer = await sender(shop)('POST', '/gather', { queries: { fine: '/products/1', broken: '/reviews' } })
    expect(answer.json).toMatchObject({
      fine: { status: 200 },
      broken: { status: 500, body: { code: 'database_error' } },
    })
    expect(shop.faults).toHaveLength(1)
  })

  test('runs under the identity of who asks', async () => {
    const role = 'rivulet_test_gather'
    await admin.sql.unsafe(`
      do $$ begin create role ${role}; exception when others then null; end $$;
      grant select on orders, products to ${role}; alter table orders enable row level security;
      create policy anything on products to ${role} using (true);
      create policy own on orders to ${role} using (customer_id = current_setting('request.customer')::int)`)
    const app = createApp(shop.engine, {
      resources: [resource(orders), resource(products), resource(customers)],
      identity: ({ req }) => ({ role, settings: { 'request.customer': req.header('x-customer') ?? '' } }),
    })
    const queries = { own: '/orders?limit=100', product: '/products/1', forbidden: '/customers/1' }
    for (const snapshot of [true, false]) {
      const { json } = await sender(app)('POST', '/gather', { queries, snapshot }, { 'x-customer': '3' })
      expect(new Set(json.own.body.data.map(({ customerId }: { customerId: number }) => customerId))).toEqual(
        new Set([3]),
      )
      expect(json).toMatchObject({ product: { status: 200 }, forbidden: { status: 403 } })
    }
  })
})

describe('a body that is no gather', () => {
  test.each([
    ['a path of another route', { a: '/product/1/1' }, ['#/queries/a']],
    ['a gather in a gather', { a: '/gather' }, ['#/queries/a']],
    [
      'routes that are no resources',
      { a: '/', b: '/livez', c: '/openapi.json' },
      ['#/queries/a', '#/queries/b', '#/queries/c'],
    ],
    [
      'another host',
      { a: 'http://evil/products/1', b: '//evil/products/1', c: '//products/1' },
      ['#/queries/a', '#/queries/b', '#/queries/c'],
    ],
    [
      'steps up',
      {
        a: '/products/..',
        b: '/products/%2e%2E',
        c: '/products/../customers/1',
        d: '/../products/1',
        e: '/products/.?select=id',
      },
      ['a', 'b', 'c', 'd', 'e'].map((name) => `#/queries/${name}`),
    ],
    [
      'slashes in other ways',
      { a: '/products%2F7', b: '\\products\\7', c: '/products//7', d: '/products/7/', e: '/products/' },
      ['a', 'b', 'c', 'd', 'e'].map((name) => `#/queries/${name}`),
    ],
    [
      'fragments, spaces, controls and letters beyond ASCII',
      {
        a: '/products/7#x',
        b: '/products /7',
        c: '/products?x=\n',
        d: '/products?name=ä',
        e: '/products/7\r\nhost: x',
      },
      ['a', 'b', 'c', 'd', 'e'].map((name) => `#/queries/${name}`),
    ],
    [
      'what is no path',
      { a: 'products/7', b: '', c: 7, d: null, e: ['/products/7'], f: { path: '/products/7' } },
      ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `#/queries/${name}`),
    ],
    ['a method', { a: 'DELETE /products/7' }, ['#/queries/a']],
    ['a very long path', { a: `/products?name=${'x'.repeat(100_000)}` }, ['#/queries/a']],
    [
      'odd names',
      { '1': '/products', '': '/products', 'a b': '/products', ['n'.repeat(65)]: '/products', 'a\nb': '/products' },
      ['#/queries/1', '#/queries/', '#/queries/a b', `#/queries/${'n'.repeat(65)}`, '#/queries/a\nb'],
    ],
    ['none', {}, ['#/queries']],
    [
      'too many',
      Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`q${index}`, '/products'])),
      ['#/queries'],
    ],
    ['a list of paths', ['/products'], ['#/queries']],
    ['nothing', undefined, ['#/queries']],
  ])('names %s and is a 422 that says where', async (_, queries, pointers) => {
    const { status, json } = await gather(queries)
    expect(status).toBe(422)
    expect(json.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(pointers)
    await expect.poll(() => shop.engine.stats().leased).toBe(0)
  })

  test.each([
    [{ snapshot: 'yes' }, ['#/snapshot']],
    [{ concurrency: 0 }, ['#/concurrency']],
    [{ concurrency: 1.5 }, ['#/concurrency']],
    [{ concurrency: 21 }, ['#/concurrency']],
    [{ concurrency: '2' }, ['#/concurrency']],
    [{ timeoutMs: 5, isolation: 'x' }, ['#/timeoutMs', '#/isolation']],
  ])('has the options %j and is a 422 that says where', async (more, pointers) => {
    const { status, json } = await gather({ a: '/products/1' }, more)
    expect(status).toBe(422)
    expect(json.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(pointers)
  })

  test.each([
    ['{"queries":{"a":"/products/1","a":"/products/2"}}', 422],
    ['{"queries":{"a":"/products/1"}', 400],
    ['[]', 422],
    ['null', 422],
    ['"/products/1"', 422],
    [`{"queries":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`, 422],
    [JSON.stringify({ queries: { a: `/products?name=${'x'.repeat(1_100_000)}` } }), 413],
    ['{"queries":{"__proto__":"/products/1"}}', 422],
  ])('is refused as JSON: %#', async (body, wanted) => {
    expect((await send('POST', '/gather', body)).status).toBe(wanted)
  })

  test('by another method is a 405, and of another type a 415', async () => {
    const got = await send('GET', '/gather')
    expect([got.status, got.headers.get('allow')]).toEqual([405, 'POST'])
    expect((await send('POST', '/gather', 'x', { 'content-type': 'text/plain' })).status).toBe(415)
  })
})

describe('an application', () => {
  test('says how many reads a gather may have, or that there is none', async () => {
    const two = sender(createApp(shop.engine, { resources: [resource(products)], maxGatheredReads: 2 }))
    const queries = { a: '/products/1', b: '/products/2' }
    expect((await two('POST', '/gather', { queries })).status).toBe(200)
    expect((await two('POST', '/gather', { queries: { ...queries, c: '/products/3' } })).status).toBe(422)
    expect((await two('GET', '/')).json.gather).toBe('/gather')
    const { paths } = (await two('GET', '/openapi.json')).json
    expect(JSON.stringify(paths['/gather'])).toContain('"maxProperties":2')
    for (const none of [
      createApp(shop.engine, { resources: [resource(products)], maxGatheredReads: 0 }),
      createApp(shop.engine),
    ]) {
      expect((await sender(none)('POST', '/gather', { queries })).status).toBe(404)
      expect((await sender(none)('GET', '/')).json.gather).toBeUndefined()
      expect((await sender(none)('GET', '/openapi.json')).text).not.toContain('/gather')
    }
  })
})
