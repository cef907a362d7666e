/**
 * A hundred clients order over HTTP, each order under a key of its own, and send it again until they hear that it was
 * placed. Meanwhile backends are killed, connections cut, also at COMMIT, and clients hang up. Each order is placed exactly
 * once, the stock tells of each of them, and every client has the first answer.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import * as schema from '../../schema/index.ts'
import { openEngine } from '../../src/engine.ts'
import { openHttpServer } from '../../src/server/server.ts'
import { createShopApp } from '../../src/shop/app.ts'
import { Admin } from '../support/admin.ts'
import { openTestDatabase } from '../support/database.ts'
import { type Link, losesTheAnswer, losesTheRequest, openFaultProxy } from '../support/fault-proxy.ts'
import { expectHealthy, Ledger } from '../support/invariants.ts'
import { createRandom, long } from '../support/random.ts'
import { seededTemplate } from '../support/shop.ts'

const clients = 100
const ordersOfEach = long ? 30 : 2
const stock = 1_000_000

interface Placed {
  readonly order: { readonly id: string }
  readonly items: readonly { readonly productId: number; readonly quantity: number }[]
}

test(`${clients} clients that retry place each order exactly once`, { timeout: 600_000 }, async () => {
  const random = createRandom('idempotency')
  await using database = await openTestDatabase(seededTemplate)
  await using admin = new Admin(database.url)
  await using proxy = await openFaultProxy(database.url)
  await using engine = await openEngine({ schema, url: proxy.url, pool: { max: 10 } })
  await using server = await openHttpServer(createShopApp(engine, { idempotency: {} }), { port: 0 })
  await admin.sql`update products set stock = ${stock}, available = true`
  const [before] = await admin.sql<{ orders: number }[]>`select count(*)::int as orders from orders`
  const products = (await admin.sql<{ id: number }[]>`select id from products order by id`).map(({ id }) => id)
  const ledger = new Ledger()
  const heard = new Map<string, number>()

  const send = async (key: string, body: string, signal?: AbortSignal) => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': key }
    const response = await fetch(`${server.url}/orders`, { method: 'POST', headers, body, signal: signal ?? null })
    return {
      status: response.status,
      text: await response.text(),
      replayed: response.headers.has('idempotent-replayed'),
    }
  }
  const count = (what: string) => void heard.set(what, (heard.get(what) ?? 0) + 1)

  /** Sends one order until it is placed. */
  const place = async (key: string, body: string): Promise<string> => {
    for (;;) {
      // Some hang up, before the answer or in the middle of it.
      const impatient = random.next() < 0.2 ? AbortSignal.timeout(random.between(1, 60)) : undefined
      const answer = await send(key, body, impatient).catch(() => undefined)
      count(answer ? `${answer.status}${answer.replayed ? ' again' : ''}` : 'hung up')
      if (answer?.status === 201) return answer.text
      await sleep(random.between(20, 200))
    }
  }

  const placed = new Map<string, { readonly body: string; readonly text: string }>()
  const work = Array.from({ length: clients }, async (_, client) => {
    for (let index = 0; index < ordersOfEach; index++) {
      const items = [random.pick(products.slice(0, 4)), random.pick(products.slice(4, 8))].map((productId) => {
        return { productId, quantity: random.between(1, 3) }
      })
      const body = JSON.stringify({ customerId: 1 + (client % 20), items })
      const key = `"${random.seed}-${client}-${index}"`
      placed.set(key, { body, text: await place(key, body) })
    }
  })

  const faults: readonly ((link: Link) => unknown)[] = [
    (link) => link.cut(),
    (link) => link.reset(),
    (link) => void (link.tap = losesTheAnswer),
    (link) => void (link.tap = losesTheAnswer),
    (link) => void (link.tap = losesTheRequest),
    async () => {
      const pids = (await admin.backends()).map(({ pid }) => pid)
      if (pids.length > 0) await admin.terminate(random.pick(pids))
    },
  ]
  const working = new AbortController()
  let faultCount = 0
  const storm = (async () => {
    while (!working.signal.aborted) {
      await sleep(random.between(5, 40))
      // However slow the machine: a fault for every order, and not more of them than can be got over.
      if (proxy.openLinks.length === 0 || faultCount > placed.size + 5) continue
      await random.pick(faults)(random.pick(proxy.openLinks))
      faultCount += 1
    }
  })()
  await Promise.all(work)
  working.abort()
  await storm
  for (const link of proxy.openLinks) link.tap = undefined
  await expectHealthy(engine, admin)

  // Whoever asks again is told the same.
  for (const [key, { body, text }] of placed)
    expect(await send(key, body)).toEqual({ status: 201, text, replayed: true })
  const answers = [...placed.values()].map(({ text }) => JSON.parse(text) as Placed)
  expect(new Set(answers.map(({ order }) => order.id)).size).toBe(clients * ordersOfEach)
  const [after] = await admin.sql<{ orders: number }[]>`select count(*)::int as orders from orders`
  expect((after?.orders ?? 0) - (before?.orders ?? 0), 'orders placed').toBe(clients * ordersOfEach)
  const taken = new Map<number, number>()
  for (const { productId, quantity } of answers.flatMap(({ items }) => items)) {
    taken.set(productId, (taken.get(productId) ?? 0) + quantity)
  }
  const left = await admin.sql<{ id: number; stock: number }[]>`select id, stock from products order by id`
  expect(left.map(({ id, stock }) => [id, stock])).toEqual(products.map((id) => [id, stock - (taken.get(id) ?? 0)]))
  const strange = [...heard.keys()].filter((what) => !['201', '201 again', '503', '504', 'hung up'].includes(what))
  expect(strange, 'answers that no client can do anything with').toEqual([])
  await ledger.expectClean()
  const all = [...heard].map(([what, times]) => `${what} ${times}`).join(', ')
  console.log(`idempotency: ${faultCount} faults, ${placed.size} orders, each placed once; heard ${all}`)
})
