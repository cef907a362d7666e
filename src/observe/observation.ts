/**
 * What the system says about itself: one closed union of events, handed to every sink of `observe` in the config.
 * Publishing costs nothing without sinks, a sink that throws harms no other, and no event holds SQL parameters or rows.
 */

/** Where an observation came from: the label of the task, where it has one. */
interface Labelled {
  readonly label: string | undefined
}

/**
 * One event of the system. Its `type` is `subject.participle`, fit for the name of a metric. Durations are milliseconds of
 * the monotonic clock.
 */
export type Observation =
  | { readonly type: 'connection.opened'; readonly backendPid: number; readonly durationMs: number }
  | { readonly type: 'connection.failed'; readonly error: unknown; readonly retryInMs: number }
  | { readonly type: 'connection.lost'; readonly backendPid: number; readonly error: unknown }
  | { readonly type: 'connection.retired'; readonly backendPid: number; readonly reason: RetireReason }
  | (Labelled & { readonly type: 'session.acquired'; readonly backendPid: number; readonly waitMs: number })
  | (Labelled & {
      readonly type: 'session.released'
      readonly backendPid: number
      readonly heldMs: number
      readonly statements: number
    })
  | (Labelled & {
      readonly type: 'statement.finished'
      readonly backendPid: number
      readonly text: string
      readonly durationMs: number
      readonly error: unknown
    })
  | (Labelled & {
      readonly type: 'transaction.retried'
      readonly attempt: number
      readonly delayMs: number
      readonly error: unknown
    })
  | (Labelled & {
      readonly type: 'gather.finished'
      readonly durationMs: number
      /** How much work ran at the same time: the sum of the tasks' run times over the gather's duration. */
      readonly overlap: number
      readonly tasks: readonly TaskTiming[]
    })
  /** The task sent statements together; they ran one after another on its one connection. `gather` runs them at once. */
  | (Labelled & { readonly type: 'session.pipelined'; readonly statements: number })
  | (Labelled & { readonly type: 'session.held_idle'; readonly idleMs: number; readonly acquiredAt: string })
  | (Labelled & { readonly type: 'deadlock.detected'; readonly holders: readonly string[] })
  | { readonly type: 'overload.started'; readonly queueMs: number; readonly waiting: number }
  | { readonly type: 'overload.ended' }
  | { readonly type: 'migration.applied'; readonly name: string; readonly durationMs: number }

/** Why a connection was closed by us; fit for the label of a metric. */
export type RetireReason =
  | 'idle'
  | 'lifetime'
  | 'cancelled'
  | 'deadline'
  | 'session_state_changed'
  | 'left_transaction_open'
  | 'statements_still_running'
  | 'too_many_prepared_statements'
  | 'prepared_statements_outdated'
  | 'server_changed'
  | 'unhealthy'
  | 'pool_closing'

/** How one task of a gather fared. */
export interface TaskTiming {
  readonly key: string
  /** Milliseconds until its session had a connection. */
  readonly waitMs: number
  /** Milliseconds the task itself took. */
  readonly runMs: number
  /** The backend that served it; undefined when it never ran. */
  readonly backendPid: number | undefined
  readonly outcome: 'done' | 'failed' | 'cancelled' | 'fallback'
  /** What it failed with; with the outcome `fallback`, what the fallback stands in for. */
  readonly error: unknown
}

/** Receives observations, synchronously: it must be quick, and may throw without consequence. */
export type Observer = (observation: Observation) => void

/** Hands an event to all sinks; undefined when there are none, so that no event is built for nothing. */
export type Publish = ((observation: Observation) => void) | undefined

/** Joins sinks into one `Publish`. */
export function createPublish(observers: readonly Observer[]): Publish {
  if (observers.length === 0) return undefined
  const broken = new Set<Observer>()
  // A broken sink must not break a session, but must not go unseen either: one warning a sink.
  const warn = (observe: Observer, error: unknown) => {
    if (broken.has(observe)) return
    broken.add(observe)
    process.emitWarning(`an observer threw: ${error instanceof Error ? error.message : String(error)}`)
  }
  return (observation) => {
    for (const observe of observers) {
      try {
        const answer: unknown = observe(observation)
        if (answer instanceof Promise) answer.catch((error: unknown) => warn(observe, error))
      } catch (error) {
        warn(observe, error)
      }
    }
  }
}
