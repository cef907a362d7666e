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
  // Made once: an object that spreads others costs as much as what is recorded with it.
  readonly #queries = new WeakMap<Attributes, Map<string, Attributes>>()
  readonly #labelledPools = new WeakMap<Attributes, Map<string, Attributes>>()

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
    const attributes = this.#query(servers.of(backendPid), text)
    const all = error === undefined ? attributes : { ...attributes, ...this.#error(callErrorAttributes(error)) }
    this.#recorded.operationDuration.record(durationMs / 1000, all)
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
  #query(server: Attributes, text: string): Attributes {
    const { summary, operation, collection } = querySummary(text)
    if (summary === undefined) return server
    const named = this.#summaries.named(summary)
    return made(this.#queries, server, named, () => {
      const attributes: Attributes = { ...server, 'db.query.summary': named }
      if (named !== summary) return attributes
      if (operation !== undefined) attributes['db.operation.name'] = operation
      if (collection !== undefined) attributes['db.collection.name'] = collection
      return attributes
    })
  }

  /** A function may raise any code. */
  #error(attributes: Attributes = {}): Attributes {
    const type = attributes['error.type']
    if (type === undefined || this.#errors.has(String(type))) return attributes
    return { 'error.type': this.#errors.named(String(type)) }
  }

  #labelled(pool: Attributes, label: string | undefined): Attributes {
    if (label === undefined) return pool
    const named = this.#labels.named(label)
    return made(this.#labelledPools, pool, named, () => ({ ...pool, 'rivulet.label': named }))
  }
}

/** What was made of these attributes for this name, made now if it was not. */
function made(
  kept: WeakMap<Attributes, Map<string, Attributes>>,
  of: Attributes,
  name: string,
  make: () => Attributes,
): Attributes {
  let named = kept.get(of)
  if (!named) kept.set(of, (named = new Map()))
  let attributes = named.get(name)
  if (!attributes) named.set(name, (attributes = make()))
  return attributes
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
