/** The shop over HTTP: its routes, its input, and how its own errors are answered. */
import { z } from 'zod'
import { type App, type AppOptions, createApp, taskOptions } from '../http/app.ts'
import { addHealth } from '../http/health.ts'
import { integerKey, readJson } from '../http/input.ts'
import { jsonResponse } from '../http/json.ts'
import { Problem } from '../http/problem.ts'
import { serverTiming } from '../http/server-timing.ts'
import type { TaskTiming } from '../observe/observation.ts'
import { InsufficientStock, placeOrder } from './place-order.ts'
import { productPage, type ShopEngine } from './product-page.ts'

const integer = z.int32().min(1)

/** The body of `POST /orders`; unknown keys are refused, so that a misspelt one is not ignored. */
const orderRequest = z.strictObject({
  customerId: integer,
  items: z
    .array(z.strictObject({ productId: integer, quantity: integer.max(10_000) }))
    .min(1)
    .max(100),
})

/** Makes the shop's application; `options` are those of `createApp`. */
export function createShopApp(engine: ShopEngine, options: Omit<AppOptions, 'problemFor'> = {}): App {
  const app = createApp({ ...options, problemFor })
  addHealth(app, engine)

  app.get('/product/:productId/:customerId', async (context) => {
    const keys = { productId: integerKey(context, 'productId'), customerId: integerKey(context, 'customerId') }
    const startedAt = performance.now()
    let timings: readonly TaskTiming[] = []
    const page = await productPage(engine, keys, { ...taskOptions(context), onTimings: (all) => (timings = all) })
    return jsonResponse(page, { headers: { 'server-timing': serverTiming(timings, performance.now() - startedAt) } })
  })

  app.post('/orders', async (context) => {
    const request = await readJson(context, orderRequest)
    return jsonResponse(await placeOrder(engine, request, taskOptions(context)), { status: 201 })
  })

  return app
}

function problemFor(error: unknown): Problem | undefined {
  if (!(error instanceof InsufficientStock)) return undefined
  const { code, message, shortages } = error
  return new Problem({ status: 409, code, detail: message, members: { shortages } })
}
