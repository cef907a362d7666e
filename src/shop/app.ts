/** The shop over HTTP: its tables as resources, its own two routes beside them, and how its own errors are answered. */
import { z } from 'zod'
import { customers, orderItems, orders, products, reviews } from '../../schema/index.ts'
import { requestEngine } from '../http/access.ts'
import { type AppOptions, createApp } from '../http/app.ts'
import { integerKey, jsonBody } from '../http/input.ts'
import { taskOptions } from '../http/front.ts'
import { idempotent } from '../http/idempotency.ts'
import { jsonResponse } from '../answer/json.ts'
import { idempotencyKey } from '../document/openapi.ts'
import { Problem } from '../answer/problem.ts'
import { resource } from '../resource/resource.ts'
import { serverTiming } from '../answer/server-timing.ts'
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

/** What the shop publishes; orders are placed, and not written row by row. Whose rows a role has is for `schema/` to say. */
const resources = [
  // Names are unique: a customer who could choose one would learn who else is here.
  resource(customers, {
    hidden: ['userId'],
    fixed: ['createdAt'],
    roles: { customer: { fixed: ['createdAt', 'name'] } },
  }),
  resource(products, {
    fixed: ['createdAt', 'updatedAt'],
    roles: { anonymous: { readOnly: true }, customer: { readOnly: true } },
  }),
  resource(reviews, {
    fixed: ['createdAt', 'updatedAt'],
    roles: { anonymous: { hidden: ['customerId'], readOnly: true } },
  }),
  resource(orders, { readOnly: true }),
  resource(orderItems, { readOnly: true }),
] as const

/** Makes the shop's application; `options` are those of `createApp`. */
export function createShopApp(
  engine: ShopEngine,
  options: Omit<AppOptions, 'problemFor' | 'resources' | 'openApi'> = {},
) {
  const app = createApp(engine, {
    ...options,
    resources,
    problemFor,
    openApi: { ...openApi(options.idempotency !== undefined), bearer: options.identity !== undefined },
  })

  return app
    .get('/product/:productId/:customerId', async (context) => {
      const keys = { productId: integerKey(context, 'productId'), customerId: integerKey(context, 'customerId') }
      const startedAt = performance.now()
      let timings: readonly TaskTiming[] = []
      const own = await requestEngine(context, engine)
      const options = taskOptions(context, { onTimings: (all: readonly TaskTiming[]) => (timings = all) })
      const page = await productPage(own, keys, options)
      return jsonResponse(page, { headers: { 'server-timing': serverTiming(timings, performance.now() - startedAt) } })
    })
    .post('/orders', jsonBody(orderRequest), (context) =>
      idempotent(context, engine, async (session) => {
        return jsonResponse(await placeOrder(session, context.req.valid('json')), { status: 201 })
      }),
    )
}

const problem = { $ref: '#/components/responses/Problem' }
const schema = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const several = (name: string) => ({ type: 'array', items: schema(name) })
/** An object that has all of these. */
const object = (properties: Readonly<Record<string, object>>) => {
  return { type: 'object', properties, required: Object.keys(properties) }
}
const answer = (description: string, name: string) => {
  return { description, content: { 'application/json': { schema: schema(name) } } }
}

/** What the document says of the routes beside the resources. */
const openApi = (keyed: boolean) => ({
  title: 'Rivulet shop',
  description: 'The reference shop: products, their reviews, customers and what they order.',
  problems: { insufficient_stock: 'There are fewer of a product than were ordered; `shortages` says how many.' },
  tags: [{ name: 'shop', description: 'What the shop is for.' }],
  schemas: {
    ProductPage: object({ product: schema('Products'), reviews: several('ProductReview'), orders: several('Orders') }),
    ProductReview: object({
      id: { type: 'integer' },
      rating: { type: 'integer' },
      body: { type: 'string' },
      customerId: { type: 'integer' },
      customerName: { type: 'string' },
      createdAt: { type: 'string', format: 'date-time' },
    }),
    PlacedOrder: object({ order: schema('Orders'), items: several('OrderItems') }),
  },
  paths: {
    '/product/{productId}/{customerId}': {
      get: {
        operationId: 'getProductPage',
        tags: ['shop'],
        summary: 'A product page',
        description: 'A product, what is said of it, and what the customer has ordered, gathered.',
        parameters: ['productId', 'customerId'].map((name) => {
          return { name, in: 'path', required: true, description: 'A key.', schema: { type: 'integer', minimum: 1 } }
        }),
        responses: {
          '200': answer('The page.', 'ProductPage'),
          '400': problem,
          '404': problem,
          default: problem,
        },
      },
    },
    '/orders': {
      post: {
        operationId: 'placeOrder',
        tags: ['shop'],
        summary: 'Places an order',
        description: 'Takes the goods out of stock and writes the order, in one transaction.',
        ...(keyed ? { parameters: [idempotencyKey] } : {}),
        requestBody: { required: true, content: { 'application/json': { schema: z.toJSONSchema(orderRequest) } } },
        responses: {
          '201': answer('The order.', 'PlacedOrder'),
          '409': problem,
          '422': problem,
          default: problem,
        },
      },
    },
  },
})

function problemFor(error: unknown): Problem | undefined {
  if (!(error instanceof InsufficientStock)) return undefined
  const { code, message, shortages } = error
  return new Problem({ status: 409, code, detail: message, members: { shortages } })
}
