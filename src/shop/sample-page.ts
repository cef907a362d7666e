/**
 * One product page as text, with what it took: which backend served each task, how long it waited and ran, and how
 * much of that happened at the same time. What `npm start` shows.
 */
import { asc, desc, eq } from 'drizzle-orm'
import { customers, products } from '../../schema/index.ts'
import type { TaskTiming } from '../observe/observation.ts'
import { productPage, type ProductPageKeys, type ShopEngine } from './product-page.ts'
import type { ShopSession } from './repositories.ts'

/** A page that exists, for Lynn where there is a Lynn; undefined in an empty shop. */
export async function findSamplePage(engine: ShopEngine): Promise<ProductPageKeys | undefined> {
  const [keys] = await engine.session(({ db }) =>
    db
      .select({ productId: products.id, customerId: customers.id })
      .from(customers)
      .crossJoin(products)
      .orderBy(desc(eq(customers.name, 'Lynn')), asc(customers.id), asc(products.id))
      .limit(1),
  )
  return keys
}

/** Gathers the page on a warmed-up engine, and describes what it took. */
export async function describeSamplePage(engine: ShopEngine, keys: ProductPageKeys): Promise<string> {
  await warmUp(engine, keys)
  const startedAt = performance.now()
  let timings: readonly TaskTiming[] = []
  const { product, reviews, orders } = await productPage(engine, keys, { onTimings: (all) => (timings = all) })
  const pageMs = performance.now() - startedAt
  const runMs = timings.reduce((sum, timing) => sum + timing.runMs, 0)
  const rows = timings.map((timing) => [timing.key, String(timing.backendPid), ms(timing.waitMs), ms(timing.runMs)])
  return [
    `Sample page: ${product.name}; reviews: ${reviews.length}; orders of the customer: ${orders.length}.`,
    'Three tasks at the same time, each in its own session on its own connection:',
    line(['task', 'backend', 'wait', 'run']),
    ...rows.map(line),
    `${line(['page', '', '', ms(pageMs)])}   (one task after another: ${ms(runMs)})`,
  ].join('\n')
}

/** Opens three connections and has the page's statements prepared on them, as they are in a service that runs. */
async function warmUp(engine: ShopEngine, keys: ProductPageKeys): Promise<void> {
  await engine.gather([holdConnection, holdConnection, holdConnection])
  for (let page = 0; page < 10; page++) await productPage(engine, keys)
}

function holdConnection({ sql }: Pick<ShopSession, 'sql'>): Promise<unknown> {
  return sql`select pg_sleep(0.02)`
}

function line([name = '', backend = '', wait = '', run = '']: readonly string[]): string {
  return `  ${name.padEnd(9)}${backend.padStart(9)}${wait.padStart(12)}${run.padStart(12)}`
}

function ms(durationMs: number): string {
  return `${durationMs.toFixed(2)} ms`
}
