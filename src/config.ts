/**
 * The configuration: what can be set, its unit, range and default, checked before anything is opened.
 * The only reader of process.env. The database URL is read here and nowhere else, together with libpq's variables,
 * because an unknown parameter must be an error (drivers pass it on to the server as a start-up parameter).
 */
import { serverAddress } from './address/database-url.ts'
import type { ServerAddress } from './address/server-address.ts'
import { ConfigInvalid } from './errors.ts'
import { checkSettings, optionNames, type OptionNames } from './option-names.ts'
import type { LogSetting } from './observe/log-setting.ts'
import type { Observer } from './observe/observation.ts'
import type { Telemetry } from './observe/telemetry.ts'

/** What `openEngine` takes. */
export interface Config<TSchema extends Record<string, unknown> = Record<string, unknown>> {
  /** The Drizzle tables and relations, as in `import * as schema from './schema'`. */
  readonly schema: TSchema
  /**
   * postgres://user:password@host:port/database, by libpq's rules. Default: DATABASE_URL, else the embedded server;
   * PGHOST and its like fill in what a URL leaves open, and stand for no URL.
   */
  readonly url?: string | undefined
  /** Bounds of the pool. */
  readonly pool?: PoolConfig | undefined
  /**
   * `'transaction'` behind PgBouncer in transaction mode: no prepared statements, no session state. `'none'` also behind
   * one in session mode. Default: `'transaction'` where `pgbouncer=true` is in the URL or the server process has another
   * pid than the greeting says, which a pooler invents; else `'none'`.
   */
  readonly pooler?: 'none' | 'transaction' | undefined
  /** How Drizzle derives column names that the schema leaves out; as in Drizzle's own config. Default: as written. */
  readonly casing?: 'snake_case' | 'camelCase' | undefined
  /**
   * What to do about migrations before serving: `'verify'` refuses a database that lacks one or has one that was
   * changed, `'apply'` applies what is pending under the migration lock, `'ignore'` looks at nothing. Default `'ignore'`.
   */
  readonly migrations?: 'verify' | 'apply' | 'ignore' | undefined
  /** The folder drizzle-kit writes to. Default `migrations` in the current directory. */
  readonly migrationsFolder?: string | undefined
  /** The table Drizzle keeps applied migrations in, when `migrations` of drizzle.config.ts renames it. */
  readonly migrationsLedger?: { readonly table?: string; readonly schema?: string } | undefined
  /**
   * Writes what runs: `true`, one or several of `'statements'`, `'sessions'` and `'slow'`, a logger such as pino's, or
   * `{ to, what, slowMs }`. Default: what RIVULET_LOG says (`statements,slow`), else nothing; `false`: nothing.
   */
  readonly log?: LogSetting | undefined
  /** Receives every observation. Default: none. */
  readonly observe?: Observer | readonly Observer[] | undefined
  /**
   * Spans and metrics: what `openTelemetry()` of `rivulet/opentelemetry` returns, the `telemetry` of `createPrometheus()`, or a list
   * of them. Default: none, at no cost.
   */
  readonly telemetry?: Telemetry | readonly Telemetry[] | undefined
  /** Shown in pg_stat_activity. Default `rivulet`. */
  readonly applicationName?: string | undefined
  /**
   * Remembers where each session was asked for, for deadlock and leak reports; costs some microseconds a session.
   * Default: true, unless NODE_ENV is production.
   */
  readonly traceSessions?: boolean | undefined
  /** A session that holds its connection this many milliseconds without a statement is reported. Default 30,000; 0: off. */
  readonly idleSessionMs?: number | undefined
  /**
   * Statements that take this many milliseconds or longer are observed as `statement.slow`, with their plan, which is asked
   * for on another connection. Needs `observe`. Default: off.
   */
  readonly slowStatementMs?: number | undefined
  /** A session that sends one statement more often than this is reported. Default 20; 0: off. Looked at for observers only. */
  readonly repeatedStatements?: number | undefined
}

/** Bounds of the pool. */
export interface PoolConfig {
  /** The most connections. 1 to 10,000; default 10. */
  readonly max?: number | undefined
  /**
   * The most calls that wait for a connection; one more is refused with PoolOverloaded. Calls for which a connection can
   * still be opened do not count, except while the server is away. Default 1,000.
   */
  readonly maxQueue?: number | undefined
  /** Milliseconds a call waits for a connection before PoolTimeout. Default 10,000. */
  readonly acquireTimeoutMs?: number | undefined
  /** Milliseconds until an unused connection is closed, give or take a tenth. Default 60,000; 0: never. */
  readonly idleTimeoutMs?: number | undefined
  /** Milliseconds a connection lives at most, less up to a tenth. Default 1,800,000; 0: for ever. */
  readonly maxLifetimeMs?: number | undefined
  /** Milliseconds for connecting, TLS and authentication, for each place tried. Default: the URL's, else 5,000. */
  readonly connectTimeoutMs?: number | undefined
  /**
   * Milliseconds without a byte from the server after which a statement's backend is looked for, on a connection of its
   * own: is it gone, or not to be reached, the statement fails with ConnectionLost. Default 30,000; 0: never.
   */
  readonly probeAfterMs?: number | undefined
  /** Distinct prepared statements a connection keeps before it is replaced by a fresh one. Default 1,000. */
  readonly maxPreparedStatements?: number | undefined
  /**
   * Milliseconds between two looks at whether columns have changed their types, which prepared statements would not
   * notice: one query over the catalog, about a millisecond for sixty tables. Default 1,000; 0: never.
   */
  readonly catalogCheckMs?: number | undefined
}

/** `PoolConfig` with every default filled in. */
export type PoolSettings = { readonly [K in keyof Required<PoolConfig>]: number }

/** Fills in the defaults. @throws ConfigInvalid naming the setting that is out of range, and its range. */
export function poolSettings(pool: PoolConfig = {}): PoolSettings {
  checkSettings('pool', poolNames, pool)
  const settings = Object.entries(poolRanges).map(([name, [fallback, min, max]]) => {
    const value = pool[name as keyof PoolConfig] ?? fallback
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new ConfigInvalid(`pool.${name} must be a whole number from ${min} to ${max}, not ${String(value)}`)
    }
    return [name, value] as const
  })
  return Object.fromEntries(settings) as PoolSettings
}

const dayMs = 86_400_000
/** Name -> [default, least, most]. */
export const poolRanges: { readonly [K in keyof Required<PoolConfig>]: readonly [number, number, number] } = {
  max: [10, 1, 10_000],
  maxQueue: [1000, 0, 1_000_000],
  acquireTimeoutMs: [10_000, 1, dayMs],
  idleTimeoutMs: [60_000, 0, dayMs],
  maxLifetimeMs: [1_800_000, 0, dayMs],
  connectTimeoutMs: [5000, 1, dayMs],
  probeAfterMs: [30_000, 0, dayMs],
  maxPreparedStatements: [1000, 1, 1_000_000],
  catalogCheckMs: [1000, 0, dayMs],
}

const poolNames: OptionNames = new Map(Object.keys(poolRanges).map((name) => [name, true]))

/** The names of the table of applied migrations. */
export const ledgerNames = optionNames<NonNullable<Config['migrationsLedger']>>({ schema: 'string', table: 'string' })

/** The value of an environment variable; an empty one counts as unset. */
export function environment(name: string): string | undefined {
  return process.env[name] || undefined
}

/** How the tokens of requests are checked. */
export interface TokenSettings {
  readonly secret?: string | undefined
  readonly jwksUrl?: string | undefined
  readonly audience: string
  readonly issuer: string
}

/**
 * How tokens are checked, by RIVULET_JWT_SECRET or RIVULET_JWKS_URL, with RIVULET_JWT_AUDIENCE and RIVULET_JWT_ISSUER; undefined
 * when none of them is set. @throws ConfigInvalid when some are missing: a slip must not leave everything open.
 */
export function tokenSettings(): TokenSettings | undefined {
  const [secret, jwksUrl] = [environment('RIVULET_JWT_SECRET'), environment('RIVULET_JWKS_URL')]
  const [audience, issuer] = [environment('RIVULET_JWT_AUDIENCE'), environment('RIVULET_JWT_ISSUER')]
  if ([secret, jwksUrl, audience, issuer].every((each) => each === undefined)) return undefined
  if ((secret === undefined) !== (jwksUrl === undefined) && audience !== undefined && issuer !== undefined) {
    return { secret, jwksUrl, audience, issuer }
  }
  throw new ConfigInvalid(
    'tokens are checked by RIVULET_JWT_AUDIENCE, RIVULET_JWT_ISSUER and one of RIVULET_JWT_SECRET and RIVULET_JWKS_URL: ' +
      'set these three, or none of them',
  )
}

/** The port to listen on: PORT, else `fallback`. @throws ConfigInvalid when PORT is no port. */
export function listenPort(fallback: number): number {
  const given = environment('PORT')
  if (given === undefined) return fallback
  const port = Number(given)
  if (!/^\d+$/.test(given) || port > 65_535) {
    throw new ConfigInvalid(`PORT must be a whole number from 0 to 65535, not ${JSON.stringify(given)}`)
  }
  return port
}

/** The address to listen on: RIVULET_HOST, else this machine only. */
export function listenHost(): string {
  return environment('RIVULET_HOST') ?? '127.0.0.1'
}

/**
 * Reads postgres://user:password@host:port/database?parameters by libpq's rules, and libpq's variables (PGHOST,
 * PGPASSWORD, …) for what it leaves open. @throws ConfigInvalid that names the fault and never the password.
 */
export function parseDatabaseUrl(text: string, applicationName?: string): ServerAddress {
  return serverAddress(text, { applicationName, variable: environment })
}
