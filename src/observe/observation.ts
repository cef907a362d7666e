/**
 * What the system says about itself: one closed union of events, handed to every sink of `observe` in the config.
 * Publishing costs nothing without sinks, a sink that throws harms no other, and no event holds SQL parameters or rows.
 */
import type { QueryPlan } from '../plan/query-plan.ts'

/** Where an observation came from: the label of the task, where it has one. */
export interface Labelled {
  readonly label: string | undefined
}

/**
 * One event of the system. Its `type` is `subject.participle`, fit for the name of a metric. Durations are milliseconds of
 * the monotonic clock.
 */
export type Observation =
  /** A connection is ready to be used. */
  | {
      readonly type: 'connection.opened'
      readonly backendPid: number
      /** The host that was reached, or the directory of a Unix socket. */
      readonly host: string
      readonly port: number
      readonly durationMs: number
    }
  /** An attempt to connect failed; the next one is made after a pause. */
  | { readonly type: 'connection.failed'; readonly error: unknown; readonly retryInMs: number }
  /** A connection broke. */
  | { readonly type: 'connection.lost'; readonly backendPid: number; readonly error: unknown }
  /** The pool closed a connection, and why. */
  | { readonly type: 'connection.retired'; readonly backendPid: number; readonly reason: RetireReason }
  /** A session was given its connection. */
  | (Labelled & { readonly type: 'session.acquired'; readonly backendPid: number; readonly waitMs: number })
  /** A session has ended and gave its connection back. */
  | (Labelled & {
      readonly type: 'session.released'
      readonly backendPid: number
      readonly heldMs: number
      readonly statements: number
    })
  /** A statement was answered, or failed. Its text has no parameters. */
  | (Labelled & {
      readonly type: 'statement.finished'
      readonly backendPid: number
      readonly text: string
      readonly durationMs: number
      /** Rows returned or touched; null when it failed, or is of a kind that counts none. */
      readonly rows: number | null
      readonly error: unknown
    })
  /** A transaction has ended, or its session has given it up. None is told of that was never sent, nor of nested ones. */
  | (Labelled & {
      readonly type: 'transaction.finished'
      readonly backendPid: number
      readonly outcome: TransactionOutcome
      /** From BEGIN to its end. */
      readonly durationMs: number
      /** Of that, COMMIT; undefined when none was sent. */
      readonly commitMs: number | undefined
      /** What COMMIT itself failed with; undefined when it did not, or was not sent. */
      readonly error: unknown
    })
  /** A statement took `slowStatementMs` or longer; told once a minute for each text. Its plan has no values; undefined: none was made. */
  | (Labelled & {
      readonly type: 'statement.slow'
      readonly backendPid: number
      readonly text: string
      readonly durationMs: number
      readonly error: unknown
      readonly plan: QueryPlan | undefined
    })
  /** A unit of work is about to run again. */
  | (Labelled & {
      readonly type: 'transaction.retried'
      readonly attempt: number
      readonly delayMs: number
      readonly error: unknown
    })
  /** A gather has settled, with how each task fared. */
  | (Labelled & {
      readonly type: 'gather.finished'
      readonly durationMs: number
      /** How much work ran at the same time: the sum of the tasks' run times over the gather's duration. */
      readonly overlap: number
      readonly tasks: readonly TaskTiming[]
    })
  /** A task sent statements together; they ran one after another on its connection. `gather` runs them at once. */
  | (Labelled & { readonly type: 'session.pipelined'; readonly statements: number })
  /** A task sent one statement more than `repeatedStatements` times; `load` and `getMany` read all rows at once. */
  | (Labelled & {
      readonly type: 'session.repeated'
      readonly text: string
      readonly count: number
      /** The line that sent it; where the stack does not have it, the line that asked for the session. */
      readonly sentFrom: string
    })
  /** A session holds a connection and has used it for nothing for `idleSessionMs`. */
  | (Labelled & { readonly type: 'session.held_idle'; readonly idleMs: number; readonly acquiredAt: string })
  /** A call got PoolDeadlock; `tasks` are those that waited for each other, each with the line that asked for its connection. */
  | (Labelled & { readonly type: 'deadlock.detected'; readonly tasks: readonly string[] })
  /** The queue no longer empties: calls that would be served too late are turned away. */
  | { readonly type: 'overload.started'; readonly queueMs: number; readonly waiting: number }
  /** The queue is short again. */
  | { readonly type: 'overload.ended' }
  /** A migration was applied when the engine was opened. */
  | { readonly type: 'migration.applied'; readonly name: string; readonly durationMs: number }

/** The observation of a type. */
export type ObservationOf<TType extends Observation['type']> = Extract<Observation, { type: TType }>

/** What came of a transaction: `unknown` when COMMIT was not answered, or something else ended the transaction. */
export type TransactionOutcome = 'committed' | 'rolled_back' | 'unknown'

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
