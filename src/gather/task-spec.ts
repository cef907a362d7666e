/**
 * What may stand in a gather: a task, or a task with something said about it. `optional` and `withIdentity` say it, and
 * may be nested; both return a plain description that `gather` reads.
 */
import { UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import type { TaskOptions } from '../task/scope.ts'
import type { Task } from '../session/run-task.ts'
import { checkIdentity, type Identity } from '../session/identity.ts'

const spec = Symbol('rivulet task')

/** A task with its fallback, its own time limit or its identity. */
export interface TaskSpec<TSession, T> {
  readonly [spec]: true
  readonly task: Task<TSession, T>
  readonly fallback?: { readonly value: Awaited<T> } | undefined
  readonly identity?: Identity | undefined
  readonly timeoutMs?: number | undefined
}

/** A task, bare or described. */
export type GatherTask<TSession, T> = Task<TSession, T> | TaskSpec<TSession, T>

const optionalOptions = optionNames<Pick<TaskOptions, 'timeoutMs'>>({ timeoutMs: 'number' })

/**
 * Marks a task of a gather that may fail or be late: its result is then `fallback`, and the others go on.
 * `timeoutMs` gives it less time than the gather has. @throws UsageError for an option it does not have.
 */
export function optional<TSession, T, TFallback>(
  task: GatherTask<TSession, T>,
  fallback: TFallback,
  options: { readonly timeoutMs?: number | undefined } = {},
): TaskSpec<TSession, Awaited<T> | TFallback> {
  checkOptions('optional', optionalOptions, options)
  const described = describe(task as GatherTask<TSession, unknown>)
  return {
    ...described,
    fallback: { value: fallback },
    timeoutMs: options.timeoutMs ?? described.timeoutMs,
  } as unknown as TaskSpec<TSession, Awaited<T> | TFallback>
}

/** Runs one task of a gather under an identity of its own, put over the engine's: see `mergeIdentities`. */
export function withIdentity<TSession, T>(identity: Identity, task: GatherTask<TSession, T>): TaskSpec<TSession, T> {
  checkIdentity(identity)
  return { ...describe(task), identity }
}

/** The description of a task. @throws UsageError when it is no task, naming its key. */
export function describe<TSession, T>(task: GatherTask<TSession, T>, key?: string): TaskSpec<TSession, T> {
  if (typeof task === 'function') return { [spec]: true, task }
  if (typeof task === 'object' && task !== null && task[spec]) return task
  throw new UsageError(
    `${key === undefined ? 'a task' : `the task ${JSON.stringify(key)}`} must be a function that takes a session, ` +
      `not ${task === null ? 'null' : typeof task}${isThenable(task) ? ' (a promise has already started: pass a function that starts it)' : ''}`,
  )
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value
}
