/**
 * Compares files with the ledger: which migrations are applied, pending, changed since they were applied, or out of
 * order, and which rows of the ledger have no file. It is a pure comparison, and every decision whether to run uses it.
 *
 * Drizzle applies what is newer than the newest row and compares nothing, so an older file that a merge brought in is
 * skipped for ever. Here the order is the journal's, and hashes are compared.
 */
import type { Migration } from '../files/folder.ts'
import type { LedgerRow } from './ledger.ts'
import { MigrationRefused } from '../../errors.ts'

/** `out of order`: pending, although a file that comes later in the journal is applied. */
export type MigrationState = 'applied' | 'pending' | 'changed' | 'out of order'

/** One file and its state. */
interface ComparedMigration {
  readonly migration: Migration
  readonly state: MigrationState
  readonly row: LedgerRow | undefined
  /** All its rows: older migrators that ran at the same time may have entered a file twice. */
  readonly rows: readonly LedgerRow[]
}

/** All files and rows, compared. */
export interface LedgerComparison {
  readonly migrations: readonly ComparedMigration[]
  /** Rows of the ledger without a file: the file was lost, or the database is newer than the code. */
  readonly missing: readonly LedgerRow[]
  /** True when a missing row is newer than every file. */
  readonly databaseIsNewer: boolean
}

/**
 * Compares files with rows. Rows are matched by time and hash, then by hash alone, then by time alone (then the text
 * was changed). Each row belongs to one file, because several files may have the same text or the same time.
 */
export function compareWithLedger(migrations: readonly Migration[], rows: readonly LedgerRow[]): LedgerComparison {
  const left = new Set(rows)
  const found = new Map<Migration, LedgerRow[]>()
  const match = (same: (migration: Migration, row: LedgerRow) => boolean) => {
    for (const migration of migrations) {
      if (found.has(migration)) continue
      const first = [...left].find((row) => same(migration, row))
      if (!first) continue
      const twins = [...left].filter((row) => row.when === first.when && row.hash === first.hash)
      for (const row of twins) left.delete(row)
      found.set(migration, twins)
    }
  }
  match((migration, row) => sameTime(migration, row) && migration.sameHashes.includes(row.hash))
  match((migration, row) => migration.sameHashes.includes(row.hash))
  match(sameTime)
  for (const row of left) {
    const owner = [...found].find(([migration]) => migration.sameHashes.includes(row.hash))
    if (owner && left.delete(row)) owner[1].push(row)
  }
  const lastApplied = migrations.findLastIndex((migration) => found.has(migration))
  const newestFile = Math.max(-Infinity, ...migrations.map((migration) => migration.when))
  return {
    migrations: migrations.map((migration, index) => {
      const rows = found.get(migration) ?? []
      const row = rows[0]
      if (!row) return { migration, row, rows, state: index < lastApplied ? 'out of order' : 'pending' }
      return { migration, row, rows, state: migration.sameHashes.includes(row.hash) ? 'applied' : 'changed' }
    }),
    missing: [...left],
    databaseIsNewer: [...left].some((row) => (row.when ?? -Infinity) > newestFile),
  }
}

/**
 * A folder of drizzle-kit 1.0 has whole seconds only; migrations that were applied from the journal before have
 * milliseconds.
 */
function sameTime({ when }: Migration, row: LedgerRow): boolean {
  return row.when === when || (row.when !== undefined && when % 1000 === 0 && row.when - (row.when % 1000) === when)
}

/** The files in one state, in order. */
export function inState(compared: LedgerComparison, ...states: readonly MigrationState[]): readonly Migration[] {
  return compared.migrations.filter(({ state }) => states.includes(state)).map(({ migration }) => migration)
}

/**
 * The reason why nothing may be applied in this state; undefined when migrations may be applied. `outOfOrder` allows
 * late files.
 */
export function contradiction(
  compared: LedgerComparison,
  allow: { outOfOrder?: boolean } = {},
): MigrationRefused | undefined {
  const changed = names(inState(compared, 'changed'))
  if (changed.length > 0) {
    return refused(
      changed,
      `changed after it was applied: ${changed.join(', ')}. Restore ${them(changed)} from version control and put new ` +
        'statements into a new migration; if only comments or spaces differ, accept the new text with ' +
        `\`rivulet baseline --to ${changed.at(-1)} --accept-changed\``,
    )
  }
  const missing = compared.missing.map(nameOfRow)
  if (missing.length > 0) {
    return refused(
      missing,
      `applied to this database but not in the folder: ${missing.join(', ')}. ` +
        (compared.databaseIsNewer
          ? 'The database is newer than this code: update the checkout, or run the newer release'
          : `Restore ${them(missing)} from version control`),
    )
  }
  const late = names(inState(compared, 'out of order'))
  if (late.length > 0 && !allow.outOfOrder) {
    return refused(
      late,
      `never applied, although later migrations are: ${late.join(', ')} (from a merged branch?). If the order does not ` +
        'matter, apply with `--out-of-order`; otherwise remove with `drizzle-kit drop` and generate again',
    )
  }
  return undefined
}

/** The name of a row without a file. */
export function nameOfRow({ id, name }: LedgerRow): string {
  return name ?? `row ${id} of the ledger`
}

function names(migrations: readonly Migration[]): string[] {
  return migrations.map((migration) => migration.name)
}

function them(list: readonly string[]): string {
  return list.length === 1 ? 'it' : 'them'
}

function refused(migrations: readonly string[], message: string): MigrationRefused {
  return new MigrationRefused('inconsistent', message, { migrations })
}
