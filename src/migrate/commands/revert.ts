/**
 * Reverts applied migrations, newest first, with the file `<name>.down.sql` that people write beside each migration.
 * Nothing is guessed: a migration without that file stays. Steps that lose data are listed first, for a person to confirm.
 */
import type { Connection } from '../../pool/connection.ts'
import { assertLockHeld, withLock } from '../ledger/advisory-lock.ts'
import { optionNames } from '../../option-names.ts'
import { checkCommand, type MigrationSource, sourceNames, waiting, waitNames, type WaitOptions } from '../options.ts'
import { withConnection } from '../connect.ts'
import { findMigration, type Migration, readMigrations } from '../files/folder.ts'
import { Ledger, type LedgerRow } from '../ledger/ledger.ts'
import { MigrationRefused, UsageError } from '../../errors.ts'
import { runWork } from '../run/run-file.ts'
import { compareWithLedger, contradiction, inState } from '../ledger/migration-state.ts'
import type { Script } from '../files/script.ts'
import { destructiveSteps } from '../files/destructive.ts'
import { readSql } from '../files/text-file.ts'
import { readScript } from '../files/check-script.ts'

/** Which migrations to revert. */
export interface RevertOptions extends MigrationSource {
  /** The migration to go back to; it stays applied. Default: the one before the newest. */
  readonly to?: string | undefined
}

const planNames = optionNames<RevertOptions>({ ...sourceNames, to: 'string' })
const revertNames = optionNames<RevertOptions & WaitOptions>({ ...sourceNames, ...waitNames, to: 'string' })

/** One migration that would be reverted. */
export interface PlannedRevert {
  readonly name: string
  /** The name of the file within the migrations folder. */
  readonly file: string
  /** The steps that lose data, each with its line. */
  readonly destructive: readonly { readonly line: number; readonly step: string }[]
  readonly statements: readonly string[]
}

/**
 * Returns what `revertMigrations` would do now, in order; changes nothing. @throws MigrationRefused for a missing file.
 */
export async function planRevert(target: string, options: RevertOptions): Promise<readonly PlannedRevert[]> {
  checkCommand('planRevert', planNames, target, options)
  const migrations = await readMigrations(options.folder)
  const ledger = new Ledger(options.ledger)
  const steps = await withConnection(target, (connection) => stepsNow(connection, ledger, migrations, options))
  return steps.map(({ migration, script }) => ({
    name: migration.name,
    file: migration.downFile,
    destructive: destructiveSteps(script),
    statements: script.statements.map((statement) => statement.text),
  }))
}

/** Reverts exactly `names`, which `planRevert` returned. @throws MigrationRefused when the plan has changed since. */
export async function revertMigrations(
  target: string,
  names: readonly string[],
  options: RevertOptions & WaitOptions,
): Promise<{ readonly reverted: readonly string[] }> {
  checkCommand('revertMigrations', revertNames, target, options)
  if (!Array.isArray(names)) throw new UsageError('revertMigrations takes the names that planRevert returned, a list')
  const migrations = await readMigrations(options.folder)
  const ledger = new Ledger(options.ledger)
  const wait = waiting(options)
  if (names.length === 0) return { reverted: [] }
  return withConnection(target, (connection, openObserver) =>
    withLock(connection, { ...wait, key: ledger.lockKey }, async () => {
      // A ledger that Drizzle made does not have the table for details yet.
      await ledger.create(connection)
      const steps = await stepsNow(connection, ledger, migrations, options)
      if (steps.map(({ migration }) => migration.name).join() !== names.join()) {
        throw new MigrationRefused(
          'inconsistent',
          'another session migrated the database meanwhile: check the new plan, then run this again',
        )
      }
      for (const { migration, rows, script } of steps) {
        await assertLockHeld(connection, ledger.lockKey)
        const file = migration.downFile
        const record = () => ledger.remove(connection, migration, rows)
        const work = { file, key: `${migration.name}.down`, hash: migration.hash, script, record }
        const durationMs = await runWork(connection, work, { ...wait, ledger, openObserver })
        wait.onProgress?.({ type: 'file.applied', file, name: migration.name, durationMs })
      }
      return { reverted: names }
    }),
  )
}

interface RevertStep {
  readonly migration: Migration
  /** Its rows in the ledger. */
  readonly rows: readonly LedgerRow[]
  readonly script: Script
}

async function stepsNow(
  connection: Connection,
  ledger: Ledger,
  migrations: readonly Migration[],
  { to }: RevertOptions,
): Promise<readonly RevertStep[]> {
  const compared = compareWithLedger(migrations, await ledger.read(connection))
  const reason = contradiction(compared, { outOfOrder: true })
  if (reason) throw reason
  const applied = inState(compared, 'applied')
  const chosen = to === undefined ? applied.slice(-1) : applied.slice(lastKept(applied, findMigration(migrations, to)))
  const lacking = chosen.filter((migration) => migration.downPath === undefined).map(({ downFile }) => downFile)
  if (lacking.length > 0) {
    throw new MigrationRefused(
      'unsafe',
      `cannot be reverted: ${lacking.join(', ')} ${lacking.length === 1 ? 'is' : 'are'} missing. Write the SQL that ` +
        'undoes the migration there, or write a new migration instead',
      { migrations: lacking },
    )
  }
  const steps: RevertStep[] = []
  for (const migration of chosen.toReversed()) {
    const source = await readSql(migration.downPath ?? '')
    const rows = compared.migrations.find((one) => one.migration === migration)?.rows ?? []
    steps.push({ migration, rows, script: await readScript(migration.downFile, source) })
  }
  return steps
}

function lastKept(applied: readonly Migration[], to: Migration): number {
  const index = applied.indexOf(to)
  if (index >= 0) return index + 1
  throw new MigrationRefused('inconsistent', `${to.name} is not applied, so the database cannot go back to it`)
}
