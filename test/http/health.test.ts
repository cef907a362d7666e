import { once } from 'node:events'
import { expect, test } from 'vitest'
import { MigrationRefused } from '../../src/errors.ts'
import { createApp } from '../../src/http/app.ts'
import { openHttpServer } from '../../src/server/server.ts'
import { openTestShop, type TestShop } from '../support/shop.ts'

test('GET /readyz answers 200 with the gauges of the pool', async () => {
  await using shop = await openTestShop({ pool: { max: 3 } })
  const response = await shop.request('/readyz')
  expect(response.status).toBe(200)
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(await response.json()).toEqual({ status: 'ok', pool: { max: 3, open: 1, leased: 0, waiting: 0 } })
})

test('GET /readyz answers 503 when no connection comes free in time', async () => {
  await using shop = await openTestShop({ pool: { max: 1 } })
  const app = createApp(shop.engine, { health: { timeoutMs: 50 } })
  const held = holdConnection(shop)
  const response = await app.request('/readyz')
  expect(response.status).toBe(503)
  expect(await response.json()).toMatchObject({ code: 'not_ready', reason: 'deadline_exceeded' })
  await held.release()
  await expect.poll(async () => (await app.request('/readyz')).status).toBe(200)
})

test('GET /readyz answers 503 while the database is away and 200 when it is back', async () => {
  await using shop = await openTestShop()
  await using other = await openTestShop()
  const database = new URL(shop.url.replace('postgres://', 'http://').replace('@/', '@x/')).pathname.slice(1)
  await other.engine.session(async ({ db, sql }) => {
    await db.execute(`alter database ${database} allow_connections false`)
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${database}`
  })
  await expect.poll(async () => (await shop.request('/readyz')).status).toBe(503)
  await other.engine.session(({ db }) => db.execute(`alter database ${database} allow_connections true`))
  await expect.poll(async () => (await shop.request('/readyz')).status).toBe(200)
})

/** Keeps one connection of the shop busy until it is released. */
function holdConnection({ engine }: TestShop): { release(): Promise<unknown> } {
  const hold = new AbortController()
  const session = engine.session(() => once(hold.signal, 'abort'))
  return {
    release: () => {
      hold.abort()
      return session
    },
  }
}

test('GET /readyz answers 503 from when the service drains, GET /livez 200 until its end', async () => {
  await using shop = await openTestShop()
  const draining = new AbortController()
  const app = createApp(shop.engine, { health: { draining: draining.signal } })
  await using server = await openHttpServer(app, { port: 0 })
  const ask = async (path: string) => {
    const response = await fetch(server.url + path)
    return [response.status, ((await response.json()) as { reason?: string }).reason]
  }
  expect(await ask('/readyz')).toEqual([200, undefined])
  draining.abort()
  expect(await ask('/readyz')).toEqual([503, 'draining'])
  expect(await ask('/livez')).toEqual([200, undefined])
  // What comes all the same is served.
  expect((await ask('/'))[0]).toBe(200)
})

test('GET /readyz answers 503 while a migration is missing, and asks no more once none is', async () => {
  await using shop = await openTestShop()
  let asked = 0
  let missing = true
  const migrations = () => {
    asked += 1
    return missing
      ? Promise.reject(new MigrationRefused('pending', 'one is pending', { migrations: ['0001_more'] }))
      : Promise.resolve()
  }
  const app = createApp(shop.engine, { health: { migrations } })
  const response = await app.request('/readyz')
  expect(response.status).toBe(503)
  expect(response.headers.get('retry-after')).toBe('1')
  expect(await response.json()).toMatchObject({ code: 'not_ready', reason: 'migration_refused' })
  missing = false
  for (let times = 0; times < 3; times++) expect((await app.request('/readyz')).status).toBe(200)
  expect(asked).toBe(2)
})
