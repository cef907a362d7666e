/** `rivulet/migrate`: the migration commands as functions. */
export {
  type AppliedMigration,
  applyMigrations,
  type ApplyOptions,
  type ApplyResult,
  checkMigrations,
  type MigrationSource,
  type PlannedMigration,
  planMigrations,
  type WaitOptions,
} from './apply.ts'
export type { Target } from './connect.ts'
export type { LedgerName } from './ledger.ts'
export type { MigrationProgress, OnProgress } from './progress.ts'
export { MigrationRefused, type RefusalReason } from './refusal.ts'
export type { MigrationState } from './standing.ts'
export { type MigrationStatus, migrationStatus, type StatusResult } from './status.ts'
