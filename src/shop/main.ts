/**
 * `npm start`: the reference shop as a service. Opens, in this order, the database (DATABASE_URL, else the embedded
 * server), the engine and the port, after migrating and filling an empty shop; a signal closes them in reverse, the
 * embedded server last. What is opened is closed on every way out, and the process ends by itself.
 */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { dirname, isAbsolute, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as schema from '../../schema/index.ts'
import { describeAddress } from '../address/server-address.ts'
import { environment, listenPort, parseDatabaseUrl } from '../config.ts'
import { openEngine } from '../engine.ts'
import { RivuletError } from '../errors.ts'
import { openHttpServer } from '../http/server.ts'
import { applyMigrations } from '../migrate/commands/apply.ts'
import { createShopApp } from './app.ts'
import { describeSamplePage, findSamplePage } from './sample-page.ts'
import { seed } from './seed.ts'
import { type Shutdown, watchSignals } from './shutdown.ts'

const defaultPort = 3000

async function main({ asked, forced }: Shutdown): Promise<void> {
  const port = listenPort(defaultPort)
  await using database = await openDatabase(asked)
  asked.throwIfAborted()
  const { applied } = await applyMigrations(database.url, { folder: migrationsFolder(), signal: asked })
  await using engine = await openEngine({ schema, url: database.url })
  const { seeded } = await seed(engine)
  asked.throwIfAborted()
  await using server = await openHttpServer(createShopApp(engine, { onFault }), { port })
  forced.addEventListener('abort', () => void server.close({ timeoutMs: 0 }))

  const keys = await findSamplePage(engine)
  const pagePath =
    keys === undefined ? '/product/:productId/:customerId' : `/product/${keys.productId}/${keys.customerId}`
  say(
    `Database: ${database.description}; ${migrationsText(applied.length)}; ${seeded ? 'sample data written' : 'data kept'}.`,
  )
  say('')
  const routes = [
    [`GET  ${server.url}${pagePath}`, 'a product page'],
    [`POST ${server.url}/orders`, 'places an order: {"customerId":1,"items":[{"productId":1,"quantity":1}]}'],
    [`GET  ${server.url}/healthz`, 'whether the service can do its work'],
  ] as const
  const width = Math.max(...routes.map(([route]) => route.length))
  for (const [route, meaning] of routes) say(`  ${route.padEnd(width)}   ${meaning}`)
  say('')
  if (keys !== undefined) say(`${await describeSamplePage(engine, keys)}\n`)
  say('Ctrl-C stops it.')
  if (!asked.aborted) await once(asked, 'abort')
  say('Stopping: requests under way are finished first. Ctrl-C again cuts them off.')
}

/** A database to work on, and whether it is ours to stop. */
interface Database extends AsyncDisposable {
  readonly url: string
  readonly description: string
}

async function openDatabase(signal: AbortSignal): Promise<Database> {
  const url = environment('DATABASE_URL')
  if (url !== undefined) {
    const description = `DATABASE_URL (${describeAddress(parseDatabaseUrl(url))})`
    return { url, description, [Symbol.asyncDispose]: () => Promise.resolve() }
  }
  // Loaded only when needed: whoever has a server of their own has no use for its binaries.
  const { openEmbeddedServer } = await import('../embedded/server.ts')
  const server = await openEmbeddedServer({ signal })
  const description = `PostgreSQL of its own, data in ${shortest(server.dataDirectory)}`
  return { url: server.url, description, [Symbol.asyncDispose]: () => server.stop() }
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

function migrationsText(applied: number): string {
  if (applied === 0) return 'schema up to date'
  return `${applied} migration${applied === 1 ? '' : 's'} applied`
}

function onFault(error: unknown, { method, path }: { readonly method: string; readonly path: string }): void {
  console.error(`${method} ${path}:`, error)
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
    console.error(error instanceof RivuletError ? `rivulet: ${error.message}` : error)
  }
} finally {
  shutdown.release()
}
