/** OpenTelemetry's own SDK, whose exporters keep in memory what they are given. */
import { context, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'

/** Makes context pass through asynchronous code, as `NodeSDK` does; returns what ends it. */
export function passContext(): () => void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  return () => context.disable()
}

/** A span as a tree: what is not there did not happen. */
export interface SpanNode {
  readonly name: string
  /** `error.type`. */
  readonly error?: string
  /** The names of the spans it is linked to. */
  readonly links?: readonly string[]
  readonly spans?: readonly SpanNode[]
}

/** Spans as they are exported. */
export function keptSpans() {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  return {
    provider,
    get all(): readonly ReadableSpan[] {
      return exporter.getFinishedSpans()
    },
    named: (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name),
    /** The spans that have no parent, with those below them in the order in which they began. */
    trees: () => treesOf(exporter.getFinishedSpans()),
    forget: () => exporter.reset(),
  }
}

const idOf = (span: ReadableSpan) => span.spanContext().spanId

function treesOf(spans: readonly ReadableSpan[]): SpanNode[] {
  const names = new Map(spans.map((span) => [idOf(span), span.name]))
  const below = (parent: string | undefined): SpanNode[] =>
    spans
      .filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent)
      .toSorted((a, b) => micros(a.startTime) - micros(b.startTime))
      .map((span) => {
        const inner = below(idOf(span))
        const links = span.links.map((link) => names.get(link.context.spanId) ?? 'unknown')
        const failed = span.status.code === SpanStatusCode.ERROR
        return {
          name: span.name,
          ...(failed ? { error: String(span.attributes['error.type']) } : {}),
          ...(links.length > 0 ? { links } : {}),
          ...(inner.length > 0 ? { spans: inner } : {}),
        }
      })
  return below(undefined)
}

/** Microseconds of an instant. */
export function micros([seconds, nanos]: ReadableSpan['startTime']): number {
  return seconds * 1e6 + nanos / 1e3
}

/** True for the span of a call to the server. */
export function isCall(span: ReadableSpan): boolean {
  return span.kind === SpanKind.CLIENT
}

/** Metrics as they are collected, when they are asked for. */
export function keptMetrics() {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 31 - 1 })
  const provider = new MeterProvider({ readers: [reader] })
  return {
    provider,
    /** What there is now, by name: the values of a histogram are how often it was written to. */
    async now(): Promise<Record<string, { readonly unit: string; readonly points: readonly MetricPoint[] }>> {
      exporter.reset()
      await provider.forceFlush()
      const metrics = exporter
        .getMetrics()
        .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
      return Object.fromEntries(
        metrics.map(({ descriptor, dataPoints }) => {
          const points = dataPoints.map(({ attributes, value }) => ({
            attributes,
            value: typeof value === 'number' ? value : value.count,
          }))
          return [descriptor.name, { unit: descriptor.unit, points }]
        }),
      )
    },
    close: () => provider.shutdown(),
  }
}

/** The value of a metric under some attributes. */
export interface MetricPoint {
  readonly attributes: Readonly<Record<string, unknown>>
  readonly value: number
}
