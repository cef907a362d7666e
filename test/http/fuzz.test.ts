/**
 * Every route of the document, with requests that are made from it: valid ones, and ones that are not. Whatever is asked, no
 * answer is a fault of the service, each is one that the document describes, none tells of the inside, and afterwards no
 * connection is out. Routes that are added to the document are asked by themselves. RIVULET_SEED repeats a run;
 * RIVULET_LONG=1 asks for longer.
 */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type HttpServer, openHttpServer } from '../../src/server/server.ts'
import { createShopApp } from '../../src/shop/app.ts'
import { type FuzzedRequest, requestOf, Seen } from '../support/fuzz.ts'
import { type Answered, OpenApi, type Operation } from '../support/openapi.ts'
import { createRandom, long } from '../support/random.ts'
import { openTestShop } from '../support/shop.ts'
import { createToyApp, openToy } from '../support/toy.ts'

/** Requests of an operation that are valid, and as many that are not. */
const runs = long ? 300 : 6

test('of the shop', { timeout: 600_000 }, async () => {
  await using shop = await openTestShop()
  const faults: unknown[] = []
  const app = createShopApp(shop.engine, { onFault: (error) => faults.push(error) })
  await using server = await openHttpServer(app, { port: 0 })
  await fuzz('fuzz of the shop', server, faults)
  await expect.poll(() => shop.engine.stats()).toMatchObject({ leased: 0, waiting: 0 })
})

test('of a schema with everything', { timeout: 600_000 }, async () => {
  await using toy = await openToy(3)
  const faults: unknown[] = []
  await using server = await openHttpServer(createToyApp(toy, { onFault: (error) => faults.push(error) }), { port: 0 })
  await fuzz('fuzz of a schema with everything', server, faults)
  await expect.poll(() => toy.engine.stats()).toMatchObject({ leased: 0, waiting: 0 })
})

async function fuzz(name: string, server: HttpServer, faults: readonly unknown[]): Promise<void> {
  const random = createRandom(name)
  const api = new OpenApi((await (await fetch(`${server.url}/openapi.json`)).json()) as Record<string, unknown>)
  const seen = new Seen()
  // Rows are added before they are changed, and removed last.
  const order = ['POST', 'GET', 'PUT', 'PATCH', 'DELETE']
  const operations = [
    ...api.operations.filter(({ method, path }) => method === 'GET' && !path.includes('{')),
    ...api.operations.toSorted((a, b) => order.indexOf(a.method) - order.indexOf(b.method)),
  ]
  const succeeded = new Set<Operation>()
  const ask = async (operation: Operation, request: FuzzedRequest) => {
    const answered = await send(server.url, request)
    check(api, operation, request, answered, faults)
    if (answered.status >= 400) return
    if (answered.status < 300) succeeded.add(operation)
    if (answered.etag !== null) seen.add('', { 'If-Match': answered.etag, 'If-None-Match': answered.etag })
    if (answered.text !== '' && answered.type.endsWith('/json'))
      seen.add(operation.path.replace(/\/\{.*$/, ''), JSON.parse(answered.text))
  }
  for (const operation of operations) {
    for (const valid of [true, false]) {
      const property = fc.asyncProperty(
        fc.constant(undefined).chain(() => requestOf(api, operation, seen, valid)),
        (request) => ask(operation, request),
      )
      await fc.assert(property, { seed: random.seed, numRuns: runs, endOnFailure: true })
    }
    // What is long used cannot be removed: a new row can; and a key may be of rows that were not seen yet.
    const before = operations.filter(({ path }) => operation.path === `${path}/{key}`)
    for (let more = 0; more < 300 && !succeeded.has(operation); more++) {
      for (const each of [...before, operation]) {
        const [request] = fc.sample(requestOf(api, each, seen, true), { seed: random.seed + more, numRuns: 1 })
        if (request) await ask(each, request)
      }
    }
  }
  expect(operations.filter((operation) => !succeeded.has(operation)).map(({ id }) => id)).toEqual([])
}

async function send(
  base: string,
  { method, url, headers, body }: FuzzedRequest,
): Promise<Answered & { etag: string | null }> {
  const response = await fetch(base + url, { method, headers, ...(body === undefined ? {} : { body }) })
  const { status, headers: given } = response
  return { status, type: given.get('content-type') ?? '', text: await response.text(), etag: given.get('etag') }
}

/** What a program says of itself: its files, its stack, its statements, where its database is. */
const inside =
  /\n\s+at |node_modules|file:\/\/|\.[jt]s:\d|postgres(?:ql)?:\/\/|\bselect\b.{1,200}\bfrom\b|\binsert into\b|\bsqlstate\b/i

function check(
  api: OpenApi,
  operation: Operation,
  request: FuzzedRequest,
  answered: Answered,
  faults: readonly unknown[],
) {
  const { status, text } = answered
  const [fault] = faults
  const problem =
    (status >= 500 || faults.length > 0
      ? `a fault of the service: ${String((fault as Error | undefined)?.stack ?? fault)}`
      : undefined) ??
    api.faultOf(operation, answered) ??
    (status >= 400 && inside.test(text) ? 'the inside is told' : undefined)
  if (problem === undefined) return
  const { method, url, headers, body } = request
  const asked = `${operation.id}: ${method} ${url.slice(0, 1000)} ${JSON.stringify(headers)} ${body?.slice(0, 1000) ?? ''}`
  throw new Error(`${problem}\n${asked}\n${status} ${text.slice(0, 2000)}`)
}
