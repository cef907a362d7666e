import { once } from 'node:events'
import { type Benchmark, cpuRatio, type Goal, median, type Race, rateRatio, resultOf } from '../benchmark.ts'
import { openPostgres } from '../clients.ts'
import { BenchServer, HttpField } from '../http-field.ts'
import { latency, measure } from '../measure.ts'

const routes = [
  { name: 'GET /products/:id', path: (index: number) => `/products/${1 + (index % 16)}` },
  { name: 'the product page', path: (index: number) => `/product/${1 + (index % 16)}/${1 + (index % 24)}` },
] as const

const rounds = { rounds: 7, roundMs: 500, concurrency: 10, yardsticks: 1 }

/** The front. */
export const http: Benchmark = {
  name: 'http',
  title: 'Over HTTP, ten requests at a time',
  limits: 'The client takes as much of the two cores as the servers: their CPU time says more than the rates.',
  run: async ({ url }) => {
    await using servers = await HttpField.open(url)
    const races: Race[] = []
    const goals: Goal[] = []
    for (const { name, path } of routes) {
      const found = { name, results: await measure(await servers.racers(path), rounds) }
      races.push(found)
      const rate = (to: string) => rateRatio(found, 'Rivulet', to)
      goals.push(
        { what: `${name} to bare Hono on postgres.js`, is: rate('postgres.js'), least: 0.8, unit: 'x' },
        { what: `${name} to bare Hono on Drizzle`, is: rate('Drizzle'), least: 2, unit: 'x' },
        { what: `${name}: CPU of the server`, is: cpuRatio(found, 'Rivulet', 'postgres.js'), unit: 'x postgres.js' },
      )
      const { p50, p99 } = await latency(
        servers.requests('Rivulet', path),
        resultOf(found, 'Rivulet').perSecond.median * 0.8,
        3000,
      )
      goals.push({ what: `${name}: p99 to p50 at 80 % of that load`, is: p99 / p50, most: 5, unit: 'x' })
    }
    return { races, goals }
  },
}

/** Rows without end. */
export const httpStream: Benchmark = {
  name: 'http-stream',
  title: 'A million rows of 12 columns as NDJSON over HTTP',
  limits: 'COPY writes another text, and its client here is postgres.js; both clients drop what they read.',
  run: async ({ url }) => {
    await using server = await BenchServer.start('rows', url)
    await using raw = openPostgres(url)
    const copy = async () => {
      // Taken as it comes: under backpressure postgres.js's stream stops for good now and then.
      const text = await raw.sql`copy bench_rows to stdout`.readable()
      await once(text.resume(), 'end')
    }
    let mostMb = 0
    const download = async () => {
      const response = await server.response('/bench-rows', { accept: 'application/x-ndjson' })
      let bytes = 0
      let noted = 0
      for await (const chunk of response) {
        bytes += (chunk as Buffer).length
        if (bytes - noted < 20_000_000) continue
        noted = bytes
        mostMb = Math.max(mostMb, await server.memoryMb())
      }
    }
    const startMb = await server.memoryMb()
    const ratios: number[] = []
    for (let round = 0; round < 3; round += 1) {
      const copied = await msOf(copy)
      ratios.push(copied / (await msOf(download)))
    }
    return {
      races: [],
      goals: [
        { what: 'rate to COPY', is: median(ratios), least: 0.5, unit: 'x' },
        { what: 'memory of the server above the start', is: mostMb - startMb, most: 64, unit: 'MB' },
      ],
    }
  },
}

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}
