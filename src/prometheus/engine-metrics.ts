/** The metrics of all engines that are watched. Times are seconds, as Prometheus wants them. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { DistinctValues } from '../observe/distinct-values.ts'
import { errorType } from '../observe/error-type.ts'
import { freeName } from '../observe/free-name.ts'
import type { Observation, Observer } from '../observe/observation.ts'
import { querySummary } from '../observe/query-summary.ts'
import type { PoolGauges } from '../observe/telemetry.ts'

/** What one engine is given. */
export interface WatchedPool {
  readonly observe: Observer
  /** The engine is closed: its gauges are gone, and what was counted stays. */
  readonly close: () => void
}

const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export class EngineMetrics {
  readonly #recorded: MetricsOfEvents
  readonly #pools = new Map<string, () => PoolGauges>()
  readonly #labels = new DistinctValues(100)
  readonly #statements = new DistinctValues(200)
  readonly #errors = new DistinctValues(100)

  constructor(registry: Registry) {
    this.#recorded = recordedIn(registry)
    addGauges(registry, this.#pools)
  }

  /** Begins with an engine. */
  open(wanted: string, gauges: () => PoolGauges): WatchedPool {
    const pool = freeName(wanted, (name) => this.#pools.has(name))
    this.#pools.set(pool, gauges)
    // A counter that is not there yet is none that has grown: the first failure would raise no alert.
    const { transactions, retries, lost } = this.#recorded
    for (const outcome of ['committed', 'rolled_back', 'unknown']) transactions.inc({ pool, outcome }, 0)
    for (const error of ['40001', '40P01']) retries.inc({ pool, error: this.#errors.named(error) }, 0)
    lost.inc({ pool }, 0)
    return {
      observe: (observation) => this.#record(observation, pool),
      close: () => this.#pools.delete(pool),
    }
  }

  #record(observation: Observation, pool: string): void {
    const { opening, waiting, using, gathers, statements, failures, commits, transactions, retries, lost } =
      this.#recorded
    switch (observation.type) {
      case 'statement.finished': {
        const statement = this.#statements.named(querySummary(observation.text).summary ?? 'unknown')
        statements.observe({ pool, statement }, observation.durationMs / 1000)
        if (observation.error !== undefined) failures.inc({ pool, statement, error: this.#error(observation.error) })
        return
      }
      case 'transaction.finished':
        transactions.inc({ pool, outcome: observation.outcome })
        if (observation.commitMs !== undefined) commits.observe({ pool }, observation.commitMs / 1000)
        return
      case 'transaction.retried':
        return retries.inc({ pool, error: this.#error(observation.error) })
      case 'connection.opened':
        return opening.observe({ pool }, observation.durationMs / 1000)
      case 'connection.lost':
        return lost.inc({ pool })
      case 'session.acquired':
        return waiting.observe({ pool, label: this.#label(observation.label) }, observation.waitMs / 1000)
      case 'session.released':
        return using.observe({ pool, label: this.#label(observation.label) }, observation.heldMs / 1000)
      case 'gather.finished':
        return gathers.observe({ pool, label: this.#label(observation.label) }, observation.durationMs / 1000)
      default:
        return undefined
    }
  }

  /** Of a session without a label: nothing, which is no label to Prometheus either. */
  #label(label = ''): string {
    return this.#labels.named(label)
  }

  /** A function may raise any code. */
  #error(error: unknown): string {
    return this.#errors.named(errorType(error))
  }
}

type MetricsOfEvents = ReturnType<typeof recordedIn>

/** Those of single events. */
function recordedIn(registry: Registry) {
  const registers = [registry]
  const seconds = <TLabel extends string>(name: string, help: string, labelNames: readonly TLabel[]) =>
    new Histogram({ name: `rivulet_${name}_seconds`, help, labelNames, buckets, registers })
  const counter = <TLabel extends string>(name: string, help: string, labelNames: readonly TLabel[]) =>
    new Counter({ name: `rivulet_${name}_total`, help, labelNames, registers })
  return {
    statements: seconds('statement_duration', 'How long statements took, by what they do and on which tables.', [
      'pool',
      'statement',
    ]),
    failures: counter('statement_failures', 'Statements that failed, by SQLSTATE or code.', [
      'pool',
      'statement',
      'error',
    ]),
    commits: seconds('commit_duration', 'How long COMMIT took.', ['pool']),
    transactions: counter('transactions', 'Transactions that ended, by what came of them.', ['pool', 'outcome']),
    retries: counter('transaction_retries', 'Units of work that were run again, and why.', ['pool', 'error']),
    gathers: seconds('gather_duration', 'How long gathers took.', ['pool', 'label']),
    opening: seconds('connection_open_duration', 'How long it took to open a connection.', ['pool']),
    waiting: seconds('connection_wait_duration', 'How long sessions waited for a connection.', ['pool', 'label']),
    using: seconds('connection_use_duration', 'How long sessions held their connection.', ['pool', 'label']),
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
