/**
 * A customer sees own rows only, by every route. Two shops stand side by side: in the second one the others have ordered nothing,
 * and are called otherwise. Whatever a customer asks, both must answer the same: rows, counts, cursors, errors, validators. A
 * route is added to the proof by a line in `requests`.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { shopIdentity } from '../../src/shop/identity.ts'
import { type Send, sender } from '../support/http-client.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'
import { audience, issuer, secret, tokenOf } from '../support/tokens.ts'

type Request = readonly [method: string, path: string, body?: object | undefined, headers?: Record<string, string>]

/** What a customer with the number 1 may try. `:order`, `:review`, `:cursor` and `:etag` are somebody else's. */
const requests: readonly Request[] = [
  ['GET', '/'],
  ['GET', '/openapi.json'],
  // Lists, counts, filters, sorts.
  ...['/orders', '/order-items', '/customers', '/reviews', '/products'].flatMap((path): Request[] => [
    ['GET', path],
    ['HEAD', path],
    ['GET', `${path}?count=true&limit=1`],
    ['GET', `${path}?sort=-createdAt&limit=3`],
  ]),
  ['GET', '/orders?customerId=2&count=true'],
  ['GET', '/orders?customerId[ne]=1&count=true'],
  ['GET', '/orders?customerId[in]=1,2,3&count=true'],
  ['GET', '/orders?not=(customerId=1)'],
  ['GET', '/orders?or=(customerId=2,id[gt]=0)&count=true'],
  ['GET', '/orders?id=:order'],
  ['GET', '/orders?select=id&sort=total,id'],
  ['GET', '/orders?select=total&sort=-placedAt:nullsLast,id&limit=2'],
  ['GET', '/order-items?orderId=:order'],
  ['GET', '/order-items?sort=-unitPrice&limit=1&count=true'],
  ['GET', '/customers?id=2'],
  ['GET', '/customers?id[ne]=1&count=true'],
  ['GET', '/customers?name[like]=%25&count=true'],
  ['GET', '/customers?job[isNull]=false&select=name&sort=name'],
  // Relations.
  ['GET', '/orders?with=customer,items(with:product)'],
  ['GET', '/order-items?with=order(with:customer)'],
  ['GET', '/customers?with=orders(with:items),reviews'],
  ['GET', '/customers/1?with=orders,reviews'],
  ['GET', '/reviews?with=customer(with:orders)&limit=200'],
  ['GET', '/reviews?with=customer(name[like]=%25)&limit=200'],
  ['GET', '/products?with=reviews(with:customer(with:orders(with:items)))'],
  ['GET', '/products?with=orderItems(with:order(with:customer))'],
  ['GET', '/products/1?with=orderItems,reviews(with:customer)'],
  // Rows by key.
  ['GET', '/orders/:order'],
  ['HEAD', '/orders/:order'],
  ['GET', '/orders/:order?with=items,customer'],
  ['GET', '/order-items/:order,1'],
  ['GET', '/customers/1'],
  ['GET', '/customers/2'],
  ['GET', '/customers/2147483647'],
  ['GET', '/reviews/:review?with=customer'],
  ['GET', '/product/1/1'],
  ['GET', '/product/1/2'],
  // Only one of them is missing: of two, whichever is found out first is told of.
  ['GET', '/product/2147483647/1'],
  // Cursors that somebody else was given.
  ['GET', '/orders?after=:cursor&limit=2'],
  ['GET', '/orders?before=:cursor&limit=2&count=true'],
  ['GET', '/orders?after=:cursor&customerId=2'],
  ['GET', '/order-items?after=:cursor'],
  // Validators that somebody else was given.
  ['GET', '/orders/:order', undefined, { 'if-none-match': ':etag' }],
  ['GET', '/orders/:order', undefined, { 'if-none-match': '*' }],
  ['GET', '/customers/2', undefined, { 'if-none-match': '"v1"' }],
  ['PATCH', '/customers/2', { job: 'x' }, { 'if-match': '"v1"' }],
  ['PATCH', '/customers/2', { job: 'x' }, { 'if-match': '*' }],
  ['PATCH', '/customers/2', { job: 'x' }, { 'if-none-match': '*' }],
  ['PUT', '/customers/2', { name: 'x' }, { 'if-match': '"v1"' }],
  ['DELETE', '/customers/2', undefined, { 'if-match': '"v1"' }],
  ['PATCH', '/reviews/:review', { rating: 1 }, { 'if-match': '*' }],
  // Several reads at once.
  ...[false, true].map((snapshot): Request => {
    const paths = ['/orders', '/orders/:order', '/customers/2', '/orders?customerId=2&count=true', '/order-items']
    const more = ['/orders?after=:cursor', '/reviews?with=customer(with:orders)', '/products/1?with=orderItems']
    const queries = Object.fromEntries([...paths, ...more].map((path, index) => [`q${index}`, path]))
    return ['POST', '/gather', { queries, snapshot }]
  }),
  // Changes of others' rows, and what their errors tell.
  ['PATCH', '/customers/2', { job: 'x' }],
  ['PATCH', '/customers/2', {}],
  ['PUT', '/customers/2', { job: 'x' }],
  ['DELETE', '/customers/2'],
  ['DELETE', '/customers/1'],
  ['PATCH', '/customers/1', { name: ':name' }],
  ['POST', '/customers', { name: ':name' }],
  ['POST', '/customers', { name: 'nobody else has this one' }],
  ['POST', '/customers', [{ name: ':name' }, { name: ':name' }]],
  ['PATCH', '/reviews/:review', { rating: 1 }],
  ['PATCH', '/reviews/:review', {}],
  ['PUT', '/reviews/:review', { productId: 1, customerId: 2, rating: 1 }],
  ['DELETE', '/reviews/:review'],
  ['POST', '/reviews', { productId: 1, customerId: 2, rating: 1 }],
  ['POST', '/reviews', { productId: 2, customerId: 2, rating: 1 }],
  ['POST', '/reviews', { productId: 1, customerId: 2147483647, rating: 1 }],
  [
    'POST',
    '/reviews',
    [
      { productId: 1, customerId: 1, rating: 1 },
      { productId: 1, customerId: 2, rating: 1 },
    ],
  ],
  ['POST', '/products', { sku: 'x', name: 'x', price: '1' }],
  ['PATCH', '/products/1', { stock: 0 }],
  ['PUT', '/products/1', { sku: 'x', name: 'x', price: '1' }],
  ['DELETE', '/products/1'],
  ['PATCH', '/orders/:order', { status: 'paid' }],
  ['DELETE', '/orders/:order'],
  ['POST', '/order-items', { orderId: ':order', productId: 9, quantity: 1, unitPrice: '1' }],
  ['POST', '/orders', { customerId: 2, items: [{ productId: 1, quantity: 1 }] }],
  ['POST', '/orders', { customerId: 2147483647, items: [{ productId: 1, quantity: 1 }] }],
  // Own rows.
  [
    'POST',
    '/orders',
    {
      customerId: 1,
      items: [
        { productId: 1, quantity: 1 },
        { productId: 2, quantity: 2 },
      ],
    },
  ],
  ['POST', '/orders', { customerId: 1, items: [{ productId: 3, quantity: 9999 }] }],
  ['PATCH', '/customers/1', { job: 'Nurse' }],
  ['PUT', '/customers/1', { job: 'Cook' }, { 'if-match': '*' }],
  ['POST', '/reviews', { productId: 1, customerId: 1, rating: 5 }],
  ['POST', '/reviews', { productId: 1, customerId: 1, rating: 5 }],
  ['POST', '/reviews', { productId: 2147483647, customerId: 1, rating: 5 }],
  ['POST', '/orders', { customerId: 1, items: [{ productId: 4, quantity: 1 }] }, { 'idempotency-key': 'one' }],
  ['POST', '/orders', { customerId: 1, items: [{ productId: 4, quantity: 1 }] }, { 'idempotency-key': 'one' }],
  ['POST', '/orders', { customerId: 2, items: [{ productId: 4, quantity: 1 }] }, { 'idempotency-key': 'two' }],
  ['GET', '/orders?count=true&limit=1'],
  // Other types.
  ...['/orders', '/order-items', '/customers', '/reviews', '/orders?customerId=2'].flatMap((path): Request[] => [
    ['GET', path, undefined, { accept: 'application/x-ndjson' }],
    ['GET', path, undefined, { accept: 'text/csv' }],
  ]),
]

let full: TestShop
let alone: TestShop
let fullAs: (role: string, sub?: string) => Promise<Send>
let aloneAs: (role: string, sub?: string) => Promise<Send>
const foreign: Record<string, string> = {}
const startedAt = new Date()

function clientsOf(shop: TestShop) {
  const send = sender(shop)
  return async (role: string, sub = '1'): Promise<Send> => {
    const authorization = `Bearer ${await tokenOf({ role, sub })}`
    return (method, path, body, headers) => send(method, path, body, { authorization, ...headers })
  }
}

/** All that belongs to others. */
const othersOf = (shop: TestShop) =>
  shop.engine.session(
    ({ sql }) => sql`select
      (select json_agg(customers order by id) from customers where id <> 1) as customers,
      (select json_agg(orders order by id) from orders where customer_id <> 1) as orders,
      (select json_agg(order_items order by order_id, product_id) from order_items
        where order_id in (select id from orders where customer_id <> 1)) as items,
      (select json_agg(reviews order by id) from reviews where customer_id <> 1) as reviews`,
  )

beforeAll(async () => {
  const identity = shopIdentity({ secret, audience, issuer })
  ;[full, alone] = await Promise.all([openTestShop({ identity }), openTestShop({ identity })])
  await alone.engine.transaction(async ({ sql }) => {
    await sql`delete from orders where customer_id <> 1`
    await sql`update customers set name = 'other ' || id, job = 'other', version = 9, user_id = null where id <> 1`
  })
  ;[fullAs, aloneAs] = [clientsOf(full), clientsOf(alone)]
  const staff = await fullAs('staff')
  const { data, next } = (await staff('GET', '/orders?customerId=2&limit=1')).json
  foreign.order = data[0].id
  foreign.cursor = next ?? (await staff('GET', '/orders?customerId[ne]=1&limit=1')).json.next
  foreign.etag = (await staff('GET', `/orders/${foreign.order}`)).headers.get('etag') ?? ''
  foreign.review = String((await staff('GET', '/reviews?customerId=2&limit=1')).json.data[0].id)
  foreign.name = (await staff('GET', '/customers/2')).json.name
})
afterAll(async () => {
  await full[Symbol.asyncDispose]()
  await alone[Symbol.asyncDispose]()
})

const filled = <T extends string | object>(value: T): T =>
  JSON.parse(
    JSON.stringify(value).replaceAll(/:(order|review|cursor|etag|name)\b/g, (_, name: string) =>
      JSON.stringify(foreign[name]).slice(1, -1),
    ),
  ) as T

/** An answer without what differs between two equal ones: its id, and instants since the test began. */
function comparable({ status, headers, text }: Awaited<ReturnType<Send>>) {
  const instant = /\d{4}-\d\d-\d\dT[\d:.]+Z/g
  const body = text
    .replaceAll(/"requestId":"[^"]*"/g, '"requestId":""')
    .replaceAll(instant, (given) => (new Date(given) >= startedAt ? 'now' : given))
  const kept = ['content-type', 'cache-control', 'link', 'location', 'allow', 'vary', 'retry-after', 'www-authenticate']
  // A digest of a row that was just written has its instants in it.
  if (!body.includes('now')) kept.push('etag', 'content-length')
  return { status, body, headers: Object.fromEntries(kept.map((name) => [name, headers.get(name)])) }
}

describe('what others have is not there for a customer', () => {
  const tries = requests.map(([method, path, body, headers]) => ({ method, path, body, headers }))
  test.each(tries)('$method $path $body', async ({ method, path, body, headers }) => {
    const given = [method, filled(path), body && filled(body), filled(headers ?? {})] as const
    const [own, other] = [await (await fullAs('customer'))(...given), await (await aloneAs('customer'))(...given)]
    expect(comparable(own)).toEqual(comparable(other))
    expect(own.status).toBeLessThan(500)
    expect(own.text).not.toContain(`"${foreign.name}"`)
  })

  test('and the others have what is tried here', () => {
    expect(Object.values(foreign).filter((value) => !/^.+$/.test(value))).toEqual([])
  })

  test('and is as it was', async () => {
    const fresh = await openTestShop()
    expect(await othersOf(full)).toEqual(await othersOf(fresh))
    await fresh[Symbol.asyncDispose]()
    expect([...full.faults, ...alone.faults]).toEqual([])
  })

  test('while staff sees the difference, so that the proof is one', async () => {
    for (const path of [
      '/orders?count=true',
      '/order-items?count=true',
      '/customers/2',
      '/product/1/2',
      '/customers?name[like]=other%25&count=true',
    ]) {
      const [here, there] = [await (await fullAs('staff'))('GET', path), await (await aloneAs('staff'))('GET', path)]
      expect(here.status).toBe(200)
      expect(here.text).not.toBe(there.text)
    }
  })
})

describe('a customer', () => {
  const statuses: [number, string, string, object?][] = [
    [200, 'GET', '/orders'],
    [404, 'GET', '/orders/:order'],
    [404, 'GET', '/product/1/2'],
    [404, 'PATCH', '/customers/2', { job: 'x' }],
    // Everybody reads reviews: a policy that lets a row be seen, but not changed, passes over it.
    [409, 'DELETE', '/reviews/:review'],
    [409, 'PATCH', '/reviews/:review', { rating: 1 }],
    [403, 'DELETE', '/customers/2'],
    [403, 'POST', '/reviews', { productId: 1, customerId: 2, rating: 1 }],
    [403, 'POST', '/orders', { customerId: 2, items: [{ productId: 1, quantity: 1 }] }],
    [403, 'PATCH', '/products/1', { stock: 0 }],
    [422, 'PATCH', '/customers/1', { name: 'x' }],
    [422, 'PATCH', '/customers/1', { userId: null }],
    [201, 'POST', '/orders', { customerId: 1, items: [{ productId: 1, quantity: 1 }] }],
    [200, 'PATCH', '/customers/1', { job: 'Pilot' }],
    [409, 'POST', '/reviews', { productId: 1, customerId: 1, rating: 5 }],
  ]
  test.each(statuses)('is answered %i to %s %s', async (status, method, path, body) => {
    const answer = await (await fullAs('customer'))(method, filled(path), body && filled(body))
    expect(answer.status).toBe(status)
  })

  test('that is none has nothing', async () => {
    const send = await fullAs('customer', '2147483647')
    expect((await send('GET', '/orders?count=true')).json.count).toBe(0)
    expect((await send('GET', '/customers')).json.data).toEqual([])
  })

  test.each(['0', '-1', '01', '1.0', '2147483648', 'x', '1; select 1', '', ' 1', '١'])(
    'cannot have the number %j',
    async (sub) => {
      expect(await (await fullAs('customer', sub))('GET', '/orders')).toMatchObject({ status: 401 })
    },
  )
})

describe('somebody without a token', () => {
  const tries: [number, string, string, object?][] = [
    [200, 'GET', '/products'],
    [200, 'GET', '/products/1?with=reviews'],
    [200, 'GET', '/reviews?count=true'],
    [400, 'GET', '/reviews?customerId=1'],
    [400, 'GET', '/reviews?sort=customerId'],
    [400, 'GET', '/reviews?select=customerId'],
    [401, 'GET', '/reviews?with=customer'],
    [401, 'GET', '/products?with=orderItems'],
    [401, 'GET', '/orders'],
    [401, 'GET', '/order-items/1,1'],
    [401, 'GET', '/customers/1'],
    [401, 'GET', '/customers/2147483647'],
    [401, 'GET', '/product/1/1'],
    [401, 'GET', '/product/1/2147483647'],
    [401, 'POST', '/orders', { customerId: 1, items: [{ productId: 1, quantity: 1 }] }],
    [401, 'POST', '/reviews', { productId: 1, customerId: 1, rating: 1 }],
    [401, 'PATCH', '/products/1', { stock: 1 }],
    [401, 'DELETE', '/products/1'],
    [401, 'POST', '/customers', { name: 'x' }],
    [401, 'PATCH', '/customers/1', { job: 'x' }],
  ]
  test.each(tries)('is answered %i to %s %s', async (status, method, path, body) => {
    const answer = await sender(full)(method, path, body)
    expect(answer.status).toBe(status)
    expect(answer.headers.get('www-authenticate')).toBe(status === 401 ? 'Bearer' : null)
    // Where a parameter of this name is refused, it is named.
    expect(answer.text.replace(/"parameter":"customerId"/, '')).not.toMatch(/"customerId"/)
  })
})

test('staff sees and changes everything', async () => {
  const staff = await fullAs('staff', 'anybody')
  expect((await staff('GET', '/orders?limit=1&count=true')).json.count).toBeGreaterThan(40)
  expect(await staff('PATCH', '/products/1', { stock: 3 })).toMatchObject({ status: 200 })
  expect(await staff('POST', '/customers', { name: 'By staff' })).toMatchObject({ status: 201 })
  expect(await staff('POST', '/orders', { customerId: 3, items: [{ productId: 2, quantity: 1 }] })).toMatchObject({
    status: 201,
  })
})

test('other roles are refused, those of the database too', async () => {
  for (const role of ['admin', 'postgres', 'anonymous', 'staff; reset role', '']) {
    expect(await (await fullAs(role))('GET', '/products')).toMatchObject({ status: 403 })
  }
})

test('without identities the shop works as it does for its owner', async () => {
  await using plain = await openTestShop()
  const send = sender(plain)
  expect((await send('GET', '/orders?limit=1&count=true')).json.count).toBeGreaterThan(40)
  expect(
    (await send('GET', '/product/1/2')).json.reviews.every((review: { customerName: unknown }) => review.customerName),
  ).toBe(true)
})
