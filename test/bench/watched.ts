/** The same work by engines that are watched in different ways, beside one that nobody watches. */
import { context } from '@opentelemetry/api'
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
import * as schema from '../../schema/index.ts'
import type { Config } from '../../src/config.ts'
import { openEngine } from '../../src/engine.ts'
import { openTelemetry } from '../../src/opentelemetry/open-telemetry.ts'
import { createPrometheus } from '../../src/prometheus/prometheus.ts'
import { productPage, type ShopEngine } from '../../src/shop/product-page.ts'
import { productRepository } from '../../src/shop/repositories.ts'
import type { Contender } from './measure.ts'

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

/** Contenders of the scenarios; close them. */
export interface WatchedField extends AsyncDisposable {
  readonly pointRead: readonly Contender[]
  readonly productPage: readonly Contender[]
}

/** Opens an engine for each way. */
export async function openWatchedField(url: string): Promise<WatchedField> {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const engines: ShopEngine[] = []
  for (const [, , config] of ways) engines.push(await openEngine({ url, traceSessions: false, ...config(), schema }))
  const contenders = (work: (engine: ShopEngine, index: number) => Promise<unknown>) =>
    ways.flatMap(([name, how], at): Contender[] => {
      const engine = engines[at]
      return engine ? [{ name, how, run: (index) => work(engine, index) }] : []
    })
  return {
    pointRead: contenders((engine, index) =>
      engine.session((session) => productRepository(session).get(1 + (index % 16))),
    ),
    productPage: contenders((engine, index) =>
      productPage(engine, { productId: 1 + (index % 16), customerId: 1 + (index % 24) }),
    ),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(engines.map((engine) => engine.close()))
      context.disable()
    },
  }
}
