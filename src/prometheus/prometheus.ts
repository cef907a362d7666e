/**
 * Metrics of engines as Prometheus reads them, by prom-client: histograms from what is observed, and the pool's own gauges
 * and counters when somebody asks. How many series there are is bounded, whatever labels a program makes up.
 * https://prometheus.io/docs/practices/naming/
 */
import { Registry } from 'prom-client'
import { ConfigInvalid } from '../errors.ts'
import type { EngineTelemetry, Telemetry, WatchedEngine } from '../observe/telemetry.ts'
import { checkSettings, optionNames } from '../option-names.ts'
import { EngineMetrics } from './engine-metrics.ts'

/** Options of `createPrometheus`. */
export interface PrometheusOptions {
  /** Where the metrics are kept, such as the `register` of prom-client that a program has. Default: a registry of their own. */
  readonly registry?: Registry | undefined
  /** The label `pool` of every metric. Default: `host:port/database`; a second pool of that name ends with `-2`. */
  readonly poolName?: string | undefined
}

const known = optionNames<PrometheusOptions>({ registry: true, poolName: 'string' })

/** What counts, and what tells. */
export interface Prometheus {
  /** For `openEngine({ telemetry })`, of one engine or several. */
  readonly telemetry: Telemetry
  /** All metrics now, in Prometheus' text format 0.0.4: what `metrics` of `createApp` takes. */
  readonly text: () => Promise<string>
  /** For metrics of your own, which `text` tells as well. */
  readonly registry: Registry
}

/** Makes metrics that nobody sends anywhere: they are there to be asked for. @throws ConfigInvalid for a wrong option. */
export function createPrometheus(options: PrometheusOptions = {}): Prometheus {
  checkSettings('createPrometheus', known, options)
  const { registry = new Registry(), poolName } = options
  if (typeof registry?.registerMetric !== 'function')
    throw new ConfigInvalid('createPrometheus.registry must be a Registry of prom-client')
  if (registry.getSingleMetric('rivulet_connections_max')) {
    throw new ConfigInvalid(
      'createPrometheus: this registry has the metrics of another createPrometheus: keep the first, which serves several engines',
    )
  }
  const metrics = new EngineMetrics(registry)
  const attach = ({ host, port, database, gauges }: WatchedEngine): EngineTelemetry => {
    // The directory of a socket is nobody's business who may read metrics.
    const place = host.startsWith('/') ? 'localhost' : host
    const pool = metrics.open(poolName ?? `${place}:${port}/${database}`, gauges)
    return { observe: pool.observe, tracing: undefined, detach: pool.close }
  }
  return { telemetry: { attach }, registry, text: () => registry.metrics() }
}
