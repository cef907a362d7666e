/**
 * The engine composes what lies below into the service: a pool, sessions on it, observers, repositories.
 *
 *   opening ──▶ open ──close()──▶ draining ──▶ closed
 *
 * While draining, new calls are refused and running ones may finish, with the calls they make themselves; when the
 * time is up they are cancelled. The embedded server, if this engine started it, is stopped last of all.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { is, Table, View } from 'drizzle-orm'
import { type Config, environment, ledgerNames, parseDatabaseUrl, poolSettings } from './config.ts'
import { checkOptions, checkSettings, optionNames } from './option-names.ts'
import { ConfigInvalid, PoolClosed, UsageError } from './errors.ts'
import { logObservers } from './observe/log.ts'
import type { Observer } from './observe/observation.ts'
import { Observers } from './observe/observers.ts'
import { attachAll, type EngineTelemetry } from './observe/telemetry.ts'
import { connectionOpener } from './pool/open-connection.ts'
import { Pool } from './pool/pool.ts'
import type { PoolStats } from './pool/pool-stats.ts'
import { createSession, type Session } from './repository/session.ts'
import type { Lease } from './lease/lease.ts'
import { ActiveLeases } from './lease/active-leases.ts'
import { createDrizzle, type Drizzle, type Schema } from './drizzle/driver.ts'
import { slowStatements } from './explain/slow-statements.ts'
import { gather, gatherOptions, type GatherOptions, type TaskCollection } from './gather/gather.ts'
import { type ItemTask, map, mapOptions, type MapOptions } from './gather/map.ts'
import { checkTask, checkTransactionOptions, sessionOptions } from './session/options.ts'
import { currentOf, openScope, type Running, runTask, type Runtime, type Task } from './session/run-task.ts'
import type { TransactionOptions } from './session/session.ts'
import type { GatherTask } from './gather/task-spec.ts'
import { checkIdentity, type Identity, mergeIdentities } from './session/identity.ts'
import type { Scope, TaskOptions } from './task/scope.ts'

/** Tasks of a gather whose results have the types `TResults`, key by key. */
export type GatherTasks<TSchema extends Schema, TResults> = {
  readonly [K in keyof TResults]: GatherTask<Session<TSchema>, TResults[K]>
}

/** The results of a gather, in the shape of its tasks. */
export type Gathered<TResults> = { -readonly [K in keyof TResults]: Awaited<TResults[K]> }

/** The settled results of a gather, in the shape of its tasks. */
export type GatheredSettled<TResults> = { -readonly [K in keyof TResults]: PromiseSettledResult<Awaited<TResults[K]>> }

/** Anything a gather's tasks may be: a record of them or a tuple. */
export type Results = Readonly<Record<string, unknown>> | readonly unknown[] | readonly []

/** Options of `close`. */
export interface CloseOptions {
  /** Milliseconds running work may take to finish before it is cancelled. Default 10,000. */
  readonly timeoutMs?: number | undefined
}

const closeOptions = optionNames<CloseOptions>({ timeoutMs: 'number' })

/** The composed service; open it with `openEngine`. */
export interface Engine<TSchema extends Schema = Schema> extends AsyncDisposable {
  /** Runs one task in one session on one connection. */
  session<T>(task: Task<Session<TSchema>, T>, options?: TaskOptions): Promise<Awaited<T>>
  /** Runs a unit of work in a transaction; see `Session.transaction`. */
  transaction<T>(unitOfWork: Task<Session<TSchema>, T>, options?: TransactionOptions): Promise<Awaited<T>>
  /** Runs independent tasks concurrently, a session each; the first failure cancels the others and is thrown. */
  gather<const TResults extends Results>(
    tasks: GatherTasks<TSchema, TResults>,
    options?: GatherOptions,
  ): Promise<Gathered<TResults>>
  /** Like `gather`, but lets every task finish and returns how each ended. */
  gatherSettled<const TResults extends Results>(
    tasks: GatherTasks<TSchema, TResults>,
    options?: GatherOptions,
  ): Promise<GatheredSettled<TResults>>
  /** Runs a task for every item, a bounded number at a time, and yields the results. */
  map<TItem, T>(
    items: Iterable<TItem> | AsyncIterable<TItem>,
    task: ItemTask<Session<TSchema>, TItem, T>,
    options?: MapOptions,
  ): AsyncGenerator<Awaited<T>, void, undefined>
  /** The same engine, whose every session runs under this identity, in a transaction. */
  as(identity: Identity): Engine<TSchema>
  /** Gauges and counters of the pool. */
  stats(): PoolStats
  /** Refuses new work, lets running work finish, then cancels it, and closes every connection. Idempotent. */
  close(options?: CloseOptions): Promise<void>
}

/**
 * Opens an engine: connects once, so that a wrong address or password is an error now.
 * @throws ConfigInvalid for a wrong setting or URL, ConnectionLost when the server cannot be reached, MigrationRefused
 * when `migrations` is `'verify'` and the database is not up to date.
 */
export function openEngine<TSchema extends Schema>(config: Config<TSchema>): Promise<Engine<TSchema>> {
  return openEngineOn(config, (...given) => new Pool(...given))
}

/** Makes the pool of an engine: `open` connects to its server. */
export type CreatePool = (...given: ConstructorParameters<typeof Pool>) => Pool

/** The same on a pool of one's own: the sandbox of `testing/` has one whose connections share a transaction. */
export async function openEngineOn<TSchema extends Schema>(
  config: Config<TSchema>,
  createPool: CreatePool,
  caller = 'openEngine',
): Promise<Engine<TSchema>> {
  checkConfig(config, caller)
  const settings = poolSettings(config.pool)
  const logs = logObservers(config.log, environment)
  const server = await serverFor(config.url)
  let telemetry: EngineTelemetry | undefined
  try {
    const addressNow = () => parseDatabaseUrl(server.url, config.applicationName)
    const address = addressNow()
    const { host, port, database } = address
    const watched = { host, port, database, gauges: () => pool.stats() }
    telemetry = attachAll([config.telemetry ?? []].flat(), watched)
    const observers = new Observers(...[logs, config.observe ?? [], telemetry?.observe ?? []].flat())
    const { slowStatementMs } = config
    // A sandbox has one connection for all: there is none to ask on.
    if (slowStatementMs !== undefined && observers.publish && caller === 'openEngine') {
      observers.add(slowStatements(slowStatementMs, () => pool, observers))
    }
    const connectTimeoutMs = config.pool?.connectTimeoutMs ?? address.connectTimeoutMs ?? settings.connectTimeoutMs
    const open = connectionOpener(addressNow, connectTimeoutMs)
    const pool = createPool(settings, open, observers)
    const { backend } = await pool.probe()
    await migrate(config, server.url, observers).catch((error: unknown) =>
      pool.close().then(() => Promise.reject(error)),
    )
    // A pooler invents the pid; it may lend out another server process for every transaction.
    const seemsPooled = address.pooled || backend.started === undefined
    const pooled = config.pooler === undefined ? seemsPooled : config.pooler === 'transaction'
    const settled = { ...config, pooler: pooled ? 'transaction' : 'none' } as const
    const openAside = (): Engine<TSchema> => {
      if (core.closing) throw new PoolClosed('the engine is closed or closing')
      const own = new Observers()
      const parts = { pool: new Pool({ ...settings, max: 1 }, open, own), observers: own, telemetry: undefined }
      const aside = new OpenEngine<TSchema>(
        createCore(settled, { ...parts, stopServer: nothingToStop, openAside }),
        undefined,
      )
      core.asides = [...core.asides.filter((each) => !coreBehind(each)?.closing), aside]
      return aside
    }
    const core = createCore(settled, { pool, observers, telemetry, stopServer: server.stop, openAside })
    return new OpenEngine<TSchema>(core, undefined)
  } catch (error) {
    telemetry?.detach()
    await server.stop()
    throw error
  }
}

const nothingToStop = () => Promise.resolve()

/** The schema of an engine as Drizzle reads it, for what is made from it. @throws UsageError for what is no engine. */
export function drizzleOf(engine: object): Drizzle {
  const drizzle = typeof engine === 'object' && engine !== null ? coreBehind(engine)?.runtime.drizzle : undefined
  if (drizzle) return drizzle
  throw new UsageError('this takes an engine: the one that openEngine returned')
}

/** Under which identity an engine's sessions run, all that it was given put together; undefined for none. */
export function engineIdentity(engine: object): Identity | undefined {
  return identityBehind(engine)
}

/** An engine as a console sees it. */
export interface InspectedEngine {
  /** Adds a sink of its observations; what is returned takes it away. */
  readonly observe: (observer: Observer) => () => void
  /** The leases of the sessions that are open now. */
  readonly leases: Iterable<Lease>
  /**
   * Opens an engine of one connection beside the pool: what is asked there waits for none of the tasks. Close it; with the engine
   * it is closed as well. @throws PoolClosed
   */
  readonly openAside: () => Engine
  /** What keeps the pool from connecting, while something does. */
  readonly outage: () => unknown
}

/** What a console looks at. @throws UsageError for what is no engine. */
export function inspectedEngine(engine: object): InspectedEngine {
  const { runtime, openAside } = coreBehind(engine) ?? {}
  if (!runtime || !openAside) throw new UsageError('this takes an engine: the one that openEngine returned')
  const { observers, leases, pool } = runtime
  return { observe: (observer) => observers.add(observer), leases, openAside, outage: () => pool.outage() }
}

/** What an engine and its identities share. */
interface Core<TSchema extends Schema> {
  readonly runtime: Runtime<Session<TSchema>>
  /** Calls under way. */
  running: number
  /** Called when the last of them has finished, while closing. */
  drained: (() => void) | undefined
  readonly telemetry: EngineTelemetry | undefined
  readonly stopServer: () => Promise<void>
  readonly openAside: () => Engine<TSchema>
  /** Engines beside the pool that are open. */
  asides: Engine<TSchema>[]
  readonly stopWatching: () => void
  closing: Promise<void> | undefined
}

/** Set by the class, whose private fields they read. */
let coreBehind: (engine: object) => Core<Schema> | undefined
let identityBehind: (engine: object) => Identity | undefined

class OpenEngine<TSchema extends Schema> implements Engine<TSchema> {
  readonly #core: Core<TSchema>
  readonly #identity: Identity | undefined

  static {
    coreBehind = (engine) => (#core in engine ? (engine.#core as never) : undefined)
    identityBehind = (engine) => (#identity in engine ? engine.#identity : undefined)
  }

  constructor(core: Core<TSchema>, identity: Identity | undefined) {
    this.#core = core
    this.#identity = identity
  }

  session<T>(task: Task<Session<TSchema>, T>, options: TaskOptions = {}): Promise<Awaited<T>> {
    try {
      checkTask('session', task)
      checkOptions('session', sessionOptions, options)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#run(task, options)
  }

  async transaction<T>(unitOfWork: Task<Session<TSchema>, T>, options: TransactionOptions = {}): Promise<Awaited<T>> {
    checkTask('transaction', unitOfWork)
    checkTransactionOptions(options)
    // The call's own scope bounds the transaction as well: it must not be bounded twice.
    const { isolation, readOnly, deferrable, attempts } = options
    const unbounded = { isolation, readOnly, deferrable, attempts }
    const task = (session: Session<TSchema>) => session.transaction(unitOfWork, unbounded)
    return this.#run(task, options, true)
  }

  gather<const TResults extends Results>(tasks: GatherTasks<TSchema, TResults>, options: GatherOptions = {}) {
    return this.#gather(tasks, options, false) as Promise<Gathered<TResults>>
  }

  gatherSettled<const TResults extends Results>(tasks: GatherTasks<TSchema, TResults>, options: GatherOptions = {}) {
    return this.#gather(tasks, options, true) as Promise<GatheredSettled<TResults>>
  }

  map<TItem, T>(
    items: Iterable<TItem> | AsyncIterable<TItem>,
    task: ItemTask<Session<TSchema>, TItem, T>,
    options: MapOptions = {},
  ): AsyncGenerator<Awaited<T>, void, undefined> {
    this.#admit()
    checkOptions('map', mapOptions, options)
    return this.#trackResults(map(this.#core.runtime, items, task, options, this.#identity))
  }

  as(identity: Identity): Engine<TSchema> {
    checkIdentity(identity)
    return new OpenEngine(this.#core, mergeIdentities(this.#identity, identity))
  }

  stats(): PoolStats {
    return this.#core.runtime.pool.stats()
  }

  close(options: CloseOptions = {}): Promise<void> {
    checkOptions('close', closeOptions, options)
    const { timeoutMs = 10_000 } = options
    this.#core.closing ??= closeCore(this.#core, Math.min(timeoutMs, 2 ** 31 - 1))
    return this.#core.closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #gather(tasks: unknown, options: GatherOptions, settle: boolean): Promise<unknown> {
    this.#admit()
    checkOptions('gather', gatherOptions, options)
    const collection = tasks as TaskCollection<Session<TSchema>>
    const mode = { settle, identity: this.#identity }
    const { runtime } = this.#core
    this.#core.running += 1
    const run = () => gather(runtime, collection, options, mode)
    const results = runtime.tracing ? runtime.tracing.around('gather', options.label, run) : run()
    return results.finally(() => finished(this.#core))
  }

  /** Runs one task within its scope, which is closed afterwards. */
  #run<T>(task: Task<Session<TSchema>, T>, options: TaskOptions, opensTransaction = false): Promise<Awaited<T>> {
    const core = this.#core
    let scope: Scope | undefined
    try {
      this.#admit()
      scope = openScope(core.runtime, options)
    } catch (error) {
      return Promise.reject(error)
    }
    core.running += 1
    const ended = () => {
      scope?.close()
      finished(core)
    }
    const { label } = options
    return runTask(core.runtime, task, { scope, label, identity: this.#identity, opensTransaction, ended })
  }

  async *#trackResults<T>(results: AsyncGenerator<T, void, undefined>): AsyncGenerator<T, void, undefined> {
    this.#core.running += 1
    try {
      yield* results
    } finally {
      finished(this.#core)
    }
  }

  /** New work is refused while draining; what running work asks for belongs to it. */
  #admit(): void {
    const { closing, runtime } = this.#core
    if (closing && currentOf(runtime) === undefined) {
      throw new PoolClosed('the engine is closed or closing and takes no new work: open a new one')
    }
  }
}

interface CoreParts<TSchema extends Schema> extends Pick<Core<TSchema>, 'telemetry' | 'stopServer' | 'openAside'> {
  readonly pool: Pool
  readonly observers: Observers
}

function createCore<TSchema extends Schema>(
  config: Config<TSchema>,
  { pool, observers, telemetry, stopServer, openAside }: CoreParts<TSchema>,
): Core<TSchema> {
  const leases = new ActiveLeases()
  const drizzle = createDrizzle(config.schema, config.casing)
  const runtime: Runtime<Session<TSchema>> = {
    drizzle: drizzle as never,
    pool,
    observers,
    tracing: telemetry?.tracing,
    leases,
    current: new AsyncLocalStorage<Running>(),
    traceSessions: config.traceSessions ?? environment('NODE_ENV') !== 'production',
    repeatedStatements: config.repeatedStatements ?? 20,
    ownsServerSession: config.pooler !== 'transaction',
    within: (lease, scope, work) => runtime.current.run({ lease, scope }, work),
    give: (session) => createSession(session) as Session<TSchema>,
  }
  const stopWatching = watchIdleSessions(leases, observers, config.idleSessionMs ?? 30_000)
  return {
    runtime,
    running: 0,
    drained: undefined,
    telemetry,
    stopServer,
    openAside,
    asides: [],
    stopWatching,
    closing: undefined,
  }
}

async function closeCore<TSchema extends Schema>(core: Core<TSchema>, timeoutMs: number): Promise<void> {
  const { runtime } = core
  if (!(await drainedWithin(core, timeoutMs))) {
    for (const lease of runtime.leases) {
      // An error for each, because a gather writes its task's key on the one it throws.
      const error = new PoolClosed(`the engine was closed and this work did not finish within ${timeoutMs} ms`)
      lease.cancel(error, 'pool_closing')
    }
    // The server is told to stop before the sockets are closed: it would not notice before the statement's end.
    await Promise.all([...runtime.leases].map((lease) => lease.stopped))
  }
  core.stopWatching()
  await Promise.all(core.asides.map((aside) => aside.close({ timeoutMs: 0 })))
  await runtime.pool.close()
  core.telemetry?.detach()
  await core.stopServer()
}

function finished<TSchema extends Schema>(core: Core<TSchema>): void {
  core.running -= 1
  if (core.running === 0) core.drained?.()
}

/** True when the last call has finished before the time is up. */
function drainedWithin<TSchema extends Schema>(core: Core<TSchema>, timeoutMs: number): Promise<boolean> {
  if (core.running === 0) return Promise.resolve(true)
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs)
    core.drained = () => {
      clearTimeout(timer)
      resolve(true)
    }
  })
}

/** Reports sessions that hold a connection without using it; the timer keeps no process alive. */
function watchIdleSessions(leases: ActiveLeases, observers: Observers, idleSessionMs: number): () => void {
  if (!observers.publish || idleSessionMs === 0) return () => undefined
  const reported = new WeakSet<Lease>()
  const look = () => {
    for (const lease of leases) {
      const idleMs = performance.now() - lease.lastUsedAt
      if (lease.running > 0 || idleMs < idleSessionMs || reported.has(lease)) continue
      reported.add(lease)
      observers.publish?.({ type: 'session.held_idle', label: lease.label, idleMs, acquiredAt: lease.acquiredAt })
    }
  }
  const timer = setInterval(look, Math.max(10, idleSessionMs / 4))
  timer.unref()
  return () => clearInterval(timer)
}

/** The server to use: the one named, the one in the environment, or an embedded one that is ours to stop. */
async function serverFor(url: string | undefined): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const named = url ?? environment('DATABASE_URL')
  if (named !== undefined) return { url: named, stop: () => Promise.resolve() }
  const { openEmbeddedServer } = await import('./embedded/server.ts')
  return openEmbeddedServer()
}

async function migrate(config: Config, url: string, observers: Observers): Promise<void> {
  const { migrations = 'ignore', migrationsFolder: folder = 'migrations', migrationsLedger: ledger } = config
  if (migrations === 'ignore') return
  const { applyMigrations, checkMigrations } = await import('./migrate/commands/apply.ts')
  if (migrations === 'verify') return checkMigrations(url, { folder, ledger })
  const { applied } = await applyMigrations(url, { folder, ledger })
  for (const { name, durationMs } of applied) observers.publish?.({ type: 'migration.applied', name, durationMs })
}

const configKeys = optionNames<Config>({
  schema: true,
  url: true,
  pool: true,
  pooler: true,
  casing: true,
  migrations: true,
  migrationsFolder: 'string',
  migrationsLedger: ledgerNames,
  log: true,
  observe: true,
  telemetry: true,
  applicationName: true,
  traceSessions: 'boolean',
  idleSessionMs: 'number',
  slowStatementMs: 'number',
  repeatedStatements: 'number',
})

function checkConfig(config: Config, caller: string): void {
  if (typeof config !== 'object' || config === null)
    throw new ConfigInvalid(`${caller} takes a config: { schema, url?, … }`)
  checkSettings('config', configKeys, config)
  const { schema } = config as { schema?: unknown }
  if (!isRecord(schema) || !Object.values(schema).some((entry) => is(entry, Table) || is(entry, View))) {
    throw new ConfigInvalid(
      "config.schema has no tables: pass your Drizzle schema, as in import * as schema from './schema'",
    )
  }
  const { url, pool, observe, telemetry, applicationName } = config as unknown as Readonly<Record<string, unknown>>
  must('url', url === undefined || typeof url === 'string', 'a string; of a URL object, its href')
  must('pool', pool === undefined || isRecord(pool), 'an object, such as { max: 10 }')
  must(
    'observe',
    [observe ?? []].flat().every((sink) => typeof sink === 'function'),
    'a function, or an array of them',
  )
  must(
    'telemetry',
    [telemetry ?? []].flat().every((each) => isRecord(each) && typeof each['attach'] === 'function'),
    'what openTelemetry() returns, the telemetry of createPrometheus(), or a list of them',
  )
  must('applicationName', applicationName === undefined || isName(applicationName), 'a text without NUL')
  mustBeOneOf('pooler', config.pooler, ['none', 'transaction'])
  mustBeOneOf('casing', config.casing, ['snake_case', 'camelCase'])
  mustBeOneOf('migrations', config.migrations, ['verify', 'apply', 'ignore'])
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && !value.includes('\0')
}

function must(name: string, holds: boolean, what: string): void {
  if (!holds) throw new ConfigInvalid(`config.${name} must be ${what}`)
}

function mustBeOneOf(name: string, value: string | undefined, allowed: readonly string[]): void {
  must(name, value === undefined || allowed.includes(value), allowed.map((each) => `'${each}'`).join(' or '))
}
