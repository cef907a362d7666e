/**
 * `npm run bench`: what a session per task costs and gains beside bare Drizzle and bare postgres.js, on the reference
 * shop with its sample data; on a throw-away server, or on a new database of DATABASE_URL's server, which it removes.
 * Everything runs on one machine, so the server's work competes with the client's: ratios say more than numbers. It is
 * compiled first, as users get it: what reads TypeScript on the fly wraps every function, but not those of libraries.
 */
import { cpus } from 'node:os'
import * as schema from '../../schema/index.ts'
import { environment } from '../../src/config.ts'
import { openEmbeddedServer } from '../../src/embedded/server.ts'
import { openEngine } from '../../src/engine.ts'
import { seed } from '../../src/shop/seed.ts'
import { openTestDatabase, scriptTemplate } from '../support/database.ts'
import { openField } from './contenders.ts'
import { HttpField } from './http.ts'
import { type Contender, latency, measure, type Measured, type Spread } from './measure.ts'
import { openWatchedField } from './watched.ts'

const options = { rounds: 9, roundMs: 500, concurrency: 10, yardsticks: 2 }

async function main(): Promise<void> {
  const given = environment('DATABASE_URL')
  await using server = given === undefined ? await openEmbeddedServer({ ephemeral: true }) : undefined
  await using database = await openTestDatabase(scriptTemplate('empty', ''), given ?? server?.url)
  await prepare(database.url)
  await using field = await openField(database.url)
  await race('Point read: one product by its key, 10 at a time', field.pointRead)
  await race('Product page: three reads at once, 10 pages at a time', field.productPage)
  {
    await using watched = await openWatchedField(database.url)
    const against = { ...options, yardsticks: 1 }
    await race('Watched: one product by its key, 10 at a time', watched.pointRead, against)
    await race('Watched: the product page, 10 pages at a time', watched.productPage, against)
  }
  await using servers = await HttpField.open(database.url)
  const row = await servers.race((index) => `/products/${1 + (index % 16)}`)
  await race('HTTP: GET /products/:id, 10 at a time', row)
  const page = await servers.race((index) => `/product/${1 + (index % 16)}/${1 + (index % 24)}`)
  await race('HTTP: the product page, 10 at a time', page)
}

async function prepare(url: string): Promise<void> {
  await using engine = await openEngine({ schema, url, migrations: 'apply' })
  await seed(engine)
  await engine.session(({ sql }) => sql`analyze`)
  const [row] = await engine.session(
    ({ sql }) => sql<{ version: string }>`select current_setting('server_version') as version`,
  )
  console.log(
    `Node ${process.versions.node}, PostgreSQL ${row?.version ?? '?'}, ${cpus().length} cores; ${options.rounds} rounds of ` +
      `${options.roundMs} ms each, interleaved; median (slowest to quickest round); ratios within a round`,
  )
}

async function race(title: string, contenders: readonly Contender[], chosen = options): Promise<void> {
  const results = await measure(contenders, chosen)
  console.log(`\n${title}\n`)
  const yardsticks = contenders.slice(0, chosen.yardsticks).map(({ name }) => `to ${name}`)
  const rows = [['', 'ops/s', '', ...yardsticks.flatMap((yardstick) => [yardstick, '']), 'how'], ...results.map(rowOf)]
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column % 2 === 1 && column < row.length - 1
        ? cell.padStart(widths[column] ?? 0)
        : cell.padEnd(widths[column] ?? 0),
    )
    console.log(`  ${cells.join('  ').trimEnd()}`)
  }
  for (const [index, { name, perSecond, cpuUs }] of results.entries()) {
    const contender = contenders[index]
    if (!contender || !cpuUs) continue
    const { p50, p99 } = await latency(contender, perSecond.median * 0.8, 2000)
    const spread = `${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms (${times(p99 / p50)}) at 80 % of that load`
    console.log(`  ${name}: ${count(cpuUs.median)} us of the server's CPU a request; p50 ${spread}`)
  }
}

function rowOf({ name, how, perSecond, ratios }: Measured): string[] {
  const compared = ratios.flatMap((ratio) => [times(ratio.median), range(ratio, times)])
  return [name, count(perSecond.median), range(perSecond, count), ...compared, how]
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en')
}

function times(value: number): string {
  return `${value.toFixed(2)}x`
}

function range({ least, most }: Spread, format: (value: number) => string): string {
  return `(${format(least)} to ${format(most)})`
}

await main()
