/**
 * `npm run bench [-- NAME …] [--compare] [--save]`: what Rivulet costs and gains beside other clients, on the reference
 * shop with its sample data; on a throw-away server, or on a new database of DATABASE_URL's server, which it removes.
 * Everything runs on one machine, so the server's work competes with the client's: ratios say more than numbers. It is
 * compiled first, as users get it: what reads TypeScript on the fly wraps every function, but not those of libraries.
 */
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { environment } from '../../src/config.ts'
import { openEmbeddedServer } from '../../src/embedded/server.ts'
import { openEngine } from '../../src/engine.ts'
import { seed } from '../../src/shop/seed.ts'
import { openTestDatabase, scriptTemplate } from '../support/database.ts'
import type { Benchmark, RaceOptions } from './benchmark.ts'
import { benchmarks } from './benchmarks/index.ts'
import { baseOf, describeChanges, readBase, saveBase } from './base.ts'
import { chart } from './chart.ts'
import { raceOf } from './race.ts'
import { describeOutcome, type Finding, page } from './report.ts'
import { schema, wideTables } from './schema.ts'
import { writeFile } from 'node:fs/promises'

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { compare: { type: 'boolean' }, save: { type: 'boolean' } },
  })
  const chosen = positionals.length === 0 ? benchmarks : positionals.map(benchmarkOf)
  if (values.save && positionals.length > 0)
    throw new Error('--save keeps what all benchmarks have found: leave out the names')
  const given = environment('DATABASE_URL')
  await using server = given === undefined ? await openEmbeddedServer({ ephemeral: true }) : undefined
  await using database = await openTestDatabase(scriptTemplate('empty', ''), given ?? server?.url)
  const place = await prepare(database.url, chosen.some(({ name }) => name.endsWith('stream')) ? 1_000_000 : 10_000)
  console.log(place)
  const findings: Finding[] = []
  for (const benchmark of chosen) {
    const race = (options?: RaceOptions) => raceOf(benchmark, database.url, options)
    const finding = { benchmark, outcome: await benchmark.run({ url: database.url, race }) }
    findings.push(finding)
    console.log(`\n${describeOutcome(finding)}`)
  }
  if (values.compare) console.log(`\n${describeChanges(await readBase(), findings)}`)
  if (!values.save) return
  await saveBase(baseOf(place, findings))
  await writeFile('test/bench/results.md', page(place, findings))
  await writeFile('test/bench/results.svg', chart(findings))
}

function benchmarkOf(wanted: string): Benchmark {
  const found = benchmarks.find(({ name }) => name === wanted)
  if (!found) throw new Error(`no benchmark is called ${wanted}: ${benchmarks.map(({ name }) => name).join(', ')}`)
  return found
}

/** Fills the database; returns where it all ran, in a line. */
async function prepare(url: string, rows: number): Promise<string> {
  await using engine = await openEngine({ schema, url, migrations: 'apply' })
  await seed(engine)
  const version = await engine.session(async ({ db, sql }) => {
    for (const statement of wideTables(rows).split(';')) await db.execute(statement)
    const [row] = await sql<{ version: string }>`select current_setting('server_version') as version`
    return row?.version ?? '?'
  })
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const [cpu] = cpus()
  return `Node ${process.versions.node}, PostgreSQL ${version}, ${cpus().length} cores (${cpu?.model.trim() ?? '?'}), commit ${commit}`
}

await main()
