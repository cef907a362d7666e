/**
 * `openTestDatabase`: a database of one's own for a test file, with the project's migrations applied and its seed run.
 * Both are done once, in a template; what a test file waits for is a copy of that, some tens of milliseconds.
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type Config, ledgerNames } from '../config.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import type { Schema } from '../drizzle/driver.ts'
import { type Engine, openEngine } from '../engine.ts'
import { ConfigInvalid, UsageError } from '../errors.ts'
import { applyMigrations } from '../migrate/commands/apply.ts'
import { readMigrations } from '../migrate/files/folder.ts'
import type { MigrationSource } from '../migrate/options.ts'
import { cloneTemplate, type TestDatabase } from './clone.ts'
import type { Template } from './template.ts'
import { openTestServer } from './test-server.ts'

/** Rows that every test database begins with. */
export interface TestSeed<TSchema extends Schema = Schema> {
  /** Writes the rows. It is awaited. */
  readonly run: (engine: Engine<TSchema>) => unknown
  /** The files that decide what `run` does, best as `new URL('./rows.json', import.meta.url)`. A change runs it anew. */
  readonly files: readonly (string | URL)[]
}

/** Settings of the engines that are opened on a test database: those of `openEngine` that it does not give itself. */
export type TestEngineOptions = Omit<Config, 'schema' | 'url' | 'migrations' | 'migrationsFolder' | 'migrationsLedger'>

/** What a test database holds, and where it is made. */
export interface TestDatabaseOptions<TSchema extends Schema = Schema> {
  /** The folder of migrations, which all are applied, best as `new URL('./migrations', import.meta.url)`. */
  readonly migrations: string | URL
  /** The table Drizzle keeps applied migrations in, when `migrations` of drizzle.config.ts renames it. */
  readonly migrationsLedger?: MigrationSource['ledger']
  /** The Drizzle tables and relations, for the engine that the seed gets. */
  readonly schema?: TSchema | undefined
  /** Default: no rows. */
  readonly seed?: TestSeed<TSchema> | undefined
  /** For the engine that the seed gets, and those of `withTestDatabase`: `{ casing: 'snake_case' }`, say. */
  readonly engine?: TestEngineOptions | undefined
  /**
   * The server on which it is made, as a role that may create databases. Default: DATABASE_URL, else an embedded server
   * of the project's that is for tests alone.
   */
  readonly url?: string | undefined
}

const knownOfEngine = optionNames<TestEngineOptions>({
  pool: true,
  pooler: true,
  casing: true,
  log: true,
  observe: true,
  telemetry: true,
  applicationName: true,
  traceSessions: 'boolean',
  idleSessionMs: 'number',
  slowStatementMs: 'number',
  repeatedStatements: 'number',
})

const known = optionNames<TestDatabaseOptions<Schema>>({
  migrations: true,
  migrationsLedger: ledgerNames,
  schema: true,
  seed: optionNames<TestSeed>({ run: 'function', files: 'list' }),
  engine: knownOfEngine,
  url: 'string',
})

/**
 * Opens a database of its own; disposing drops it, under whatever is still connected.
 * @throws MigrationFailed and MigrationRefused for the migrations, what the seed throws, UsageError for options that cannot
 * be meant, ConfigInvalid when the server's role may not create databases, ConnectionLost when the server cannot be reached.
 */
export async function openTestDatabase<TSchema extends Schema>(
  options: TestDatabaseOptions<TSchema>,
): Promise<TestDatabase> {
  checkTestDatabase('openTestDatabase', options)
  const template = templateOf(options)
  const server = await openTestServer(options.url)
  try {
    const database = await cloneTemplate(server.url, template)
    const dispose = async () => {
      try {
        await database[Symbol.asyncDispose]()
      } finally {
        await server[Symbol.asyncDispose]()
      }
    }
    return { name: database.name, url: database.url, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

/** @throws UsageError for options of `caller` that cannot be meant. */
export function checkTestDatabase<TSchema extends Schema>(caller: string, options: TestDatabaseOptions<TSchema>): void {
  if (typeof options !== 'object' || options === null) {
    throw new UsageError(`${caller} takes options: { migrations, schema?, seed?, engine?, url? }`)
  }
  checkOptions(caller, known, options)
  const { migrations, schema, seed } = options
  if (typeof migrations !== 'string' && !(migrations instanceof URL)) {
    throw new UsageError(
      "migrations must be the folder that drizzle-kit writes to, such as new URL('./migrations', import.meta.url)",
    )
  }
  if (seed && !schema) throw new UsageError('a seed needs the schema, for the engine it gets: give { schema, seed }')
  if (seed && (typeof seed.run !== 'function' || !Array.isArray(seed.files))) {
    throw new UsageError('a seed is { run, files }: a function of an engine, and the files that decide what it does')
  }
}

/** The template of a project. */
function templateOf<TSchema extends Schema>(options: TestDatabaseOptions<TSchema>): Template {
  const { migrations, migrationsLedger: ledger, schema, seed } = options
  const folder = pathOf(migrations)
  return {
    content: async () => {
      const files = (await readMigrations(folder)).map(({ name, hash }) => `${name} ${hash}`)
      const texts = seed ? await Promise.all(seed.files.map(readSeedFile)) : []
      return JSON.stringify([ledger, files, seed && String(seed.run), texts])
    },
    build: async (url) => {
      await applyMigrations(url, { folder, ledger })
      if (!seed || !schema) return
      await using engine = await openEngine({ ...options.engine, schema, url })
      await seed.run(engine)
    },
  }
}

async function readSeedFile(file: string | URL): Promise<string> {
  try {
    return await readFile(pathOf(file), 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigInvalid(
      `seed.files names ${String(file)}, which cannot be read (${reason}): name files that exist, by ` +
        "new URL('./rows.json', import.meta.url) say; a relative path is one of the working directory",
      { cause },
    )
  }
}

function pathOf(place: string | URL): string {
  return typeof place === 'string' ? place : fileURLToPath(place)
}
