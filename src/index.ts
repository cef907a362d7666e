/** The public API of Rivulet. */
export { type Config, type PoolConfig } from './config.ts'
export {
  type CloseOptions,
  type Engine,
  type Gathered,
  type GatheredSettled,
  type GatherTasks,
  openEngine,
  type Session,
} from './engine.ts'
export {
  Cancelled,
  CheckViolation,
  CommitOutcomeUnknown,
  ConfigInvalid,
  ConnectionLost,
  DatabaseError,
  type DatabaseErrorInfo,
  DeadlineExceeded,
  DeadlockDetected,
  type ErrorCode,
  ForeignKeyViolation,
  InvalidInput,
  LockTimeout,
  MigrationFailed,
  NotFound,
  NotNullViolation,
  type Phase,
  PoolClosed,
  PoolDeadlock,
  PoolOverloaded,
  PoolTimeout,
  RivuletError,
  SerializationFailure,
  SessionEnded,
  StatementTimeout,
  UniqueViolation,
  UsageError,
  VersionConflict,
} from './errors.ts'
export type { Observation, Observer, TaskTiming } from './observe/observation.ts'
export type { PoolStats } from './pool/pool-stats.ts'
export { conventions, type Conventions } from './repository/conventions.ts'
export { defineRepository } from './repository/define-repository.ts'
export type { LockMode, LockWait, NoWait, SkipLocked } from './repository/lock.ts'
export type {
  CountedPage,
  IfVersion,
  KeyedRepository,
  ListOptions,
  Page,
  ReadOnlyRepository,
  ReadOptions,
  RemovedRows,
  Repository,
  RepositoryOf,
  Several,
  SoftDeleteRepository,
  StreamOptions,
  UpsertOptions,
} from './repository/operations.ts'
export type {
  Alone,
  Direction,
  Key,
  KeyIn,
  NewRow,
  NewRowIn,
  Order,
  OrderIn,
  Patch,
  PatchIn,
  Row,
  RowIn,
  Where,
  WhereIn,
} from './repository/row.ts'
export type { Sketch, TableSketch } from './repository/sketch.ts'
export { defineQuery, type DefinedQuery } from './session/define-query.ts'
export type { Database, Schema } from './session/drizzle.ts'
export type { GatherOptions } from './session/gather.ts'
export type { MapOptions } from './session/map.ts'
export type { Task } from './session/run.ts'
export type { TransactionOptions } from './session/session.ts'
export type { Rows, SqlTag } from './session/sql.ts'
export { type GatherTask, optional, withIdentity } from './session/task-spec.ts'
export type { Identity } from './session/identity.ts'
export type { TaskOptions } from './task/scope.ts'
