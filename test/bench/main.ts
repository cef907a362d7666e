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
import { type Contender, measure, type Measured, type Spread } from './measure.ts'

const options = { rounds: 9, roundMs: 500, concurrency: 10, yardsticks: 2 }

async function main(): Promise<void> {
  const given = environment('DATABASE_URL')
  await using server = given === undefined ? await openEmbeddedServer({ ephemeral: true }) : undefined
  await using database = await openTestDatabase(scriptTemplate('empty', ''), given ?? server?.url)
  await prepare(database.url)
  await using field = await openField(database.url)
  await race('Point read: one product by its key, 10 at a time', field.pointRead)
  await race('Product page: three reads at once, 10 pages at a time', field.productPage)
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

async function race(title: string, contenders: readonly Contender[]): Promise<void> {
  const results = await measure(contenders, options)
  console.log(`\n${title}\n`)
  const yardsticks = contenders.slice(0, options.yardsticks).map(({ name }) => `to ${name}`)
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
