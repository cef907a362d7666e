/** More requests than a pool of one can serve: each is answered, says when to come again, and costs a line of the log. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { describeFault } from '../../src/http/request-log.ts'
import { createShopApp } from '../../src/shop/app.ts'
import { sender } from '../support/http-client.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop

/** As `npm start` and `rivulet serve` do. */
const tell = (...fault: Parameters<typeof describeFault>) => console.error(describeFault(...fault))
beforeAll(async () => {
  shop = await openTestShop({ pool: { max: 1, maxQueue: 5, acquireTimeoutMs: 100 } })
})
afterAll(() => shop[Symbol.asyncDispose]())

/** Runs `work` while a task holds the only connection. */
async function whileHeld<T>(work: () => Promise<T>): Promise<T> {
  let held!: () => void
  let free!: () => void
  const holding = new Promise<void>((resolve) => (held = resolve))
  const task = shop.engine.session(() => {
    held()
    return new Promise<void>((resolve) => (free = resolve))
  })
  await holding
  try {
    return await work()
  } finally {
    free()
    await task
  }
}

test('a refusal under overload is a 503 with Retry-After, and one line of standard error', async () => {
  const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const send = sender(createShopApp(shop.engine, { onFault: tell }))
  const paths = ['/customers', '/customers/1', '/product/1/1', '/reviews?limit=5']
  const order = { customerId: 1, items: [{ productId: 1, quantity: 1 }] }
  const answers = await whileHeld(() =>
    Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        index % 5 === 4 ? send('POST', '/orders', order) : send('GET', paths[index % 5] as string),
      ),
    ),
  )
  const statuses = new Set(answers.map(({ status, json }) => `${status} ${json.code}`))
  expect([...statuses].sort()).toEqual(['503 pool_overloaded', '503 pool_timeout'])
  for (const { headers } of answers) expect(headers.get('retry-after')).toBe('1')
  const lines = printed.mock.calls.map((given) => given.map(String).join(' '))
  printed.mockRestore()
  expect(lines).toHaveLength(100)
  for (const line of lines)
    expect(line).toMatch(/^[\da-f-]{36} (?:GET|POST) \/\S*: 503 pool_(?:overloaded|timeout): [^\n]+$/)
  // And as before.
  expect((await send('GET', '/customers/1')).status).toBe(200)
})

test('what is a bug is told with its place, and one that streams is told as well', async () => {
  const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const app = createShopApp(shop.engine, { onFault: tell })
  app.get('/bug', () => {
    throw new TypeError('a bug')
  })
  const send = sender(app)
  await send('GET', '/bug')
  await whileHeld(() => send('GET', '/customers', undefined, { accept: 'text/csv' }))
  expect(printed.mock.calls[0]).toEqual([expect.stringMatching(/ GET \/bug: 500 TypeError: a bug\n +at /)])
  expect(printed.mock.calls.slice(1).map(String)).toEqual([
    expect.stringMatching(/GET \/customers: 50[34] \w+: [^\n]+$/),
  ])
  printed.mockRestore()
})
