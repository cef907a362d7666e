/**
 * A bounded set of connections and a FIFO queue of calls that wait for one. It grows when a call waits, shrinks when
 * none does, replaces what was lost, and never hands a connection to two leases. The states of a connection are drawn in
 * `src/README.md`.
 *
 * A connection counts against `max` until its socket has closed, so the server never sees more than `max` backends.
 * While connecting fails, one attempt at a time is made, with capped exponential backoff and jitter. What changes who
 * can be served ends in `#advance`: it opens what is wanted and tells those that can never be served.
 */
import type { PoolSettings } from '../config.ts'
import { ConfigInvalid, ConnectionLost, PoolClosed, PoolTimeout, type RivuletError } from '../errors.ts'
import type { RetireReason } from '../observe/observation.ts'
import type { Observers } from '../observe/observers.ts'
import { Attempts } from './attempts.ts'
import { ConnectBackoff } from './connect-backoff.ts'
import type { Connection } from './connection.ts'
import { Demotion } from './demotion.ts'
import type { PoolStats } from './pool-stats.ts'
import { Preparation } from './preparation.ts'
import { Reserve } from './deadlock-avoidance.ts'
import { SilenceWatch } from './silence-watch.ts'
import { type AcquireRequest, type PoolLease, WaitQueue } from './wait-queue.ts'

/** A connection that is idle or leased. */
interface PoolEntry {
  readonly connection: Connection
  /** When it is too old to be used again. */
  readonly retireAt: number
  /** While idle: when it has been so for too long. */
  idleUntil: number
  /** While leased: since when. */
  leasedSince: number | undefined
  lease: PoolLease | undefined
}

/** Milliseconds between looks at idle connections, at most. */
const sweepMs = 5000

export class Pool {
  readonly #settings: PoolSettings
  readonly #attempts: Attempts
  readonly #observers: Observers
  /**
   * Changes only when a connection comes or goes: a Map or Set that every call adds to and deletes from links its dead
   * tables to the live ones, and what they held outlives the young generation of the heap.
   */
  readonly #entries = new Map<Connection, PoolEntry>()
  readonly #idle: PoolEntry[] = []
  #leased = 0
  readonly #closing = new Set<Promise<void>>()
  readonly #queue: WaitQueue
  readonly #backoff = new ConnectBackoff()
  readonly #silence: SilenceWatch
  readonly #demotion = new Demotion()
  readonly #reserve = new Reserve(() => this.#advance())
  readonly #preparation: Preparation
  readonly #openings = new Set<Promise<void>>()
  #opening = 0
  #closed = false
  #retryTimer: NodeJS.Timeout | undefined
  #regrowTimer: NodeJS.Timeout | undefined
  #sweepTimer: NodeJS.Timeout | undefined
  readonly #counters = { acquired: 0, opened: 0, lost: 0, retired: 0, connectFailures: 0, deadlocks: 0 }

  constructor(settings: PoolSettings, open: (signal: AbortSignal) => Promise<Connection>, observers: Observers) {
    this.#settings = settings
    const live = () => [...this.#entries.keys()].filter(({ lost }) => !lost).length
    this.#attempts = new Attempts(open, this.#backoff, live)
    const gaveUp = (connection: Connection) => (this.#demotion.fellSilent(connection), this.#sweep())
    const connections = () => this.#entries.keys()
    this.#silence = new SilenceWatch({ ...settings, watched: connections, gaveUp })
    const idle = () => this.#idle[0]?.connection ?? [...connections()].find((connection) => connection.isQuiet)
    this.#preparation = new Preparation(settings, { connections, idle, changed: () => this.#sweep() })
    this.#observers = observers
    this.#queue = new WaitQueue(settings, observers)
  }

  /** The most connections there can be. */
  get max(): number {
    return this.#settings.max
  }

  /** Opens one connection now, so that a wrong address or password is known before the first call. */
  async probe(): Promise<Connection> {
    this.#opening += 1
    const connection = await this.#connect(Infinity).finally(() => (this.#opening -= 1))
    this.#admit(connection)
    return connection
  }

  /** A free connection, or undefined: the quick way when no call waits. */
  tryAcquire(): Connection | undefined {
    if (this.#queue.size > 0 || this.#closed || this.#reserve.active) return undefined
    const entry = this.#takeIdle()
    if (entry) this.#lease(entry)
    return entry?.connection
  }

  /**
   * Waits for a connection, first come, first served: the way when `tryAcquire` returns none.
   * @throws PoolTimeout, PoolOverloaded, PoolDeadlock, PoolClosed, ConnectionLost (the server cannot be reached),
   * ConfigInvalid (the server refuses us), or what `request.cancelled` makes.
   */
  acquire(request: AcquireRequest): Promise<Connection> {
    const reason = request.scope?.reason
    if (reason) return Promise.reject(request.cancelled(reason, 0))
    if (this.#closed) return Promise.reject(new PoolClosed('the engine is closed: open a new one'))
    if (request.parent) this.#reserve.nested()
    const refusal = this.#queue.refusal(request, this.#size(), this.#room())
    if (refusal) return Promise.reject(refusal)
    return this.#queue.join(
      request,
      () => this.#timedOut(),
      () => this.#advance(),
    )
  }

  /** Says by which lease `connection` is used, once there is one. */
  setLease(connection: Connection, lease: PoolLease): void {
    const entry = this.#entries.get(connection)
    if (entry) entry.lease = lease
  }

  /** Takes a connection back: to the first in the queue, to the idle ones, or, with a reason, to be closed. */
  release(connection: Connection, retire?: RetireReason): void {
    const entry = this.#entries.get(connection)
    if (entry?.leasedSince === undefined) return
    const now = performance.now()
    this.#queue.held(now - entry.leasedSince)
    entry.leasedSince = undefined
    entry.lease = undefined
    this.#leased -= 1
    const doubted = this.#demotion.doubts(connection, now)
    const reason = retire ?? (doubted ? 'server_changed' : this.#outlived(entry, now))
    if (connection.lost || reason) return this.#retire(entry, reason ?? 'unhealthy')
    this.#preparation.returned(connection)
    this.#serve(entry, now)
  }

  /** Why the server cannot be reached, while it cannot: how the last attempt to connect failed; else undefined. */
  outage(): unknown {
    return this.#backoff.failures > 0 ? this.#backoff.lastFailure : undefined
  }

  stats(): PoolStats {
    return {
      max: this.#settings.max,
      open: this.#idle.length + this.#leased,
      idle: this.#idle.length,
      leased: this.#leased,
      opening: this.#opening,
      closing: this.#closing.size,
      waiting: this.#queue.size,
      ...this.#counters,
      timeouts: this.#queue.timeouts,
      overloads: this.#queue.overloads,
      waitedMs: this.#queue.waitedMs,
    }
  }

  /** Refuses the calls that wait, closes what is idle, and resolves when every socket has closed. Leases must be back. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#regrowTimer)
    this.#reserve.forget()
    clearInterval(this.#sweepTimer)
    this.#preparation.stop()
    const unwatched = this.#silence.stop()
    this.#queue.refuseAll(new PoolClosed('the engine was closed'))
    this.#idle.length = 0
    // What is still leased is closed under its task: from here on it counts as closing, and its release as nothing.
    this.#leased = 0
    for (const entry of this.#entries.values()) this.#retire(entry, 'pool_closing')
    this.#attempts.abort(new PoolClosed('the engine was closed'))
    await unwatched
    while (this.#closing.size + this.#openings.size > 0) await Promise.all([...this.#closing, ...this.#openings])
  }

  #timedOut(): RivuletError {
    const { max, acquireTimeoutMs } = this.#settings
    const cause = this.outage()
    if (cause !== undefined && this.#leased === 0) {
      return new ConnectionLost(`no connection within ${acquireTimeoutMs} ms: the server cannot be reached`, { cause })
    }
    return new PoolTimeout(
      `no connection became free within ${acquireTimeoutMs} ms (pool.acquireTimeoutMs): ${this.#leased} of at most ` +
        `${max} are in use; shorten the sessions or raise pool.max`,
    )
  }

  /** Gives the connection to the first that may have it; false when it has become idle instead. */
  #serve(entry: PoolEntry, now = performance.now()): boolean {
    const waiter = this.#queue.next(now, this.#mayLease)
    if (waiter) {
      this.#lease(entry)
      waiter.resolve(entry.connection)
      return true
    }
    const { idleTimeoutMs } = this.#settings
    entry.idleUntil = idleTimeoutMs === 0 ? Infinity : now + idleTimeoutMs * (0.9 + Math.random() * 0.2)
    this.#idle.push(entry)
    this.#keepSweeping()
    return false
  }

  readonly #mayLease = (level: number): boolean =>
    this.#reserve.allows(level, this.#leased, this.#backoff.limit(this.#settings.max))

  /** While all connections are held by tasks that wait for another one, nothing will ever move: refuses the newest. */
  #breakDeadlocks(): void {
    while (this.#queue.nested > 0 && this.#opening === 0 && this.#closing.size === 0) {
      const spare = this.#idle.length > 0 || this.#canGrow()
      if (spare && !this.#reserve.active) return
      const leased = [...this.#entries.values()].filter(({ leasedSince }) => leasedSince !== undefined)
      const leases = leased.map(({ lease }) => lease)
      const stuck = this.#queue.stuckLeases()
      if (!leases.every((lease): lease is PoolLease => lease !== undefined && stuck.has(lease))) return
      if (spare) {
        // Held back for calls that do not come: the tasks nest otherwise than they did.
        this.#reserve.forget()
        return this.#advance()
      }
      const victim = this.#queue.newestOf(new Set(leases))
      if (!victim) return
      this.#reserve.learn(this.#queue.deepest)
      this.#counters.deadlocks += 1
      const tasks = leases.map(({ label, acquiredAt }) => `${label ?? 'unlabelled task'} (${acquiredAt})`)
      this.#observers.publish?.({ type: 'deadlock.detected', label: victim.label, tasks })
      this.#queue.refuseDeadlocked(victim, tasks)
    }
  }

  #size(): number {
    return this.#idle.length + this.#leased + this.#opening + this.#closing.size
  }

  /**
   * How many of those that wait can have a connection before a lease is released. In an outage it is not known when,
   * but one call must wait, above any bound, for the server's return to be noticed.
   */
  #room(): number {
    if (this.#backoff.failures > 0) return this.#queue.size === 0 ? 1 : 0
    return Math.max(0, this.#backoff.limit(this.#settings.max) - this.#leased)
  }

  #canGrow(): boolean {
    return this.#size() < this.#backoff.limit(this.#settings.max)
  }

  #takeIdle(): PoolEntry | undefined {
    for (;;) {
      // The last one used is the warmest; the others get their chance to retire.
      const entry = this.#idle.pop()
      if (!entry?.connection.lost) return entry
      this.#retire(entry, 'unhealthy')
    }
  }

  #lease(entry: PoolEntry): void {
    this.#counters.acquired += 1
    this.#leased += 1
    entry.leasedSince = performance.now()
  }

  /** Serves the calls that may have what is idle, opens what is wanted, and finds the calls that can never be served. */
  #advance(): void {
    if (this.#closed) return
    while (this.#queue.size > 0) {
      const idle = this.#takeIdle()
      if (!idle || !this.#serve(idle)) break
    }
    // With no connection at all, one attempt at a time finds out whether the server is there.
    const atOnce = this.#backoff.atOnce(this.#idle.length + this.#leased)
    const wanted = Math.min(Math.max(this.#queue.size, this.#demotion.wantsFresh ? 1 : 0), atOnce)
    while (this.#opening < wanted && this.#canGrow() && !this.#retryTimer) {
      this.#demotion.wantsFresh = false
      const opening = this.#openOne().finally(() => this.#openings.delete(opening))
      this.#openings.add(opening)
    }
    this.#breakDeadlocks()
  }

  async #openOne(): Promise<void> {
    const startedAt = performance.now()
    const patienceMs = this.#backoff.patienceMs()
    this.#opening += 1
    try {
      const connection = await this.#connect(patienceMs)
      this.#opening -= 1
      this.#admit(connection)
    } catch (error) {
      this.#opening -= 1
      this.#connectFailed(error, performance.now() - startedAt)
    }
    this.#advance()
  }

  async #connect(patienceMs: number): Promise<Connection> {
    const startedAt = performance.now()
    const connection = await this.#attempts.connect(patienceMs)
    const durationMs = performance.now() - startedAt
    this.#backoff.succeeded(durationMs)
    const { host, port } = connection.address
    this.#observers.publish?.({ type: 'connection.opened', backendPid: connection.backendPid, host, port, durationMs })
    return connection
  }

  #admit(connection: Connection): void {
    this.#counters.opened += 1
    const { maxLifetimeMs } = this.#settings
    // Up to a tenth less, so that connections opened together do not end together.
    const retireAt = maxLifetimeMs === 0 ? Infinity : connection.openedAt + maxLifetimeMs * (1 - Math.random() * 0.1)
    const entry: PoolEntry = { connection, retireAt, idleUntil: Infinity, leasedSince: undefined, lease: undefined }
    this.#entries.set(connection, entry)
    this.#preparation.admit(connection)
    void connection.closed.then(() => this.#closedByServer(entry))
    this.#silence.start()
    if (connection.lost || this.#closed) this.#retire(entry, 'unhealthy')
    else this.#serve(entry)
    if (this.#demotion.admitted(connection)) this.#sweep()
  }

  #connectFailed(error: unknown, tookMs: number): void {
    if (this.#closed) return
    this.#counters.connectFailures += 1
    const live = this.#idle.length + this.#leased
    const { retryInMs, shrunk } = this.#backoff.failed(error, live, tookMs)
    this.#observers.publish?.({ type: 'connection.failed', error, retryInMs })
    if (shrunk) return this.#regrowIn(retryInMs)
    if (live === 0 && error instanceof ConfigInvalid) this.#queue.refuseAll(error)
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined
      this.#advance()
    }, retryInMs)
    // A call that waits has a timer of its own; this one must not keep a process alive that is done.
    if (this.#queue.size === 0) this.#retryTimer.unref()
  }

  /** Calls that wait are served by the connections there are, until then. */
  #regrowIn(ms: number): void {
    clearTimeout(this.#regrowTimer)
    this.#regrowTimer = setTimeout(() => {
      this.#backoff.regrow()
      this.#advance()
    }, ms)
    this.#regrowTimer.unref()
  }

  #closedByServer(entry: PoolEntry): void {
    const { connection } = entry
    // Retired by us: it was to be closed.
    if (!this.#entries.has(connection)) return
    const index = this.#idle.indexOf(entry)
    if (index >= 0) {
      this.#idle.splice(index, 1)
      this.#entries.delete(connection)
    }
    this.#counters.lost += 1
    this.#observers.publish?.({ type: 'connection.lost', backendPid: connection.backendPid, error: connection.lost })
    this.#advance()
  }

  #outlived({ connection, retireAt }: PoolEntry, now: number): RetireReason | undefined {
    if (this.#closed) return 'pool_closing'
    if (now >= retireAt) return 'lifetime'
    if (this.#demotion.outdates(connection)) return 'server_changed'
    return this.#preparation.outdates(connection)
  }

  #retire({ connection }: PoolEntry, reason: RetireReason): void {
    this.#entries.delete(connection)
    this.#counters.retired += 1
    this.#observers.publish?.({ type: 'connection.retired', backendPid: connection.backendPid, reason })
    const closing = connection.close().finally(() => {
      this.#closing.delete(closing)
      this.#advance()
    })
    this.#closing.add(closing)
  }

  #keepSweeping(): void {
    const { idleTimeoutMs, maxLifetimeMs } = this.#settings
    const shortest = Math.min(idleTimeoutMs || Infinity, maxLifetimeMs || Infinity)
    if (this.#sweepTimer || shortest === Infinity) return
    this.#sweepTimer = setInterval(() => this.#sweep(), Math.max(10, Math.min(sweepMs, shortest / 4)))
    this.#sweepTimer.unref()
  }

  #sweep(): void {
    const now = performance.now()
    for (const entry of this.#idle.splice(0)) {
      const reason = now >= entry.idleUntil ? 'idle' : this.#outlived(entry, now)
      if (reason) this.#retire(entry, reason)
      else this.#idle.push(entry)
    }
    if (this.#idle.length > 0) return
    clearInterval(this.#sweepTimer)
    this.#sweepTimer = undefined
  }
}
