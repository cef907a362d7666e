/**
 * A gather under way: its entries, its queue, its scope, and the order in which tasks failed.
 *
 *   entry: queued ──▶ running ──▶ done | failed | fallback        any ──first failure elsewhere──▶ cancelled
 *
 * The first failure cancels the scope, which stops the siblings on the server. A task given up before its function
 * returned is still waited for: no task outlives its gather, unless the gather's own time is up.
 */
import { Cancelled, DeadlineExceeded, isPoolRefusal, UsageError } from '../errors.ts'
import type { TaskTiming } from '../observe/observation.ts'
import { Scope } from '../task/scope.ts'
import type { Lease } from '../lease/lease.ts'
import { currentOf, runTask, type Runtime, type Task, type Timing, type Trace } from '../session/run-task.ts'
import type { TaskSpec } from './task-spec.ts'
import { type Identity, mergeIdentities } from '../session/identity.ts'

/** One task of a gather on its way. */
export interface Entry<TSession> {
  readonly key: string
  readonly spec: TaskSpec<TSession, unknown>
  readonly label: string
  readonly timing: Timing
  outcome: TaskTiming['outcome']
  result: PromiseSettledResult<unknown>
  /** Why a fallback stands in for the result. */
  error: unknown
  /** What the task function has returned, which may end after its result has been given up; undefined before it began. */
  work: unknown
  /** What it runs on, once it does. */
  lease: Lease | undefined
}

/** Entries still to be run, first in, first out. */
export class Queue<TSession> {
  readonly #entries: readonly Entry<TSession>[]
  readonly #returned: Entry<TSession>[] = []
  #next = 0

  constructor(entries: readonly Entry<TSession>[]) {
    this.#entries = entries
  }

  get remaining(): number {
    return this.#returned.length + Math.max(0, this.#entries.length - this.#next)
  }

  take(): Entry<TSession> | undefined {
    return this.#returned.pop() ?? this.#entries[this.#next++]
  }

  /** Gives back what was taken and not begun, for another lane. */
  putBack(entry: Entry<TSession>): void {
    this.#returned.push(entry)
  }
}

export interface GatherRunOptions {
  readonly scope: Scope
  readonly label: string
  /** True: failures are results, not reasons to stop. */
  readonly settle: boolean
  readonly identity: Identity | undefined
  /** Where the gather was asked for. */
  readonly trace: Trace | undefined
}

export class GatherRun<TSession> {
  readonly runtime: Runtime<TSession>
  readonly scope: Scope
  readonly label: string
  readonly identity: Identity | undefined
  readonly trace: Trace | undefined
  readonly startedAt = performance.now()
  /** Entries in the order in which they failed. */
  readonly failed: Entry<TSession>[] = []
  readonly #settle: boolean
  #siblingFailed: Cancelled | undefined

  constructor(runtime: Runtime<TSession>, { scope, label, settle, identity, trace }: GatherRunOptions) {
    this.trace = trace
    this.runtime = runtime
    this.scope = scope
    this.label = label
    this.identity = identity
    this.#settle = settle
  }

  /** Drains the queue on up to `lanes` connections at once, each task in a session of its own. */
  async drain(queue: Queue<TSession>, lanes: number): Promise<void> {
    let open = lanes
    // The pool has no connection for this lane: the others will see to its task, and the last one stays. What is put
    // back is put back at once, before another lane finds that there is nothing left and goes, too.
    const giveUp = (entry: Entry<TSession>) => {
      if (open === 1) return false
      open -= 1
      queue.putBack(entry)
      return true
    }
    const lane = async () => {
      for (let entry = queue.take(); entry; entry = queue.take()) {
        const takenAt = performance.now()
        if (await this.perform(entry, this.#start(entry), giveUp)) return
        entry.timing.waitMs += takenAt - this.startedAt
      }
      open -= 1
    }
    await Promise.all(Array.from({ length: lanes }, lane))
  }

  /** Runs one entry on a connection of its own. */
  #start(entry: Entry<TSession>): (scope: Scope) => Promise<unknown> {
    const { runtime, trace } = this
    const { label, timing, spec } = entry
    const identity = mergeIdentities(this.identity, spec.identity)
    const task = tracked(runtime, entry)
    return (scope) => runTask(runtime, task, { scope, label, identity, timing, trace })
  }

  /**
   * Runs one entry by `start`, within its own time limit, and records how it ended. Never rejects. True when the pool
   * had no connection for it and `giveUp` says that another lane will run it.
   */
  async perform(
    entry: Entry<TSession>,
    start: (scope: Scope) => Promise<unknown>,
    giveUp: (entry: Entry<TSession>) => boolean = () => false,
  ): Promise<boolean> {
    const { timeoutMs } = entry.spec
    let scope = this.scope
    try {
      if (this.#siblingFailed) throw this.#siblingFailed
      if (timeoutMs !== undefined) scope = new Scope({ timeoutMs }, this.scope)
      entry.result = { status: 'fulfilled', value: await start(scope) }
      entry.outcome = 'done'
    } catch (error) {
      if (entry.timing.backendPid === undefined && isPoolRefusal(error) && giveUp(entry)) return true
      this.#rejected(entry, error)
    } finally {
      if (scope !== this.scope) scope.close()
    }
    return false
  }

  /** After a failure, or the caller's cancellation, waits until every task function has returned, but not past the deadline. */
  async childrenEnded(entries: readonly Entry<TSession>[]): Promise<void> {
    if (this.scope.reason?.kind !== 'cancelled') return
    const ended = Promise.all(entries.map(taskEnded))
    const { deadline } = this.scope
    if (deadline === undefined) return void (await ended)
    let disarm: (() => void) | undefined
    const expired = new Promise<void>((resolve) => (disarm = deadline.arm(resolve)))
    await Promise.race([ended, expired])
    disarm?.()
  }

  #rejected(entry: Entry<TSession>, error: unknown): void {
    entry.error = error
    entry.result = { status: 'rejected', reason: error }
    if (this.#siblingFailed && error === this.#siblingFailed) return
    const { reason } = this.scope
    const byCaller = reason?.kind === 'cancelled' && reason.error !== this.#siblingFailed
    // A bug of the task's own is not something to fall back from.
    if (entry.spec.fallback && !byCaller && !(error instanceof UsageError)) {
      entry.outcome = 'fallback'
      entry.result = { status: 'fulfilled', value: entry.spec.fallback.value }
      return
    }
    entry.outcome = 'failed'
    this.failed.push(entry)
    if (this.#settle || reason) return
    this.#siblingFailed = new Cancelled(`cancelled because the task ${JSON.stringify(entry.key)} failed`, {
      cause: error,
    })
    this.scope.cancel(this.#siblingFailed)
  }
}

/** The task of an entry; remembers what its function returns, and on what it runs. */
export function tracked<TSession>(runtime: Runtime<TSession>, entry: Entry<TSession>): Task<TSession, unknown> {
  return (session) => {
    entry.lease = currentOf(runtime)?.lease
    const work = entry.spec.task(session)
    entry.work = work
    return work
  }
}

/** The task function's own end. What it fails with while it is being cancelled is kept beside the first failure. */
async function taskEnded<TSession>(entry: Entry<TSession>): Promise<void> {
  try {
    await entry.work
  } catch (error) {
    const ownFailure = !(error instanceof Cancelled) && !(error instanceof DeadlineExceeded)
    if (entry.outcome === 'cancelled' && ownFailure) entry.error = error
  }
}
