/** Columns by role: what a role does not see is not there for it, by no parameter, message, tag or document. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { customers, orders, products, reviews } from '../../schema/index.ts'
import { UsageError } from '../../src/errors.ts'
import { createApp } from '../../src/http/app.ts'
import type { Identify } from '../../src/http/front.ts'
import { resource } from '../../src/resource/resource.ts'
import { type Send, sender } from '../support/http-client.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop
let send: Send
const faults: unknown[] = []
const clerk = { 'x-role': 'rivulet_test_clerk' }
const guest = { 'x-role': 'rivulet_test_guest' }

const identity: Identify = ({ req }) => {
  const role = req.header('x-role')
  return { settings: { 'request.user': '1' }, ...(role === undefined ? {} : { role }) }
}
const make = (options: object) =>
  createApp(shop.engine, { resources: [resource(customers, { roles: { any: options } })] })

beforeAll(async () => {
  shop = await openTestShop()
  for (const role of ['rivulet_test_clerk', 'rivulet_test_guest']) {
    await shop.engine.session(async ({ db }) => {
      await db.execute(`do $$ begin create role ${role}; exception when others then null; end $$`)
      // What these roles may do is what staff may.
      await db.execute(`grant staff to ${role}`)
    })
  }
  const resources = [
    resource(customers, {
      hidden: ['userId'],
      roles: { rivulet_test_guest: { hidden: ['userId', 'job', 'version'], readOnly: true } },
    }),
    resource(products, {
      fixed: ['createdAt', 'updatedAt'],
      roles: { rivulet_test_clerk: { hidden: ['price', 'sku'], fixed: ['name'] } },
    }),
    resource(reviews),
    resource(orders, { readOnly: true }),
  ]
  send = sender(createApp(shop.engine, { resources, identity, onFault: (error) => faults.push(error) }))
})
afterAll(() => shop[Symbol.asyncDispose]())

/** The columns of products that the clerk does not see, in any form in which an answer might name them. */
const secretWords = /price|sku/i

describe('a column that a role does not see', () => {
  test('is there for others', async () => {
    const { json } = await send('GET', '/products/1?select=price,sku')
    expect(Object.keys(json)).toEqual(['price', 'sku'])
  })

  test.each([
    '/products',
    '/products/1',
    '/products?sort=id&limit=1',
    '/reviews?with=product',
    '/reviews/1?with=product',
  ])('is in no row of %s', async (path) => {
    const { status, text } = await send('GET', path, undefined, clerk)
    expect(status).toBe(200)
    expect(text).not.toMatch(/"(?:price|sku)"/)
  })

  test.each([
    '/products?price=1',
    '/products?price[gte]=1',
    '/products?price[nothing]=1',
    '/products?or=(price=1,id=1)',
    '/products?not=(and(sku[like]=A%25))',
    '/products?sort=price',
    '/products?sort=-sku:nullsLast',
    '/products?select=price',
    '/products?select=id,sku',
    '/products/1?select=price',
    '/reviews?with=product(select:price)',
    '/reviews?with=product(price=1)',
    '/reviews?with=product(sort:sku)',
    '/reviews/1?with=product(select:id,price)',
  ])('is refused in %s as one that there is not', async (path) => {
    const absent = path.replaceAll(/price|sku/g, 'absent')
    const [hidden, unknown] = [await send('GET', path, undefined, clerk), await send('GET', absent, undefined, clerk)]
    expect(hidden.status).toBe(400)
    const told = ({ json }: typeof hidden) => JSON.stringify({ ...json, requestId: '' })
    expect(told(hidden).replaceAll(/price|sku/g, 'absent')).toBe(told(unknown))
  })

  test.each(['POST', 'PATCH', 'PUT'])('is refused in the body of a %s as one that there is not', async (method) => {
    const path = method === 'POST' ? '/products' : '/products/1'
    const { status, json } = await send(method, path, { price: '1', absent: 1 }, clerk)
    expect(status).toBe(422)
    const details = json.errors.filter(({ pointer }: { pointer: string }) => /price|absent/.test(pointer))
    expect(details.map(({ detail }: { detail: string }) => detail)).toEqual([
      'is no property of this resource',
      'is no property of this resource',
    ])
    expect(json.errors.map(({ pointer }: { pointer: string }) => pointer)).not.toContain('#/sku')
  })

  test('is in no cursor: one that was made in its order is none for this role', async () => {
    const { json } = await send('GET', '/products?sort=price&limit=1')
    for (const sort of ['', '&sort=id', '&sort=-id']) {
      const { status, text } = await send('GET', `/products?limit=1&after=${json.next}${sort}`, undefined, clerk)
      expect(status).toBe(400)
      expect(text).not.toMatch(secretWords)
    }
  })

  test('is named by no error of the database', async () => {
    // The price is missing, which only the database finds out; so is the unique sku.
    const { status, text } = await send('POST', '/products', { description: 'x' }, clerk)
    expect(status).toBe(422)
    expect(text).not.toMatch(secretWords)
  })

  test('changes no digest that this role is given', async () => {
    const before = (await send('GET', '/products/2', undefined, clerk)).headers.get('etag')
    const list = (await send('GET', '/products?select=id,name', undefined, clerk)).headers.get('etag')
    await shop.engine.session(({ sql }) => sql`update products set price = price + 1 where id = 2`)
    expect((await send('GET', '/products/2', undefined, clerk)).headers.get('etag')).toBe(before)
    expect((await send('GET', '/products?select=id,name', undefined, clerk)).headers.get('etag')).toBe(list)
    expect(await send('GET', '/products/2', undefined, { ...clerk, 'if-none-match': before ?? '' })).toMatchObject({
      status: 304,
    })
  })

  test('is not in the answer to a change either', async () => {
    const { status, json } = await send('PATCH', '/products/3', { stock: 7 }, clerk)
    expect(status).toBe(200)
    expect(json).toMatchObject({ id: 3, stock: 7 })
    expect(Object.keys(json).filter((name) => secretWords.test(name))).toEqual([])
  })

  test('is not in the document of the role, but in that of others', async () => {
    const [own, others] = [await send('GET', '/openapi.json', undefined, clerk), await send('GET', '/openapi.json')]
    expect(own.text).not.toMatch(/"price"|"sku"/)
    expect(others.text).toMatch(/"price"/)
    expect(own.json.paths['/customers'].post).toBeDefined()
    const asGuest = await send('GET', '/openapi.json', undefined, guest)
    expect(asGuest.json.paths['/customers'].post).toBeUndefined()
    expect(Object.keys(asGuest.json.components.schemas.Customers.properties)).not.toContain('job')
  })
})

describe('a column that a role may not write', () => {
  test('is refused as one that the service keeps', async () => {
    const { status, json } = await send('PATCH', '/products/3', { name: 'x' }, clerk)
    expect(status).toBe(422)
    expect(json.errors).toEqual([{ pointer: '#/name', detail: 'is kept by the service: leave it out' }])
    expect(await send('PATCH', '/products/3', { name: 'Other' })).toMatchObject({ status: 200 })
  })

  test('is every one of a resource that the role may only read', async () => {
    for (const [method, path] of [
      ['POST', '/customers'],
      ['PATCH', '/customers/1'],
      ['PUT', '/customers/1'],
      ['DELETE', '/customers/1'],
    ] as const) {
      const { status, json } = await send(method, path, {}, guest)
      expect({ status, code: json.code }).toEqual({ status: 403, code: 'insufficient_privilege' })
    }
  })
})

test('a version is told apart by what is seen with it', async () => {
  const etag = (await send('GET', '/customers/1')).headers.get('etag') ?? ''
  const asClerk = (await send('GET', '/customers/1', undefined, clerk)).headers.get('etag')
  const asGuest = (await send('GET', '/customers/1', undefined, guest)).headers.get('etag')
  expect(asClerk).toBe(etag)
  expect(asGuest).not.toBe(etag)
  expect((await send('GET', '/customers/1', undefined, { ...guest, 'if-none-match': etag })).status).toBe(200)
})

test('options of roles are checked as those of the resource', () => {
  expect(() => make({ hidden: ['id'] })).toThrow(/key .* hidden/)
  expect(() => make({ hidden: ['absent'] })).toThrow(UsageError)
  expect(() => make({ fixed: ['absent'] })).toThrow(UsageError)
  // @ts-expect-error: no column of the table
  expect(() => resource(customers, { roles: { any: { hidden: ['absent'] } } })).not.toThrow()
})

test('no request of this file was a fault of the service', () => {
  expect(faults).toEqual([])
})
