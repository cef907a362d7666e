/** The console without a browser: what it tells, whom, and that it costs nothing while nobody looks. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { sql as fragment } from 'drizzle-orm'
import { cors } from 'hono/cors'
import type { ConsoleState } from '../../src/console/console-watch.ts'
import { type AppOptions, createApp } from '../../src/http/app.ts'
import { Observers } from '../../src/observe/observers.ts'
import { type HttpServer, openHttpServer } from '../../src/server/server.ts'
import { accounts, type Bank, type BankEngine, type BankSession, gate, openBank } from '../support/bank.ts'
import { ConsoleViewer } from '../support/console-events.ts'
import { eventually, secret } from '../support/invariants.ts'

let bank: Bank
let engine: BankEngine
let server: HttpServer
const added = vi.spyOn(Observers.prototype, 'add')

beforeAll(async () => {
  bank = await openBank()
  engine = await bank.engine({ traceSessions: true })
  server = await serve(engine)
})
afterAll(async () => {
  await server.close()
  await bank[Symbol.asyncDispose]()
})

function serve(served: BankEngine, options: AppOptions = {}): Promise<HttpServer> {
  return openHttpServer(createApp(served, options), { port: 0 })
}

const gathered = (count: number) => (state: ConsoleState) => state.gatherCount >= count

describe('who may look', () => {
  test('is whoever is on this machine', async () => {
    const answer = await fetch(`${server.url}/console`)
    expect(answer.status).toBe(200)
    const policy = answer.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("script-src 'self'")
    expect(policy).not.toMatch(/unsafe|https?:|\*/)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const text = await answer.text()
    expect(text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//)
    expect(text).toContain('accounts')
  })

  test.each([
    ['a page of another name, which leads here', { host: 'rivulet.example' }],
    ['a proxy, even one on this machine', { 'x-forwarded-for': '127.0.0.1' }],
    ['a proxy that says so otherwise', { forwarded: 'for=127.0.0.1' }],
    ['a proxy that says for which name it asks', { 'x-forwarded-host': 'rivulet.example' }],
    ['a network of proxies', { 'cf-connecting-ip': '127.0.0.1' }],
    ['a page of another origin', { origin: 'http://127.0.0.1:4790', 'sec-fetch-site': 'same-site' }],
    ['a page of another site, which may not even say which', { 'sec-fetch-site': 'cross-site' }],
  ])('is not %s', async (_, headers) => {
    const { request } = await import('node:http')
    for (const path of ['/console', '/console/events', '/console/page.js', '/console/statements/1/plan']) {
      const status = await new Promise((resolve, reject) => {
        request(`${server.url}${path}`, { headers }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
          .on('error', reject)
          .end()
      })
      expect([path, status]).toEqual([path, 403])
    }
  })

  test('is who follows a link from elsewhere', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
    const { status } = await createApp(engine, { console: { allow: () => true } }).request('/console', { headers })
    expect(status).toBe(200)
  })

  test('is no page of another origin, whoever the application lets in', async () => {
    const app = createApp(engine, { middleware: [cors()], console: { allow: () => true } })
    const answer = await app.request('/console', { headers: { origin: 'https://elsewhere.example' } })
    expect(answer.status).toBe(403)
  })

  test('is nobody without a connection, as in another runtime', async () => {
    expect((await createApp(engine).request('/console')).status).toBe(403)
  })

  test('is whom the application lets in', async () => {
    const allow: NonNullable<Exclude<AppOptions['console'], boolean | undefined>['allow']> = async ({ req }) =>
      req.header('x-staff') === 'yes'
    const app = createApp(engine, { console: { allow } })
    expect((await app.request('/console', { headers: { 'x-staff': 'yes' } })).status).toBe(200)
    expect((await app.request('/console')).status).toBe(403)
  })

  test('is nobody in production, unless it was asked for', async () => {
    vi.stubEnv('NODE_ENV', 'production')
    try {
      const app = createApp(engine)
      expect((await app.request('/console')).status).toBe(404)
      expect(await (await app.request('/')).json()).not.toHaveProperty('console')
      const actions = [{ label: 'Run', path: '/accounts' }]
      expect((await createApp(engine, { console: { actions } }).request('/console')).status).toBe(404)
      await using asked = await serve(engine, { console: { enabled: true, actions } })
      expect((await fetch(`${asked.url}/console`)).status).toBe(200)
      expect(await (await fetch(asked.url)).json()).toHaveProperty('console', '/console')
    } finally {
      vi.unstubAllEnvs()
    }
  })
})

test.each([
  [{ misspelt: 1 }, /createApp\.console has no option misspelt/],
  [{ allow: true }, /createApp\.console: allow must be a function/],
  [{ actions: [1] }, /an action is a label and a path/],
  [{ actions: [{ label: 'Run', path: '//elsewhere.example' }] }, /an action is a label and a path/],
])('%j is no console', (options, message) => {
  expect(() => createApp(engine, { console: options as never })).toThrow(message)
})

describe('what is told', () => {
  test('a gather: a task a connection, their bars overlap, and what one after another would have taken', async () => {
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    // Both reads wait for one row until both do, however slow the machine is.
    const locked = gate()
    const held = bank.admin.sql.begin(async (sql) => {
      await sql`select 1 from accounts where id = 1 for update`
      locked.open()
      await eventually(async () => {
        await sql`select pg_stat_clear_snapshot()`
        const [row] = await sql`select count(*)::int as waiting from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`
        expect(row).toEqual({ waiting: 2 })
      }, 20_000)
    })
    await locked.opened
    const read = ({ sql }: BankSession) => sql`select 1 from accounts where id = 1 for share`
    const write = ({ sql }: BankSession) => sql`update accounts set owner = owner where id = 2`
    await engine.gather({ one: read, two: read, three: ({ transaction }) => transaction(write) }, { label: 'page' })
    await held
    const { gathers } = await viewer.until(gathered(1))
    const [page] = gathers
    expect(page).toMatchObject({
      label: 'page',
      tasks: [
        {
          key: 'one',
          outcome: 'done',
          bars: expect.arrayContaining([expect.objectContaining({ name: 'select accounts' })]),
        },
        { key: 'two', outcome: 'done' },
        { key: 'three', outcome: 'done' },
      ],
    })
    const kinds = page?.tasks[2]?.bars.map(({ kind }) => kind).filter((kind) => kind !== 'wait')
    expect(kinds?.toSorted()).toEqual(['commit', 'statement', 'transaction'])
    const statements =
      page?.tasks.slice(0, 2).flatMap(({ bars }) => bars.filter(({ kind }) => kind === 'statement')) ?? []
    const latestStart = Math.max(...statements.map(({ startMs }) => startMs))
    const firstEnd = Math.min(...statements.map(({ startMs, durationMs }) => startMs + durationMs))
    expect(new Set(page?.tasks.map(({ backendPid }) => backendPid)).size).toBeGreaterThan(1)
    expect(latestStart).toBeLessThan(firstEnd)
    expect(page?.sequentialMs).toBeGreaterThan(page?.durationMs ?? Infinity)
    // No bar lies outside of its gather.
    for (const { startMs, durationMs } of page?.tasks.flatMap(({ bars }) => bars) ?? []) {
      expect(startMs).toBeGreaterThanOrEqual(0)
      expect(startMs + durationMs).toBeLessThanOrEqual((page?.durationMs ?? 0) + 5)
    }
  })

  test('a sibling that was cancelled, and the failure it was cancelled for', async () => {
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    await engine
      .gather({ late: ({ sql }) => sql`select pg_sleep(60)`, broken: ({ sql }) => sql`select 1 / (select 0)` })
      .catch(() => undefined)
    const { gathers } = await viewer.until(gathered(1))
    expect(gathers[0]?.tasks).toMatchObject([
      { key: 'late', outcome: 'cancelled' },
      {
        key: 'broken',
        outcome: 'failed',
        error: '22012',
        bars: expect.arrayContaining([expect.objectContaining({ failed: true })]),
      },
    ])
  })

  test('who waits for whom, by the names of both', async () => {
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    const [locked, done] = [gate(), gate()]
    const first = engine.transaction(
      async ({ sql }) => {
        await sql`select 1 from accounts where id = 1 for update`
        locked.open()
        await done.opened
      },
      { label: 'report' },
    )
    await locked.opened
    const second = engine.session(({ sql }) => sql`update accounts set owner = owner where id = 1`, { label: 'order' })
    const { sessions } = await viewer.until(
      ({ sessions }) => sessions.find(({ label }) => label === 'order')?.blockedBy.length === 1,
    )
    const [report, order] = ['report', 'order'].map((name) => sessions.find(({ label }) => label === name))
    expect(order).toMatchObject({
      running: true,
      waitsFor: 'Lock: transactionid',
      blockedBy: [{ name: 'report', backendPid: report?.backendPid }],
    })
    expect(report).toMatchObject({ running: false, blockedBy: [] })
    expect(report?.acquiredAt).toContain('console.test.ts')
    done.open()
    await Promise.all([first, second])
    await viewer.until(({ sessions }) => sessions.length === 0)
  })

  test('who waits, while all connections are taken by those who wait', async () => {
    const small = await bank.engine({ pool: { max: 1 } })
    await using own = await serve(small)
    await using viewer = await ConsoleViewer.open(own.url)
    const [locked, done] = [gate(), gate()]
    const held = bank.admin.sql.begin(async (sql) => {
      await sql`lock table accounts in access exclusive mode`
      locked.open()
      await done.opened
    })
    await locked.opened
    const waiting = small.session(({ repository }) => repository(accounts).list({ limit: 1 }), { label: 'list' })
    const { sessions } = await viewer.until(({ sessions }) => sessions[0]?.blockedBy.length === 1)
    expect(sessions[0]).toMatchObject({ label: 'list', blockedBy: [{ name: 'admin' }] })
    done.open()
    await Promise.all([held, waiting])
  })

  test('statements with their times, and on demand their plan', async () => {
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    for (let id = 1; id <= 5; id += 1) await engine.session(({ repository }) => repository(accounts).get(id))
    const find = ({ statements }: ConsoleState) => statements.find(({ summary }) => summary === 'select accounts')
    const state = await viewer.until((each) => find(each)?.count === 5)
    const statement = find(state)
    expect(statement).toMatchObject({ count: 5, failures: 0 })
    expect(statement?.p50Ms).toBeLessThanOrEqual(statement?.p99Ms ?? 0)
    const answer = await fetch(`${own.url}/console/statements/${statement?.id}/plan`)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ root: { title: expect.stringContaining('accounts') }, warnings: [] })
    expect((await fetch(`${own.url}/console/statements/999999/plan`)).status).toBe(404)
  })

  test('who waits for whom also while a plan waits for a table that a migration changes', async () => {
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    await engine.session(({ sql }) => sql`select * from entries`)
    const state = await viewer.until(({ statements }) => statements.length > 0)
    const [locked, done] = [gate(), gate()]
    const migration = bank.admin.sql.begin(async (sql) => {
      await sql`lock table entries in access exclusive mode`
      locked.open()
      await done.opened
    })
    await locked.opened
    const waiting = engine.session(({ sql }) => sql`select * from entries`, { label: 'list' })
    const answer = await fetch(`${own.url}/console/statements/${state.statements[0]?.id}/plan`)
    expect(answer.status).toBe(422)
    expect(await answer.json()).toMatchObject({ code: 'no_plan', detail: expect.stringContaining('lock timeout') })
    const { serverAnswered } = await viewer.until(({ sessions }) => sessions[0]?.blockedBy.length === 1)
    expect(serverAnswered).toBe(true)
    done.open()
    await Promise.all([migration, waiting])
  })

  test('what the server refuses to explain, in words', async () => {
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    await engine.session(({ sql }) => sql`show work_mem`)
    const state = await viewer.until(({ statements }) => statements.length > 0)
    const answer = await fetch(`${own.url}/console/statements/${state.statements[0]?.id}/plan`)
    expect(answer.status).toBe(422)
    expect(await answer.json()).toMatchObject({ code: 'no_plan', detail: expect.stringMatching(/^only SELECT/) })
  })

  test('no value of a condition that a warning quotes', async () => {
    await bank.admin
      .sql`create table if not exists people as select n as id, 'name ' || n as name from generate_series(1, 5000) n`
    await bank.admin.sql`analyze people`
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    await engine.session(({ db }) =>
      db.execute(fragment.raw(`select * from people where name = '${secret}' and id = 424242`)),
    )
    const state = await viewer.until(({ statements }) => statements.length > 0)
    const plan = await (await fetch(`${own.url}/console/statements/${state.statements[0]?.id}/plan`)).text()
    expect(plan).toMatch(/sequential scan of[^]*name = \?/)
    expect(plan).not.toMatch(new RegExp(`${secret}|424242`))
  })

  test('what a session does that had begun before anybody looked', async () => {
    await using own = await serve(engine)
    const [looked, done] = [gate(), gate()]
    const working = engine.session(async ({ sql }) => {
      await looked.opened
      await sql`select 4711 as late`
      await done.opened
    })
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    looked.open()
    await viewer.until(({ statements }) => statements.some(({ text }) => text === 'select ? as late'))
    done.open()
    await working
  })

  test('statements that are too long to be kept whole, without a plan', async () => {
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    await engine.session(({ db }) => db.execute(fragment.raw(`select 1 where 1 in (${'2, '.repeat(10_000)}3)`)))
    const { statements } = await viewer.until((state) => state.statements.length > 0)
    expect(statements[0]?.text.length).toBeLessThan(5000)
    expect((await fetch(`${own.url}/console/statements/${statements[0]?.id}/plan`)).status).toBe(404)
  })

  test('that the database cannot be reached, while it cannot', async () => {
    const proxy = await bank.proxy()
    const cut = await bank.engine({ proxy, pool: { max: 1 } })
    await using own = await serve(cut)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    await proxy.refuse()
    for (const link of proxy.links) link.cut()
    await eventually(() => expect(cut.stats().open).toBe(0))
    const waiting = cut.session(({ sql }) => sql`select 1`)
    const { outage } = await viewer.until((state) => state.outage !== undefined)
    expect(outage).toMatch(/ECONNREFUSED|refused|reach/)
    await proxy.accept()
    await waiting
    await viewer.until((state) => state.outage === undefined)
  })

  test('transactions that ran again, and why', async () => {
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    let attempts = 0
    await engine.transaction(
      async ({ sql }) => {
        attempts += 1
        await sql`select 1`
        if (attempts < 3) await sql`do $$ begin raise exception 'again' using errcode = '40001'; end $$`
      },
      { label: 'transfer' },
    )
    const { transactions } = await viewer.until(({ transactions: { retries } }) => retries.length > 0)
    expect(transactions.retries).toMatchObject([{ label: 'transfer', error: '40001', count: 2 }])
    expect(transactions.outcomes).toMatchObject({ committed: 1 })
  })

  test('no value, neither of a text nor of a plan, unless values are asked for', async () => {
    const text = `select * from accounts where owner = '${secret}'`
    for (const showValues of [false, true]) {
      await using own = await serve(engine, { console: { showValues } })
      await using viewer = await ConsoleViewer.open(own.url)
      await viewer.next()
      await engine.session(({ db }) => db.execute(fragment.raw(text)))
      await engine.session(({ sql }) => sql`select ${secret}::text`)
      const state = await viewer.until(({ statements }) => statements.length === 2)
      const id = state.statements.find(({ summary }) => summary === 'select accounts')?.id
      const plan = await (await fetch(`${own.url}/console/statements/${id}/plan`)).text()
      expect(plan).toContain('Seq Scan')
      expect([JSON.stringify(state), plan].map((told) => told.includes(secret))).toEqual([showValues, showValues])
    }
  })

  test('migrations, as the application tells them; what keeps it from that is told as well', async () => {
    const applied = { name: '0000_init', state: 'applied', appliedAt: new Date(0) }
    await using own = await serve(engine, { console: { migrations: () => Promise.resolve([applied]) } })
    const text = await (await fetch(`${own.url}/console`)).text()
    expect(text).toMatch(/0000_init[^]*applied[^]*1970-01-01T00:00:00.000Z/)
    await using stuck = await serve(engine, { console: { migrations: () => new Promise(() => {}) } })
    expect(await (await fetch(`${stuck.url}/console`)).text()).toContain(
      'could not be read: the server did not answer in time.',
    )
    await using broken = await serve(engine, { console: { migrations: () => Promise.reject(new Error(secret)) } })
    const other = await (await fetch(`${broken.url}/console`)).text()
    expect(other).toContain('What has been applied could not be read.')
    expect(other).not.toContain(secret)
  })
})

describe('what it costs', () => {
  test('nothing while nobody looks: the engine publishes to nobody, and no connection is beside its pool', async () => {
    const quiet = await bank.engine({ applicationName: 'quiet' })
    const connections = () => bank.admin.sql`select pid from pg_stat_activity where application_name = 'quiet'`
    await using own = await serve(quiet)
    const done = gate()
    const session = quiet.session(() => done.opened)
    added.mockClear()
    const viewer = await ConsoleViewer.open(own.url)
    const [observers] = added.mock.contexts as Observers[]
    await viewer.until(({ sessions }) => (sessions[0]?.ageMs ?? 0) > 1000)
    expect(observers?.publish).toBeDefined()
    expect(await connections()).toHaveLength(2)
    await viewer[Symbol.asyncDispose]()
    await eventually(() => expect(observers?.publish).toBeUndefined())
    await eventually(async () => expect(await connections()).toHaveLength(1))
    done.open()
    await session
  })

  test('no more for 1,500 labels and texts: what is kept is bounded', async () => {
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    for (let count = 0; count < 1500; count += 1) {
      await engine.gather(
        { task: ({ db }) => db.execute(fragment.raw(`select 1 as c${count}`)) },
        { label: `label ${count}` },
      )
    }
    const state = await viewer.until(gathered(1500))
    expect(state.gathers.length).toBeLessThanOrEqual(20)
    expect(state.statements.length).toBeLessThanOrEqual(45)
    expect(JSON.stringify(state).length).toBeLessThan(100_000)
  })

  test('a page that takes nothing holds nobody up, and is told of now when it goes on', async () => {
    await using own = await serve(engine)
    await using viewer = await ConsoleViewer.open(own.url)
    await viewer.next()
    for (let count = 0; count < 2000; count += 1) await engine.session(({ sql }) => sql`select 1`)
    const state = await viewer.until(({ statements }) => statements[0]?.count === 2000)
    expect(state.statements[0]?.summary).toBe('select')
  })

  test('no more than ten pages look at once', async () => {
    const viewers = await Promise.all(Array.from({ length: 10 }, () => ConsoleViewer.open(server.url)))
    await expect(ConsoleViewer.open(server.url)).rejects.toThrow('503')
    await Promise.all(viewers.map((viewer) => viewer[Symbol.asyncDispose]()))
    await using _ = await eventually(() => ConsoleViewer.open(server.url))
  })
})

test('an engine that is closed has no connection for a page, and takes no new one', async () => {
  const closed = await bank.engine({ applicationName: 'closed' })
  await using own = await serve(closed)
  await using viewer = await ConsoleViewer.open(own.url)
  const done = gate()
  const session = closed.session(() => done.opened)
  await viewer.until(({ sessions }) => (sessions[0]?.ageMs ?? 0) > 500)
  done.open()
  await session
  await closed.close()
  const rows = await bank.admin.sql`select pid from pg_stat_activity where application_name = 'closed'`
  expect(rows).toEqual([])
  await viewer[Symbol.asyncDispose]()
  await eventually(async () => expect((await fetch(`${own.url}/console/events`)).status).toBe(503))
})

test('a server that closes waits for no page, which connects anew', async () => {
  const own = await serve(engine)
  await using viewer = await ConsoleViewer.open(own.url)
  await viewer.next()
  const ended = viewer.until(() => false).catch((error: unknown) => error)
  await own.close({ timeoutMs: 3_600_000 })
  expect(await ended).toBeInstanceOf(Error)
})
