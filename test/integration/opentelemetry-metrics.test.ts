/** The metrics of engines, as OpenTelemetry's own SDK collects them. */
import { metrics, trace } from '@opentelemetry/api'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConnectionLost } from '../../src/errors.ts'
import { openTelemetry } from '../../src/opentelemetry/open-telemetry.ts'
import { type Bank, gate, openBank } from '../support/bank.ts'
import { losesTheAnswer } from '../support/fault-proxy.ts'
import { secret } from '../support/invariants.ts'
import { keptBytes } from '../support/memory.ts'
import { keptMetrics, type MetricPoint } from '../support/opentelemetry.ts'

let bank: Bank
let kept: ReturnType<typeof keptMetrics>

beforeAll(async () => {
  kept = keptMetrics()
  bank = await openBank()
})
afterAll(async () => {
  await bank[Symbol.asyncDispose]()
  await kept.close()
})

/** An engine whose pool is called `poolName`. */
function metered(poolName: string, config: Parameters<Bank['engine']>[0] = {}) {
  return bank.engine({ ...config, telemetry: openTelemetry({ meterProvider: kept.provider, traces: false, poolName }) })
}

/** The values of a metric of one pool, without the pool's name. */
async function valuesOf(poolName: string, metric: string): Promise<MetricPoint[]> {
  const points = (await kept.now())[metric]?.points ?? []
  return points.flatMap(({ attributes: { 'db.client.connection.pool.name': name, ...attributes }, value }) =>
    name === poolName ? [{ attributes, value }] : [],
  )
}

const alone = (value: number) => [{ attributes: {}, value }]

describe('the pool', () => {
  test('is told by its connections, by those who wait, and by its bounds', async () => {
    // Time enough to open the second connection on a busy machine: only the third call is to be late.
    await using engine = await metered('gauges', { pool: { max: 2, acquireTimeoutMs: 2000 } })
    const held = gate()
    const holding = [1, 2].map(() => engine.session(() => held.opened))
    const late = engine.session(() => 1).catch((error: unknown) => error)
    expect(await valuesOf('gauges', 'db.client.connection.max')).toEqual(alone(2))
    expect(await late).toMatchObject({ code: 'pool_timeout' })
    expect(await valuesOf('gauges', 'db.client.connection.timeouts')).toEqual(alone(1))
    const waiting = engine.session(() => 1)
    expect(await valuesOf('gauges', 'db.client.connection.pending_requests')).toEqual(alone(1))
    expect(await valuesOf('gauges', 'db.client.connection.count')).toEqual([
      { attributes: { 'db.client.connection.state': 'idle' }, value: 0 },
      { attributes: { 'db.client.connection.state': 'used' }, value: 2 },
    ])
    held.open()
    await Promise.all([...holding, waiting])
    expect(await valuesOf('gauges', 'db.client.connection.pending_requests')).toEqual(alone(0))
    expect(await valuesOf('gauges', 'db.client.connection.count')).toEqual([
      { attributes: { 'db.client.connection.state': 'idle' }, value: 2 },
      { attributes: { 'db.client.connection.state': 'used' }, value: 0 },
    ])
    expect(await valuesOf('gauges', 'db.client.connection.create_time')).toEqual(alone(2))
    expect(await valuesOf('gauges', 'db.client.connection.wait_time')).toEqual(alone(3))
    expect(await valuesOf('gauges', 'db.client.connection.use_time')).toEqual(alone(3))
  })

  test('counts those who are turned away, deadlocks, retries and unknown outcomes', async () => {
    const proxy = await bank.proxy()
    await using engine = await metered('troubles', { proxy, pool: { max: 1, maxQueue: 1 } })
    await expect(engine.session(() => engine.session(() => 1))).rejects.toMatchObject({ code: 'pool_deadlock' })
    const held = gate()
    const calls = [1, 2].map(() => engine.session(() => held.opened))
    await expect(engine.session(() => 1)).rejects.toMatchObject({ code: 'pool_overloaded' })
    held.open()
    await Promise.all(calls)
    let runs = 0
    await engine.transaction(async ({ sql }) => {
      runs += 1
      if (runs === 1) await sql`do $$ begin raise sqlstate '40001'; end $$`
    })
    const lost = engine.transaction(async ({ sql }) => {
      await sql`insert into entries (nonce, half) values ('counted', 1)`
      for (const link of proxy.links) link.tap = losesTheAnswer
    })
    await expect(lost).rejects.toMatchObject({ code: 'commit_outcome_unknown' })
    for (const link of proxy.links) link.tap = undefined
    expect(await valuesOf('troubles', 'rivulet.pool.deadlocks')).toEqual(alone(1))
    expect(await valuesOf('troubles', 'rivulet.pool.sheddings')).toEqual(alone(1))
    expect(await valuesOf('troubles', 'rivulet.transaction.unknown_commits')).toEqual(alone(1))
    expect(await valuesOf('troubles', 'rivulet.transaction.retries')).toEqual([
      { attributes: { 'error.type': '40001', 'db.response.status_code': '40001' }, value: 1 },
    ])
  })

  test('is named by where it is; a second one of its name has a number, until the first is closed', async () => {
    const own = keptMetrics()
    const telemetry = openTelemetry({ meterProvider: own.provider })
    const proxy = await bank.proxy()
    const name = `127.0.0.1:${new URL(proxy.url).port}/${bank.name}`
    const pools = async () => {
      const points = (await own.now())['db.client.connection.max']?.points ?? []
      return points.map(({ attributes, value }) => [attributes['db.client.connection.pool.name'], value])
    }
    const first = await bank.engine({ proxy, telemetry })
    await using second = await bank.engine({ proxy, telemetry, pool: { max: 5 } })
    expect(await pools()).toEqual([
      [name, 10],
      [`${name}-2`, 5],
    ])
    await first.close()
    expect(await pools()).toEqual([
      [name, 0],
      [`${name}-2`, 5],
    ])
    await using third = await bank.engine({ proxy, telemetry, pool: { max: 3 } })
    expect(await pools()).toEqual([
      [name, 3],
      [`${name}-2`, 5],
    ])
    await Promise.all([second.close(), third.close()])
    expect(await pools()).toEqual([
      [name, 0],
      [`${name}-2`, 0],
    ])
    await own.close()
  })

  test('of an engine that could not be opened is gone', async () => {
    const telemetry = openTelemetry({ meterProvider: kept.provider, poolName: 'never' })
    const url = 'postgres://nobody@127.0.0.1:1/none'
    await expect(bank.engine({ url, telemetry, pool: { connectTimeoutMs: 1000 } })).rejects.toThrow(ConnectionLost)
    expect(await valuesOf('never', 'db.client.connection.max')).toEqual([])
  })
})

describe('statements', () => {
  test('are counted by what they do, on which table, and how they fail, in seconds', async () => {
    const own = keptMetrics()
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, telemetry: openTelemetry({ meterProvider: own.provider }) })
    await engine.session(async ({ sql }) => {
      await sql`select * from accounts where owner = ${secret}`
      await sql`select id from accounts where id = ${1}`
      await sql`select 1 / 0 from accounts, entries`.catch(() => undefined)
    })
    await engine.transaction(({ sql }) => sql`select 1`)
    const { unit, points } = (await own.now())['db.client.operation.duration'] ?? {}
    const server = {
      'db.system.name': 'postgresql',
      'db.namespace': bank.name,
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(proxy.url).port),
    }
    const ofAccounts = {
      'db.query.summary': 'select accounts',
      'db.operation.name': 'select',
      'db.collection.name': 'accounts',
    }
    expect(unit).toBe('s')
    expect(points).toEqual([
      { attributes: { ...server, ...ofAccounts }, value: 2 },
      {
        attributes: {
          ...server,
          'db.query.summary': 'select accounts entries',
          'db.operation.name': 'select',
          'error.type': '22012',
          'db.response.status_code': '22012',
        },
        value: 1,
      },
      { attributes: { ...server, 'db.query.summary': 'select', 'db.operation.name': 'select' }, value: 1 },
      { attributes: { ...server, 'db.query.summary': 'COMMIT', 'db.operation.name': 'COMMIT' }, value: 1 },
    ])
    await own.close()
  })

  test('without end are told apart as far as there is room, and so are labels', async () => {
    const own = keptMetrics()
    await using engine = await bank.engine({ telemetry: openTelemetry({ meterProvider: own.provider }) })
    const named = { 'db.query.summary': '_OTHER', 'rivulet.label': '_OTHER' }
    for (let id = 0; id < 250; id += 1) {
      const missing = engine.session(({ db }) => db.execute(`select 1 from missing_${id}`), { label: `customer ${id}` })
      await expect(missing).rejects.toMatchObject({ sqlState: '42P01' })
    }
    const collected = await own.now()
    const told = (metric: string, attribute: keyof typeof named) => {
      const points = collected[metric]?.points ?? []
      const others = points.find(({ attributes }) => attributes[attribute] === named[attribute])
      return [points.length, others?.value]
    }
    expect(told('db.client.operation.duration', 'db.query.summary')).toEqual([201, 50])
    expect(told('db.client.connection.use_time', 'rivulet.label')).toEqual([101, 150])
    expect(told('db.client.connection.wait_time', 'rivulet.label')).toEqual([101, 150])
    await own.close()
  })
})

test('nothing grows by the sessions, spans and labels that there were', async () => {
  const own = keptMetrics()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [] })
  const telemetry = openTelemetry({ meterProvider: own.provider, tracerProvider })
  await using engine = await bank.engine({ telemetry, pool: { max: 2 } })
  const sessions = async (from: number, count: number) => {
    for (let id = from; id < from + count; id += 1) {
      await engine.gather([({ sql }) => sql`select ${id}::int`, ({ sql }) => sql`select 1`], {
        label: `customer ${id}`,
      })
    }
  }
  // What is kept of every session is kept in every round; code that is compiled, and what is cached, is not.
  let grown = Infinity
  for (let round = 0; round < 20 && grown > 40_000; round += 1) {
    const before = keptBytes()
    await sessions(round * 800, 800)
    grown = keptBytes() - before
  }
  expect(grown, 'bytes kept of 800 gathers of two tasks').toBeLessThan(40_000)
  await own.close()
})

test('without an SDK nothing is recorded, and all goes on', async () => {
  expect(trace.getTracerProvider()).toBeDefined()
  expect(metrics.getMeterProvider()).toBeDefined()
  await using engine = await bank.engine({ telemetry: openTelemetry() })
  const rows = await engine.gather([({ sql }) => sql`select 1 as n`, (session) => session.transaction(() => 2)])
  expect(rows).toEqual([[{ n: 1 }], 2])
})
