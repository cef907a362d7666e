/**
 * Compares the schema in code, the migrations and the live database. The applied migrations are replayed into a scratch
 * database, which is compared with the live one, object by object. Then the pending ones are replayed too, and all of
 * them are compared with what the code declares (`code-comparison.ts`).
 */
import type { Connection } from '../../pool/connection.ts'
import { optionNames } from '../../option-names.ts'
import { checkCommand, type MigrationSource, sourceNames } from '../options.ts'
import { MigrationFailed, MigrationRefused } from '../../errors.ts'
import { checkCode, type CodeComparison, type CodeSql, codeNames, compareCode } from '../schema/code-comparison.ts'
import { withConnection } from '../connect.ts'
import { isOfFile, scratchExplanation } from '../run/failure.ts'
import { sqlStateOf } from '../../sqlstate.ts'
import { type Migration, readMigrations } from '../files/folder.ts'
import { describeDatabase, type Difference, differences, usedSchemas, withoutTables } from '../schema/describe.ts'
import { Ledger } from '../ledger/ledger.ts'
import { replay, type ReplayOptions } from '../schema/replay.ts'
import { withScratchDatabase } from '../schema/scratch-database.ts'
import { compareWithLedger, contradiction, inState } from '../ledger/migration-state.ts'
import { parseScript } from '../files/script.ts'
import { createExtensions, readDatabaseSettings } from '../schema/database-settings.ts'
import { type Trial, runTrial } from '../schema/trial.ts'

/** The options of `verifyDatabase`. */
export interface VerifyOptions extends MigrationSource {
  /** The server on which to make the scratch database. Default: the live one. */
  readonly scratchUrl?: string | undefined
  /** The schemas to compare. Default: public, and those that the migrations make or fill. */
  readonly schemas?: readonly string[] | undefined
  /** Tells by the bare name of a table or view whether it is compared. Default: all are. */
  readonly keepsTable?: ((table: string) => boolean) | undefined
  /** Treats pending migrations as applied, to check what `baselineMigrations` would say. Default false. */
  readonly asApplied?: boolean | undefined
  /** What drizzle-kit writes for the schema in code. Default: the code is not compared. */
  readonly code?: CodeSql | undefined
  readonly signal?: AbortSignal | undefined
}

const verifyNames = optionNames<VerifyOptions>({
  ...sourceNames,
  scratchUrl: 'string',
  schemas: 'list',
  keepsTable: 'function',
  asApplied: 'boolean',
  code: codeNames,
  signal: 'signal',
})

/** The result of `verifyDatabase`. */
export interface VerifyResult {
  /** Where the live database differs from what its applied migrations make. */
  readonly differences: readonly Difference[]
  /** Migrations that are not applied yet, and so left out of the comparison with the live database. */
  readonly pending: readonly string[]
  /** Whether those can be applied. */
  readonly pendingTrial: Trial
  /** The schema in code compared with all migrations, pending ones included; undefined when it was not compared. */
  readonly code: CodeComparison | undefined
}

/**
 * Compares the database at `url` with its migrations, and those with the code.
 * @throws MigrationRefused when files and ledger contradict each other, or when a replay fails.
 */
export async function verifyDatabase(url: string, options: VerifyOptions): Promise<VerifyResult> {
  checkCommand('verifyDatabase', verifyNames, url, options)
  if (options.code !== undefined) checkCode('verifyDatabase', options.code)
  const migrations = await readMigrations(options.folder)
  const ledger = new Ledger(options.ledger)
  const before = await withConnection(url, async (connection) => {
    const rows = await ledger.read(connection)
    const compared = compareWithLedger(migrations, rows)
    const reason = contradiction(compared)
    if (reason) throw reason
    return { rows, compared, databaseSettings: await readDatabaseSettings(connection) }
  })
  const { asApplied = false } = options
  const applied = inState(before.compared, 'applied', ...(asApplied ? (['pending'] as const) : []))
  const pending = asApplied ? [] : inState(before.compared, 'pending')
  const { signal, code: sql } = options
  const scratch = { url: options.scratchUrl ?? url, signal, databaseSettings: before.databaseSettings }
  const { expected, schemas, code, pendingTrial } = await withScratchDatabase(scratch, async (connection) => {
    await ledger.create(connection)
    await createExtensions(connection, before.databaseSettings, applied)
    const replaying = { ledger, signal, throwAway: false }
    await replayHistory(connection, applied, replaying)
    const schemas = options.schemas ?? (await usedSchemas(connection, ledger))
    const expected = await describeDatabase(connection, ledger, schemas)
    const pendingTrial = await runTrial(connection, pending, pending, replaying)
    const comparable = sql !== undefined && pendingTrial.outcome === 'runs'
    const code = comparable ? await compareCode(connection, ledger, sql, false) : undefined
    return { schemas, expected, code, pendingTrial }
  })
  const live = await withConnection(url, async (connection) => {
    const ids = (await ledger.read(connection)).map(({ id }) => id)
    if (ids.join() === before.rows.map(({ id }) => id).join()) return describeDatabase(connection, ledger, schemas)
    throw new MigrationRefused('inconsistent', 'another session migrated the database meanwhile: run this again')
  })
  const { keepsTable = () => true } = options
  return {
    differences: differences(withoutTables(expected, keepsTable), withoutTables(live, keepsTable)),
    pending: pending.map(({ name }) => name),
    pendingTrial,
    code,
  }
}

/** The options of `verifyCode`. */
export interface VerifyCodeOptions extends MigrationSource {
  readonly code: CodeSql
  /** The server is a throw-away one: roles may be made there. Default false. */
  readonly throwAway?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

const verifyCodeNames = optionNames<VerifyCodeOptions>({
  ...sourceNames,
  code: codeNames,
  throwAway: 'boolean',
  signal: 'signal',
})

/** Compares the schema in code with all migrations, on a server where a scratch database may be made. */
export async function verifyCode(scratchUrl: string, options: VerifyCodeOptions): Promise<CodeComparison> {
  checkCommand('verifyCode', verifyCodeNames, scratchUrl, options)
  checkCode('verifyCode', options.code)
  const migrations = await readMigrations(options.folder)
  const ledger = new Ledger(options.ledger)
  const { signal, throwAway = false } = options
  return withScratchDatabase({ url: scratchUrl, signal }, async (connection) => {
    await ledger.create(connection)
    await replayHistory(connection, migrations, { ledger, signal, throwAway })
    return compareCode(connection, ledger, options.code, throwAway)
  })
}

async function replayHistory(
  connection: Connection,
  migrations: readonly Migration[],
  options: ReplayOptions,
): Promise<void> {
  for (const migration of migrations) {
    try {
      await replay(connection, [migration], options)
    } catch (cause) {
      if (options.signal?.aborted || !isOfFile(cause)) throw cause
      const { file, line, statement = 0 } = cause
      const sqlState = cause instanceof MigrationFailed ? cause.sqlState : undefined
      const { statements } = await parseScript(migration.text)
      const reason = sqlState === undefined ? cause.message : scratchExplanation(cause.cause, statements, statement)
      const where = sqlState === undefined ? '' : `${file}${line === undefined ? '' : ` (line ${line})`}: `
      throw new MigrationRefused(
        'unsafe',
        `the migrations cannot be replayed into an empty database: ${where}${reason}${missingHint(cause)}`,
        { cause, ...(file === undefined ? {} : { file }) },
      )
    }
  }
}

/** An object that an administrator made by hand is only in the live database. */
function missingHint(cause: unknown): string {
  return ['42704', '42883', '3F000'].includes(sqlStateOf(cause) ?? '')
    ? '\nIf an extension makes it, or it was made by hand, add it to a migration: CREATE EXTENSION IF NOT EXISTS …'
    : ''
}
