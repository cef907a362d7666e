/**
 * `npm start`: the reference shop as a service. Opens, in this order, the database (DATABASE_URL, else the embedded
 * server), the engine and the port; a signal closes them in reverse, the embedded server last. What is opened is closed
 * on every way out, and the process ends by itself. The embedded database is migrated, and filled while it is empty; that
 * of a DATABASE_URL belongs to others, and only `--migrate` and `--seed` change it.
 */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { dirname, isAbsolute, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import * as schema from '../../schema/index.ts'
import { describeAddress } from '../address/server-address.ts'
import { environment, listenHost, listenPort, parseDatabaseUrl, tokenSettings } from '../config.ts'
import { openEngine } from '../engine.ts'
import { MigrationRefused, PortUnavailable, RivuletError, UsageError } from '../errors.ts'
import type { Identify } from '../http/front.ts'
import { describeFault } from '../http/request-log.ts'
import { createIdempotencyTable } from '../idempotency/kept-answers.ts'
import { openHttpServer } from '../server/server.ts'
import { type Shutdown, watchSignals } from '../task/shutdown.ts'
import { applyMigrations, checkMigrations } from '../migrate/commands/apply.ts'
import { migrationStatus } from '../migrate/commands/status.ts'
import { withPackages } from '../optional-packages.ts'
import type { Prometheus } from '../prometheus/index.ts'
import { createShopApp } from './app.ts'
import { describeSamplePage, findSamplePage } from './sample-page.ts'
import { seed } from './seed.ts'

const defaultPort = 3000

async function main({ asked, forced }: Shutdown): Promise<void> {
  const may = permissions()
  const [port, hostname, identity] = [listenPort(defaultPort), listenHost(), await readIdentity()]
  await using database = await openDatabase(asked)
  asked.throwIfAborted()
  const schemaText = await prepareSchema(database, { migrate: database.own || may.migrate, signal: asked })
  const prometheus = may.metrics ? await loadPrometheus() : undefined
  await using engine = await openEngine({ schema, url: database.url, telemetry: prometheus?.telemetry })
  if (database.own || may.migrate) await engine.session(createIdempotencyTable)
  const { seeded } = database.own || may.seed ? await seed(engine) : { seeded: false }
  asked.throwIfAborted()
  const health = { draining: asked, migrations: () => checkMigrations(database.url, { folder: migrationsFolder() }) }
  const log = may.log ? (entry: object) => tell(JSON.stringify(entry)) : undefined
  const keys = await findSamplePage(engine)
  const pagePath =
    keys === undefined ? '/product/:productId/:customerId' : `/product/${keys.productId}/${keys.customerId}`
  const showsConsole = may.console || environment('NODE_ENV') !== 'production'
  const app = createShopApp(engine, {
    console: {
      enabled: showsConsole,
      showValues: may['show-values'],
      migrations: async () => (await migrationStatus(database.url, { folder: migrationsFolder() })).migrations,
      actions: keys === undefined ? [] : [{ label: 'Run the product page', path: pagePath }],
    },
    onFault: (...fault) => tell(describeFault(...fault)),
    health,
    log,
    identity,
    idempotency: {},
    metrics: prometheus?.text,
  })
  await using server = await openHttpServer(app, { port, hostname, insecure: may.insecure })
  forced.addEventListener('abort', () => void server.close({ timeoutMs: 0 }))

  say(`Database: ${database.description}; ${schemaText}; ${seeded ? 'sample data written' : 'data kept'}.`)
  say('')
  const routes = [
    [`GET  ${server.url}${pagePath}`, 'a product page'],
    [`POST ${server.url}/orders`, 'places an order: {"customerId":1,"items":[{"productId":1,"quantity":1}]}'],
    [`GET  ${server.url}/customers?limit=5`, 'a table as a resource; GET / names them all'],
    [`GET  ${server.url}/readyz`, 'whether the service can do its work'],
    ...(showsConsole ? [[`     ${server.url}/console`, 'what the database does, in a browser'] as const] : []),
  ] as const
  const width = Math.max(...routes.map(([route]) => route.length))
  for (const [route, meaning] of routes) say(`  ${route.padEnd(width)}   ${meaning}`)
  say('')
  if (keys !== undefined) say(`${await describeSamplePage(engine, keys)}\n`)
  else say('The shop has nothing to show: `npm start -- --seed` fills an empty one with sample data.\n')
  say('Ctrl-C stops it.')
  if (!asked.aborted) await once(asked, 'abort')
  say('Stopping: requests under way are finished first. Ctrl-C again cuts them off.')
}

/** What the command line asks for, or allows to be done. @throws UsageError for anything else in it. */
function permissions(): Readonly<
  Record<'migrate' | 'seed' | 'insecure' | 'log' | 'metrics' | 'console' | 'show-values', boolean>
> {
  const flag = { type: 'boolean', default: false } as const
  try {
    return parseArgs({
      options: {
        migrate: flag,
        seed: flag,
        insecure: flag,
        log: flag,
        metrics: flag,
        console: flag,
        'show-values': flag,
      },
    }).values
  } catch (cause) {
    throw new UsageError(
      'npm start takes --migrate (apply pending migrations), --seed (fill an empty shop with sample data), --insecure ' +
        '(let other machines in without tokens), --log (a line of JSON for each request), --metrics (GET /metrics, for ' +
        'Prometheus), --console (/console also where NODE_ENV is production) and --show-values (there with the values in ' +
        'the texts of statements), after `--`: npm start -- --migrate --seed',
      { cause },
    )
  }
}

/** Who asks, by the tokens that the environment says how to check; undefined where it says nothing. */
async function readIdentity(): Promise<Identify | undefined> {
  const settings = tokenSettings()
  if (settings === undefined) return undefined
  const { shopIdentity } = await withPackages('checking tokens', ['jose'], () => import('./identity.ts'))
  return shopIdentity(settings)
}

async function loadPrometheus(): Promise<Prometheus> {
  const { createPrometheus } = await withPackages('npm start -- --metrics', ['prom-client'], prometheusModule)
  return createPrometheus()
}

const prometheusModule = () => import('../prometheus/index.ts')

/** Migrates where that is allowed, and insists on a schema that is up to date elsewhere. Returns what was done, in words. */
async function prepareSchema(
  { url, description }: ShopDatabase,
  { migrate, signal }: { readonly migrate: boolean; readonly signal: AbortSignal },
): Promise<string> {
  const folder = migrationsFolder()
  if (migrate) {
    const { applied } = await applyMigrations(url, { folder, signal })
    if (applied.length > 0) return `${applied.length} migration${applied.length === 1 ? '' : 's'} applied`
  } else {
    await checkMigrations(url, { folder }).catch((error: unknown) => {
      if (!(error instanceof MigrationRefused) || error.reason !== 'pending') throw error
      throw new MigrationRefused(
        'pending',
        `${description} lacks migrations of the shop (${error.migrations.join(', ')}), and nothing is changed there ` +
          'unasked. `npm run db:migrate` applies them, and so does `npm start -- --migrate`; without DATABASE_URL the ' +
          'shop has a database of its own',
        { migrations: error.migrations },
      )
    })
  }
  return 'schema up to date'
}

/** A database to work on. */
interface ShopDatabase extends AsyncDisposable {
  /** True for the embedded one: ours to change, and to stop. */
  readonly own: boolean
  readonly url: string
  readonly description: string
}

async function openDatabase(signal: AbortSignal): Promise<ShopDatabase> {
  const url = environment('DATABASE_URL')
  if (url !== undefined) {
    const description = `DATABASE_URL (${describeAddress(parseDatabaseUrl(url))})`
    return { own: false, url, description, [Symbol.asyncDispose]: () => Promise.resolve() }
  }
  // Loaded only when needed: a user with a server of their own has no use for its binaries.
  const { openEmbeddedServer } = await import('../embedded/server.ts')
  const server = await openEmbeddedServer({ signal })
  const description = `PostgreSQL of its own, data in ${shortest(server.dataDirectory)}`
  return { own: true, url: server.url, description, [Symbol.asyncDispose]: () => server.stop() }
}

/** A path as one would type it here: relative when it is below the current directory. */
function shortest(path: string): string {
  const below = relative(process.cwd(), path)
  return below.startsWith('..') || isAbsolute(below) ? path : below
}

/** The folder beside the package's package.json, wherever this file was compiled to. */
function migrationsFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder)
  return join(folder, 'migrations')
}

/** Of requests; standard output is for people. */
function tell(line: string): void {
  console.error(line)
}

function say(text: string): void {
  console.log(text)
}

const shutdown = watchSignals()
try {
  await main(shutdown)
} catch (error) {
  if (error !== shutdown.asked.reason) {
    process.exitCode = 1
    // The message says what to do; the stack of an error that is not ours says where to look.
    const where = error instanceof PortUnavailable ? ' (npm start takes it from PORT)' : ''
    console.error(error instanceof RivuletError ? `rivulet: ${error.message}${where}` : error)
  }
} finally {
  shutdown.release()
}
