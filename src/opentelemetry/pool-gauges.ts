/**
 * The gauges and counters of pools, read when somebody collects them. An SDK repeats the last value of what is no longer
 * observed, so a pool that is closed is told once more, as empty, and then forgotten.
 *
 *   open ──close──▶ closed ──collected──▶ forgotten          open ──close, never collected──▶ forgotten
 */
import type { Attributes, BatchObservableResult, Meter } from '@opentelemetry/api'
import { freeName } from '../observe/free-name.ts'
import type { PoolGauges } from '../observe/telemetry.ts'

interface CollectedPool {
  readonly read: () => PoolGauges
  /** What was collected last. */
  last: PoolGauges | undefined
  isOpen: boolean
}

export class CollectedPools {
  readonly #meter: Meter
  readonly #instruments: Instruments
  readonly #pools = new Map<string, CollectedPool>()
  #isWatched = false

  constructor(meter: Meter) {
    this.#meter = meter
    this.#instruments = instrumentsOf(meter)
  }

  /** Begins with a pool; returns the name that is its own while it is open, and what ends it. */
  open(wanted: string, read: () => PoolGauges): { readonly name: string; close(): void } {
    const name = freeName(wanted, (taken) => this.#pools.get(taken)?.isOpen === true)
    const pool: CollectedPool = { read, last: undefined, isOpen: true }
    this.#pools.set(name, pool)
    this.#watch()
    const close = () => {
      pool.isOpen = false
      if (pool.last) return
      this.#pools.delete(name)
      this.#unwatch()
    }
    return { name, close }
  }

  #watch(): void {
    if (this.#isWatched) return
    this.#isWatched = true
    this.#meter.addBatchObservableCallback(this.#collect, Object.values(this.#instruments))
  }

  #unwatch(): void {
    if (this.#pools.size > 0 || !this.#isWatched) return
    this.#isWatched = false
    this.#meter.removeBatchObservableCallback(this.#collect, Object.values(this.#instruments))
  }

  readonly #collect = (result: BatchObservableResult): void => {
    for (const [name, pool] of this.#pools) {
      const now = pool.isOpen || !pool.last ? pool.read() : { ...pool.last, max: 0, idle: 0, leased: 0, waiting: 0 }
      this.#tell(result, now, { 'db.client.connection.pool.name': name })
      pool.last = now
      if (!pool.isOpen) this.#pools.delete(name)
    }
    // Not while those who collect go through their callbacks.
    if (this.#pools.size === 0) setImmediate(() => this.#unwatch())
  }

  #tell(result: BatchObservableResult, now: PoolGauges, pool: Attributes): void {
    const { count, max, pending, timeouts, sheddings, deadlocks } = this.#instruments
    result.observe(count, now.idle, { ...pool, 'db.client.connection.state': 'idle' })
    result.observe(count, now.leased, { ...pool, 'db.client.connection.state': 'used' })
    result.observe(max, now.max, pool)
    result.observe(pending, now.waiting, pool)
    result.observe(timeouts, now.timeouts, pool)
    result.observe(sheddings, now.overloads, pool)
    result.observe(deadlocks, now.deadlocks, pool)
  }
}

type Instruments = ReturnType<typeof instrumentsOf>

function instrumentsOf(meter: Meter) {
  const upDown = (name: string, unit: string, description: string) =>
    meter.createObservableUpDownCounter(name, { unit, description })
  const counter = (name: string, unit: string, description: string) =>
    meter.createObservableCounter(name, { unit, description })
  return {
    count: upDown('db.client.connection.count', '{connection}', 'Connections in the state that the attribute says.'),
    max: upDown('db.client.connection.max', '{connection}', 'The most connections that may be open.'),
    pending: upDown('db.client.connection.pending_requests', '{request}', 'Calls that wait for a connection.'),
    timeouts: counter('db.client.connection.timeouts', '{timeout}', 'Calls that waited too long for a connection.'),
    sheddings: counter('rivulet.pool.sheddings', '{call}', 'Calls that were turned away under overload.'),
    deadlocks: counter('rivulet.pool.deadlocks', '{deadlock}', 'Calls refused because tasks waited for each other.'),
  }
}
