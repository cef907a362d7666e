/**
 * What Prometheus' own tool says of our metrics, of the alert rules in docs/ and of the queries of the dashboard there. Needs
 * `promtool`, which comes with Prometheus (on Debian, `apt-get install prometheus`).
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPrometheus } from '../../src/prometheus/index.ts'
import { type Bank, openBank } from '../support/bank.ts'

const docs = new URL('../../docs/', import.meta.url).pathname
const rules = join(docs, 'prometheus-alerts.yml')

let bank: Bank
let folder: string
/** Every metric there can be, each told at least once. */
let metrics: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rivulet-promtool-'))
  bank = await openBank()
  const prometheus = createPrometheus()
  const engine = await bank.engine({ telemetry: prometheus.telemetry })
  await engine.gather({
    read: ({ sql }) => sql`select 1`,
    write: ({ transaction }) => transaction(({ sql }) => sql`select 2`),
  })
  await engine.session(({ sql }) => sql`select nobody`).catch(() => undefined)
  metrics = await prometheus.text()
})
afterAll(async () => {
  await bank[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** What promtool prints; it has to be content. */
function promtool(args: readonly string[], input = ''): Promise<{ stdout: string; stderr: string }> {
  const running = promisify(execFile)('promtool', args)
  running.child.stdin?.end(input)
  return running.catch((error: NodeJS.ErrnoException & { stdout?: string; stderr?: string }) => {
    if (error.code === 'ENOENT') throw new Error('promtool is not installed: apt-get install prometheus')
    throw new Error(`promtool ${args.join(' ')}: ${error.stdout ?? ''}${error.stderr ?? error.message}`)
  })
}

test('promtool finds nothing wrong with the metrics, their names and units', async () => {
  expect(await promtool(['check', 'metrics'], metrics)).toEqual({ stdout: '', stderr: '' })
})

test('promtool accepts the alert rules, which say of a few histories what they should', async () => {
  expect((await promtool(['check', 'rules', rules])).stdout).toContain('SUCCESS: 7 rules found')
  const cases = new URL('prometheus-alerts.yml', import.meta.url).pathname
  expect((await promtool(['test', 'rules', cases])).stdout).toContain('SUCCESS')
})

test('promtool accepts each query of the dashboard', async () => {
  const queries = await dashboardQueries()
  expect(queries.length).toBeGreaterThan(20)
  const file = join(folder, 'queries.json')
  const groups = [{ name: 'dashboard', rules: queries.map((expr, at) => ({ record: `query:${at}`, expr })) }]
  // JSON is YAML.
  await writeFile(file, JSON.stringify({ groups }))
  expect((await promtool(['check', 'rules', file])).stdout).toContain(`SUCCESS: ${queries.length} rules found`)
})

test('rules and dashboard ask for metrics and labels that there are', async () => {
  const told = new Map(
    Array.from(metrics.matchAll(/^(rivulet_\w+)\{([^}]*)\}/gm), ([, name = '', labels = '']) => {
      return [name, Array.from(labels.matchAll(/(\w+)="/g), ([, label]) => label)] as const
    }),
  )
  const asked = [...(await dashboardQueries()), await readFile(rules, 'utf8')].join('\n')
  const names = new Set(asked.match(/rivulet_\w+/g))
  expect([...names].filter((name) => !told.has(name))).toEqual([])
  const labels = new Set([...told.values()].flat())
  const grouped = Array.from(asked.matchAll(/by \(([^)]*)\)/g), ([, list = '']) => list.split(/, ?/)).flat()
  expect(grouped.filter((label) => !labels.has(label))).toEqual([])
})

/** Its expressions, with values in the places of its variables. */
async function dashboardQueries(): Promise<string[]> {
  const text = await readFile(join(docs, 'grafana-dashboard.json'), 'utf8')
  const { panels } = JSON.parse(text) as { panels: { targets?: { expr: string }[] }[] }
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  return queries.map((expr) => expr.replaceAll('$__rate_interval', '5m').replaceAll('$pool', '.*'))
}
