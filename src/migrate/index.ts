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
export { type BaselineOptions, type BaselineResult, baselineMigrations } from './baseline.ts'
export type { CodeComparison, CodeSql, RefusedStatement } from './code.ts'
export type { Target } from './connect.ts'
export { type PlannedRevert, planRevert, revertMigrations, type RevertOptions } from './down.ts'
export type { Difference } from './introspect.ts'
export type { LedgerName } from './ledger.ts'
export { type Finding, lint, lintRules, type LintSource } from './lint/lint.ts'
export type { Rule } from './lint/rule.ts'
export type { MigrationProgress, OnProgress } from './progress.ts'
export { MigrationRefused, type RefusalReason } from './refusal.ts'
export { emptyDatabase, type EmptyOptions } from './reset.ts'
export type { MigrationState } from './standing.ts'
export { type MigrationStatus, migrationStatus, type StatusResult } from './status.ts'
export { type Trial, tryMigrations, type TryOptions } from './trial.ts'
export { verifyCode, type VerifyCodeOptions, verifyDatabase, type VerifyOptions, type VerifyResult } from './verify.ts'
