/** The metrics of all engines that are watched. Times are seconds, as Prometheus wants them. */
import { Counter, Gauge, type Registry } from 'prom-client'
import { DistinctValues } from '../observe/distinct-values.ts'
import { errorType } from '../observe/error-type.ts'
import { freeName } from '../observe/free-name.ts'
import type { Observer } from '../observe/observation.ts'
import { querySummary } from '../observe/query-summary.ts'
import type { PoolGauges } from '../observe/telemetry.ts'
import { type DurationSeries, Durations } from './durations.ts'

/** What one engine is given. */
export interface WatchedPool {
  readonly observe: Observer
  /** The engine is closed: its gauges are gone, and what was counted stays. */
  readonly close: () => void
}

/** Those of all pools, and what bounds how many series there are. */
export class EngineMetrics {
  readonly #events: MetricsOfEvents
  readonly #pools = new Map<string, () => PoolGauges>()
  readonly #bounds: Bounds = {
    labels: new DistinctValues(100),
    statements: new DistinctValues(200),
    errors: new DistinctValues(100),
  }

  constructor(registry: Registry) {
    this.#events = recordedIn(registry)
    addGauges(registry, this.#pools)
  }

  /** Begins with an engine. */
  open(wanted: string, gauges: () => PoolGauges): WatchedPool {
    const pool = freeName(wanted, (name) => this.#pools.has(name))
    this.#pools.set(pool, gauges)
    const recording = new PoolRecording(pool, this.#events, this.#bounds)
    return { observe: recording.observe, close: () => this.#pools.delete(pool) }
  }
}

interface Bounds {
  readonly labels: DistinctValues
  readonly statements: DistinctValues
  readonly errors: DistinctValues
}

/** What one engine does. */
class PoolRecording {
  readonly #pool: string
  readonly #events: MetricsOfEvents
  readonly #bounds: Bounds
  readonly #statements: ByName
  readonly #waits: ByName
  readonly #uses: ByName
  readonly #gathers: ByName
  readonly #commits: DurationSeries
  readonly #openings: DurationSeries

  constructor(pool: string, events: MetricsOfEvents, bounds: Bounds) {
    this.#pool = pool
    this.#events = events
    this.#bounds = bounds
    this.#statements = byName(bounds.statements, (statement) => events.statements.series({ pool, statement }))
    this.#waits = byName(bounds.labels, (label) => events.waiting.series({ pool, label }))
    this.#uses = byName(bounds.labels, (label) => events.using.series({ pool, label }))
    this.#gathers = byName(bounds.labels, (label) => events.gathers.series({ pool, label }))
    this.#commits = events.commits.series({ pool })
    this.#openings = events.opening.series({ pool })
    // A counter that is not there yet is none that has grown: the first failure would raise no alert.
    const { transactions, retries, lost } = events
    for (const outcome of ['committed', 'rolled_back', 'unknown']) transactions.inc({ pool, outcome }, 0)
    for (const error of ['40001', '40P01']) retries.inc({ pool, error: bounds.errors.named(error) }, 0)
    lost.inc({ pool }, 0)
  }

  readonly observe: Observer = (observation) => {
    const pool = this.#pool
    switch (observation.type) {
      case 'statement.finished': {
        const { text, durationMs, error } = observation
        const statement = querySummary(text).summary ?? 'unknown'
        this.#statements(statement).observe(durationMs)
        if (error !== undefined) this.#failed(statement, error)
        return
      }
      case 'transaction.finished':
        this.#events.transactions.inc({ pool, outcome: observation.outcome })
        if (observation.commitMs !== undefined) this.#commits.observe(observation.commitMs)
        return
      case 'transaction.retried':
        return this.#events.retries.inc({ pool, error: this.#error(observation.error) })
      case 'connection.opened':
        return this.#openings.observe(observation.durationMs)
      case 'connection.lost':
        return this.#events.lost.inc({ pool })
      // Of a session without a label: nothing, which is no label to Prometheus either.
      case 'session.acquired':
        return this.#waits(observation.label ?? '').observe(observation.waitMs)
      case 'session.released':
        return this.#uses(observation.label ?? '').observe(observation.heldMs)
      case 'gather.finished':
        return this.#gathers(observation.label ?? '').observe(observation.durationMs)
      default:
        return undefined
    }
  }

  #failed(statement: string, error: unknown): void {
    const named = this.#bounds.statements.named(statement)
    this.#events.failures.inc({ pool: this.#pool, statement: named, error: this.#error(error) })
  }

  /** A function may raise any code. */
  #error(error: unknown): string {
    return this.#bounds.errors.named(errorType(error))
  }
}

/** Finds the series of a name, which is that of all others where there are too many. */
type ByName = (name: string) => DurationSeries

function byName(names: DistinctValues, series: (name: string) => DurationSeries): ByName {
  const known = new Map<string, DurationSeries>()
  return (name) => {
    const named = names.named(name)
    let found = known.get(named)
    if (!found) known.set(named, (found = series(named)))
    return found
  }
}

type MetricsOfEvents = ReturnType<typeof recordedIn>

/** Those of single events. */
function recordedIn(registry: Registry) {
  const registers = [registry]
  const seconds = (name: string, help: string) => new Durations(`rivulet_${name}_seconds`, help, registry)
  const counter = <TLabel extends string>(name: string, help: string, labelNames: readonly TLabel[]) =>
    new Counter({ name: `rivulet_${name}_total`, help, labelNames, registers })
  return {
    statements: seconds('statement_duration', 'How long statements took, by what they do and on which tables.'),
    failures: counter('statement_failures', 'Statements that failed, by SQLSTATE or code.', [
      'pool',
      'statement',
      'error',
    ]),
    commits: seconds('commit_duration', 'How long COMMIT took.'),
    transactions: counter('transactions', 'Transactions that ended, by what came of them.', ['pool', 'outcome']),
    retries: counter('transaction_retries', 'Units of work that were run again, and why.', ['pool', 'error']),
    gathers: seconds('gather_duration', 'How long gathers took.'),
    opening: seconds('connection_open_duration', 'How long it took to open a connection.'),
    waiting: seconds('connection_wait_duration', 'How long sessions waited for a connection.'),
    using: seconds('connection_use_duration', 'How long sessions held their connection.'),
    lost: counter('connections_lost', 'Connections that broke.', ['pool']),
  }
}

/** Those that the pool keeps itself. */
function addGauges(registry: Registry, pools: ReadonlyMap<string, () => PoolGauges>): void {
  const registers = [registry]
  const gauge = (name: string, help: string, value: (gauges: PoolGauges) => number) =>
    new Gauge({
      name: `rivulet_${name}`,
      help,
      labelNames: ['pool'],
      registers,
      collect() {
        this.reset()
        for (const [pool, gauges] of pools) this.set({ pool }, value(gauges()))
      },
    })
  const counter = (name: string, help: string, value: (gauges: PoolGauges) => number) =>
    new Counter({
      name: `rivulet_${name}_total`,
      help,
      labelNames: ['pool'],
      registers,
      collect() {
        this.reset()
        for (const [pool, gauges] of pools) this.inc({ pool }, value(gauges()))
      },
    })
  gauge('connections_idle', 'Connections that no session has.', ({ idle }) => idle)
  gauge('connections_leased', 'Connections that a session has.', ({ leased }) => leased)
  gauge('connections_max', 'The most connections that may be open.', ({ max }) => max)
  gauge('waiting_calls', 'Calls that wait for a connection.', ({ waiting }) => waiting)
  counter('pool_timeouts', 'Calls that waited too long for a connection.', ({ timeouts }) => timeouts)
  counter('pool_overloads', 'Calls that were turned away under overload.', ({ overloads }) => overloads)
  counter('pool_deadlocks', 'Calls refused because tasks waited for each other.', ({ deadlocks }) => deadlocks)
}
