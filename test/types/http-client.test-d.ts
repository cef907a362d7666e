/** What Hono's client knows of an application: the routes of its resources and those beside them, with their types. */
import { hc, type InferRequestType, type InferResponseType } from 'hono/client'
import { expectTypeOf, test } from 'vitest'
import type { createShopApp } from '../../src/shop/app.ts'

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
