/**
 * Calls that wait for a connection, bounded in number and in time. Calls of tasks that hold a connection themselves come
 * first, since serving them is what frees connections; otherwise first come, first served.
 *
 *   waiting ──▶ served | timed out | cancelled | turned away (overload, deadlock, closing)
 *
 * Under lasting overload (see `overload.ts`) calls that would be served too late for their deadline are turned away, at
 * the door and at the head, so that the others are served in time. Only for others: overload ends when no call waits any
 * more, however the last one left, and a call that can have a connection at once is never refused.
 *
 * A task that holds a connection and asks for another one is taken to wait for it. Whether it does cannot be seen: one
 * that lets the call run on its own, or races it against something else, may be refused though it could be served later.
 */
import type { PoolSettings } from '../config.ts'
import { ConfigInvalid, PoolClosed, PoolDeadlock, PoolOverloaded, type RivuletError } from '../errors.ts'
import type { Observers } from '../observe/observers.ts'
import type { CancelReason, Scope } from '../task/scope.ts'
import type { Connection } from './connection.ts'
import { OverloadWatch } from './overload.ts'

/** A lease as the pool sees it: what deadlock detection needs to know of a task that may ask for another connection. */
export interface PoolLease {
  readonly label: string | undefined
  /** Where the task asked for its connection: a stack frame. */
  readonly acquiredAt: string
  /** The task in whose course this one was asked for, and which waits for it. */
  readonly parent: PoolLease | undefined
}

/** Who asks for a connection. */
export interface AcquireRequest {
  /** Bounds the wait. */
  readonly scope?: Scope | undefined
  readonly label?: string | undefined
  /** The lease of the task in whose course this call is made, where it has one. */
  readonly parent?: PoolLease | undefined
  /** Makes the error when the scope is cancelled while waiting. */
  readonly cancelled: (reason: CancelReason, waitedMs: number) => RivuletError
}

/** One call in the queue. */
export interface Waiter extends AcquireRequest {
  /** How many sessions deep the call is; 1 for tasks that hold no connection. */
  readonly level: number
  readonly since: number
  readonly resolve: (connection: Connection) => void
  readonly reject: (error: RivuletError) => void
  readonly stopWatching: () => void
}

export class WaitQueue {
  /** Counters. */
  timeouts = 0
  overloads = 0
  waitedMs = 0
  readonly #settings: PoolSettings
  readonly #observers: Observers
  /** Calls of tasks that hold no connection. */
  readonly #fresh = new Set<Waiter>()
  /** Calls of tasks that do. */
  readonly #nested = new Set<Waiter>()
  readonly #overload = new OverloadWatch()

  constructor(settings: PoolSettings, observers: Observers) {
    this.#settings = settings
    this.#observers = observers
  }

  get size(): number {
    return this.#fresh.size + this.#nested.size
  }

  /** Calls that wait in the course of a task that holds a connection. */
  get nested(): number {
    return this.#nested.size
  }

  /**
   * The error for a call that should not even begin to wait. `connections` serve the queue; `room` of those that wait
   * can have one before a lease is released.
   */
  refusal({ scope, parent }: AcquireRequest, connections: number, room: number): PoolOverloaded | undefined {
    const waiting = this.size
    const { maxQueue } = this.#settings
    if (waiting - room >= maxQueue) {
      this.overloads += 1
      return new PoolOverloaded(
        `no connection is free, and no more than ${maxQueue} calls may wait for one (pool.maxQueue): try again later`,
      )
    }
    const patienceMs = Math.min(this.#settings.acquireTimeoutMs, scope?.deadline?.remainingMs ?? Infinity)
    const before = parent ? this.nested : waiting
    if (before < room) return undefined
    if (!this.#overload.inVain(before, connections, patienceMs)) return undefined
    this.overloads += 1
    return new PoolOverloaded(`${before} calls wait for a connection, too many for this deadline: try again later`)
  }

  /** Joins the queue; `timedOut` makes the error when the acquire timeout passes. */
  join(request: AcquireRequest, timedOut: () => RivuletError, joined: () => void): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const since = performance.now()
      const timer = setTimeout(() => {
        this.timeouts += 1
        this.leave(waiter, timedOut())
      }, this.#settings.acquireTimeoutMs)
      const unwatch = request.scope?.onCancel((reason) => {
        this.leave(waiter, request.cancelled(reason, performance.now() - since))
      })
      const stopWatching = () => {
        clearTimeout(timer)
        unwatch?.()
      }
      const { scope, label, parent, cancelled } = request
      // Spelt out: V8 takes microseconds for a literal that spreads an object and adds to it.
      const waiter: Waiter = {
        scope,
        label,
        parent,
        cancelled,
        level: levelOf(parent),
        since,
        resolve,
        reject,
        stopWatching,
      }
      this.#kind(waiter).add(waiter)
      joined()
    })
  }

  /** Takes a call out of the queue with an error. */
  leave(waiter: Waiter, error: RivuletError): void {
    if (!this.#kind(waiter).delete(waiter)) return
    waiter.stopWatching()
    const now = performance.now()
    this.waitedMs += now - waiter.since
    waiter.reject(error)
    this.#noteIfEmpty(now)
  }

  /** Takes everybody out of the queue, each with an error of its own: a gather writes on the one it throws. */
  refuseAll(error: PoolClosed | ConfigInvalid): void {
    const Refusal = error instanceof PoolClosed ? PoolClosed : ConfigInvalid
    const { message, cause } = error
    for (const waiters of [this.#nested, this.#fresh]) {
      for (const waiter of waiters) this.leave(waiter, new Refusal(message, cause === undefined ? {} : { cause }))
    }
  }

  /** Takes the first call that can still be served in time and whose level may be served; undefined without one. */
  next(now: number, mayServe: (level: number) => boolean): Waiter | undefined {
    const waiter = this.#first(this.#nested, now, mayServe) ?? (mayServe(1) ? this.#first(this.#fresh, now) : undefined)
    if (waiter) {
      this.#kind(waiter).delete(waiter)
      waiter.stopWatching()
      this.waitedMs += now - waiter.since
      this.#overload.served(now, this.size)
    }
    this.#noteIfEmpty(now)
    return waiter
  }

  /** Notes how long a session held its connection. */
  held(heldMs: number): void {
    this.#overload.held(heldMs)
  }

  /** The leases whose tasks cannot go on: they wait themselves, or for a task of theirs that does. */
  stuckLeases(): ReadonlySet<PoolLease> {
    const stuck = new Set<PoolLease>()
    for (const waiter of this.#nested) {
      for (let lease = waiter.parent; lease && !stuck.has(lease); lease = lease.parent) stuck.add(lease)
    }
    return stuck
  }

  /** The call that one of `leases` made last. */
  newestOf(leases: ReadonlySet<PoolLease>): Waiter | undefined {
    return [...this.#nested].findLast(({ parent }) => parent && leases.has(parent))
  }

  /** The level of the call that is the most sessions deep. */
  get deepest(): number {
    return Math.max(1, ...[...this.#nested].map(({ level }) => level))
  }

  /** Takes a call out of the queue that waits for `tasks`, which wait themselves. */
  refuseDeadlocked(victim: Waiter, tasks: readonly string[]): void {
    const error = new PoolDeadlock(
      `${victim.label ?? 'this task'} asks for another connection while holding one, and all ${tasks.length} are held ` +
        `by tasks that do the same: pass the session on, or raise pool.max. Held by: ${tasks.join('; ')}`,
    )
    this.leave(victim, error)
  }

  #kind({ parent }: AcquireRequest): Set<Waiter> {
    return parent ? this.#nested : this.#fresh
  }

  /** The first of `waiters` that is not too late. */
  #first(waiters: Iterable<Waiter>, now: number, mayServe?: (level: number) => boolean): Waiter | undefined {
    for (const waiter of waiters) {
      if (mayServe && !mayServe(waiter.level)) continue
      const waitMs = now - waiter.since
      // Nested calls overtake the others: how long they wait says nothing about the queue, unless they are all of it.
      if (!waiter.parent || this.#fresh.size === 0) this.#observe(waitMs, now)
      const remainingMs = waiter.scope?.deadline?.remainingMs ?? Infinity
      // The last call takes no connection away from another.
      if (this.size === 1 || !this.#overload.tooLate(remainingMs)) return waiter
      this.overloads += 1
      this.leave(waiter, new PoolOverloaded(`served after ${Math.round(waitMs)} ms, too late for this deadline`))
    }
    return undefined
  }

  /** Noted whichever call left last and why: perhaps no connection is left that could find the queue empty. */
  #noteIfEmpty(now: number): void {
    if (this.size === 0) this.#observe(0, now)
  }

  #observe(waitMs: number, now: number): void {
    if (!this.#overload.waited(waitMs, now)) return
    if (this.#overload.overloaded)
      this.#observers.publish?.({ type: 'overload.started', queueMs: waitMs, waiting: this.size })
    else this.#observers.publish?.({ type: 'overload.ended' })
  }
}

/** How many sessions deep a call made in the course of `parent` is. */
function levelOf(parent: PoolLease | undefined): number {
  let level = 1
  for (let each = parent; each; each = each.parent) level += 1
  return level
}
