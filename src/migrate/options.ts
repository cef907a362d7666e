/** Options that several commands share: where the migrations are, and how long to wait for others. */
import { ledgerNames } from '../config.ts'
import { UsageError } from '../errors.ts'
import { checkOptions, type OptionNames } from '../option-names.ts'
import { Deadline } from '../task/deadline.ts'
import type { LedgerName } from './ledger/ledger.ts'
import type { OnProgress } from './progress.ts'

/** Where migrations are, and where applied ones are recorded. */
export interface MigrationSource {
  /** The folder drizzle-kit writes: `out` in drizzle.config.ts. */
  readonly folder: string
  /** `migrations` in drizzle.config.ts. Default Drizzle's own names. */
  readonly ledger?: LedgerName | undefined
}

/** Time limits of commands that change the database. */
export interface WaitOptions {
  /**
   * Milliseconds a statement may wait for a table's lock before the file is rolled back and tried again. 1 to
   * 3,600,000; default 1,000.
   */
  readonly lockTimeoutMs?: number | undefined
  /** Milliseconds to wait for another migrator, and for the table locks of each file. Default 600,000. */
  readonly maxWaitMs?: number | undefined
  /** When aborted, the running statement is stopped and its transaction rolled back. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** The names of where migrations are; the folder is looked at by itself, because it must be given. */
export const sourceNames = { folder: true, ledger: ledgerNames } as const

/** The names of time limits. */
export const waitNames = { lockTimeoutMs: true, maxWaitMs: 'number', signal: 'signal', onProgress: 'function' } as const

/** Checks what a command was given, before anything is read or changed. @throws UsageError */
export function checkCommand(command: string, names: OptionNames, target: unknown, options: unknown): void {
  // A connection is taken from our own code only.
  if (typeof target !== 'string' && !(typeof target === 'object' && target !== null && 'backendPid' in target)) {
    throw new UsageError(`${command} takes the URL of a database first, a text: ${command}(url, { … })`)
  }
  checkOptions(command, names, options)
  const { folder } = options as { readonly folder?: unknown }
  if (!names.has('folder') || typeof folder === 'string') return
  throw new UsageError(`${command} needs the folder of the migrations, a path: ${command}(url, { folder: 'drizzle' })`)
}

/** The options of `withLock` and `runWork` with their defaults. @throws UsageError for a time out of range. */
export function waiting(options: WaitOptions) {
  const { lockTimeoutMs = 1000, maxWaitMs = 600_000, signal, onProgress } = options
  if (!Number.isSafeInteger(lockTimeoutMs) || lockTimeoutMs < 1 || lockTimeoutMs > 3_600_000) {
    throw new UsageError('the lock timeout must be a whole number of milliseconds from 1 to 3600000')
  }
  return { lockTimeoutMs, deadline: Deadline.after(maxWaitMs), signal, onProgress }
}
