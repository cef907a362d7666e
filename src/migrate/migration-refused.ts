/**
 * Why migrations were not even begun. A statement that fails is a plain `MigrationFailed`; these are the cases in which
 * nothing was changed and a person (or a later run) must act first. The command line turns `reason` into its exit code.
 */
import { MigrationFailed } from '../errors.ts'

/**
 * `pending`: files wait to be applied. `inconsistent`: files and ledger contradict each other. `locked`: another
 * migrator, or a busy table, outlasted the time limit. `unsafe`: a file cannot be run as it is written.
 */
export type RefusalReason = 'pending' | 'inconsistent' | 'locked' | 'unsafe'

/** Nothing was applied from the file on that `reason` is about; `migrations` names the files concerned. */
export class MigrationRefused extends MigrationFailed {
  readonly reason: RefusalReason
  readonly migrations: readonly string[]

  constructor(
    reason: RefusalReason,
    message: string,
    options: ErrorOptions & { migrations?: readonly string[]; file?: string; statement?: number; line?: number } = {},
  ) {
    super(message, options)
    this.reason = reason
    this.migrations = options.migrations ?? (options.file === undefined ? [] : [options.file])
  }
}
