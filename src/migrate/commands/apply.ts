/**
 * Applies pending migrations in the journal's order, one file after the other, under one lock that is held for the
 * whole run. Any process may start it at any time, as often as it likes: the second one finds nothing left to do.
 */
import type { Connection } from '../../pool/connection.ts'
import { optionNames } from '../../option-names.ts'
import { refusePooler, withConnection } from '../connect.ts'
import { findMigration, type Migration, readMigrations } from '../files/folder.ts'
import { Ledger } from '../ledger/ledger.ts'
import { assertLockHeld, withLock } from '../ledger/advisory-lock.ts'
import { MigrationRefused } from '../../errors.ts'
import { checkCommand, type MigrationSource, sourceNames, waiting, waitNames, type WaitOptions } from '../options.ts'
import { createLedger } from '../run/create-ledger.ts'
import { runWork } from '../run/run-file.ts'
import {
  compareWithLedger,
  contradiction,
  inState,
  nameOfRow,
  type LedgerComparison,
} from '../ledger/migration-state.ts'
import { readScript, readScripts } from '../files/check-script.ts'

/** The options of `applyMigrations`. */
export interface ApplyOptions extends MigrationSource, WaitOptions {
  /** The last migration to apply. Default: all. */
  readonly to?: string | undefined
  /** Also applies files that are older than the newest applied one. Default false. */
  readonly outOfOrder?: boolean | undefined
}

const applyNames = optionNames<ApplyOptions>({ ...sourceNames, ...waitNames, to: 'string', outOfOrder: 'boolean' })

/** A migration applied by this run. */
export interface AppliedMigration {
  readonly name: string
  readonly durationMs: number
}

/** The result of `applyMigrations`. */
export interface ApplyResult {
  readonly applied: readonly AppliedMigration[]
  /**
   * Migrations in the ledger but not in the folder: the database is newer than the code, and nothing was left to apply.
   */
  readonly ahead: readonly string[]
}

/**
 * Brings the database up to date.
 * @throws MigrationFailed naming file, statement and line; MigrationRefused when it must not even begin; Cancelled.
 */
export async function applyMigrations(target: string, options: ApplyOptions): Promise<ApplyResult> {
  checkCommand('applyMigrations', applyNames, target, options)
  const migrations = await readMigrations(options.folder)
  const ledger = new Ledger(options.ledger)
  const wait = waiting(options)
  return withConnection(target, async (connection, openObserver) => {
    await refusePooler(connection)
    // Most runs find nothing to do: they need neither the lock nor the right to create tables.
    const before = await pendingNow(connection, ledger, migrations, options)
    if (before.pending.length === 0) return { applied: [], ahead: before.ahead }
    return withLock(connection, { ...wait, key: ledger.lockKey }, async () => {
      await createLedger(connection, ledger)
      const { pending, ahead } = await pendingNow(connection, ledger, migrations, options)
      const scripts = await readScripts(pending)
      const applied: AppliedMigration[] = []
      for (const [migration, script] of scripts) {
        await assertLockHeld(connection, ledger.lockKey)
        const { file } = migration
        const record = (durationMs: number) => ledger.record(connection, migration, durationMs)
        const work = { file, key: migration.name, hash: migration.hash, script, record }
        const durationMs = await runWork(connection, work, { ...wait, ledger, openObserver })
        applied.push({ name: migration.name, durationMs })
        wait.onProgress?.({ type: 'file.applied', file, name: migration.name, durationMs })
      }
      return { applied, ahead }
    })
  })
}

/** A file that would be applied, and how. */
export interface PlannedMigration {
  readonly name: string
  /** The name of the file within the migrations folder. */
  readonly file: string
  readonly transactional: boolean
  readonly statements: readonly { readonly line: number; readonly text: string }[]
}

/** Returns what `applyMigrations` would do now; changes nothing. @throws as it would. */
export async function planMigrations(target: string, options: ApplyOptions): Promise<readonly PlannedMigration[]> {
  checkCommand('planMigrations', applyNames, target, options)
  const migrations = await readMigrations(options.folder)
  const ledger = new Ledger(options.ledger)
  return withConnection(target, async (connection) => {
    const plan: PlannedMigration[] = []
    const { pending } = await pendingNow(connection, ledger, migrations, options)
    for (const { name, file, text } of pending) {
      const { transactional, statements } = await readScript(file, text)
      plan.push({ name, file, transactional, statements: statements.map(({ line, text }) => ({ line, text })) })
    }
    return plan
  })
}

const checkNames = optionNames<MigrationSource>(sourceNames)

/**
 * Returns normally when the database has every migration of the folder, unchanged. It may have more, if the next
 * release has already migrated it. @throws MigrationRefused ('pending' or 'inconsistent'), which names the others.
 */
export async function checkMigrations(target: string, source: MigrationSource): Promise<void> {
  checkCommand('checkMigrations', checkNames, target, source)
  const migrations = await readMigrations(source.folder)
  const rows = await withConnection(target, (connection) => new Ledger(source.ledger).read(connection))
  const compared = compareWithLedger(migrations, rows)
  const reason = contradiction({ ...compared, missing: [] })
  if (reason) throw reason
  const pending = inState(compared, 'pending').map(({ name }) => name)
  if (pending.length === 0) return
  throw new MigrationRefused(
    'pending',
    `the database lacks ${pending.length === 1 ? 'a migration' : `${pending.length} migrations`}: ` +
      `${pending.join(', ')}. Run \`rivulet migrate\`, or open the engine with migrations: 'apply'`,
    { migrations: pending },
  )
}

async function pendingNow(
  connection: Connection,
  ledger: Ledger,
  migrations: readonly Migration[],
  { to, outOfOrder = false }: ApplyOptions,
): Promise<{ readonly pending: readonly Migration[]; readonly ahead: readonly string[] }> {
  const compared: LedgerComparison = compareWithLedger(migrations, await ledger.read(connection))
  const pending = inState(compared, 'pending', 'out of order')
  // The next release has already migrated: nothing is left to do, and nothing is wrong.
  const reason = contradiction(pending.length === 0 ? { ...compared, missing: [] } : compared, { outOfOrder })
  if (reason) throw reason
  const ahead = compared.missing.map(nameOfRow)
  if (to === undefined) return { pending, ahead }
  const last = migrations.indexOf(findMigration(migrations, to))
  return { pending: pending.filter((migration) => migrations.indexOf(migration) <= last), ahead }
}
