import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base'
import * as schema from '../../../schema/index.ts'
import type { Config } from '../../../src/config.ts'
import { openEngine } from '../../../src/engine.ts'
import { openTelemetry } from '../../../src/opentelemetry/open-telemetry.ts'
import { createPrometheus } from '../../../src/prometheus/prometheus.ts'
import { productPage, type ShopEngine } from '../../../src/shop/product-page.ts'
import { productRepository } from '../../../src/shop/repositories.ts'
import { type Benchmark, type Contender, cpuRatio, type Goal, workOf } from '../benchmark.ts'

/** Takes spans from the SDK, and has them sent nowhere. */
const nowhere: SpanExporter = {
  export: (_, done) => done({ code: 0 }),
  shutdown: () => Promise.resolve(),
}

/** Each way, the first of them none. */
const ways: readonly (readonly [name: string, how: string, config: () => Partial<Omit<Config, 'schema'>>])[] = [
  ['nobody watches', 'no observer: nothing is built', () => ({})],
  ['an observer', 'observe: () => undefined', () => ({ observe: () => undefined })],
  ['the log of slow statements', 'log: slow', () => ({ log: { what: 'slow', to: silent } })],
  ['Prometheus', 'metrics, asked for by nobody', () => ({ telemetry: createPrometheus().telemetry })],
  [
    'OpenTelemetry, metrics',
    'collected once a second',
    () => ({ telemetry: openTelemetry({ traces: false, meterProvider: meters() }) }),
  ],
  [
    'OpenTelemetry, one trace of a hundred',
    'with metrics',
    () => ({ telemetry: openTelemetry({ meterProvider: meters(), tracerProvider: tracers(0.01) }) }),
  ],
  [
    'OpenTelemetry, every trace',
    'with metrics',
    () => ({ telemetry: openTelemetry({ meterProvider: meters(), tracerProvider: tracers(1) }) }),
  ],
]

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

function meters(): MeterProvider {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.DELTA)
  return new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1000 })] })
}

function tracers(ratio: number): BasicTracerProvider {
  return new BasicTracerProvider({
    sampler: new TraceIdRatioBasedSampler(ratio),
    spanProcessors: [new BatchSpanProcessor(nowhere)],
  })
}

/** The same work on an engine that is watched in each of the ways. */
function watchedContenders(work: (engine: ShopEngine, index: number) => Promise<unknown>): Contender[] {
  return ways.map(([name, how, config]) => ({
    name,
    how,
    open: async (url) => {
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
      const engine = await openEngine({ url, traceSessions: false, ...config(), schema })
      return workOf(engine, (index) => work(engine, index))
    },
  }))
}

const server = {
  'db.system.name': 'postgresql',
  'db.namespace': 'shop',
  'server.address': '127.0.0.1',
  'server.port': 5432,
}
const statement = {
  'db.operation.name': 'select',
  'db.collection.name': 'products',
  'db.query.summary': 'select products',
}
const pool = { 'db.client.connection.pool.name': 'shop' }

/** What OpenTelemetry's own SDK takes for what is told of one read: three values, and two spans. */
function sdkAlone(name: string, how: string, withSpans: boolean): Contender {
  return {
    name,
    how,
    open: async (url) => {
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
      const meter = meters().getMeter('bench')
      const [operation, wait, use] = ['operation', 'wait', 'use'].map((each) => meter.createHistogram(each))
      const tracer = tracers(1).getTracer('bench')
      const engine = await openEngine({ url, traceSessions: false, schema })
      const attributes = { ...server, ...statement }
      const spanAttributes = { ...attributes, 'db.query.text': 'select … from products', 'rivulet.rows': 1 }
      const read = async (index: number) => {
        const row = await engine.session((session) => productRepository(session).get(1 + (index % 16)))
        wait?.record(0.001, pool)
        operation?.record(0.001, attributes)
        use?.record(0.001, pool)
        if (withSpans) tracer.startSpan('select products', { attributes: { ...spanAttributes } }).end()
        return row
      }
      return workOf(engine, (index) => {
        if (!withSpans) return read(index)
        const span = tracer.startSpan('task')
        return context.with(trace.setSpan(context.active(), span), () => read(index)).finally(() => span.end())
      })
    },
  }
}

const alone = {
  metrics: sdkAlone('the SDK alone, metrics', 'its values recorded beside a read that nobody watches', false),
  traces: sdkAlone('the SDK alone, every trace', 'its values and spans, in the same way', true),
}

/** What it costs to be seen. */
function watched(name: string, title: string, contenders: readonly Contender[]): Benchmark {
  return {
    name,
    title,
    limits: 'What exporters do with it later is not measured: nobody asks for the metrics, and the spans go nowhere.',
    contenders,
    run: async ({ race }) => {
      const found = await race({ rounds: 5 })
      const cost = (way: string, most?: number, to = 'nobody watches'): Goal => {
        return { what: `CPU with ${way}, to ${to}`, is: cpuRatio(found, way, to), most, unit: 'x' }
      }
      const goals = [
        cost('an observer', 1.02),
        cost('Prometheus', 1.1),
        cost('OpenTelemetry, metrics', 1.1),
        cost('OpenTelemetry, one trace of a hundred', 1.1),
        cost('OpenTelemetry, every trace', 1.1),
      ]
      if (contenders.includes(alone.metrics)) {
        goals.push(
          cost(alone.metrics.name),
          cost(alone.traces.name),
          cost('OpenTelemetry, metrics', 1.1, alone.metrics.name),
          cost('OpenTelemetry, every trace', 1.1, alone.traces.name),
        )
      }
      return { races: [found], goals }
    },
  }
}

export const watchedReads = watched(
  'watched-reads',
  'One product by its key, by engines that are watched, ten at a time',
  [
    ...watchedContenders((engine, index) =>
      engine.session((session) => productRepository(session).get(1 + (index % 16))),
    ),
    alone.metrics,
    alone.traces,
  ],
)

export const watchedPages = watched(
  'watched-pages',
  'The product page, by engines that are watched, ten at a time',
  watchedContenders((engine, index) =>
    productPage(engine, { productId: 1 + (index % 16), customerId: 1 + (index % 24) }),
  ),
)
