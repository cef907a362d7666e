/** Under which identity a request's sessions run: found out once, by every route alike, and refused as HTTP refuses. */
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { products } from '../../schema/index.ts'
import { requestEngine } from '../../src/http/access.ts'
import { createApp } from '../../src/http/app.ts'
import type { Environment, Identify } from '../../src/http/front.ts'
import { Problem } from '../../src/answer/problem.ts'
import { resource } from '../../src/resource/resource.ts'
import { createShopApp } from '../../src/shop/app.ts'
import { type Send, sender } from '../support/http-client.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

let shop: TestShop

beforeAll(async () => {
  shop = await openTestShop()
})
afterAll(() => shop[Symbol.asyncDispose]())

/** An application whose domain route answers who asks. */
function appOf(identity?: Identify): { send: Send; faults: unknown[] } {
  const faults: unknown[] = []
  const onFault = (error: unknown) => faults.push(error)
  const app = createApp(shop.engine, { resources: [resource(products)], onFault, ...(identity ? { identity } : {}) })
  const own = new Hono<Environment>().get('/', async (context) => {
    const engine = await requestEngine(context, shop.engine)
    await requestEngine(context, shop.engine)
    const [row] = await engine.session(({ sql }) => sql`select current_setting('request.user', true) as who`)
    return context.json(row)
  })
  app.route('/who', own)
  return { send: sender(app), faults }
}

const userOf: Identify = ({ req }) => ({ settings: { 'request.user': req.header('x-user') ?? '' } })

describe('the identity of a request', () => {
  test('is that of the sessions of every route, those of a domain too', async () => {
    const { send } = appOf(userOf)
    expect((await send('GET', '/who', undefined, { 'x-user': 'ann' })).json).toEqual({ who: 'ann' })
    expect((await send('GET', '/who', undefined, { 'x-user': 'bob' })).json).toEqual({ who: 'bob' })
  })

  test('is asked for once a request, and only where something is read', async () => {
    let asked = 0
    const { send } = appOf(async () => {
      asked += 1
      return Promise.resolve({ settings: { 'request.user': String(asked) } })
    })
    for (const path of ['/livez', '/readyz', '/openapi.json', '/', '/nothing']) await send('GET', path)
    expect(asked).toBe(0)
    expect((await send('GET', '/who')).json).toEqual({ who: '1' })
    await send('GET', '/products')
    expect(asked).toBe(2)
  })

  test('is the engine’s own where the application does not say', async () => {
    expect((await appOf().send('GET', '/who')).status).toBe(200)
  })

  test.each([undefined, null, {}, { role: '' }, { roll: 'staff' }])('that is %j runs nothing', async (identity) => {
    const { send, faults } = appOf(() => identity as never)
    for (const path of ['/who', '/products']) expect(await send('GET', path)).toMatchObject({ status: 500 })
    expect(faults).toHaveLength(2)
  })

  test('can be refused by a Problem and by what Hono’s own middleware throws', async () => {
    const headers = { 'www-authenticate': 'Bearer' }
    const refusals: [Error, string][] = [
      [new Problem({ status: 401, code: 'unauthorized', headers }), 'unauthorized'],
      [new HTTPException(401, { res: new Response(null, { headers }) }), 'http'],
    ]
    for (const [refusal, code] of refusals) {
      const { send, faults } = appOf(() => Promise.reject(refusal))
      for (const [method, path] of [
        ['GET', '/who'],
        ['GET', '/products'],
        ['DELETE', '/products/1'],
      ] as const) {
        const answer = await send(method, path)
        expect(answer).toMatchObject({ status: 401, json: { code } })
        expect(answer.headers.get('www-authenticate')).toBe('Bearer')
      }
      expect(faults).toEqual([])
    }
  })

  test('cannot be asked for in an application that is none of createApp’s', async () => {
    const stranger = new Hono<Environment>().get('/', async (context) => {
      await requestEngine(context, shop.engine)
      return context.text('')
    })
    stranger.onError((error, context) => context.text(error.message))
    expect(await (await stranger.request('/')).text()).toMatch(/createApp/)
  })

  test('is that of the shop’s own routes', async () => {
    const refusal = new Problem({ status: 401, code: 'unauthorized' })
    const send = sender(createShopApp(shop.engine, { identity: () => Promise.reject(refusal) }))
    const order = { customerId: 1, items: [{ productId: 1, quantity: 1 }] }
    expect(await send('GET', '/product/1/1')).toMatchObject({ status: 401 })
    expect(await send('POST', '/orders', order)).toMatchObject({ status: 401 })
  })
})
