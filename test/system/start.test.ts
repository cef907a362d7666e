/** `npm start` as its user meets it: the main program as a process of its own, in an empty directory. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import * as schema from '../../schema/index.ts'
import { openEngine } from '../../src/engine.ts'
import { compiledProgram } from '../support/compiled-package.ts'
import { openTestDatabase } from '../support/database.ts'
import { openEmptyDatabase } from '../support/migrations.ts'
import { seededTemplate } from '../support/shop.ts'
import { audience, issuer, secret, tokenOf } from '../support/tokens.ts'

// A start is a second of work, of two processes and a server, on a machine that has other things to do.
vi.setConfig({ testTimeout: 60_000 })

let directory: string
const services: ChildProcess[] = []

beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), 'rivulet-start-')))
  // The embedded server runs as another user when the tests run as root.
  await chmod(directory, 0o755)
})
afterEach(() => {
  for (const service of services.splice(0)) service.kill('SIGKILL')
})
afterAll(async () => {
  for (const line of processesLeft()) process.kill(Number.parseInt(line, 10), 'SIGKILL')
  await rm(directory, { recursive: true, force: true, maxRetries: 10 })
})

interface Service {
  readonly process: ChildProcess
  readonly output: () => string
  readonly errors: () => string
  /** Resolves with the exit code once the process and its output have ended. */
  readonly ended: Promise<number | null>
  /** Resolves with the service's address once it serves. */
  readonly ready: Promise<string>
}

/** Starts the main program in `directory`, on any free port unless `env` says otherwise. */
function start(env: Record<string, string> = {}, cwd: string = directory, ...args: string[]): Service {
  return watch(process.execPath, [compiledProgram('src/shop/main.ts'), ...args], cwd, env)
}

function watch(program: string, args: readonly string[], cwd: string, env: Record<string, string>): Service {
  const { DATABASE_URL: _, npm_lifecycle_event: __, ...inherited } = process.env
  const child = spawn(program, args, {
    cwd,
    // A process group of its own, as a shell gives it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited, PORT: '0', ...env },
  })
  services.push(child)
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const ready = (async () => {
    const state = () => (child.exitCode === null ? output : `ended: ${errors}`)
    await expect.poll(state, { timeout: 30_000 }).toMatch(/Ctrl-C stops it|^ended/)
    const url = /http:\/\/(?:127\.0\.0\.1|0\.0\.0\.0):\d+/.exec(output)?.[0]
    if (url === undefined) throw new Error(`it did not start: ${errors}`)
    return url
  })()
  ready.catch(() => {})
  return { process: child, output: () => output, errors: () => errors, ended, ready }
}

/** The embedded server's process in `directory`; undefined when none runs. */
async function postmasterPid(): Promise<number | undefined> {
  const home = await readFile(join(directory, '.rivulet', 'home'), 'utf8').catch(() => join(directory, '.rivulet'))
  const text = await readFile(join(home, 'data', 'postmaster.pid'), 'utf8').catch(() => '')
  return text === '' ? undefined : Number(text.split('\n')[0])
}

/** Processes that mention the directory in their command line. */
function processesLeft(): string[] {
  const list = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
  return list.split('\n').filter((line) => line.includes(directory))
}

/** What a terminal does on Ctrl-C: every process of the group is sent SIGINT. */
function ctrlC({ process: { pid } }: Service): void {
  if (pid !== undefined) process.kill(-pid, 'SIGINT')
}

async function listeningPort(server: Server): Promise<number> {
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A port that nobody listens on, for a service whose output cannot be read. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  const port = await listeningPort(probe)
  probe.close()
  await once(probe, 'close')
  return port
}

function order(url: string): Promise<Response> {
  const body = JSON.stringify({ customerId: 1, items: [{ productId: 1, quantity: 1 }] })
  return fetch(`${url}/orders`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
}

async function lynnsOrders(url: string): Promise<number> {
  const page = (await (await fetch(`${url}/product/1/1`)).json()) as { orders: unknown[] }
  return page.orders.length
}

test('the first start makes everything, Ctrl-C leaves nothing running, the second start keeps the data', async () => {
  const first = start()
  const url = await first.ready
  expect(first.output()).toContain('data in .rivulet/data; 3 migrations applied; sample data written')
  expect(first.output()).toMatch(/product +\d+ +\d+\.\d\d ms +\d+\.\d\d ms\n +reviews .*\n +orders .*\n +page .* ms/)
  const before = await lynnsOrders(url)
  expect((await order(url)).status).toBe(201)
  first.process.kill('SIGINT')
  expect(await first.ended).toBe(0)
  expect(first.errors()).toBe('')
  expect(await postmasterPid()).toBeUndefined()
  expect(processesLeft()).toEqual([])

  const startedAt = performance.now()
  const second = start()
  expect(await lynnsOrders(await second.ready)).toBe(before + 1)
  expect(performance.now() - startedAt).toBeLessThan(10_000)
  expect(second.output()).toContain('schema up to date; data kept')
  second.process.kill('SIGTERM')
  expect(await second.ended).toBe(0)
  expect(processesLeft()).toEqual([])
})

test('a signal while it starts ends it, and leaves nothing running', async () => {
  const service = start()
  await expect.poll(postmasterPid, { interval: 1, timeout: 10_000 }).toBeDefined()
  service.process.kill('SIGTERM')
  expect(await service.ended).toBe(0)
  expect(service.output()).not.toContain('http://')
  expect(service.errors()).toBe('')
  expect(processesLeft()).toEqual([])
})

test('interrupted while its database is made it stops without a word, and the next start makes it', async () => {
  const fresh = join(directory, 'fresh')
  await mkdir(fresh, { mode: 0o755 })
  const home = join(fresh, '.rivulet')
  const names = () => readdir(home).catch(() => [])
  const initialising = () => processesLeft().some((line) => line.includes('initdb') && line.includes(home))
  for (const end of [ctrlC, (service: Service) => service.process.kill('SIGTERM')]) {
    const service = start({}, fresh)
    await expect.poll(initialising, { interval: 1 }).toBe(true)
    end(service)
    expect(await service.ended).toBe(0)
    expect(service.output() + service.errors()).toBe('')
    expect(processesLeft()).toEqual([])
    expect((await names()).filter((name) => /^(draft|data)/.test(name))).toEqual([])
  }
  const next = start({}, fresh)
  expect((await fetch(`${await next.ready}/readyz`)).status).toBe(200)
  ctrlC(next)
  expect(await next.ended).toBe(0)
  expect(processesLeft()).toEqual([])
})

test('a terminal that is closed drains it like SIGTERM, and its second SIGHUP does not hurry it', async () => {
  await using database = await openTestDatabase(seededTemplate)
  const service = start({ DATABASE_URL: database.url })
  const url = await service.ready
  await using lock = await lockProducts(database.url)
  const underWay = order(url)
  await lock.waitedFor()
  service.process.kill('SIGHUP')
  await expect.poll(service.output).toContain('Stopping')
  service.process.kill('SIGHUP')
  await expect.poll(() => fetch(`${url}/readyz`).catch(() => 'refused')).toBe('refused')
  await lock.release()
  expect((await underWay).status).toBe(201)
  expect(await service.ended).toBe(0)
})

test.each(['SIGINT', 'SIGHUP'] as const)(
  'output that nobody reads any more does not end it, and %s leaves nothing running',
  async (signal) => {
    const port = await freePort()
    const service = start({ PORT: String(port) })
    service.process.stdout?.destroy()
    service.process.stderr?.destroy()
    const health = () => fetch(`http://127.0.0.1:${port}/readyz`).then(({ status }) => status, String)
    await expect.poll(health, { timeout: 30_000 }).toBe(200)
    service.process.kill(signal)
    expect(await service.ended).toBe(0)
    expect(processesLeft()).toEqual([])
    await expect(service.ready).rejects.toThrow('it did not start')
  },
)

test('a taken port is an error that says what to do; the database is stopped and the exit code is 1', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  const port = await listeningPort(other)
  const service = start({ PORT: String(port) })
  expect(await service.ended).toBe(1)
  expect(service.errors()).toBe(
    `rivulet: port ${port} of 127.0.0.1 is taken: stop what listens there, or give openHttpServer another port` +
      ' (npm start takes it from PORT)\n',
  )
  expect(processesLeft()).toEqual([])
  other.close()
})

test.each([
  ['PORT', { PORT: 'http' }, 'PORT must be a whole number from 0 to 65535'],
  ['DATABASE_URL', { DATABASE_URL: 'postgres://me:secret@localhost/x?nonsense=1' }, 'unknown parameter "nonsense"'],
  ['database address', { DATABASE_URL: 'postgres://me:secret@127.0.0.1:1/x' }, 'ECONNREFUSED'],
])('a wrong %s is one line on standard error, without the password, and exit code 1', async (_, env, message) => {
  const service = start(env)
  expect(await service.ended).toBe(1)
  expect(service.errors()).toContain(message)
  expect(service.errors()).toMatch(/^rivulet: .*\n$/)
  expect(service.errors() + service.output()).not.toContain('secret')
})

test('the database of a DATABASE_URL is changed only when asked to, and what to do is said', async () => {
  await using database = await openEmptyDatabase()
  const env = { DATABASE_URL: database.url }
  const tables = async () => {
    const engine = await openEngine({ schema, url: database.url })
    const rows = await engine.session(
      ({ sql }) => sql<{ name: string }>`
        select table_schema || '.' || table_name as name from information_schema.tables
        where table_schema not in ('pg_catalog', 'information_schema')`,
    )
    await engine.close()
    return rows.map(({ name }) => name)
  }
  const refused = start(env)
  expect(await refused.ended).toBe(1)
  expect(refused.errors()).toMatch(
    /^rivulet: DATABASE_URL \(.*\) lacks migrations of the shop .*`npm start -- --migrate`.*\n$/,
  )
  expect(await tables()).toEqual([])

  const migrating = start(env, directory, '--migrate')
  await migrating.ready
  expect(migrating.output()).toContain('3 migrations applied; data kept')
  expect(migrating.output()).toContain('`npm start -- --seed` fills an empty one')
  migrating.process.kill('SIGTERM')
  expect(await migrating.ended).toBe(0)

  const seeding = start(env, directory, '--seed')
  expect(await lynnsOrders(await seeding.ready)).toBeGreaterThan(0)
  expect(seeding.output()).toContain('schema up to date; sample data written')
  seeding.process.kill('SIGTERM')
  expect(await seeding.ended).toBe(0)

  const wrong = start(env, directory, '--sede')
  expect(await wrong.ended).toBe(1)
  expect(wrong.errors()).toMatch(
    /^rivulet: npm start takes --migrate .*, --seed .*, --insecure .*, --log .* and --show-values .*\n$/,
  )
})

test('other machines are let in with tokens, or with --insecure, and never by a slip', async () => {
  await using database = await openTestDatabase(seededTemplate)
  const env = { DATABASE_URL: database.url, RIVULET_HOST: '0.0.0.0' }
  const open = start(env)
  expect(await open.ended).toBe(1)
  expect(open.errors()).toMatch(/^rivulet: 0\.0\.0\.0 may be reached .*--insecure .*\n$/)

  const insecure = start(env, directory, '--insecure')
  expect((await fetch(`${await insecure.ready}/orders`)).status).toBe(200)
  insecure.process.kill('SIGTERM')
  expect(await insecure.ended).toBe(0)

  const slip = start({ ...env, RIVULET_JWT_AUDIENCE: audience, RIVULET_JWT_ISSUER: issuer })
  expect(await slip.ended).toBe(1)
  expect(slip.errors()).toMatch(/^rivulet: tokens are checked by .*RIVULET_JWT_SECRET.*\n$/)

  const tokens = { RIVULET_JWT_SECRET: secret, RIVULET_JWT_AUDIENCE: audience, RIVULET_JWT_ISSUER: issuer }
  const short = start({ ...env, ...tokens, RIVULET_JWT_SECRET: 'short' })
  expect(await short.ended).toBe(1)
  expect(short.errors()).toMatch(/^rivulet: .*at least 32 bytes.*\n$/)

  const known = start({ ...env, ...tokens })
  const url = await known.ready
  expect((await fetch(`${url}/orders`)).status).toBe(401)
  const headers = { authorization: `Bearer ${await tokenOf({ sub: '1' })}` }
  const { data } = (await (await fetch(`${url}/orders`, { headers })).json()) as { data: { customerId: number }[] }
  expect([...new Set(data.map(({ customerId }) => customerId))]).toEqual([1])
  known.process.kill('SIGTERM')
  expect(await known.ended).toBe(0)
})

test('with DATABASE_URL nothing embedded is started, and a request under way is finished before the end', async () => {
  await using database = await openTestDatabase(seededTemplate)
  const service = start({ DATABASE_URL: database.url })
  const url = await service.ready
  expect(service.output()).toContain('Database: DATABASE_URL')
  await using lock = await lockProducts(database.url)
  const underWay = order(url)
  await lock.waitedFor()
  service.process.kill('SIGINT')
  await expect.poll(service.output).toContain('Stopping')
  await lock.release()
  expect((await underWay).status).toBe(201)
  expect(await service.ended).toBe(0)
  expect(processesLeft()).toEqual([])
})

test('a SIGTERM that reaches npm only stops the service as well', async () => {
  await using database = await openTestDatabase(seededTemplate)
  const npm = watch('npm', ['start'], new URL('../..', import.meta.url).pathname, { DATABASE_URL: database.url })
  const url = await npm.ready
  npm.process.kill('SIGTERM')
  // Its output ends when the last of its descendants has ended.
  await npm.ended
  expect(npm.output()).toContain('Stopping')
  await expect(fetch(url)).rejects.toThrow('fetch failed')
})

test.skipIf(!existsSync('/bin/bash'))('one Ctrl-C that npm passes on as well is not taken for two', async () => {
  await using database = await openTestDatabase(seededTemplate)
  const repository = new URL('../..', import.meta.url).pathname
  // This shell makes way for the last program of its command line.
  const npm = watch('npm', ['start', '--script-shell=/bin/bash'], repository, { DATABASE_URL: database.url })
  const url = await npm.ready
  await using lock = await lockProducts(database.url)
  const underWay = order(url)
  await lock.waitedFor()
  ctrlC(npm)
  await expect.poll(npm.output).toContain('Stopping')
  await lock.release()
  expect((await underWay).status).toBe(201)
  await npm.ended
})

test('a second Ctrl-C cuts off what is under way', async () => {
  await using database = await openTestDatabase(seededTemplate)
  const service = start({ DATABASE_URL: database.url })
  const url = await service.ready
  await using lock = await lockProducts(database.url)
  const underWay = order(url)
  underWay.catch(() => {})
  await lock.waitedFor()
  service.process.kill('SIGINT')
  await expect.poll(service.output).toContain('Stopping')
  service.process.kill('SIGINT')
  await expect(underWay).rejects.toThrow('fetch failed')
  expect(await service.ended).toBe(0)
  await lock.release()
})

/** Locks the products of a shop, so that orders wait until `release`. */
async function lockProducts(url: string) {
  const engine = await openEngine({ schema, url })
  const hold = new AbortController()
  const locked = new AbortController()
  const transaction = engine.transaction(async ({ sql }) => {
    await sql`lock table products in exclusive mode`
    locked.abort()
    if (!hold.signal.aborted) await once(hold.signal, 'abort')
  })
  await once(locked.signal, 'abort')
  const release = async () => {
    hold.abort()
    await transaction
  }
  const waiting = () =>
    engine.session(
      ({ sql }) => sql`
        select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
  /** Resolves once somebody waits for the lock. */
  const waitedFor = async () => {
    await expect.poll(waiting).toHaveLength(1)
  }
  return {
    release,
    waitedFor,
    [Symbol.asyncDispose]: async () => {
      await release()
      await engine.close()
    },
  }
}
