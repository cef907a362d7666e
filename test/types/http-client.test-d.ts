/** What Hono's client knows of an application: the routes of its resources and those beside them, with their types. */
import { hc, type InferRequestType, type InferResponseType } from 'hono/client'
import type { ExtractSchema } from 'hono/types'
import { expectTypeOf, test } from 'vitest'
import { orderItems, orders } from '../../schema/index.ts'
import { createApp } from '../../src/http/app.ts'
import { resource } from '../../src/resource/resource.ts'
import type { createShopApp } from '../../src/shop/app.ts'
import type { ShopEngine } from '../../src/shop/product-page.ts'

const client = hc<ReturnType<typeof createShopApp>>('http://127.0.0.1')

test('a list answers rows as JSON', () => {
  const list = client.orders.$get
  type Order = InferResponseType<typeof list>['data'][number]
  expectTypeOf<Order['id']>().toEqualTypeOf<string>()
  expectTypeOf<Order['customerId']>().toEqualTypeOf<number>()
  expectTypeOf<Order['placedAt']>().toEqualTypeOf<string>()
  expectTypeOf<Order['status']>().toEqualTypeOf<'pending' | 'paid' | 'shipped' | 'delivered' | 'cancelled'>()
  expectTypeOf<InferResponseType<typeof list>['next']>().toEqualTypeOf<string | null>()
  void (() => list({ query: { limit: '5', 'total[gt]': '100' } }))
})

test('a resource that is declared where the application is made has the types of its table', () => {
  const app = createApp({} as ShopEngine, {
    resources: [resource(orders), resource(orderItems, { hidden: ['unitPrice'] })],
  })
  const own = hc<typeof app>('http://127.0.0.1')
  const list = own.orders.$get
  expectTypeOf<InferResponseType<typeof list>['data'][number]['id']>().toEqualTypeOf<string>()
  const items = own['order-items'].$get
  type Item = InferResponseType<typeof items>['data'][number]
  expectTypeOf<keyof Item>().toEqualTypeOf<'orderId' | 'productId' | 'quantity' | 'createdAt' | 'updatedAt'>()
  // @ts-expect-error nothing of this name is published
  void own.users
})

test('a row has a key, and a path with hyphens its own', () => {
  const get = client['order-items'][':key'].$get
  expectTypeOf<InferRequestType<typeof get>['param']>().toEqualTypeOf<{ key: string }>()
  expectTypeOf<InferResponseType<typeof get>['orderId']>().toEqualTypeOf<string>()
})

test('a change takes what may be written', () => {
  const post = client.customers.$post
  type NewCustomer = InferRequestType<typeof post>['json']
  expectTypeOf<{ name: string }>().toExtend<NewCustomer>()
  expectTypeOf<{ job: string }>().not.toExtend<NewCustomer>()
  expectTypeOf<{ name: string; version: number }>().toExtend<NewCustomer>()
  expectTypeOf<keyof NewCustomer>().toEqualTypeOf<'name' | 'job'>()
  expectTypeOf<InferResponseType<typeof post>>().not.toHaveProperty('userId')
  const patch = client.customers[':key'].$patch
  expectTypeOf<{ job: string }>().toExtend<InferRequestType<typeof patch>['json']>()
  expectTypeOf<InferResponseType<typeof patch>['version']>().toEqualTypeOf<number>()
  const put = client.products[':key'].$put
  expectTypeOf<InferRequestType<typeof put>['json']['price']>().toEqualTypeOf<string>()
  void client.reviews[':key'].$delete
})

test('what is read only has no changes', () => {
  // @ts-expect-error orders are placed, not written
  void client.orders[':key'].$patch
  // @ts-expect-error nothing of this name is published
  void client.users
})

test('routes beside the resources are known too', () => {
  const page = client.product[':productId'][':customerId'].$get
  void (() => page({ param: { productId: '1', customerId: '2' } }))
  expectTypeOf<InferResponseType<typeof page>['reviews'][number]['rating']>().toEqualTypeOf<number>()
  expectTypeOf<InferResponseType<typeof page>['orders'][number]['id']>().toEqualTypeOf<string>()
  const place = client.orders.$post
  expectTypeOf<InferRequestType<typeof place>['json']['items'][number]['quantity']>().toEqualTypeOf<number>()
  expectTypeOf<InferResponseType<typeof place, 201>['order']['total']>().toEqualTypeOf<string>()
})

test('each route of the shop can be called, and there are no others', () => {
  type Paths = keyof ExtractSchema<ReturnType<typeof createShopApp>>
  type Named = 'customers' | 'products' | 'reviews' | 'orders' | 'order-items'
  expectTypeOf<Paths>().toEqualTypeOf<`/${Named}` | `/${Named}/:key` | '/product/:productId/:customerId' | '/gather'>()
  const { customers, products, reviews, orders, 'order-items': items } = client
  const param = { key: '1' }
  void (() => [
    customers.$get(),
    customers.$post({ json: { name: 'Ada', job: 'Nurse' } }),
    customers[':key'].$get({ param, query: { with: 'orders' } }),
    customers[':key'].$patch({ param, json: { job: 'Nurse' } }),
    customers[':key'].$put({ param, json: { name: 'Ada' } }),
    customers[':key'].$delete({ param }),
    products.$get({ query: { 'price[lt]': '5' } }),
    products.$post({ json: { sku: 's', name: 'n', price: '1.00', tags: ['a'], attributes: { a: 1 } } }),
    products[':key'].$get({ param }),
    products[':key'].$patch({ param, json: { available: false } }),
    products[':key'].$put({ param, json: { sku: 's', name: 'n', price: '1.00' } }),
    products[':key'].$delete({ param }),
    reviews.$get({ query: {} }),
    reviews.$post({ json: { productId: 1, customerId: 1, rating: 5 } }),
    reviews[':key'].$get({ param }),
    reviews[':key'].$patch({ param, json: { rating: 4 } }),
    reviews[':key'].$put({ param, json: { productId: 1, customerId: 1, rating: 5 } }),
    reviews[':key'].$delete({ param }),
    orders.$get(),
    orders.$post({ json: { customerId: 1, items: [{ productId: 1, quantity: 1 }] } }),
    orders[':key'].$get({ param }),
    items.$get(),
    items[':key'].$get({ param: { key: '1,1' } }),
    client.product[':productId'][':customerId'].$get({ param: { productId: '1', customerId: '1' } }),
  ])
})

test('a gather takes paths and answers each by its name', () => {
  const gather = client.gather.$post
  void (() => gather({ json: { queries: { product: '/products/7' }, snapshot: true } }))
  expectTypeOf<InferResponseType<typeof gather>[string]['status']>().toEqualTypeOf<number>()
})
