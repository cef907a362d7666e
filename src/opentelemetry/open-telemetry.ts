/**
 * OpenTelemetry for an engine: spans and metrics by the semantic conventions for databases, through `@opentelemetry/api`
 * alone. What becomes of them, which exporter and how often, is the affair of the SDK that the program has started; without
 * one, nothing becomes of them. https://opentelemetry.io/docs/specs/semconv/db/
 */
import { metrics, type MeterProvider, trace, type Tracer, type TracerProvider } from '@opentelemetry/api'
import { ConfigInvalid } from '../errors.ts'
import type { EngineTelemetry, Telemetry, Tracing, WatchedEngine } from '../observe/telemetry.ts'
import type { Observer } from '../observe/observation.ts'
import { checkSettings, optionNames } from '../option-names.ts'
import { Metrics } from './metrics.ts'
import { ServerAttributes } from './server-attributes.ts'
import { Spans } from './spans.ts'
import { sqlComment } from './sql-comment.ts'

/** Options of `openTelemetry`. */
export interface OpenTelemetryOptions {
  /** False: no spans. Default true. */
  readonly traces?: boolean | undefined
  /** False: no metrics. Default true. */
  readonly metrics?: boolean | undefined
  /** Makes the spans. Default: the global one, also where it is registered later. */
  readonly tracerProvider?: TracerProvider | undefined
  /** Makes the metrics. Default: the global one, which must be registered before the engine is opened. */
  readonly meterProvider?: MeterProvider | undefined
  /** `db.client.connection.pool.name` in metrics. Default: `host:port/database`; a second pool of that name ends with `-2`. */
  readonly poolName?: string | undefined
  /**
   * True: a statement that is not prepared is sent with the `traceparent` of its task as a comment, for the server's log.
   * Default false. https://google.github.io/sqlcommenter/spec/
   */
  readonly sqlComments?: boolean | undefined
}

const known = optionNames<OpenTelemetryOptions>({
  traces: 'boolean',
  metrics: 'boolean',
  tracerProvider: true,
  meterProvider: true,
  poolName: 'string',
  sqlComments: 'boolean',
})

/** The name under which tracer and meter are known. */
const scope = 'rivulet'

/**
 * What `telemetry` of `openEngine` takes: `openEngine({ schema, telemetry: openTelemetry() })`. One may serve several engines.
 * @throws ConfigInvalid for a wrong option.
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): Telemetry {
  checkSettings('openTelemetry', known, options)
  const { tracerProvider, meterProvider } = options
  must('tracerProvider', tracerProvider, 'getTracer')
  must('meterProvider', meterProvider, 'getMeter')
  let metered: Metrics | undefined
  return {
    attach(engine) {
      const tracer = options.traces === false ? undefined : (tracerProvider ?? trace).getTracer(scope)
      if (options.metrics !== false) metered ??= new Metrics((meterProvider ?? metrics).getMeter(scope))
      return watch(engine, tracer, metered, options)
    },
  }
}

function watch(
  engine: WatchedEngine,
  tracer: Tracer | undefined,
  metered: Metrics | undefined,
  { poolName, sqlComments = false }: OpenTelemetryOptions,
): EngineTelemetry {
  const servers = new ServerAttributes(engine.database)
  const spans = tracer && new Spans(tracer, servers)
  const name = poolName ?? `${engine.host}:${engine.port}/${engine.database}`
  const pool = metered?.open(name, engine.gauges, servers)
  const sinks = [pool?.observe, spans?.observe].filter((sink) => sink !== undefined)
  const observe: Observer = (observation) => {
    servers.opened(observation)
    for (const sink of sinks) sink(observation)
    servers.closed(observation)
  }
  const comment = sqlComments ? sqlComment : undefined
  const around: Tracing['around'] = spans ? spans.around : (_kind, _label, work) => work()
  const tracing = spans || comment ? { around, comment } : undefined
  return { observe, tracing, detach: () => pool?.close() }
}

function must(name: keyof OpenTelemetryOptions, value: unknown, method: string): void {
  if (value === undefined) return
  const has = typeof value === 'object' && value !== null && method in value
  if (!has) throw new ConfigInvalid(`openTelemetry.${name} must have ${method}(), as those of OpenTelemetry's SDK do`)
}
