/** The public API of Rivulet. */
export { type Config, type PoolConfig } from './config.ts'
export {
  type CloseOptions,
  type Engine,
  type Gathered,
  type GatheredSettled,
  type GatherTasks,
  openEngine,
} from './engine.ts'
export {
  Cancelled,
  CheckViolation,
  CommitOutcomeUnknown,
  ConfigInvalid,
  ConnectionLost,
  DatabaseError,
  type DatabaseErrorCode,
  type DatabaseErrorInfo,
  DeadlineExceeded,
  DeadlockDetected,
  EmbeddedServerFailed,
  type ErrorCode,
  ForeignKeyViolation,
  type InputIssue,
  type InputPath,
  InsufficientPrivilege,
  InternalError,
  InvalidInput,
  LockTimeout,
  MigrationFailed,
  MigrationRefused,
  NotFound,
  NotNullViolation,
  PackageMissing,
  type Phase,
  PoolClosed,
  PoolDeadlock,
  PoolOverloaded,
  PoolTimeout,
  PortUnavailable,
  type RefusalReason,
  RivuletError,
  SerializationFailure,
  SessionEnded,
  StatementTimeout,
  UniqueViolation,
  UsageError,
  VersionConflict,
} from './errors.ts'
export type { Logger, LogLevel, LogOptions, LogSetting, LogTopic } from './observe/log-setting.ts'
export type { Observation, Observer, RetireReason, TaskTiming, TransactionOutcome } from './observe/observation.ts'
export type { Telemetry } from './observe/telemetry.ts'
export type { Explainable, ExplainOptions } from './explain/explain-call.ts'
export type { PlanActual, PlanBuffers, PlanNode, PlanWarning, PlanWarningCode, QueryPlan } from './plan/query-plan.ts'
export type { PoolStats } from './pool/pool-stats.ts'
export { conventions, type Conventions, type Source } from './repository/types/conventions.ts'
export { defineRepository, type DefineOptions } from './repository/define-repository.ts'
export type { LockMode, LockWait } from './repository/types/lock-mode.ts'
export type {
  CountedPage,
  KeyedRepository,
  ListOptions,
  Page,
  ReadOnlyRepository,
  ReadOptions,
  Repository,
  RepositoryOf,
  SoftDeleteRepository,
  StreamOptions,
  UpsertOptions,
} from './repository/types/operations.ts'
export type { Direction, Key, NewRow, Order, Patch, Row, Where } from './repository/types/table-types.ts'
export { defineQuery, type DefinedQuery } from './repository/define-query.ts'
export type { AnySession, Session } from './repository/session.ts'
export type { Database, Schema, Preparable, Streamable } from './drizzle/driver.ts'
export type { GatherOptions } from './gather/gather.ts'
export { createIdempotencyTable, removeIdempotencyKeys } from './idempotency/kept-answers.ts'
export type { ItemTask, MapOptions } from './gather/map.ts'
export type { Task } from './session/run-task.ts'
export type { CursorOptions } from './session/server-cursor.ts'
export type { TransactionOptions } from './session/session.ts'
export type { TransactionSettings } from './session/transaction.ts'
export type { Rows, SqlTag } from './drizzle/sql-tag.ts'
export { type GatherTask, optional, type TaskSpec, withIdentity } from './gather/task-spec.ts'
export type { Identity } from './session/identity.ts'
export type { Deadline } from './task/deadline.ts'
export type { RetryOptions } from './task/retry.ts'
export type { TaskOptions } from './task/scope.ts'
export type * as types from './declaration-types.ts'
