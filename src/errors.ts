/**
 * Every error a caller can meet. Each class has a literal `code` (its PostgreSQL condition name where there is one),
 * says whether running the same work again may succeed (`retryable`), and keeps what it came from in `cause`.
 * No message and no property holds a statement's parameters, a password or a row: see `sqlstate.ts` for how errors of
 * the server are stripped of them.
 *
 * Each blames whom it should. `UsageError`: the calling program. `ConfigInvalid`: its configuration. `InvalidInput`: the
 * value that it was given. `InternalError`: Rivulet. Every other class is a condition that a program may handle.
 */

/** What every error of Rivulet has in common; `error instanceof RivuletError` tells ours from everybody else's. */
export abstract class RivuletError extends Error {
  abstract readonly code: ErrorCode
  /** True when the same work, run again, may succeed. Says nothing about whether it is safe to run twice. */
  readonly retryable: boolean = false
  /** Failures that came after this one in the same gather; they are kept here, so that none is lost. */
  related: readonly unknown[] = []

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    Object.defineProperty(this, 'related', { enumerable: false, writable: true, configurable: true })
  }
}

/** The program called Rivulet in a way that cannot work: the message says what to write instead. */
export class UsageError extends RivuletError {
  readonly code = 'usage'
}

/** The configuration, the database URL or the credentials are wrong; `openEngine` and the command line throw it. */
export class ConfigInvalid extends RivuletError {
  readonly code = 'config_invalid'
}

/** A package that only some users need is not installed; the message ends with the command that installs it. */
export class PackageMissing extends RivuletError {
  readonly code = 'package_missing'
  /** What that command installs, such as `hono@4`. */
  readonly packages: readonly string[]

  constructor(message: string, options: ErrorOptions & { packages: readonly string[] }) {
    super(message, options)
    this.packages = options.packages
  }
}

/** The embedded PostgreSQL cannot be made, started or reached on this machine; the message says what to do. */
export class EmbeddedServerFailed extends RivuletError {
  readonly code = 'embedded_server_failed'
}

/** The HTTP server cannot listen on its port: it is taken, or this user may not use it. */
export class PortUnavailable extends RivuletError {
  readonly code = 'port_unavailable'
  readonly port: number

  constructor(message: string, options: ErrorOptions & { readonly port: number }) {
    super(message, options)
    this.port = options.port
  }
}

/** Rivulet itself failed where it should not: please report it, with its `cause`. */
export class InternalError extends RivuletError {
  readonly code = 'internal'
}

/** An error that must be one of ours, where no other can come from: a foreign one there is our own bug. */
export function asRivuletError(error: unknown): RivuletError {
  if (error instanceof RivuletError) return error
  return new InternalError(error instanceof Error ? error.message : String(error), { cause: error })
}

/**
 * The way to a value within what the caller gave: the names of properties and the places in arrays, outermost first, as in
 * a JSON pointer: `['price']` for a column of a row, `[3, 'price']` for one of the fourth row of `insertMany`, `['limit']`
 * for an option. Empty for the whole.
 */
export type InputPath = readonly (string | number)[]

/** One fault of an input. */
export interface InputIssue {
  readonly path: InputPath
  readonly message: string
}

/** A value that the caller gave cannot be stored or understood; `path` leads to it. */
export class InvalidInput extends RivuletError {
  readonly code = 'invalid_input'
  readonly path: InputPath
  /** Every fault of the same input, where several are known. */
  readonly issues: readonly InputIssue[]

  constructor(
    message: string,
    options?: ErrorOptions & {
      readonly path?: InputPath | undefined
      readonly issues?: readonly InputIssue[] | undefined
    },
  ) {
    super(message, options)
    this.path = options?.path ?? []
    this.issues = options?.issues ?? []
  }
}

/** No row has this key. */
export class NotFound extends RivuletError {
  readonly code = 'not_found'
  readonly table: string | undefined

  constructor(message: string, options?: ErrorOptions & { table?: string | undefined }) {
    super(message, options)
    this.table = options?.table
  }
}

/** The row has been changed since it was read: its version is not the expected one. */
export class VersionConflict extends RivuletError {
  readonly code = 'version_conflict'
  readonly table: string | undefined

  constructor(message: string, options?: ErrorOptions & { table?: string | undefined }) {
    super(message, options)
    this.table = options?.table
  }
}

/** A session, or something taken from it, was used after its task had ended. */
export class SessionEnded extends RivuletError {
  readonly code = 'session_ended'
}

// ---- time and cancellation

/** The caller's signal was aborted, or a sibling task failed; the statement was stopped on the server. */
export class Cancelled extends RivuletError {
  readonly code = 'cancelled'
}

/** What a task was doing when its time ran out. */
export type Phase = 'queue' | 'connect' | 'statement' | 'task' | 'commit'

/** The deadline passed. `phase` says in what, `spentMs` how many milliseconds each phase took. */
export class DeadlineExceeded extends RivuletError {
  readonly code = 'deadline_exceeded'
  readonly phase: Phase
  readonly spentMs: Readonly<Partial<Record<Phase, number>>>

  constructor(
    message: string,
    options: ErrorOptions & { phase: Phase; spentMs: Readonly<Partial<Record<Phase, number>>> },
  ) {
    super(message, options)
    this.phase = options.phase
    this.spentMs = options.spentMs
  }
}

// ---- the pool

/** No connection became free within the acquire timeout. */
export class PoolTimeout extends RivuletError {
  readonly code = 'pool_timeout'
  override readonly retryable = true
}

/** The queue for connections is full, or so slow that waiting would be in vain: the call was turned away at once. */
export class PoolOverloaded extends RivuletError {
  readonly code = 'pool_overloaded'
  override readonly retryable = true
}

/**
 * Every connection is held by tasks that wait for another connection: waiting would never end. A task that asks for one is
 * taken to wait for it, also where it does not: a call it lets run on its own, or races against a timer, may be refused.
 */
export class PoolDeadlock extends RivuletError {
  readonly code = 'pool_deadlock'
}

/** True when the pool gave a call no connection although it is open: another call, or a later one, may get one. */
export function isPoolRefusal(error: unknown): boolean {
  return error instanceof PoolTimeout || error instanceof PoolOverloaded || error instanceof PoolDeadlock
}

/** The engine is closing or closed and takes no new work. */
export class PoolClosed extends RivuletError {
  readonly code = 'pool_closed'
}

/** The server cannot be reached, or the session's connection broke. Nothing uncommitted survives. */
export class ConnectionLost extends RivuletError {
  readonly code = 'connection_lost'
  override readonly retryable = true
}

/**
 * The connection broke, or time ran out, between sending COMMIT and its answer: the transaction may have been committed
 * or not. `transactionId`, where known, can be put to `pg_xact_status` on another connection. Never retried by Rivulet.
 */
export class CommitOutcomeUnknown extends RivuletError {
  readonly code = 'commit_outcome_unknown'
  readonly transactionId: string | undefined

  constructor(message: string, options?: ErrorOptions & { transactionId?: string | undefined }) {
    super(message, options)
    this.transactionId = options?.transactionId
  }
}

// ---- what the server says

/** Where in the schema an error of the server belongs, as far as the server said. */
export interface DatabaseErrorInfo {
  readonly sqlState: string
  readonly schema?: string | undefined
  readonly table?: string | undefined
  /**
   * The columns of `table` concerned, in the constraint's order. Empty where the server names none: of a check, or of a
   * unique index on an expression; the constraint's name tells.
   */
  readonly columns?: readonly string[] | undefined
  readonly constraint?: string | undefined
}

/** The codes of `DatabaseError` and of the classes that extend it. */
export type DatabaseErrorCode =
  | 'check_violation'
  | 'database_error'
  | 'deadlock_detected'
  | 'foreign_key_violation'
  | 'insufficient_privilege'
  | 'lock_timeout'
  | 'not_null_violation'
  | 'serialization_failure'
  | 'statement_timeout'
  | 'unique_violation'

/**
 * What every error that PostgreSQL reports has in common. One that has no class of its own is a plain `DatabaseError`, with
 * the code `database_error`; `sqlState` is its SQLSTATE.
 */
export class DatabaseError extends RivuletError implements DatabaseErrorInfo {
  readonly code: DatabaseErrorCode = 'database_error'
  readonly sqlState: string
  readonly schema: string | undefined
  readonly table: string | undefined
  readonly columns: readonly string[]
  readonly constraint: string | undefined

  constructor(message: string, options: ErrorOptions & DatabaseErrorInfo) {
    super(message, options)
    this.sqlState = options.sqlState
    this.schema = options.schema
    this.table = options.table
    this.columns = options.columns ?? []
    this.constraint = options.constraint
  }
}

/** A row with the same unique key exists (23505). */
export class UniqueViolation extends DatabaseError {
  override readonly code = 'unique_violation'
}

/**
 * A referenced row is missing, or a row is still referenced (23503, 23001). `table` is the one written to: the row's that
 * refers to a missing one, or the row's that is referred to; `constraint` is the foreign key's.
 */
export class ForeignKeyViolation extends DatabaseError {
  override readonly code = 'foreign_key_violation'
}

/** A column that must have a value got none (23502). */
export class NotNullViolation extends DatabaseError {
  override readonly code = 'not_null_violation'
}

/** A check constraint refused a row (23514). */
export class CheckViolation extends DatabaseError {
  override readonly code = 'check_violation'
}

/** The role of the session lacks a right, or a row-level security policy refused the row (42501). */
export class InsufficientPrivilege extends DatabaseError {
  override readonly code = 'insufficient_privilege'
}

/** A concurrent transaction made this one impossible to serialise (40001): run the unit of work again. */
export class SerializationFailure extends DatabaseError {
  override readonly code = 'serialization_failure'
  override readonly retryable = true
}

/** The server broke a deadlock by ending this transaction (40P01): run the unit of work again. */
export class DeadlockDetected extends DatabaseError {
  override readonly code = 'deadlock_detected'
  override readonly retryable = true
}

/** A lock was not granted in time, or not at once with NOWAIT (55P03). */
export class LockTimeout extends DatabaseError {
  override readonly code = 'lock_timeout'
  override readonly retryable = true
}

/** The server stopped the statement for a limit of its own, or an operator cancelled it (57014). */
export class StatementTimeout extends DatabaseError {
  override readonly code = 'statement_timeout'
}

/** A migration began and failed; `file` and `statement` (counted from 1) say where. */
export class MigrationFailed extends RivuletError {
  readonly code = 'migration_failed'
  readonly file: string | undefined
  readonly statement: number | undefined
  readonly line: number | undefined
  readonly sqlState: string | undefined

  constructor(
    message: string,
    options?: ErrorOptions & {
      file?: string | undefined
      statement?: number | undefined
      line?: number | undefined
      sqlState?: string | undefined
    },
  ) {
    super(message, options)
    this.file = options?.file
    this.statement = options?.statement
    this.line = options?.line
    this.sqlState = options?.sqlState
  }
}

/**
 * Why migrations were refused. `pending`: files wait to be applied. `inconsistent`: files and ledger contradict each other.
 * `locked`: another migrator, or a busy table, outlasted the time limit. `unsafe`: a file cannot be run as it is written.
 */
export type RefusalReason = 'pending' | 'inconsistent' | 'locked' | 'unsafe'

/**
 * Migrations were not begun: of the file that `reason` is about nothing was applied, and a person, or a later run, must act
 * first. `migrations` names the files concerned. The command line turns `reason` into its exit code.
 */
export class MigrationRefused extends RivuletError {
  readonly code = 'migration_refused'
  readonly reason: RefusalReason
  readonly migrations: readonly string[]
  readonly file: string | undefined
  readonly statement: number | undefined
  readonly line: number | undefined

  constructor(
    reason: RefusalReason,
    message: string,
    options: ErrorOptions & {
      readonly migrations?: readonly string[] | undefined
      readonly file?: string | undefined
      readonly statement?: number | undefined
      readonly line?: number | undefined
    } = {},
  ) {
    super(message, options)
    this.reason = reason
    this.migrations = options.migrations ?? (options.file === undefined ? [] : [options.file])
    this.file = options.file
    this.statement = options.statement
    this.line = options.line
  }
}

/** The literal codes of all errors. */
export type ErrorCode =
  | DatabaseErrorCode
  | 'cancelled'
  | 'commit_outcome_unknown'
  | 'config_invalid'
  | 'connection_lost'
  | 'deadline_exceeded'
  | 'embedded_server_failed'
  | 'internal'
  | 'invalid_input'
  | 'migration_failed'
  | 'migration_refused'
  | 'not_found'
  | 'package_missing'
  | 'pool_closed'
  | 'pool_deadlock'
  | 'pool_overloaded'
  | 'pool_timeout'
  | 'port_unavailable'
  | 'session_ended'
  | 'usage'
  | 'version_conflict'
