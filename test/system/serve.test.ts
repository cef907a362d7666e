/** `rivulet serve` as its user meets it: a process of its own in a project, on whatever tables its schema has. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { withConnection } from '../../src/migrate/connect.ts'
import { Admin } from '../support/admin.ts'
import { type CliProject, ended, type End, makeProject } from '../support/cli-project.ts'
import { audience, issuer, openKeyServer, secret, tokenOf } from '../support/tokens.ts'

const sql = `
create schema sales;
create table customers (id integer primary key generated always as identity, name text not null);
create table order_items (order_id integer, line integer, primary key (order_id, line));
create table sales.customers (id integer primary key, region text);
create table docs (id integer primary key);
create table "Order Items" (id integer primary key);
create table "日本" (id integer primary key);
create table "!" (id integer primary key);
create table hits (at timestamptz not null default now());
create table filters (id integer primary key, "or" text);
create view named as select id, name from customers;
create view slow as select 1 as id, pg_sleep(case when current_setting('application_name') = 'rivulet' then 60 end)::text as slept;
create view steady as select 1 as id, pg_sleep(0.3)::text as slept;
insert into customers (name) values ('Lynn'), ('Ada');
`

const schema = `import { integer, pgSchema, pgTable, pgView, primaryKey, text, timestamp } from 'drizzle-orm/pg-core'
export const customers = pgTable('customers', { id: integer().primaryKey().generatedAlwaysAsIdentity(), name: text().notNull() })
export const again = customers
export const orderItems = pgTable('order_items', { orderId: integer('order_id'), line: integer() }, (t) => [primaryKey({ columns: [t.orderId, t.line] })])
export const sales = pgSchema('sales')
export const salesCustomers = sales.table('customers', { id: integer().primaryKey(), region: text() })
export const docs = pgTable('docs', { id: integer().primaryKey() })
export const spaced = pgTable('Order Items', { id: integer().primaryKey() })
export const japan = pgTable('日本', { id: integer().primaryKey() })
export const 日 = pgTable('!', { id: integer().primaryKey() })
export const hits = pgTable('hits', { at: timestamp({ withTimezone: true }).notNull().defaultNow() })
export const filters = pgTable('filters', { id: integer().primaryKey(), or: text() })
export const named = pgView('named', { id: integer(), name: text() }).existing()
export const slow = pgView('slow', { id: integer(), slept: text() }).existing()
export const steady = pgView('steady', { id: integer(), slept: text() }).existing()
export const price = 7`

let project: CliProject
let admin: Admin
const services: ReturnType<CliProject['start']>[] = []

beforeAll(async () => {
  project = await makeProject()
  await withConnection(project.database.url, (connection) => connection.script(sql))
  await project.write({ 'schema.ts': schema })
  admin = new Admin(project.database.url)
})
afterEach(() => {
  for (const service of services.splice(0)) service.kill('SIGKILL')
})
afterAll(async () => {
  await admin[Symbol.asyncDispose]()
  await project[Symbol.asyncDispose]()
})

interface Service {
  readonly process: ReturnType<CliProject['start']>
  readonly url: string
  /** All that it has printed as its result. */
  readonly result: string
  readonly errors: () => string
  readonly end: Promise<End>
}

/** Starts the command, and waits until it serves. */
async function serve(...args: string[]): Promise<Service> {
  const child = project.start(['serve', '--port', '0', ...args])
  services.push(child)
  let [result, errors] = ['', '']
  child.stdout.on('data', (chunk) => (result += String(chunk)))
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  const end = ended(child)
  const state = () => (child.exitCode === null ? result : `ended: ${errors}`)
  await expect.poll(state, { timeout: 30_000 }).toMatch(/"leftOut": \[[^\]]*\]\n}\n$|stops it\.\n$|^ended/)
  const url = /http:\/\/127\.0\.0\.\d:\d+/.exec(result)?.[0]
  if (url === undefined) throw new Error(`it did not start: ${errors}`)
  return { process: child, url, result, errors: () => errors, end }
}

async function sleeping(): Promise<number> {
  return (await admin.backends()).filter(({ state, query }) => state === 'active' && query.includes('slept')).length
}

test('takes Idempotency-Key where it is told to, and refuses it elsewhere', async () => {
  const add = (url: string) =>
    fetch(`${url}/customers`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'once' },
      body: '{"name":"Grace"}',
    })
  const keyed = await serve('--idempotency', '--only', 'customers')
  const [first, again] = [await add(keyed.url), await add(keyed.url)]
  expect([first.status, again.status]).toEqual([201, 201])
  expect(await again.json()).toEqual(await first.json())
  expect(again.headers.get('idempotent-replayed')).toBe('true')
  // The table is there now: another start makes nothing.
  await serve('--idempotency', '--only', 'customers')
  const { status } = await add((await serve('--only', 'customers')).url)
  expect(status).toBe(400)
  await withConnection(project.database.url, (connection) =>
    connection.script(`delete from customers where name = 'Grace'; drop schema rivulet cascade`),
  )
})

test('serves every table and view under a path of its own, and says what it leaves out and why', async () => {
  const { process: child, url, result, errors, end } = await serve('--json')
  const { paths, leftOut, ...rest } = JSON.parse(result) as { paths: string[]; leftOut: unknown[]; url: string }
  expect(rest).toEqual({ command: 'serve', exitCode: 0, url, port: Number(new URL(url).port) })
  expect(paths.toSorted()).toEqual([
    '/customers',
    '/filters',
    '/hits',
    '/japan',
    '/named',
    '/order-items',
    '/public.docs',
    '/public.order-items',
    '/sales.customers',
    '/slow',
    '/steady',
  ])
  expect(leftOut).toEqual([{ name: '!', reason: expect.stringContaining('no path') as string }])
  expect(errors().match(/is left out/g)).toHaveLength(1)

  const get = async (path: string) => (await fetch(url + path)).json()
  expect(await get('/customers?name=Ada')).toMatchObject({ data: [{ id: 2, name: 'Ada' }] })
  expect(await get('/named?name=Ada')).toMatchObject({ data: [{ id: 2, name: 'Ada' }] })
  for (const path of paths.filter((each) => !['/slow', '/steady'].includes(each))) {
    expect(await get(path)).toMatchObject({ data: expect.any(Array) as unknown[] })
  }
  const headers = { 'content-type': 'application/json' }
  const write = async (path: string) => (await fetch(url + path, { method: 'POST', headers, body: '{}' })).status
  expect([await write('/customers'), await write('/hits'), await write('/named')]).toEqual([422, 405, 405])
  expect(await (await fetch(`${url}/docs`)).text()).toContain('/sales.customers')
  const ids = Object.keys((await get('/openapi.json')) as object)
  expect(ids).toContain('paths')

  child.kill('SIGTERM')
  const { exitCode, stdout } = await end
  expect(exitCode).toBe(0)
  // One object, and nothing behind it.
  expect(stdout).toBe(result)
})

test('serves only what is asked for, without changes, and logs no value', async () => {
  const only = ['*o*', '!slow', '!docs'].flatMap((pattern) => ['--only', pattern])
  const { process: child, url, result, errors, end } = await serve('--read-only', '--log', ...only)
  expect(result).toBe(`Serving 3 resources at ${url}; ${url}/docs describes them. Ctrl-C stops it.\n`)
  const { resources } = (await (await fetch(url)).json()) as { resources: object }
  expect(Object.keys(resources).toSorted()).toEqual(['customers', 'order-items', 'sales.customers'])
  expect((await fetch(`${url}/customers/1?select=name`, { method: 'DELETE' })).status).toBe(405)
  expect((await fetch(`${url}/customers/1?select=name`)).status).toBe(200)
  child.kill('SIGINT')
  expect((await end).exitCode).toBe(0)
  const entries = errors()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as object)
  expect(entries).toMatchObject([
    { method: 'GET', route: '/', status: 200 },
    { method: 'DELETE', route: '/*', parameters: ['select'], status: 405 },
    { method: 'GET', route: '/customers/:key', parameters: ['select'], status: 200 },
  ])
})

test('the first signal finishes the requests under way and takes no new ones', async () => {
  const { process: child, url, errors, end } = await serve()
  const underWay = fetch(`${url}/steady`)
  await expect.poll(sleeping).toBe(1)
  child.kill('SIGTERM')
  await expect.poll(errors).toContain('stopping: requests under way are finished first')
  const response = await underWay
  expect(response.status).toBe(200)
  expect(response.headers.get('connection')).toBe('close')
  await expect(fetch(url)).rejects.toThrow('fetch failed')
  expect((await end).exitCode).toBe(0)
})

test('the second signal cuts off what is under way, on the database too', async () => {
  const { process: child, url, errors, end } = await serve()
  const underWay = fetch(`${url}/slow`).then(
    () => 'answered',
    () => 'cut off',
  )
  await expect.poll(sleeping).toBe(1)
  child.kill('SIGINT')
  await expect.poll(errors).toContain('stopping')
  child.kill('SIGINT')
  expect(await underWay).toBe('cut off')
  expect((await end).exitCode).toBe(0)
  await expect.poll(sleeping).toBe(0)
})

test('takes tokens: their role is the role of the session, and policies read their claims', async () => {
  await withConnection(project.database.url, (connection) =>
    connection.script(`
      do $$ begin create role rivulet_serve_reader; exception when others then null; end $$;
      do $$ begin create role rivulet_serve_nobody; exception when others then null; end $$;
      grant select on customers to rivulet_serve_reader;
      grant select, insert on order_items to rivulet_serve_reader;
      alter table customers enable row level security;
      create policy own on customers to rivulet_serve_reader
        using (id = (current_setting('request.jwt.claims', true)::json ->> 'sub')::int)`),
  )
  vi.stubEnv('RIVULET_JWT_SECRET', secret)
  vi.stubEnv('RIVULET_JWT_ISSUER', issuer)
  vi.stubEnv('RIVULET_JWT_AUDIENCE', audience)
  try {
    const roles = ['--role', 'rivulet_serve_reader', '--anonymous', 'rivulet_serve_nobody']
    const { url } = await serve('--only', 'customers', '--only', 'order_items', '--idempotency', ...roles)
    const ask = async (claims?: object) => {
      const headers = claims ? { authorization: `Bearer ${await tokenOf({ ...claims })}` } : undefined
      const response = await fetch(`${url}/customers?select=name`, headers ? { headers } : {})
      return [response.status, await response.json()]
    }
    const reader = { role: 'rivulet_serve_reader' }
    expect(await ask({ ...reader, sub: '2' })).toMatchObject([200, { data: [{ name: 'Ada' }] }])
    expect(await ask({ ...reader, sub: '1' })).toMatchObject([200, { data: [{ name: 'Lynn' }] }])
    expect(await ask()).toMatchObject([401, { code: 'token_required' }])
    expect(await ask({ role: 'postgres' })).toMatchObject([403, { code: 'insufficient_scope' }])
    expect(await ask({ ...reader, iss: 'another' })).toMatchObject([401, { code: 'invalid_token' }])
    // A key belongs to who sent it, whichever of their tokens came along.
    const add = async (claims: object) => {
      const authorization = `Bearer ${await tokenOf({ ...reader, ...claims })}`
      const headers = { authorization, 'content-type': 'application/json', 'idempotency-key': 'mine' }
      const body = JSON.stringify({ orderId: 1, line: 1 })
      const response = await fetch(`${url}/order-items`, { method: 'POST', headers, body })
      return [response.status, response.headers.get('idempotent-replayed')]
    }
    expect(await add({ sub: '2', jti: 'first' })).toEqual([201, null])
    expect(await add({ sub: '2', jti: 'another' })).toEqual([201, 'true'])
    expect(await add({ sub: '1' })).toEqual([409, null])
    // The same by public keys, in place of the secret.
    await using keys = await openKeyServer()
    vi.stubEnv('RIVULET_JWT_SECRET', '')
    vi.stubEnv('RIVULET_JWKS_URL', keys.url)
    const byKeys = await serve('--only', 'customers', ...roles)
    const signed = { alg: 'RS256', key: keys.privateKey, kid: 'one' }
    const asks = async (token: string) => {
      const headers = { authorization: `Bearer ${token}` }
      return (await fetch(`${byKeys.url}/customers?select=name`, { headers })).status
    }
    expect(await asks(await tokenOf({ ...reader, sub: '2' }, signed))).toBe(200)
    expect(await asks(await tokenOf({ ...reader, sub: '2' }))).toBe(401)
    expect(keys.asked).toBe(1)
    // A slip must not leave everything open.
    const { exitCode, stderr } = await project.rivulet('serve', '--port', '0')
    expect([exitCode, stderr]).toEqual([64, expect.stringContaining('--role has to name the roles') as string])
  } finally {
    vi.unstubAllEnvs()
  }
  const { exitCode, stderr } = await project.rivulet('serve', '--port', '0', '--role', 'rivulet_serve_reader')
  expect([exitCode, stderr]).toEqual([64, expect.stringContaining('set RIVULET_JWT_AUDIENCE') as string])
})

test('listens for other machines only when it is told that nobody is asked who they are', async () => {
  const { exitCode, stderr } = await project.rivulet('serve', '--port', '0', '--host', '0.0.0.0')
  expect([exitCode, stderr]).toEqual([64, expect.stringContaining('--insecure') as string])
  const { result } = await serve('--host', '127.0.0.2', '--insecure')
  expect(result).toContain('at http://127.0.0.2:')
})

test('needs no config where the schema is given, and takes it in place of that of the config', async () => {
  const other = `import { integer, pgTable } from 'drizzle-orm/pg-core'
export const hits = pgTable('hits', { id: integer().primaryKey() })`
  await project.write({ 'other.ts': other })
  const withConfig = await serve('--schema', 'other.ts', '--json')
  expect(JSON.parse(withConfig.result)).toMatchObject({ paths: ['/hits'] })
  await rm(join(project.directory, 'drizzle.config.ts'))
  const without = await serve('--schema', './other.ts', '--json')
  expect(JSON.parse(without.result)).toMatchObject({ paths: ['/hits'] })
  const { exitCode, stderr } = await project.rivulet('serve')
  expect(exitCode).toBe(64)
  expect(stderr).toContain('there is no drizzle.config.ts')
})

test.each([
  [['--port', '70000'], 64, '--port takes a whole number from 0 to 65535, not 70000'],
  [['--port', 'x'], 64, '--port takes a whole number'],
  [['--host', '203.0.113.1', '--insecure', '--schema', 'schema.ts'], 64, '203.0.113.1 is no address of this machine'],
  [
    ['--only', 'nothing*', '--schema', 'schema.ts'],
    64,
    'there is nothing to serve: the schema has no table or view that',
  ],
  [['--schema', 'nowhere.ts'], 64, 'nowhere.ts matches no file'],
])('refuses %j', async (args, code, message) => {
  const { exitCode, stderr, stdout } = await project.rivulet('serve', '--port', '0', ...args, '--json')
  expect(stderr).toContain(message)
  expect(exitCode).toBe(code)
  expect(JSON.parse(stdout)).toMatchObject({
    command: 'serve',
    exitCode: code,
    error: { message: expect.any(String) as string },
  })
})

test('a port that is taken is told', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const { exitCode, stderr } = await project.rivulet('serve', '--schema', 'schema.ts', '--port', String(port))
  taken.close()
  expect(exitCode).toBe(1)
  expect(stderr).toContain(`port ${port} of 127.0.0.1 is taken`)
})
