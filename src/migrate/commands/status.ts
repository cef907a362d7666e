/** The state of files and ledger, for people and for programs. Only reads. */
import { MigrationRefused } from '../../errors.ts'
import { optionNames } from '../../option-names.ts'
import { checkCommand, type MigrationSource, sourceNames } from '../options.ts'
import { withConnection } from '../connect.ts'
import { readMigrations } from '../files/folder.ts'
import { strayFiles } from '../files/layout.ts'
import { findInvalidIndexes } from '../run/resume.ts'
import { sqlStateOf } from '../../sqlstate.ts'
import { Ledger } from '../ledger/ledger.ts'
import { compareWithLedger, contradiction, type MigrationState, nameOfRow } from '../ledger/migration-state.ts'

/** One file's state. */
export interface MigrationStatus {
  readonly name: string
  readonly state: MigrationState | 'missing'
  /** Undefined when not applied, or applied by Drizzle, which does not record it. */
  readonly appliedAt: Date | undefined
  readonly durationMs: number | undefined
  /**
   * The number of completed statements of an interrupted file without a transaction; the next run resumes after them.
   */
  readonly statementsDone: number | undefined
}

/** The result of `migrationStatus`. */
export interface StatusResult {
  readonly state: 'up to date' | 'pending' | 'inconsistent'
  /** In the journal's order; rows without a file last. */
  readonly migrations: readonly MigrationStatus[]
  /** What is inconsistent, and what to do about it. */
  readonly problem: string | undefined
  /** SQL files in the folder that are not migrations to Drizzle and its journal, and so are never run. */
  readonly ignoredFiles: readonly string[]
  /** Indexes that an interrupted CREATE INDEX CONCURRENTLY left. */
  readonly invalidIndexes: readonly string[]
}

const statusNames = optionNames<MigrationSource>(sourceNames)

/** The state of every migration. @throws MigrationRefused when the folder itself is broken. */
export async function migrationStatus(target: string, source: MigrationSource): Promise<StatusResult> {
  checkCommand('migrationStatus', statusNames, target, source)
  const migrations = await readMigrations(source.folder)
  const ledger = new Ledger(source.ledger)
  const { rows, invalid, unfinished } = await withConnection(target, async (connection) => ({
    rows: await readable(ledger, () => ledger.read(connection)),
    unfinished: await ledger.unfinished(connection),
    invalid: await findInvalidIndexes(connection),
  }))
  const compared = compareWithLedger(migrations, rows)
  const problem = contradiction(compared)
  const list: MigrationStatus[] = compared.migrations.map(({ migration, state, row }) => ({
    name: migration.name,
    state,
    appliedAt: row?.appliedAt,
    durationMs: row?.durationMs,
    statementsDone: row ? undefined : unfinished.get(migration.name),
  }))
  for (const row of compared.missing) {
    const { appliedAt, durationMs } = row
    list.push({ name: nameOfRow(row), state: 'missing', appliedAt, durationMs, statementsDone: undefined })
  }
  const pending = list.some(({ state }) => state === 'pending')
  return {
    state: problem ? 'inconsistent' : pending ? 'pending' : 'up to date',
    migrations: list,
    problem: problem?.message,
    ignoredFiles: await strayFiles(source.folder),
    invalidIndexes: invalid.map(({ name }) => name),
  }
}

/** Names the missing grants when the ledger cannot be read. */
async function readable<T>({ schema }: Ledger, read: () => Promise<T>): Promise<T> {
  return read().catch((cause: unknown) => {
    if (sqlStateOf(cause) !== '42501') throw cause
    const name = JSON.stringify(schema)
    throw new MigrationRefused(
      'unsafe',
      `the role of the database URL may not read the ledger in schema ${name}: grant it USAGE ON SCHEMA ${name} and ` +
        `SELECT ON ALL TABLES IN SCHEMA ${name}`,
      { cause },
    )
  })
}
