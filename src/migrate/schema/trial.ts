/**
 * Tries whether files can run, in a scratch database, after the migrations before them. It has no rows, so a file that
 * fails only on real data is not found.
 */
import type { Connection } from '../../pool/connection.ts'
import { MigrationFailed, MigrationRefused } from '../../errors.ts'
import { optionNames } from '../../option-names.ts'
import { checkCommand, type MigrationSource, sourceNames } from '../options.ts'
import { withConnection } from '../connect.ts'
import { isOfFile, scratchExplanation } from '../run/failure.ts'
import { sqlStateOf } from '../../sqlstate.ts'
import { findMigration, type Migration, readMigrations } from '../files/folder.ts'
import { Ledger } from '../ledger/ledger.ts'
import { missingRole, replay, type ReplayOptions } from './replay.ts'
import { withScratchDatabase } from './scratch-database.ts'
import { parseScript } from '../files/script.ts'
import { createExtensions, readDatabaseSettings } from './database-settings.ts'

/** The outcome of a trial. */
export type Trial =
  | { readonly outcome: 'runs' }
  /** The files after this one were not tried. */
  | {
      readonly outcome: 'fails'
      /** The migration's name. */
      readonly name: string
      /** The name of its file within the migrations folder. */
      readonly file: string
      readonly line: number | undefined
      /** What the server said, with its SQLSTATE, and what to do where that is known. */
      readonly reason: string
      /** True when it was refused as it is written, so that none of it was tried. */
      readonly refused?: true
    }
  | { readonly outcome: 'untried'; readonly reason: string }

/** The options of `tryMigrations`. */
export interface TryOptions extends MigrationSource {
  /** The migrations to try, by name; those before them are only replayed. Default: all. */
  readonly names?: readonly string[] | undefined
  /** The server is a temporary one: roles may be made there. Default false. */
  readonly throwAway?: boolean | undefined
  /** The server is used instead of another one, which may have what it lacks. Default false. */
  readonly standIn?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

const tryNames = optionNames<TryOptions>({
  ...sourceNames,
  names: 'list',
  throwAway: 'boolean',
  standIn: 'boolean',
  signal: 'signal',
})

/** Tries migrations on the server at `url`, with the settings and extensions of the database there. */
export async function tryMigrations(url: string, options: TryOptions): Promise<Trial> {
  checkCommand('tryMigrations', tryNames, url, options)
  const migrations = await readMigrations(options.folder)
  const chosen = options.names?.map((name) => findMigration(migrations, name)) ?? migrations
  const last = migrations.findLastIndex((migration) => chosen.includes(migration))
  const ledger = new Ledger(options.ledger)
  const { signal, throwAway = false, standIn = false } = options
  const databaseSettings = throwAway ? undefined : await withConnection(url, readDatabaseSettings)
  return withScratchDatabase({ url, signal, databaseSettings }, async (connection) => {
    await ledger.create(connection)
    const needed = migrations.slice(0, last + 1)
    if (databaseSettings) await createExtensions(connection, databaseSettings, needed)
    return runTrial(connection, needed, chosen, { ledger, signal, throwAway, standIn })
  })
}

/** Replays `migrations`; when one that is not `chosen` fails, the chosen ones stay untried. */
export async function runTrial(
  connection: Connection,
  migrations: readonly Migration[],
  chosen: readonly Migration[],
  options: Omit<ReplayOptions, 'strict'> & { readonly standIn?: boolean },
): Promise<Trial> {
  for (const migration of migrations) {
    const isChosen = chosen.includes(migration)
    try {
      await replay(connection, [migration], { ...options, strict: isChosen })
    } catch (error) {
      if (!isOfFile(error) || connection.lost) throw error
      const { name, file } = migration
      const { line } = error
      const reason = await reasonOf(error, migration)
      const excuse = isChosen ? lack(error, options) : 'it is older, and cannot be replayed in an empty database'
      if (excuse === undefined) {
        const refused = error instanceof MigrationRefused ? { refused: true as const } : {}
        return { outcome: 'fails', name, file, line, reason, ...refused }
      }
      return { outcome: 'untried', reason: `${file}${line === undefined ? '' : `:${line}`}: ${reason}\n${excuse}` }
    }
  }
  return { outcome: 'runs' }
}

async function reasonOf(error: MigrationFailed | MigrationRefused, { file, text }: Migration): Promise<string> {
  if (error instanceof MigrationRefused || error.sqlState === undefined) return error.message.replace(`${file}: `, '')
  return scratchExplanation(error.cause, (await parseScript(text)).statements, error.statement ?? 0)
}

/** The reason why the failure means nothing: the server lacks what the real one has, or will have. */
function lack(error: Error, { throwAway, standIn }: { throwAway: boolean; standIn?: boolean }) {
  if (!throwAway && missingRole(error) !== undefined) return 'roles are not made on a server that is in use'
  const undefinedThere = ['42704', '42883', '3F000', '58P01'].includes(sqlStateOf(error) ?? '')
  const noExtension = error.cause instanceof Error && /^extension ".*" is not available$/.test(error.cause.message)
  return standIn && (undefinedThere || noExtension)
    ? 'this server was used instead of that of the database URL, which may have it'
    : undefined
}
