import { fork } from 'node:child_process'
import { once } from 'node:events'
import { parseDatabaseUrl } from '../../../src/config.ts'
import { productPage } from '../../../src/shop/product-page.ts'
import { orderRepository, productRepository, reviewRepository } from '../../../src/shop/repositories.ts'
import { type Benchmark, type Contender, resultOf } from '../benchmark.ts'
import { type BenchEngine, openBenchEngine, openPostgres } from '../clients.ts'

/** A page is as slow as its slowest statement. */
export const delay: Benchmark = {
  name: 'delay',
  title: 'The product page behind 1 ms of network delay, one page at a time',
  limits: 'A proxy on this machine, which has no core of its own, holds back what passes.',
  contenders: [
    behindDelay('page', 'productPage', (engine) => productPage(engine, { productId: 1, customerId: 1 })),
    behindDelay('product', 'its first read alone', (engine) =>
      engine.session((session) => productRepository(session).get(1)),
    ),
    behindDelay('reviews', 'its second', (engine) =>
      engine.session((session) => reviewRepository(session).ofProduct(1, 50)),
    ),
    behindDelay('orders', 'its third', (engine) =>
      engine.session((session) => orderRepository(session).ofCustomer(1, 50)),
    ),
  ],
  run: async ({ race }) => {
    const found = await race({ concurrency: 1, sameValues: false })
    const ms = (name: string) => 1000 / resultOf(found, name).perSecond.median
    const is = ms('page') / Math.max(ms('product'), ms('reviews'), ms('orders'))
    return { races: [found], goals: [{ what: 'page to its slowest read', is, most: 1.1, unit: 'x the time' }] }
  },
}

/** On an engine whose server is behind a proxy of its own. */
function behindDelay(name: string, how: string, run: (engine: BenchEngine) => Promise<unknown>): Contender {
  return {
    name,
    how,
    open: async (url) => {
      const { host, port, user, password = '', database } = parseDatabaseUrl(url)
      const proxy = fork(new URL('../delay-proxy.js', import.meta.url), [host, String(port)], { execArgv: [] })
      const [proxyPort] = (await once(proxy, 'message')) as [number]
      const engine = await openBenchEngine(`postgres://${user}:${password}@127.0.0.1:${proxyPort}/${database}`)
      const close = async () => {
        await engine.close()
        proxy.kill()
      }
      return { run: () => run(engine), [Symbol.asyncDispose]: close }
    },
  }
}

/** Less work than connections, for a minute. */
export const partialLoad: Benchmark = {
  name: 'partial-load',
  title: 'Five tasks on ten connections, for a minute in slices of five seconds',
  limits: 'A minute is what a queue that never empties takes to show, and no more than that.',
  run: async ({ url }) => {
    await using engine = await openBenchEngine(url)
    await using raw = openPostgres(url)
    const ways = [() => engine.session(({ sql }) => sql`select 1`), () => raw.sql`select 1`] as const
    const counts: [number[], number[]] = [[], []]
    // In turns, so that a machine that slows down does so for both.
    for (let slice = 0; slice < 12; slice += 1) {
      for (const [index, way] of ways.entries()) counts[index]?.push(await countFor(5000, way))
    }
    const [own, other] = counts.map((each) => sum(each.slice(-2)) / sum(each.slice(0, 2))) as [number, number]
    return {
      races: [],
      goals: [
        { what: 'the last ten seconds to the first', is: own, least: 0.95, unit: 'x' },
        { what: 'the same by postgres.js', is: other, unit: 'x' },
      ],
    }
  },
}

/** How often five tasks do it in that time. */
async function countFor(durationMs: number, run: () => PromiseLike<unknown>): Promise<number> {
  let count = 0
  const endsAt = performance.now() + durationMs
  const worker = async () => {
    for (; performance.now() < endsAt; count += 1) await run()
  }
  await Promise.all(Array.from({ length: 5 }, worker))
  return count
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
