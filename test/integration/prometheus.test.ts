/** The metrics of engines as Prometheus reads them. */
import { Counter, Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApp } from '../../src/http/app.ts'
import { openTelemetry } from '../../src/opentelemetry/index.ts'
import { createPrometheus } from '../../src/prometheus/index.ts'
import { type Bank, gate, openBank } from '../support/bank.ts'
import { losesTheAnswer } from '../support/fault-proxy.ts'
import { eventually, secret } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

/** Values by `name{labels}`, without the pool's. */
async function values({ text }: { readonly text: () => Promise<string> }): Promise<Record<string, number>> {
  const lines = (await text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.lastIndexOf(' ')
      return [
        line
          .slice(0, at)
          .replace(/pool="pool",?/, '')
          .replace('{}', ''),
        Number(line.slice(at + 1)),
      ] as const
    }),
  )
}

test('what ran is told by what it does, by labels, and by what came of it', async () => {
  const prometheus = createPrometheus({ poolName: 'pool' })
  await using engine = await bank.engine({ telemetry: prometheus.telemetry })
  await engine.gather(
    {
      one: ({ sql }) => sql`select 1 from accounts`,
      two: ({ transaction }) => transaction(({ sql }) => sql`select 2`),
    },
    { label: 'page' },
  )
  await engine.session(({ sql }) => sql`select nobody`).catch(() => undefined)
  await engine
    .transaction(async ({ sql }) => {
      await sql`select 3`
      throw new Error('given up')
    })
    .catch(() => undefined)
  expect(await values(prometheus)).toMatchObject({
    'rivulet_statement_duration_seconds_count{statement="select accounts"}': 1,
    'rivulet_statement_duration_seconds_count{statement="select"}': 3,
    'rivulet_statement_failures_total{statement="select",error="42703"}': 1,
    'rivulet_gather_duration_seconds_count{label="page"}': 1,
    'rivulet_connection_wait_duration_seconds_count{label="page.one"}': 1,
    'rivulet_connection_use_duration_seconds_count{label="page.two"}': 1,
    'rivulet_transactions_total{outcome="committed"}': 1,
    'rivulet_transactions_total{outcome="rolled_back"}': 1,
    'rivulet_transactions_total{outcome="unknown"}': 0,
    'rivulet_transaction_retries_total{error="40001"}': 0,
    rivulet_commit_duration_seconds_count: 1,
    rivulet_connections_lost_total: 0,
    rivulet_pool_overloads_total: 0,
  })
})

test('the pool is told as it is when somebody asks', async () => {
  const prometheus = createPrometheus({ poolName: 'pool' })
  await using engine = await bank.engine({ telemetry: prometheus.telemetry, pool: { max: 1, acquireTimeoutMs: 50 } })
  const held = gate()
  const holding = engine.session(() => held.opened)
  await expect(engine.session(() => 1)).rejects.toMatchObject({ code: 'pool_timeout' })
  expect(await values(prometheus)).toMatchObject({
    rivulet_connections_idle: 0,
    rivulet_connections_leased: 1,
    rivulet_connections_max: 1,
    rivulet_waiting_calls: 0,
    rivulet_pool_timeouts_total: 1,
  })
  held.open()
  await holding
  expect(await values(prometheus)).toMatchObject({ rivulet_connections_idle: 1, rivulet_connections_leased: 0 })
})

test('a COMMIT whose answer is lost is an unknown outcome, and its connection a lost one', async () => {
  const prometheus = createPrometheus({ poolName: 'pool' })
  const proxy = await bank.proxy()
  await using engine = await bank.engine({ proxy, telemetry: prometheus.telemetry })
  const outcome = engine.transaction(async ({ sql }) => {
    await sql`update accounts set balance = balance`
    for (const link of proxy.links) link.tap = losesTheAnswer
  })
  await expect(outcome).rejects.toMatchObject({ code: 'commit_outcome_unknown' })
  await eventually(async () => {
    expect(await values(prometheus)).toMatchObject({
      'rivulet_transactions_total{outcome="unknown"}': 1,
      rivulet_connections_lost_total: 1,
    })
  })
})

describe('what is told is bounded', () => {
  test('10,000 labels are 100 and the others', async () => {
    const prometheus = createPrometheus({ poolName: 'pool' })
    await using engine = await bank.engine({ telemetry: prometheus.telemetry })
    for (let label = 0; label < 10_000; label += 1) await engine.session(() => label, { label: `label ${label}` })
    const told = await values(prometheus)
    const counts = Object.entries(told).filter(([name]) =>
      name.startsWith('rivulet_connection_use_duration_seconds_count'),
    )
    expect(counts).toHaveLength(101)
    expect(told['rivulet_connection_use_duration_seconds_count{label="_OTHER"}']).toBe(9900)
  })

  test('no value of a statement is told, nor what a function says', async () => {
    const prometheus = createPrometheus()
    await using engine = await bank.engine({ telemetry: prometheus.telemetry })
    await engine.session(({ sql }) => sql`select ${secret}::int`).catch(() => undefined)
    const raised = `do $$ begin raise exception '${secret}' using errcode = 'P0001'; end $$`
    await engine.session(({ db }) => db.execute(raised)).catch(() => undefined)
    const text = await prometheus.text()
    expect(text).toContain('error="P0001"')
    expect(text).not.toContain(secret)
  })
})

test('engines of one name are told apart, and one that is closed has no gauges any more', async () => {
  const prometheus = createPrometheus({ poolName: 'shop' })
  await using first = await bank.engine({ telemetry: prometheus.telemetry })
  const second = await bank.engine({ telemetry: prometheus.telemetry })
  await Promise.all([first, second].map((engine) => engine.session(({ sql }) => sql`select 1`)))
  expect(await prometheus.text()).toContain('rivulet_connections_max{pool="shop-2"} 10')
  await second.close()
  const text = await prometheus.text()
  expect(text).not.toContain('rivulet_connections_max{pool="shop-2"}')
  // What was counted is still true.
  expect(text).toContain('rivulet_statement_duration_seconds_count{pool="shop-2",statement="select"} 1')
})

test('spans of OpenTelemetry and metrics of Prometheus go together, two that make spans do not', async () => {
  const prometheus = createPrometheus({ poolName: 'pool' })
  const spans = openTelemetry({ metrics: false })
  await using engine = await bank.engine({ telemetry: [prometheus.telemetry, spans] })
  await engine.session(({ sql }) => sql`select 1`)
  expect(await values(prometheus)).toMatchObject({ rivulet_connections_max: 10 })
  await engine.close()
  expect(await values(prometheus)).not.toHaveProperty('rivulet_connections_max')
  await expect(bank.engine({ telemetry: [prometheus.telemetry, spans, spans] })).rejects.toThrow('two that make spans')
  // What was attached before that is let go.
  expect(await values(prometheus)).not.toHaveProperty('rivulet_connections_max')
  await expect(bank.engine({ telemetry: prometheus as never })).rejects.toThrow('the telemetry of createPrometheus()')
})

test("a registry of the program's own has these metrics beside its others", async () => {
  const registry = new Registry()
  new Counter({ name: 'orders_total', help: 'Orders.', registers: [registry] }).inc(3)
  const prometheus = createPrometheus({ registry })
  expect(await prometheus.text()).toContain('orders_total 3')
  expect(await registry.metrics()).toContain('# TYPE rivulet_statement_duration_seconds histogram')
  expect(() => createPrometheus({ registry: {} as Registry })).toThrow('createPrometheus.registry must be a Registry')
  expect(() => createPrometheus({ registry })).toThrow('keep the first')
})

describe('GET /metrics', () => {
  test('answers them as text, to anybody, and there is none where they were not asked for', async () => {
    const prometheus = createPrometheus({ poolName: 'pool' })
    await using engine = await bank.engine({ telemetry: prometheus.telemetry })
    const refused = () => {
      throw new Error('nobody is asked')
    }
    const app = createApp(engine, { metrics: prometheus.text, identity: refused })
    const answer = await app.request('/metrics')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(await answer.text()).toContain('rivulet_connections_max{pool="pool"} 10')
    expect((await createApp(engine).request('/metrics')).status).toBe(404)
  })

  test('is a problem when they cannot be told', async () => {
    await using engine = await bank.engine()
    const faults: unknown[] = []
    const metrics = () => Promise.reject(new Error('out of order'))
    const app = createApp(engine, { metrics, onFault: (error) => faults.push(error) })
    expect((await app.request('/metrics')).status).toBe(500)
    expect(faults).toEqual([new Error('out of order')])
  })
})
