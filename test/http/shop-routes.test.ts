import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop

beforeAll(async () => {
  shop = await openTestShop()
})
beforeEach(() => {
  shop.faults.length = 0
})
afterAll(() => shop[Symbol.asyncDispose]())

interface ProblemBody {
  status: number
  code: string
  detail: string
  errors?: { pointer: string; detail: string }[]
}

async function problem(response: Response): Promise<ProblemBody> {
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  const body = (await response.json()) as ProblemBody
  expect(body.status).toBe(response.status)
  return body
}

function order(body: unknown, type = 'application/json'): Promise<Response> {
  const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  return shop.request('/orders', { method: 'POST', body: text, headers: { 'content-type': type } })
}

async function countOrders(): Promise<unknown> {
  const [row] = await shop.engine.session(({ sql }) => sql`select count(*) as orders from orders`)
  return row?.orders
}

const oneOf = (productId: unknown, quantity: unknown = 1) => ({ customerId: 1, items: [{ productId, quantity }] })

describe('GET /product/:productId/:customerId', () => {
  test('answers product, reviews and orders, and where the time went', async () => {
    const response = await shop.request('/product/1/1')
    expect(response.status).toBe(200)
    const page = (await response.json()) as Record<'product' | 'reviews' | 'orders', unknown>
    expect(Object.keys(page)).toEqual(['product', 'reviews', 'orders'])
    expect(page.product).toMatchObject({ id: 1, price: expect.stringMatching(/^\d+\.\d\d$/) as string })
    const timing = response.headers.get('server-timing') ?? ''
    const names = timing.split(', ').map((metric) => metric.split(';')[0])
    expect(names).toEqual(['product-wait', 'product', 'reviews-wait', 'reviews', 'orders-wait', 'orders', 'total'])
    expect(timing).toMatch(/^product-wait;dur=\d+\.\d\d/)
  })

  test('writes a bigint as a string and an instant in ISO 8601', async () => {
    const page = (await (await shop.request('/product/1/1')).json()) as { orders: { id: string; placedAt: string }[] }
    expect(page.orders[0]?.id).toMatch(/^\d+$/)
    expect(page.orders[0]?.placedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  test.each(['x', '0', '-1', '1.5', '1e3', '01', '%00', '%zz', '2147483648', '99999999999999999999', 'NaN', '١'])(
    'answers 400 for the id %s',
    async (id) => {
      for (const [path, name] of [
        [`/product/${id}/1`, 'productId'],
        [`/product/1/${id}`, 'customerId'],
      ]) {
        const { status, detail } = await problem(await shop.request(path ?? ''))
        expect(status).toBe(400)
        expect(detail).toContain(name)
      }
      expect(shop.faults).toEqual([])
    },
  )

  test.each(['/product/2147483647/1', '/product/1/2147483647'])(
    'answers 404 for %s, which does not exist',
    async (path) => {
      expect(await problem(await shop.request(path))).toMatchObject({ status: 404, code: 'not_found' })
      await expect.poll(() => shop.engine.stats().leased).toBe(0)
    },
  )
})

describe('POST /orders', () => {
  test('answers 201 with the order and its lines', async () => {
    const response = await order({ customerId: 1, items: [{ productId: 2, quantity: 2 }] })
    expect(response.status).toBe(201)
    const placed = (await response.json()) as { order: { id: string; total: string }; items: { unitPrice: string }[] }
    expect(placed.items).toMatchObject([{ orderId: placed.order.id, productId: 2, quantity: 2 }])
    expect(Number(placed.order.total)).toBeCloseTo(2 * Number(placed.items[0]?.unitPrice))
  })

  test('answers 409 with the shortages, and writes nothing, when the stock is too small', async () => {
    const before = await countOrders()
    const response = await order(oneOf(1, 10_000))
    const body = await problem(response)
    expect(body).toMatchObject({ status: 409, code: 'insufficient_stock' })
    expect(body).toHaveProperty('shortages', [{ productId: 1, wanted: 10_000, inStock: expect.any(Number) as number }])
    expect(await countOrders()).toBe(before)
  })

  test.each([
    ['{"customerId":1', 'malformed_json'],
    ['', 'malformed_json'],
    ['{"customerId":NaN}', 'malformed_json'],
    [new Uint8Array([0x22, 0xc3, 0x28, 0x22]), 'malformed_json'],
  ])('answers 400 for the malformed body %j', async (body, code) => {
    expect(await problem(await order(body))).toMatchObject({ status: 400, code })
  })

  test.each([
    [oneOf('1'), ['items.0.productId']],
    [oneOf('a\0b'), ['items.0.productId']],
    [oneOf(1, 0), ['items.0.quantity']],
    [oneOf(1, 1.5), ['items.0.quantity']],
    [oneOf(1e300), ['items.0.productId']],
    [oneOf(2 ** 31), ['items.0.productId']],
    [{ ...oneOf(1), note: 'x' }, ['note']],
    [{ customerId: 1, items: [] }, ['items']],
    [{ customerId: null, items: [{ productId: 1 }] }, ['customerId', 'items.0.quantity']],
    [[], ['']],
    [null, ['']],
    [{ customerId: 2_147_483_647, items: [{ productId: 1, quantity: 1 }] }, ['customerId']],
    [oneOf(2_147_483_647), ['items.0.productId']],
    [{ customerId: 1, items: [1, 2, 1].map((productId) => ({ productId, quantity: 1 })) }, ['items.2.productId']],
  ])('answers 422 with the faults of %j', async (body, paths) => {
    const { status, code, errors } = await problem(await order(body))
    expect({ status, code }).toEqual({ status: 422, code: 'invalid_input' })
    expect([...new Set(errors?.map(({ pointer }) => pointer.slice(2).replaceAll('/', '.')))]).toEqual(paths)
    expect(shop.faults).toEqual([])
  })

  test('answers 415 for another media type and 413 for a body that is too large', async () => {
    expect(await problem(await order(oneOf(1), 'text/plain'))).toMatchObject({ status: 415 })
    expect(await problem(await order(`"${'x'.repeat(70_000)}"`))).toMatchObject({ status: 413 })
  })
})

test('no price is NaN, which PostgreSQL takes for more than any number', async () => {
  const headers = { 'content-type': 'application/json' }
  const patch = { method: 'PATCH', body: '{"price":"NaN"}', headers }
  expect(await problem(await shop.request('/products/1', patch))).toMatchObject({ code: 'check_violation' })
  for (const statement of [
    `insert into orders (customer_id, total) values (1, 'NaN')`,
    `update order_items set unit_price = 'NaN'`,
  ]) {
    const written = shop.engine.session(({ db }) => db.execute(statement))
    await expect(written).rejects.toMatchObject({ code: 'check_violation' })
  }
})

describe('the database', () => {
  test('that is closed off is a 503, and the health check says so', async () => {
    await using closed = await openTestShop()
    await closed.engine.close()
    expect(await problem(await closed.request('/product/1/1'))).toMatchObject({ status: 503, code: 'pool_closed' })
    expect(await problem(await closed.request('/readyz'))).toMatchObject({ status: 503, reason: 'pool_closed' })
  })
})
