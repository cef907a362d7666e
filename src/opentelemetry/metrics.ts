/**
 * The metrics of engines: histograms from what is observed, gauges from the pool when they are collected. Whoever opens and
 * closes engines for ever leaves nothing behind here: the instruments are made once.
 * https://opentelemetry.io/docs/specs/semconv/db/database-metrics/
 */
import type { Attributes, Meter } from '@opentelemetry/api'
import type { Observation, ObservationOf, Observer } from '../observe/observation.ts'
import type { PoolGauges } from '../observe/telemetry.ts'
import { DistinctValues } from '../observe/distinct-values.ts'
import { callErrorAttributes, commitErrorAttributes } from './error-attributes.ts'
import { CollectedPools } from './pool-gauges.ts'
import { querySummary } from '../observe/query-summary.ts'
import type { ServerAttributes } from './server-attributes.ts'

/** One pool's metrics. */
export interface PoolMetrics {
  readonly observe: Observer
  /** The pool is closed. */
  close(): void
}

export class Metrics {
  readonly #recorded: Recorded
  readonly #pools: CollectedPools
  readonly #labels = new DistinctValues(100)
  readonly #summaries = new DistinctValues(200)
  readonly #errors = new DistinctValues(100)

  constructor(meter: Meter) {
    this.#recorded = recordedIn(meter)
    this.#pools = new CollectedPools(meter)
  }

  /** Begins with a pool. */
  open(wanted: string, gauges: () => PoolGauges, servers: ServerAttributes): PoolMetrics {
    const { name, close } = this.#pools.open(wanted, gauges)
    const pool: Attributes = { 'db.client.connection.pool.name': name }
    return {
      observe: (observation) => this.#record(observation, servers, pool),
      close,
    }
  }

  #record(observation: Observation, servers: ServerAttributes, pool: Attributes): void {
    const { createTime, waitTime, useTime, retries } = this.#recorded
    switch (observation.type) {
      case 'statement.finished':
        return this.#statement(observation, servers)
      case 'transaction.finished':
        return this.#commit(observation, servers, pool)
      case 'transaction.retried':
        return retries.add(1, { ...pool, ...this.#error(callErrorAttributes(observation.error)) })
      case 'connection.opened':
        return createTime.record(observation.durationMs / 1000, pool)
      case 'session.acquired':
        return waitTime.record(observation.waitMs / 1000, this.#labelled(pool, observation.label))
      case 'session.released':
        return useTime.record(observation.heldMs / 1000, this.#labelled(pool, observation.label))
      default:
        return undefined
    }
  }

  #statement(
    { text, backendPid, durationMs, error }: ObservationOf<'statement.finished'>,
    servers: ServerAttributes,
  ): void {
    const failure = error === undefined ? undefined : callErrorAttributes(error)
    const attributes = { ...servers.of(backendPid), ...this.#query(text), ...this.#error(failure) }
    this.#recorded.operationDuration.record(durationMs / 1000, attributes)
  }

  #commit(observation: ObservationOf<'transaction.finished'>, servers: ServerAttributes, pool: Attributes): void {
    const { backendPid, outcome, commitMs, error } = observation
    if (commitMs === undefined) return
    const commit = { 'db.operation.name': 'COMMIT', 'db.query.summary': 'COMMIT' }
    const failure = this.#error(commitErrorAttributes(outcome, error))
    this.#recorded.operationDuration.record(commitMs / 1000, { ...servers.of(backendPid), ...commit, ...failure })
    if (outcome === 'unknown') this.#recorded.unknownCommits.add(1, pool)
  }

  /** What kind of statement it is; of a rare one, not more than that it is one. */
  #query(text: string): Attributes {
    const { summary, operation, collection } = querySummary(text)
    const attributes: Attributes = {}
    if (summary !== undefined) attributes['db.query.summary'] = this.#summaries.named(summary)
    if (summary === undefined || !this.#summaries.has(summary)) return attributes
    if (operation !== undefined) attributes['db.operation.name'] = operation
    if (collection !== undefined) attributes['db.collection.name'] = collection
    return attributes
  }

  /** A function may raise any code. */
  #error(attributes: Attributes = {}): Attributes {
    const type = attributes['error.type']
    if (type === undefined || this.#errors.has(String(type))) return attributes
    return { 'error.type': this.#errors.named(String(type)) }
  }

  #labelled(pool: Attributes, label: string | undefined): Attributes {
    return label === undefined ? pool : { ...pool, 'rivulet.label': this.#labels.named(label) }
  }
}

type Recorded = ReturnType<typeof recordedIn>

/** Those of single events; times are seconds. */
function recordedIn(meter: Meter) {
  const seconds = (name: string, description: string) =>
    meter.createHistogram(name, {
      description,
      unit: 's',
      advice: { explicitBucketBoundaries: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10] },
    })
  return {
    operationDuration: seconds('db.client.operation.duration', 'Duration of database client operations.'),
    createTime: seconds('db.client.connection.create_time', 'The time it took to create a new connection.'),
    waitTime: seconds('db.client.connection.wait_time', 'The time it took to obtain a connection from the pool.'),
    useTime: seconds(
      'db.client.connection.use_time',
      'The time between borrowing a connection and returning it to the pool.',
    ),
    retries: meter.createCounter('rivulet.transaction.retries', {
      description: 'Units of work that were run again.',
      unit: '{retry}',
    }),
    unknownCommits: meter.createCounter('rivulet.transaction.unknown_commits', {
      description: 'Transactions whose connection broke before COMMIT was answered.',
      unit: '{transaction}',
    }),
  }
}
