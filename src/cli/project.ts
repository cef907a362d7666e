/**
 * The project in the current directory as its `drizzle.config.ts` describes it: schema, migrations folder, ledger,
 * database. The file is the user's own module, and nothing of it is run twice.
 */
import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, relative, resolve } from 'node:path'
import { environment, parseDatabaseUrl } from '../config.ts'
import { ConfigInvalid, PackageMissing } from '../errors.ts'
import { otherThanFile } from '../migrate/files/text-file.ts'
import type { MigrationSource } from '../migrate/options.ts'
import { loadModules } from './user-modules.ts'

/** What the commands know of a project. */
export interface Project {
  readonly configPath: string
  readonly directory: string
  /** The migrations folder and the name of the ledger. */
  readonly source: MigrationSource
  /** `schema` of the config: files, folders or patterns, relative to the directory. */
  readonly schema: readonly string[]
  readonly casing: 'snake_case' | 'camelCase' | undefined
  /** `migrations.prefix` of the config: the prefix of drizzle-kit's file names. */
  readonly prefix: string | undefined
  /** `schemaFilter` and `tablesFilter` of the config: names, or patterns with *, and ! for all but those. */
  readonly filters: { readonly schemas: readonly string[]; readonly tables: readonly string[] }
  /**
   * The config's credentials, else DATABASE_URL; undefined: the embedded server. A function, so that commands without a
   * database do not fail on broken credentials. @throws ConfigInvalid
   */
  readonly databaseUrl: () => string | undefined
}

const configNames = ['drizzle.config.ts', 'drizzle.config.js', 'drizzle.config.mjs', 'drizzle.config.json']

/**
 * Loads the config. `schemaGiven` stands in for its schema, and where there is no config for all of it; so does DATABASE_URL
 * where a database is all that is needed. @throws ConfigInvalid, which says what is wrong with it.
 */
export async function loadProject(
  given: string | undefined,
  schemaGiven?: readonly string[],
  needsDatabaseOnly = false,
): Promise<Project> {
  const isEnough = schemaGiven !== undefined || (needsDatabaseOnly && environment('DATABASE_URL') !== undefined)
  const isBare = given === undefined && isEnough && configHere() === undefined
  const configPath = isBare ? resolve('drizzle.config.ts') : findConfig(given)
  const config = isBare ? { dialect: 'postgresql' } : await loadConfig(configPath)
  const directory = dirname(configPath)
  const { dialect } = config
  if (dialect !== 'postgresql') {
    throw new ConfigInvalid(
      `${basename(configPath)} has ${dialect === undefined ? 'no dialect' : `the dialect ${String(dialect)}`}, but ` +
        "Rivulet needs dialect: 'postgresql'",
    )
  }
  // Of those given, paths are from where the command runs.
  const schema = schemaGiven?.map((path) => relative(directory, resolve(path))) ?? texts(config.schema)
  const { schema: ledgerSchema, table, prefix } = record(config.migrations)
  return {
    configPath,
    directory,
    source: {
      folder: resolve(directory, textOf(config.out) ?? 'drizzle'),
      ledger: { schema: textOf(ledgerSchema), table: textOf(table) },
    },
    schema,
    casing: config.casing === 'snake_case' || config.casing === 'camelCase' ? config.casing : undefined,
    prefix: textOf(prefix),
    filters: { schemas: texts(config.schemaFilter), tables: texts(config.tablesFilter) },
    databaseUrl: () => urlOf(config) ?? environment('DATABASE_URL'),
  }
}

/** Runs `work` with the URL of the project's database, starting the embedded server when there is no other. */
export async function withDatabase<T>(project: Project, work: (url: string) => Promise<T>): Promise<T> {
  const url = project.databaseUrl()
  if (url !== undefined) {
    parseDatabaseUrl(url)
    return work(url)
  }
  const { openEmbeddedServer } = await import('../embedded/server.ts')
  const { projectDirectory } = await import('../embedded/paths.ts')
  const server = await openEmbeddedServer({ directory: projectDirectory(project.directory) })
  try {
    return await work(server.url)
  } finally {
    await server.stop()
  }
}

function findConfig(given: string | undefined): string {
  if (given !== undefined) {
    const path = resolve(given)
    if (!existsSync(path)) throw new ConfigInvalid(`there is no config file at ${path}`)
    return path
  }
  const path = configHere()
  if (path !== undefined) return path
  throw new ConfigInvalid(
    `there is no drizzle.config.ts in ${process.cwd()}: run this in the project's directory, or name the file with ` +
      '--config',
  )
}

function configHere(): string | undefined {
  return configNames.map((name) => resolve(name)).find((candidate) => existsSync(candidate))
}

async function loadConfig(path: string): Promise<Record<string, unknown>> {
  const other = otherThanFile(await stat(path))
  if (other !== undefined) throw new ConfigInvalid(`${path} cannot be loaded: it is ${other}, not a file`)
  try {
    if (path.endsWith('.json')) return record(JSON.parse(await readFile(path, 'utf8')))
    const [module = {}] = await loadModules(dirname(path), [path])
    return record(defaultExport(module))
  } catch (cause) {
    if (cause instanceof PackageMissing) throw cause
    throw new ConfigInvalid(`${path} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
  }
}

/** The default export; a CommonJS module that was compiled from one has it one level deeper. */
function defaultExport(module: Record<string, unknown>): unknown {
  const exported = module.default
  return typeof exported === 'object' && exported !== null && 'default' in exported ? exported.default : exported
}

/** drizzle-kit takes a URL or its parts. https://orm.drizzle.team/docs/drizzle-config-file#dbcredentials */
function urlOf(config: Record<string, unknown>): string | undefined {
  if (config.driver !== undefined) {
    throw new ConfigInvalid(
      `the driver ${String(config.driver)} is not supported: Rivulet connects to a PostgreSQL server, so leave driver out`,
    )
  }
  const credentials = record(config.dbCredentials)
  if (Object.keys(credentials).length === 0) return undefined
  const url = textOf(credentials.url)
  if (url !== undefined) return url
  const { host, port, user, password, database, ssl } = credentials
  if (textOf(host) === undefined || textOf(database) === undefined) {
    throw new ConfigInvalid('dbCredentials needs a url, or a host and a database (is an environment variable unset?)')
  }
  const part = (value: unknown) => encodeURIComponent(textOf(value) ?? '')
  const who = user === undefined ? '' : `${part(user)}${password === undefined ? '' : `:${part(password)}`}@`
  const mode = sslMode(ssl)
  return (
    `postgres://${who}${textOf(host)}${port === undefined ? '' : `:${String(port)}`}/${part(database)}` +
    (mode === undefined ? '' : `?sslmode=${mode}`)
  )
}

function sslMode(ssl: unknown): string | undefined {
  if (ssl === undefined) return undefined
  if (ssl === false) return 'disable'
  if (ssl === 'verify-full' || ssl === 'prefer' || ssl === 'require') return ssl
  if (ssl === 'allow') return 'prefer'
  // Node's TLS checks certificates by default.
  return record(ssl).rejectUnauthorized === false ? 'require' : 'verify-full'
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function texts(value: unknown): string[] {
  return [value ?? []].flat().filter((item): item is string => typeof item === 'string')
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
