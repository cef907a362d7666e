/**
 * The data directory: initdb makes it once, complete or not at all, because it gets its name when everything is in it.
 * It is in UTF-8 with any LANG, sorted by code point, with the built-in C.UTF-8 provider, so that `lower('É')` is `é`
 * without a library of the system; every kind of connection needs a scram password.
 */
import { mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EmbeddedServerFailed } from '../errors.ts'
import type { Binaries } from './binaries.ts'
import type { ProgramOptions } from './run-program.ts'
import type { Keeper } from './keeper.ts'
import { giveTo, readText, type ServerPaths } from './paths.ts'

/** The name of the superuser and of the database. */
export const databaseName = 'rivulet'

/** What runs the programs, and for which server. */
interface Maker {
  /** Ends them when this process dies. */
  readonly keeper: Keeper
  readonly paths: ServerPaths
  readonly binaries: Binaries
}

/**
 * Makes the data directory when there is none; else sees that these binaries can open it. Only under the lock, when
 * no keeper runs but this one. Aborting the signal leaves none, and rejects with its reason.
 * @throws {EmbeddedServerFailed} when the one that is there is of another major version or no data directory at all.
 */
export async function prepareCluster(
  maker: Maker,
  password: string,
  durable: boolean,
  signal?: AbortSignal,
): Promise<void> {
  const { paths, binaries } = maker
  for (const name of await readdir(paths.home)) {
    // A killed process left this unfinished.
    if (name.startsWith('draft-')) await rm(join(paths.home, name), { recursive: true, force: true })
  }
  if ((await stat(paths.data).catch(() => undefined)) === undefined) return initialise(maker, password, durable, signal)
  const version = await readText(join(paths.data, 'PG_VERSION'))
  if (version === binaries.majorVersion) return
  const found = version === undefined ? 'is not a complete data directory' : `was made by PostgreSQL ${version}`
  throw new EmbeddedServerFailed(
    `${paths.data} ${found}, and the embedded PostgreSQL is ${binaries.majorVersion}. To keep its data, dump it with ` +
      `a PostgreSQL that can open it; to start over, remove ${paths.directory}. Or set DATABASE_URL.`,
  )
}

async function initialise(maker: Maker, password: string, durable: boolean, signal?: AbortSignal): Promise<void> {
  const { paths, binaries } = maker
  const draft = await mkdtemp(join(paths.home, 'draft-'))
  try {
    await giveTo(paths.user, draft)
    const passwordFile = join(draft, 'password')
    await writeFile(passwordFile, password, { mode: 0o600 })
    await giveTo(paths.user, passwordFile)
    const data = join(draft, 'data')
    const access = [`--username=${databaseName}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256']
    // Unicode's case rules, the same on every machine; before PostgreSQL 17 (an override of ours) by the C library.
    const isOld = Number(binaries.majorVersion) < 17
    const rules = isOld ? ['--lc-ctype=C.UTF-8'] : ['--locale-provider=builtin', '--builtin-locale=C.UTF-8']
    const text = ['--encoding=UTF8', '--locale=C', ...rules]
    const effort = durable ? [] : ['--no-sync']
    const args = [`--pgdata=${data}`, ...access, ...text, ...effort, '--no-instructions']
    await runOrThrow(maker, binaries.initdb, args, { signal })
    // The package has no createdb; single-user mode needs no connection.
    const flags = durable ? [] : ['-F']
    const input = `CREATE DATABASE ${databaseName}`
    await runOrThrow(maker, binaries.postgres, ['--single', ...flags, '-D', data, 'postgres'], { input, signal })
    await rename(data, paths.data)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

async function runOrThrow(
  { keeper, paths }: Maker,
  program: string,
  args: string[],
  options: ProgramOptions,
): Promise<void> {
  options.signal?.throwIfAborted()
  const { ok, output } = await keeper.run(program, args, paths.user, options)
  options.signal?.throwIfAborted()
  // Single-user mode exits 0 even if the statement failed.
  if (ok && !/^.*\b(ERROR|FATAL|PANIC):/m.test(output)) return
  throw new EmbeddedServerFailed(
    `The embedded PostgreSQL could not be initialised in ${paths.home}: correct the cause below, or set DATABASE_URL.\n${output.trim()}`,
  )
}
