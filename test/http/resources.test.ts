import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { customers, orders, products } from '../../schema/index.ts'
import { createApp } from '../../src/http/app.ts'
import { UsageError } from '../../src/errors.ts'
import { type Resource, resource } from '../../src/resource/resource.ts'
import { type Send, sender } from '../support/http-client.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop
let send: Send

beforeAll(async () => {
  shop = await openTestShop()
  send = sender(shop)
})
afterAll(() => shop[Symbol.asyncDispose]())

const publish = (...resources: Resource[]) => createApp(shop.engine, { resources })

let names = 0
/** A customer of its own, for tests that change one. */
async function addCustomer(): Promise<{ path: string; etag: string; row: Record<string, unknown> }> {
  const { status, headers, json } = await send('POST', '/customers', { name: `new ${names++}`, job: 'Nurse' })
  expect(status).toBe(201)
  return { path: headers.get('location') ?? '', etag: headers.get('etag') ?? '', row: json }
}

describe('a list', () => {
  test('is a page of rows with the way to the next one, in the body and as a Link', async () => {
    const first = await send('GET', '/reviews?limit=2&sort=-rating,id&count=true')
    expect(first.json).toMatchObject({ previous: null, next: expect.any(String) as string })
    expect(first.json.data).toHaveLength(2)
    expect(first.json.count).toBeGreaterThan(2)
    const [, link] = /^<([^>]+)>; rel="next"$/.exec(first.headers.get('link') ?? '') ?? []
    const second = await send('GET', link ?? '')
    expect(second.json.data).toHaveLength(2)
    expect(second.headers.get('link')).toMatch(/rel="prev"/)
    const back = await send('GET', `/reviews?limit=2&sort=-rating,id&before=${second.json.previous}`)
    expect(back.json.data).toEqual(first.json.data)
  })

  test('follows its links through all rows, each once', async () => {
    const seen: number[] = []
    let path: string | undefined = '/reviews?limit=7&sort=rating:nullsLast,-id'
    while (path !== undefined) {
      const { json, headers }: Awaited<ReturnType<Send>> = await send('GET', path)
      seen.push(...json.data.map(({ id }: { id: number }) => id))
      path = /<([^>]+)>; rel="next"/.exec(headers.get('link') ?? '')?.[1]
    }
    const { json } = await send('GET', '/reviews?limit=1&count=true')
    expect(seen).toHaveLength(json.count)
    expect(new Set(seen).size).toBe(json.count)
  })

  test.each([
    ['/reviews?rating=4', ({ rating }) => rating === 4],
    ['/reviews?rating[eq]=4', ({ rating }) => rating === 4],
    ['/reviews?rating[ne]=4', ({ rating }) => rating !== 4],
    ['/reviews?rating[gte]=4&rating[lt]=5', ({ rating }) => rating === 4],
    ['/reviews?rating[in]=4,5', ({ rating }) => rating === 4 || rating === 5],
    ['/reviews?rating[notIn]=4,5', ({ rating }) => rating !== 4 && rating !== 5],
    ['/reviews?or=(rating=1,rating=2)', ({ rating }) => rating === 1 || rating === 2],
    ['/reviews?or=(rating=1,and(rating[gte]=4,rating[lte]=4))', ({ rating }) => rating === 1 || rating === 4],
    ['/reviews?or=(rating[in]=(1,2),rating=5)', ({ rating }) => [1, 2, 5].includes(rating as number)],
    ['/reviews?not=(rating=4)', ({ rating }) => rating !== 4],
    ['/reviews?body[like]=It%25', ({ body }) => String(body).startsWith('It')],
    ['/reviews?body[ilike]=it%25', ({ body }) => String(body).startsWith('It')],
    ['/reviews?or=(body="Good value, would buy again.")', ({ body }) => body === 'Good value, would buy again.'],
    ['/reviews?createdAt[gte]=2026-01-01T00:00:00Z', () => true],
    ['/orders?status=paid', ({ status }) => status === 'paid'],
    ['/orders?total[gt]=100.50', ({ total }) => Number(total) > 100.5],
    ['/orders?id[lte]=9', ({ id }) => BigInt(String(id)) <= 9n],
    ['/products?available=true', ({ available }) => available === true],
    ['/products?tags[contains]=kitchen', ({ tags }) => (tags as string[]).includes('kitchen')],
    ['/products?tags[overlaps]=kitchen,"desk"', ({ tags }) => /kitchen|desk/.test(String(tags))],
  ] as [string, (row: Record<string, unknown>) => boolean][])('takes the filter %s', async (path, holds) => {
    const { status, json } = await send('GET', path)
    expect(status).toBe(200)
    expect(json.data.length).toBeGreaterThan(0)
    expect(json.data.filter((row: Record<string, unknown>) => !holds(row))).toEqual([])
  })

  test('has the properties that are selected, and the relations that are asked for', async () => {
    const path = '/customers?limit=1&select=id,name&with=orders(limit:2;sort:-placedAt;select:id;with:items),reviews'
    const { json } = await send('GET', path)
    const [customer] = json.data
    expect(Object.keys(customer)).toEqual(['id', 'name', 'orders', 'reviews'])
    expect(customer.orders).toHaveLength(2)
    expect(Object.keys(customer.orders[0])).toEqual(['id', 'items'])
    expect(customer.orders[0].items[0]).toMatchObject({ orderId: customer.orders[0].id })
  })

  test('loads the related rows that a filter is true of', async () => {
    const { json } = await send('GET', '/customers/1?with=reviews(rating[gte]=5)')
    expect(json.reviews.filter(({ rating }: { rating: number }) => rating < 5)).toEqual([])
    const ones = await send('GET', '/reviews?limit=1&with=product(select:id,name)')
    expect(Object.keys(ones.json.data[0].product)).toEqual(['id', 'name'])
  })

  test('is not sent again to a client that has it', async () => {
    const { headers } = await send('GET', '/products?limit=3')
    const etag = headers.get('etag') ?? ''
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await send('GET', '/products?limit=3', undefined, { 'if-none-match': known })
      expect([again.status, again.text, again.headers.get('etag')]).toEqual([304, '', etag])
    }
  })
})

describe('a row', () => {
  test('has the lengths for HEAD that it has for GET', async () => {
    for (const path of ['/customers/1', '/customers?limit=2', '/', '/openapi.json', '/readyz', '/customers/999999']) {
      const got = await send('GET', path)
      const head = await send('HEAD', path)
      expect(head.text).toBe('')
      expect([head.status, head.headers.get('content-length')]).toEqual([
        got.status,
        String(Buffer.byteLength(got.text)),
      ])
    }
  })

  test('of a composite key is found by its parts, and one that nobody has is a 404', async () => {
    const { json } = await send('GET', '/order-items?limit=1')
    const [{ orderId, productId }] = json.data
    expect((await send('GET', `/order-items/${orderId},${productId}`)).json).toEqual(json.data[0])
    expect(await send('GET', '/order-items/1,99')).toMatchObject({ status: 404, json: { code: 'not_found' } })
  })

  test('is known by its version where it has one, else by its content', async () => {
    expect((await send('GET', '/customers/2')).headers.get('etag')).toMatch(/^"1-[\w-]{27}"$/)
    const before = (await send('GET', '/products/2')).headers.get('etag')
    await send('PATCH', '/products/2', { stock: 77 })
    expect((await send('GET', '/products/2')).headers.get('etag')).not.toBe(before)
  })

  test('says where the time went', async () => {
    const timing = (await send('GET', '/customers/1')).headers.get('server-timing')
    expect(timing).toMatch(
      /^customers-wait;dur=[\d.]+;desc="[^"]*", customers;dur=[\d.]+;desc="run", total;dur=[\d.]+$/,
    )
  })
})

describe('a change', () => {
  test('POST adds a row, answers it with its place, and with what the database made', async () => {
    const { path, etag, row } = await addCustomer()
    expect(row).toMatchObject({ job: 'Nurse', version: 1, createdAt: expect.any(String) as string })
    const got = await send('GET', path)
    expect(got.json).toEqual(row)
    expect(got.headers.get('etag')).toBe(etag)
  })

  test('POST of an array adds all rows or none', async () => {
    const { status, json } = await send('POST', '/customers', [{ name: 'both 1' }, { name: 'both 2' }])
    expect(status).toBe(201)
    expect(json.data.map(({ name }: { name: string }) => name)).toEqual(['both 1', 'both 2'])
    const refused = await send('POST', '/customers', [{ name: 'neither' }, { name: 'both 1' }])
    expect(refused).toMatchObject({ status: 409, json: { code: 'unique_violation', errors: [{ pointer: '#/name' }] } })
    expect((await send('GET', '/customers?name=neither')).json.data).toEqual([])
    expect((await send('POST', '/customers', [])).json).toEqual({ data: [] })
  })

  test('PATCH changes what it names, and nothing for an empty object', async () => {
    const { path, row } = await addCustomer()
    const { json } = await send('PATCH', path, { job: 'Baker' })
    expect(json).toMatchObject({ name: row.name, job: 'Baker', version: 2 })
    expect((await send('PATCH', path, {})).json).toEqual(json)
    expect(await send('PATCH', '/customers/999999', { job: 'x' })).toMatchObject({ status: 404 })
  })

  test('PUT replaces: what it does not name has its default again', async () => {
    const { path, row } = await addCustomer()
    const put = await send('PUT', path, { id: row.id, name: `${String(row.name)} put` })
    expect(put).toMatchObject({ status: 200, json: { id: row.id, job: '', createdAt: row.createdAt, version: 2 } })
    expect(await send('PUT', path, { id: 1, name: 'x' })).toMatchObject({ status: 422 })
    expect(await send('PUT', path, { job: 'x' })).toMatchObject({
      status: 422,
      json: { errors: [{ pointer: '#/name' }] },
    })
    // The database gives the keys.
    expect(await send('PUT', '/customers/999999', { name: 'x' })).toMatchObject({ status: 404 })
  })

  test('DELETE removes a row once', async () => {
    const { path } = await addCustomer()
    expect(await send('DELETE', path)).toMatchObject({ status: 204, text: '' })
    expect(await send('DELETE', path)).toMatchObject({ status: 404 })
    expect(await send('DELETE', '/customers/1')).toMatchObject({ status: 409, json: { code: 'foreign_key_violation' } })
  })

  test('under If-Match is made to what the client has seen, else it is a 412', async () => {
    const { path, etag } = await addCustomer()
    for (const wrong of ['"v2"', '"other"', `W/${etag}`, '"a", "b"']) {
      expect((await send('PATCH', path, { job: 'x' }, { 'if-match': wrong })).status).toBe(412)
      expect((await send('PUT', path, { name: 'x' }, { 'if-match': wrong })).status).toBe(412)
      expect((await send('DELETE', path, undefined, { 'if-match': wrong })).status).toBe(412)
    }
    const changed = await send('PATCH', path, { job: 'x' }, { 'if-match': `"other", ${etag}` })
    expect([changed.status, changed.headers.get('etag')?.slice(0, 3)]).toEqual([200, '"2-'])
    expect((await send('PATCH', path, { job: 'y' }, { 'if-match': '*' })).status).toBe(200)
    expect((await send('PUT', path, { name: 'x' }, { 'if-none-match': '*' })).status).toBe(412)
    expect((await send('PATCH', '/customers/999999', {}, { 'if-match': '*' })).status).toBe(412)
    const last = (await send('GET', path)).headers.get('etag') ?? ''
    expect(last.slice(0, 3)).toBe('"3-')
    expect((await send('PATCH', path, { job: 'z' }, { 'if-none-match': last })).status).toBe(412)
    expect((await send('DELETE', path, undefined, { 'if-match': last })).status).toBe(204)
  })

  test('under If-Match of a row that has been made again under its key is a 412, though its version is the same', async () => {
    const { path, etag } = await addCustomer()
    const id = Number(path.split('/').at(-1))
    await shop.engine.session(async ({ sql }) => {
      await sql`delete from customers where id = ${id}`
      await sql`insert into customers (id, name) overriding system value values (${id}, 'another')`
    })
    const again = await send('GET', path, undefined, { 'if-none-match': etag })
    expect([again.status, again.json.version, again.json.name]).toEqual([200, 1, 'another'])
    expect((await send('PATCH', path, { job: 'x' }, { 'if-match': etag })).status).toBe(412)
    expect((await send('DELETE', path, undefined, { 'if-match': etag })).status).toBe(412)
  })

  test('of many at once under If-Match is made once: nobody overwrites what they have not seen', async () => {
    const { json, headers } = await send('POST', '/products', { sku: 'race', name: 'Race', price: '1.00' })
    const etag = headers.get('etag') ?? ''
    const attempts = Array.from({ length: 20 }, (_, stock) =>
      send('PATCH', `/products/${json.id}`, { stock: stock + 1 }, { 'if-match': etag }),
    )
    const statuses = (await Promise.all(attempts)).map(({ status }) => status)
    expect(statuses.sort()).toEqual([200, ...Array.from({ length: 19 }, () => 412)])
  })

  test('of equal rows at once adds one', async () => {
    const attempts = Array.from({ length: 50 }, () => send('POST', '/customers', { name: 'only one' }))
    const statuses = (await Promise.all(attempts)).map(({ status }) => status)
    expect(statuses.sort()).toEqual([201, ...Array.from({ length: 49 }, () => 409)])
  })

  test.each([
    ['POST', '/customers', { name: 'x', id: 5 }, ['#/id']],
    [
      'POST',
      '/customers',
      { name: 'x', version: 5, createdAt: '2026-01-01T00:00:00Z', nme: 1 },
      ['#/version', '#/createdAt', '#/nme'],
    ],
    ['POST', '/customers', { userId: null }, ['#/userId', '#/name']],
    ['POST', '/customers', [{ name: 'a' }, { name: 1 }, 5], ['#/1/name', '#/2']],
    ['PATCH', '/customers/1', { name: null, job: 'x'.repeat(51) }, ['#/name', '#/job']],
    [
      'PATCH',
      '/products/1',
      { price: '1.005', stock: 1.5, available: 'yes', tags: ['a', 1] },
      ['#/price', '#/stock', '#/available', '#/tags'],
    ],
    [
      'PATCH',
      '/products/1',
      { stock: 2 ** 31, price: '1e400', sku: 'a\0b', name: '\ud800' },
      ['#/stock', '#/price', '#/sku', '#/name'],
    ],
  ] as const)('%s %s of %j is a 422 that names every fault', async (method, path, body, pointers) => {
    const { status, json } = await send(method, path, body)
    expect(status).toBe(422)
    expect(json.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(pointers)
  })

  test('by a method that the resource does not have is a 405 that names those it has', async () => {
    for (const [method, path, allow] of [
      ['PUT', '/orders/1', 'GET, HEAD'],
      ['DELETE', '/order-items/1,1', 'GET, HEAD'],
      ['PUT', '/customers', 'GET, HEAD, POST'],
      ['POST', '/customers/1', 'GET, HEAD, PATCH, PUT, DELETE'],
      ['DELETE', '/orders', 'GET, HEAD, POST'],
    ] as const) {
      const { status, headers } = await send(method, path, {})
      expect([status, headers.get('allow')?.split(', ').sort()]).toEqual([405, allow.split(', ').sort()])
    }
  })
})

describe('what a resource keeps to itself', () => {
  test.each([
    '/customers?userId=5b2f8d0e-0000-4000-8000-000000000000',
    '/customers?sort=userId',
    '/customers?select=id,userId',
    '/customers?or=(userId[isNull]=true,id=1)',
    '/customers?with=user',
    '/reviews?with=customer(select:userId)',
    '/reviews?with=customer(userId[isNull]=true)',
    '/customers?nothing=1',
  ])('is not there for %s, as if the schema did not have it', async (path) => {
    const { status, json, text } = await send('GET', path)
    expect(status).toBe(400)
    const nothing = await send('GET', path.replaceAll('userId', 'nothing').replace('user', 'nothing'))
    const said = json.detail as string
    expect(said.replaceAll('userId', 'nothing').replace('user', 'nothing')).toBe(nothing.json.detail)
    expect(text).not.toMatch(/version|createdAt/)
  })

  test('is in no answer', async () => {
    for (const path of ['/customers/1', '/customers?limit=1', '/reviews?limit=1&with=customer', '/openapi.json']) {
      expect((await send('GET', path)).text).not.toContain('userId')
    }
    const { path } = await addCustomer()
    expect((await send('PATCH', path, { job: 'x' })).text).not.toContain('userId')
  })
})

describe('createApp', () => {
  test('requires If-Match where a resource says so', async () => {
    const strict = sender(createApp(shop.engine, { resources: [resource(products, { requireMatch: true })] }))
    expect(await strict('PATCH', '/products/3', { stock: 5 })).toMatchObject({ status: 428 })
    expect(await strict('DELETE', '/products/3')).toMatchObject({ status: 428 })
    const etag = (await strict('GET', '/products/3')).headers.get('etag') ?? ''
    expect(await strict('PATCH', '/products/3', { stock: 5 }, { 'if-match': etag })).toMatchObject({ status: 200 })
  })

  test('refuses resources that it cannot serve', () => {
    expect(() => publish(resource(orders), resource(customers, { path: 'orders' }))).toThrow(UsageError)
    expect(() => publish(resource(orders, { hidden: ['id'] }))).toThrow(/key .* hidden/)
    expect(() => resource(orders, { path: 'a/b' })).toThrow(UsageError)
    for (const path of ['docs', 'gather', 'livez', 'openapi.json', 'readyz']) {
      expect(() => resource(orders, { path })).toThrow("is the service's own: publish orders elsewhere")
    }
  })

  test('runs the sessions of a request under the identity of who asks', async () => {
    const app = createApp(shop.engine, {
      resources: [resource(products)],
      identity: ({ req }) => ({ settings: { 'request.user': req.header('x-user') ?? '' } }),
    })
    await shop.engine.session(
      ({ sql }) =>
        sql`create function asking() returns text stable language sql return current_setting('request.user')`,
    )
    await shop.engine.session(({ sql }) => sql`alter table products alter column description set default asking()`)
    const { json } = await sender(app)(
      'POST',
      '/products',
      { sku: 'who', name: 'Who', price: '1' },
      { 'x-user': 'ann' },
    )
    expect(json.description).toBe('ann')
  })

  test('says at its root what it serves, to programs and to people', async () => {
    expect((await send('GET', '/')).json.resources).toMatchObject({
      customers: '/customers',
      'order-items': '/order-items',
    })
    const { text, headers } = await send('GET', '/', undefined, { accept: 'text/html,*/*;q=0.8' })
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(text).toContain('<a href="/customers">')
  })
})

test('no request of this file was a fault of the service', () => {
  expect(shop.faults).toEqual([])
})
