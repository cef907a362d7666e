/**
 * Adopts a database that already has what the migrations would make, because it was made by hand or by
 * `drizzle-kit push`: writes them into the ledger without running them. Nothing else is changed.
 */
import { UsageError } from '../../errors.ts'
import { optionNames } from '../../option-names.ts'
import { checkCommand, type MigrationSource, sourceNames, waiting, waitNames, type WaitOptions } from '../options.ts'
import { createLedger } from '../run/create-ledger.ts'
import { withConnection } from '../connect.ts'
import { findMigration, readMigrations } from '../files/folder.ts'
import { Ledger } from '../ledger/ledger.ts'
import { withLock } from '../ledger/advisory-lock.ts'
import { compareWithLedger, contradiction } from '../ledger/migration-state.ts'
import { refusePulled } from '../files/check-script.ts'

/** The options of `baselineMigrations`. */
export interface BaselineOptions extends MigrationSource, WaitOptions {
  /** The last migration whose changes the database already has. */
  readonly to: string
  /** Accepts the present text of files that were changed after they were applied. Default false. */
  readonly acceptChanged?: boolean | undefined
}

const baselineNames = optionNames<BaselineOptions>({
  ...sourceNames,
  ...waitNames,
  to: 'string',
  acceptChanged: 'boolean',
})

/** The result of `baselineMigrations`. */
export interface BaselineResult {
  /** Written into the ledger now. */
  readonly adopted: readonly string[]
  /** Migrations whose new text was accepted. */
  readonly accepted: readonly string[]
}

/**
 * Enters every migration up to `to` in the ledger as applied. @throws MigrationRefused when the ledger contradicts the
 * files, or a file is one comment.
 */
export async function baselineMigrations(target: string, options: BaselineOptions): Promise<BaselineResult> {
  checkCommand('baselineMigrations', baselineNames, target, options)
  if ((options.to as unknown) === undefined) {
    throw new UsageError('baselineMigrations needs `to`: the last migration whose changes the database already has')
  }
  const migrations = await readMigrations(options.folder)
  const last = migrations.indexOf(findMigration(migrations, options.to))
  const ledger = new Ledger(options.ledger)
  return withConnection(target, (connection) =>
    withLock(connection, { ...waiting(options), key: ledger.lockKey }, async () => {
      const compared = compareWithLedger(migrations, await ledger.read(connection))
      const chosen = compared.migrations.slice(0, last + 1)
      const changed = chosen.filter(({ state }) => state === 'changed')
      if (!options.acceptChanged || changed.length === 0) {
        const reason = contradiction(compared, { outOfOrder: true })
        if (reason) throw reason
      }
      const adopted = chosen.filter(({ row }) => row === undefined)
      for (const { migration } of adopted) await refusePulled(migration.file, migration.text)
      await createLedger(connection, ledger)
      await connection.script('begin')
      try {
        for (const { migration, rows } of changed) await ledger.acceptChange(connection, migration, rows)
        for (const { migration } of adopted) await ledger.record(connection, migration, undefined)
        await connection.script('commit')
      } catch (error) {
        await connection.script('rollback').catch(() => connection.destroy())
        throw error
      }
      const names = (list: typeof chosen) => list.map(({ migration }) => migration.name)
      return { adopted: names(adopted), accepted: names(changed) }
    }),
  )
}
