/** A shop with the sample data on a database of its own, for tests of the service. */
import { readFile } from 'node:fs/promises'
import * as schema from '../../schema/index.ts'
import { openEngine } from '../../src/engine.ts'
import type { PoolConfig } from '../../src/config.ts'
import type { Identify } from '../../src/http/front.ts'
import { createIdempotencyTable } from '../../src/idempotency/kept-answers.ts'
import { createShopApp } from '../../src/shop/app.ts'
import type { ShopEngine } from '../../src/shop/product-page.ts'
import { seed } from '../../src/shop/seed.ts'
import { openTestDatabase, shopTemplate, type Template } from './database.ts'

/** The shop's tables with its sample data, and the table of idempotency keys. */
export const seededTemplate: Template = {
  content: async () => {
    const made = ['shop/seed.ts', 'idempotency/kept-answers.ts'].map((path) =>
      readFile(new URL(`../../src/${path}`, import.meta.url), 'utf8'),
    )
    return [await shopTemplate.content(), ...(await Promise.all(made))].join('\n')
  },
  build: async (url) => {
    await shopTemplate.build(url)
    await using engine = await openEngine({ schema, url, pool: { max: 1 } })
    await seed(engine)
    await engine.session(createIdempotencyTable)
  },
}

/** A shop for one test file, closed in `afterAll`. */
export interface TestShop extends AsyncDisposable {
  readonly url: string
  readonly engine: ShopEngine
  /** Errors that were answered with a status from 500. */
  readonly faults: unknown[]
  /** Sends a request to the application, without a socket. */
  request(path: string, init?: RequestInit): Promise<Response>
}

/** Opens a shop. */
export async function openTestShop(
  options: { pool?: PoolConfig; requestTimeoutMs?: number; identity?: Identify } = {},
): Promise<TestShop> {
  const database = await openTestDatabase(seededTemplate)
  const engine = await openEngine({ schema, url: database.url, ...(options.pool ? { pool: options.pool } : {}) })
  const faults: unknown[] = []
  const onFault = (error: unknown) => faults.push(error)
  const app = createShopApp(engine, {
    onFault,
    requestTimeoutMs: options.requestTimeoutMs,
    identity: options.identity,
    idempotency: {},
  })
  return {
    url: database.url,
    engine,
    faults,
    request: async (path, init) => app.request(path, init),
    [Symbol.asyncDispose]: async () => {
      await engine.close()
      await database[Symbol.asyncDispose]()
    },
  }
}
