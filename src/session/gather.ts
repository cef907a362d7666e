/**
 * Gather: independent tasks, each in its own session on its own connection, joined into one result with their keys.
 * A gather takes what connections it can get, up to `concurrency`, and one is enough to finish: no task waits for a
 * connection while its gather holds one for it, so gathers cannot starve each other into a deadlock.
 * https://vorpus.org/blog/notes-on-structured-concurrency-or-go-statement-considered-harmful/
 */
import { Cancelled, UsageError } from '../errors.ts'
import type { TaskTiming } from '../observe/observation.ts'
import { Scope, type TaskOptions } from '../task/scope.ts'
import { type Entry, Gathering, Queue } from './gathering.ts'
import { captureTrace, currentOf, type Runtime } from './run.ts'
import type { TaskSession } from './session.ts'
import { drainOnSnapshot } from './snapshot.ts'
import { describe, type GatherTask } from './task-spec.ts'
import type { Identity } from './identity.ts'

/** Options of gather. */
export interface GatherOptions extends TaskOptions {
  /** The most connections this gather uses at once. At least 1; default: one a task. */
  readonly concurrency?: number | undefined
  /** True: all tasks see one instant of the database, read only, although each has its own connection. */
  readonly snapshot?: boolean | undefined
  /** Called once, just before the gather settles, with how each task fared. */
  readonly onTimings?: ((timings: readonly TaskTiming[]) => void) | undefined
}

/** Tasks by name, or in order. */
export type TaskCollection<TSession> =
  | Readonly<Record<string, GatherTask<TSession, unknown>>>
  | readonly GatherTask<TSession, unknown>[]

interface GatherMode {
  /** True: failures are results, not reasons to stop. */
  readonly settle: boolean
  readonly identity?: Identity | undefined
}

/** Runs all tasks; answers their results in the shape of `tasks`: values, or settled results. */
export async function gather<TSession extends TaskSession>(
  runtime: Runtime<TSession>,
  tasks: TaskCollection<TSession>,
  options: GatherOptions,
  { settle, identity }: GatherMode,
): Promise<unknown> {
  const { label = 'gather', onTimings } = options
  const entries = createEntries(tasks, label)
  // More lanes than connections would only fill the pool's queue.
  const concurrency = Math.min(checkedConcurrency(options.concurrency, entries.length), runtime.pool.max)
  const scope = new Scope(options, currentOf(runtime)?.scope)
  const gathering = new Gathering(runtime, { scope, label, settle, identity, trace: captureTrace(runtime, gather) })
  // A late task costs its connection: on a shared snapshot, whatever may be late comes last.
  const late = ({ spec }: Entry<TSession>) => Number(options.snapshot === true && spec.timeoutMs !== undefined)
  const queue = new Queue([...entries].sort((a, b) => late(a) - late(b)))
  try {
    if (options.snapshot !== true) await gathering.drain(queue, concurrency)
    else if (entries.length > 0) await drainOnSnapshot(runtime, gathering, queue, concurrency - 1)
    await gathering.childrenEnded(entries)
  } finally {
    scope.close()
    if (runtime.publish || onTimings) report(gathering, entries, onTimings)
  }
  if (!settle) throwFirst(gathering, entries)
  const results = entries.map(({ key, result }) => {
    return [key, settle ? result : result.status === 'fulfilled' ? result.value : undefined] as const
  })
  return Array.isArray(tasks) ? results.map(([, result]) => result) : Object.fromEntries(results)
}

/** The connections to use for `tasks` tasks. @throws UsageError when `concurrency` is no whole number from 1. */
function checkedConcurrency(concurrency: number | undefined, tasks: number): number {
  if (concurrency === undefined) return tasks
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new UsageError('concurrency must be a whole number of at least 1')
  }
  return Math.min(concurrency, tasks)
}

function createEntries<TSession extends TaskSession>(
  tasks: TaskCollection<TSession>,
  label: string,
): Entry<TSession>[] {
  return entriesOf(tasks).map(([key, task]) => ({
    key,
    spec: describe(task as GatherTask<TSession, unknown>, key),
    label: `${label}.${key}`,
    timing: { waitMs: 0, runMs: 0, backendPid: undefined },
    outcome: 'cancelled',
    result: { status: 'rejected', reason: notRun },
    error: undefined,
    ended: Promise.resolve(),
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

/** Throws the first failure with its task's key in `task`, and what failed after it in `related`. */
function throwFirst<TSession extends TaskSession>(
  { failed }: Gathering<TSession>,
  entries: readonly Entry<TSession>[],
): void {
  const [first] = failed
  if (!first) return
  const { error } = first
  if (typeof error === 'object' && error !== null && takesProperties(error)) {
    const later = entries.filter(
      (entry) => entry !== first && entry.outcome !== 'fallback' && isOwnFailure(entry.error),
    )
    const inner = error as { task?: unknown; related?: readonly unknown[] }
    // Of a gather in a gather, the way to the task: `outer.inner`.
    const task = typeof inner.task === 'string' ? `${first.key}.${inner.task}` : first.key
    const related = [...(inner.related ?? []), ...later.map((entry) => entry.error)]
    Object.defineProperty(error, 'task', { value: task, configurable: true, enumerable: true, writable: true })
    Object.defineProperty(error, 'related', { value: related, configurable: true, enumerable: false, writable: true })
  }
  throw error
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

function report<TSession extends TaskSession>(
  { runtime, label, startedAt }: Gathering<TSession>,
  entries: readonly Entry<TSession>[],
  onTimings: GatherOptions['onTimings'],
): void {
  const durationMs = performance.now() - startedAt
  const tasks = entries.map(({ key, timing, outcome, error }): TaskTiming => ({ key, ...timing, outcome, error }))
  const overlap = tasks.reduce((sum, { runMs }) => sum + runMs, 0) / Math.max(durationMs, Number.EPSILON)
  runtime.publish?.({ type: 'gather finished', label, durationMs, overlap, tasks })
  try {
    onTimings?.(tasks)
  } catch (error) {
    // It only watches: what it throws must not take the place of the gather's result.
    process.emitWarning(`onTimings threw: ${error instanceof Error ? error.message : String(error)}`)
  }
}
