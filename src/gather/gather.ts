/**
 * Gather: independent tasks, each in its own session on its own connection, joined into one result with their keys.
 * A gather takes what connections it can get, up to `concurrency`, and one is enough to finish: no task waits for a
 * connection while its gather holds one for it, so gathers cannot starve each other into a deadlock.
 * https://vorpus.org/blog/notes-on-structured-concurrency-or-go-statement-considered-harmful/
 */
import { Cancelled, UsageError } from '../errors.ts'
import type { TaskTiming } from '../observe/observation.ts'
import { optionNames } from '../option-names.ts'
import { taskOptionNames } from '../session/options.ts'
import { Scope, type TaskOptions } from '../task/scope.ts'
import { type Entry, GatherRun, Queue } from './gather-run.ts'
import type { Lease } from '../lease/lease.ts'
import { captureTrace, currentOf, type Running, type Runtime } from '../session/run-task.ts'
import { drainOnSnapshot } from './snapshot.ts'
import { describe, type GatherTask } from './task-spec.ts'
import type { Identity } from '../session/identity.ts'

/** Options of gather. */
export interface GatherOptions extends TaskOptions {
  /** The most connections this gather uses at once. At least 1; default: one a task. */
  readonly concurrency?: number | undefined
  /** True: all tasks see one instant of the database, read only, although each has its own connection. */
  readonly snapshot?: boolean | undefined
  /** Called once, just before the gather settles, with how each task fared. */
  readonly onTimings?: ((timings: readonly TaskTiming[]) => void) | undefined
}

/** The options of `gather` and `gatherSettled`. */
export const gatherOptions = optionNames<GatherOptions>({
  ...taskOptionNames,
  concurrency: true,
  snapshot: 'boolean',
  onTimings: 'function',
})

/** Tasks by name, or in order. */
export type TaskCollection<TSession> =
  | Readonly<Record<string, GatherTask<TSession, unknown>>>
  | readonly GatherTask<TSession, unknown>[]

interface GatherMode {
  /** True: failures are results, not reasons to stop. */
  readonly settle: boolean
  readonly identity?: Identity | undefined
}

/** Runs all tasks; returns their results in the shape of `tasks`: values, or settled results. */
export async function gather<TSession>(
  runtime: Runtime<TSession>,
  tasks: TaskCollection<TSession>,
  options: GatherOptions,
  { settle, identity }: GatherMode,
): Promise<unknown> {
  const { label = 'gather', onTimings } = options
  const caller = currentOf(runtime)
  const entries = createEntries(tasks, label)
  // More lanes than connections would only fill the pool's queue.
  const concurrency = Math.min(checkedConcurrency(options.concurrency, entries.length), runtime.pool.max)
  const scope = new Scope(options, caller?.scope)
  const run = new GatherRun(runtime, { scope, label, settle, identity, trace: captureTrace(runtime, gather) })
  try {
    if (options.snapshot !== true) await run.drain(new Queue(entries), concurrency)
    else if (entries.length > 0) await drainOnSnapshot(runtime, run, new Queue(lateLast(entries)), concurrency - 1)
    await run.childrenEnded(entries)
  } finally {
    scope.close()
    if (runtime.observers.publish || onTimings) report(run, entries, onTimings)
  }
  if (!settle) throwFirst(run, entries, caller)
  const results = entries.map(({ key, result }) => {
    return [key, settle ? result : result.status === 'fulfilled' ? result.value : undefined] as const
  })
  return Array.isArray(tasks) ? results.map(([, result]) => result) : Object.fromEntries(results)
}

/** A late task costs its connection: on a shared snapshot, tasks that may be late come last. */
function lateLast<TSession>(entries: readonly Entry<TSession>[]): Entry<TSession>[] {
  const late = ({ spec }: Entry<TSession>) => Number(spec.timeoutMs !== undefined)
  return entries.toSorted((a, b) => late(a) - late(b))
}

/** The connections to use for `tasks` tasks. @throws UsageError when `concurrency` is no whole number from 1. */
function checkedConcurrency(concurrency: number | undefined, tasks: number): number {
  if (concurrency === undefined) return tasks
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new UsageError('concurrency must be a whole number of at least 1')
  }
  return Math.min(concurrency, tasks)
}

function createEntries<TSession>(tasks: TaskCollection<TSession>, label: string): Entry<TSession>[] {
  return entriesOf(tasks).map(([key, given]) => ({
    key,
    spec: describe(given as GatherTask<TSession, unknown>, key),
    label: `${label}.${key}`,
    timing: { waitMs: 0, runMs: 0, backendPid: undefined },
    outcome: 'cancelled',
    result: { status: 'rejected', reason: notRun },
    error: undefined,
    work: undefined,
    lease: undefined,
  }))
}

function entriesOf<TSession>(tasks: TaskCollection<TSession>): [string, unknown][] {
  // Array.from, because a hole in an array is a missing task, not no task.
  if (Array.isArray(tasks)) return Array.from(tasks, (task: unknown, index) => [String(index), task])
  const prototype: unknown = typeof tasks === 'object' && tasks !== null ? Object.getPrototypeOf(tasks) : undefined
  if ((prototype !== Object.prototype && prototype !== null) || Object.getOwnPropertySymbols(tasks).length > 0) {
    throw new UsageError('gather takes a plain object or an array of tasks: functions that take a session')
  }
  return Object.entries(tasks)
}

const notRun = new Cancelled('the task was not started, because its gather ended before')

/** What a gather has told of an error it threw: the way to the task that failed, and what failed after it. */
interface Told {
  readonly task: string
  readonly related: readonly unknown[]
}

/**
 * What was told of an error in the course of a session. One error object may be thrown by many gathers: those that ran
 * in the course of a task say how it failed, the others have nothing to do with it.
 */
const told = new WeakMap<object, WeakMap<Lease, Told>>()

/** Throws the first failure with its task's key in `task`, and what failed after it in `related`. */
function throwFirst<TSession>(
  { failed, scope }: GatherRun<TSession>,
  entries: readonly Entry<TSession>[],
  caller: Running | undefined,
): void {
  const first = entries.find((entry) => entry === failed[0])
  if (!first) {
    const missing = entries.find(({ result }) => result.status === 'rejected')
    if (missing?.result.status === 'rejected') throw missing.result.reason
    return
  }
  const error = ownReason(first.error, scope, caller)
  if (typeof error === 'object' && error !== null && takesProperties(error)) {
    const later = entries.filter(
      (entry) => entry.error !== first.error && entry.outcome !== 'fallback' && isOwnFailure(entry.error),
    )
    const inner = first.lease && told.get(error)?.get(first.lease)
    // Of a gather in a gather, the way to the task: `outer.inner`.
    const task = inner ? `${first.key}.${inner.task}` : first.key
    const related = [...(inner?.related ?? []), ...later.map((entry) => entry.error)]
    Object.defineProperty(error, 'task', { value: task, configurable: true, enumerable: true, writable: true })
    Object.defineProperty(error, 'related', { value: related, configurable: true, enumerable: false, writable: true })
    remember(error, { task, related }, caller?.lease)
  }
  throw error
}

/** Remembers what was told of an error in the course of `lease` and of those in whose course that one runs. */
function remember(error: object, what: Told, lease: Lease | undefined): void {
  const byLease = told.get(error) ?? new WeakMap<Lease, Told>()
  told.set(error, byLease)
  for (let each = lease; each; each = each.parent) byLease.set(each, what)
}

/** A cancellation from above is one error for everything it ends: each gather throws one of its own instead. */
function ownReason(error: unknown, { reason }: Scope, caller: Running | undefined): unknown {
  const fromAbove = reason?.kind === 'cancelled' && reason === caller?.scope?.reason
  if (!fromAbove || error !== reason.error) return error
  return new Cancelled(reason.error.message, { cause: reason.error.cause })
}

function takesProperties(error: object): boolean {
  const names = ['task', 'related']
  return (
    Object.isExtensible(error) &&
    names.every((name) => Object.getOwnPropertyDescriptor(error, name)?.configurable ?? true)
  )
}

function isOwnFailure(error: unknown): boolean {
  return error !== undefined && !(error instanceof Cancelled)
}

function report<TSession>(
  { runtime, label, startedAt }: GatherRun<TSession>,
  entries: readonly Entry<TSession>[],
  onTimings: GatherOptions['onTimings'],
): void {
  const durationMs = performance.now() - startedAt
  const tasks = entries.map(({ key, timing, outcome, error }): TaskTiming => {
    const { waitMs, runMs, backendPid } = timing
    return { key, waitMs, runMs, backendPid, outcome, error }
  })
  const overlap = tasks.reduce((sum, { runMs }) => sum + runMs, 0) / Math.max(durationMs, Number.EPSILON)
  runtime.observers.publish?.({ type: 'gather.finished', label, durationMs, overlap, tasks })
  try {
    onTimings?.(tasks)
  } catch (error) {
    // It only watches: what it throws must not take the place of the gather's result.
    process.emitWarning(`onTimings threw: ${error instanceof Error ? error.message : String(error)}`)
  }
}
