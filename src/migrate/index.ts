/** `rivulet/migrate`: the migration commands as functions. */
export {
  type AppliedMigration,
  applyMigrations,
  type ApplyOptions,
  type ApplyResult,
  checkMigrations,
  type PlannedMigration,
  planMigrations,
} from './commands/apply.ts'
export { type BaselineOptions, type BaselineResult, baselineMigrations } from './commands/baseline.ts'
export type { CodeComparison, CodeSql, RefusedStatement } from './schema/code-comparison.ts'
export { type PlannedRevert, planRevert, revertMigrations, type RevertOptions } from './commands/revert.ts'
export {
  examineDatabase,
  type Examination,
  type ExamineOptions,
  type HealthFinding,
  healthRules,
} from './doctor/examine.ts'
export type { Ailment, HealthRule } from './doctor/health-rule.ts'
export type { AcceptedFinding } from './doctor/ignored-findings.ts'
export type { HealthLimits } from './doctor/limits.ts'
export type { Difference } from './schema/describe.ts'
export type { LedgerName } from './ledger/ledger.ts'
export { type Finding, lint, lintRules, type LintSource } from './lint/lint.ts'
export type { LintRule } from './lint/rule.ts'
export type { MigrationSource, WaitOptions } from './options.ts'
export type { MigrationProgress, OnProgress } from './progress.ts'
export { MigrationFailed, MigrationRefused, type RefusalReason } from '../errors.ts'
export { emptyDatabase, type EmptyOptions } from './commands/reset.ts'
export type { MigrationState } from './ledger/migration-state.ts'
export { type MigrationStatus, migrationStatus, type StatusResult } from './commands/status.ts'
export { type Trial, tryMigrations, type TryOptions } from './schema/trial.ts'
export {
  verifyCode,
  type VerifyCodeOptions,
  verifyDatabase,
  type VerifyOptions,
  type VerifyResult,
} from './commands/verify.ts'
