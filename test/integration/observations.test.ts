/** What the system says about itself: one event of each kind, at the right time, without parameters, and harmless. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { eq, sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Observation } from '../../src/observe/observation.ts'
import { accounts, type Bank, type BankSession, openBank, Recorder } from '../support/bank.ts'
import { losesTheAnswer } from '../support/fault-proxy.ts'
import { eventually, everythingIn, expectQuiet, secret } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

const read = ({ sql }: BankSession) => sql`select ${secret}::text as value`

describe('observations', () => {
  test('tell the life of a session: connection opened, acquired, statement, released', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    await engine.session(read, { label: 'page' })
    expect(recorder.all.map(({ type }) => type)).toEqual(
      ['connection.opened', 'session.acquired', 'statement.finished', 'session.released'].slice(
        recorder.of('connection.opened').length === 0 ? 1 : 0,
      ),
    )
    expect(recorder.of('statement.finished')).toMatchObject([
      { label: 'page', text: 'select $1::text as value', error: undefined },
    ])
    expect(recorder.of('session.released')).toMatchObject([
      { label: 'page', statements: 1, heldMs: expect.any(Number) },
    ])
  })

  test('come in the asynchronous context of whoever made the call', async () => {
    const request = new AsyncLocalStorage<number>()
    const seen: string[] = []
    const observe = ({ type }: Observation) => void seen.push(`${type} of ${request.getStore()}`)
    await using engine = await bank.engine({ observe, pool: { max: 2 } })
    await Promise.all([1, 2, 3, 4].map((id) => request.run(id, () => engine.session(read))))
    const types = ['session.acquired', 'statement.finished', 'session.released']
    const ofTasks = seen.filter((event) => !event.startsWith('connection'))
    expect(ofTasks.toSorted()).toEqual([1, 2, 3, 4].flatMap((id) => types.map((type) => `${type} of ${id}`)).toSorted())
  })

  test('count the rows that a statement returned or touched, and none where it failed or counts nothing', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    await engine.session(async ({ sql, repository }) => {
      await sql`select * from accounts where id <= 3`
      await sql`update accounts set owner = owner where id <= 2`
      await sql`select 1 where false`
      await sql`set local work_mem = '5MB'`
      await repository(accounts).get(1)
      await sql`select 1/0`.catch(() => undefined)
    })
    expect(recorder.of('statement.finished').map(({ rows }) => rows)).toEqual([3, 2, 0, null, 1, null])
  })

  test('tell of a stream as of one statement, once it has ended, however that was', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    const query = (text: string) => fragment.raw(text)
    const streamed = (text: string, most = Infinity) =>
      engine.session(
        async ({ stream }) => {
          let count = 0
          for await (const _ of stream(query(text), { batchSize: 3 })) if (++count === most) break
        },
        { label: text },
      )
    const [whole, left, refused, broken] = [
      'select id from accounts order by id',
      'select id from accounts order by id desc',
      'select nothing from accounts',
      'select 1 / (5 - id) from accounts order by id',
    ] as const
    await streamed(whole)
    await streamed(left, 4)
    for (const text of [refused, broken]) await expect(streamed(text)).rejects.toMatchObject({ code: 'database_error' })
    expect(recorder.of('statement.finished')).toMatchObject([
      { text: whole, label: whole, rows: 10, error: undefined },
      { text: left, rows: 6, error: undefined },
      { text: refused, rows: null, error: { sqlState: '42703' } },
      { text: broken, rows: null, error: { sqlState: '22012' } },
    ])
    // What the reader did with the rows is not the server's time.
    recorder.all.length = 0
    const startedAt = performance.now()
    let usedMs = 0
    await engine.session(async ({ stream }) => {
      for await (const _ of stream(query(whole), { batchSize: 3 })) {
        const since = performance.now()
        await engine.session(({ sql }) => sql`select pg_sleep(0.02)`)
        usedMs += performance.now() - since
      }
    })
    const slow = recorder.of('statement.finished').find(({ text }) => text === whole)
    expect(slow?.durationMs).toBeLessThan(performance.now() - startedAt - usedMs)
  })

  test('tell what came of a transaction, and none of one that was never sent', async () => {
    const recorder = new Recorder()
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ observe: recorder.observe, proxy, pool: { max: 1 } })
    const write = ({ sql }: BankSession) => sql`update accounts set owner = owner where id = 1`
    const fail = (work: Promise<unknown>) => work.catch(() => undefined)
    await engine.transaction(write, { label: 'kept' })
    await engine.transaction(() => 'nothing', { label: 'empty' })
    await fail(
      engine.transaction((session) => write(session).then(() => Promise.reject(new Error())), { label: 'undone' }),
    )
    await fail(engine.transaction((session) => session.transaction(({ sql }) => sql`select 1/0`), { label: 'refused' }))
    const waits = ({ sql }: BankSession) => sql`select pg_sleep(20)`
    await fail(engine.transaction(waits, { label: 'late', timeoutMs: 300 }))
    await fail(
      engine.transaction(
        async (session) => {
          await write(session)
          for (const link of proxy.links) link.tap = losesTheAnswer
        },
        { label: 'unknown' },
      ),
    )
    for (const link of proxy.links) link.tap = undefined
    const told = recorder.of('transaction.finished')
    const [never, some] = [undefined, expect.any(Number)]
    expect(told.map(({ label, outcome, commitMs }) => [label, outcome, commitMs])).toEqual([
      ['kept', 'committed', some],
      ['undone', 'rolled_back', never],
      ['refused', 'rolled_back', never],
      ['late', 'rolled_back', never],
      ['unknown', 'unknown', some],
    ])
    expect(told.map(({ error }) => error)).toMatchObject([never, never, never, never, { code: 'connection_lost' }])
    expect(told.every(({ durationMs, commitMs = 0 }) => durationMs >= commitMs)).toBe(true)
    const ends = recorder.all.filter(({ type }) => type === 'transaction.finished' || type === 'session.released')
    expect(ends.slice(0, 2).map(({ type }) => type)).toEqual(['transaction.finished', 'session.released'])
    expect(ends.filter((event) => 'label' in event && event.label === 'late').map(({ type }) => type)).toEqual([
      'transaction.finished',
      'session.released',
    ])
  })

  test('tell of a statement that a task sends for every row, and of the line that sends it', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, repeatedStatements: 3 })
    const ids = [1, 2, 3, 4, 5]
    const here = expect.stringMatching(/observations\.test\.ts:\d+:\d+/)
    await engine.session(
      async ({ repository, sql, db }) => {
        for (const id of ids) await repository(accounts).get(id)
        for (const id of ids.slice(1)) await sql`select ${id}::int as id`
        for (const id of ids) await db.select().from(accounts).where(eq(accounts.id, id))
        for (const id of ids.slice(2)) await sql`select ${id}::text as fine`
      },
      { label: 'page' },
    )
    expect(recorder.of('session.repeated')).toEqual([
      {
        type: 'session.repeated',
        label: 'page',
        text: expect.stringContaining('"accounts"'),
        count: 5,
        sentFrom: here,
      },
      { type: 'session.repeated', label: 'page', text: 'select $1::int as id', count: 4, sentFrom: here },
      {
        type: 'session.repeated',
        label: 'page',
        text: expect.stringContaining('"accounts"'),
        count: 5,
        sentFrom: here,
      },
    ])
    const lines = recorder.of('session.repeated').map(({ sentFrom }) => Number(/:(\d+):\d+/.exec(sentFrom)?.[1]))
    // The line of each loop; of a query that Drizzle runs later, the line that asked for the session.
    expect(lines[1]! - lines[0]!).toBe(1)
    expect(lines[0]! - lines[2]!).toBe(2)
  })

  test('tell of no repetition across sessions, of what getMany reads, or where it is off', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, repeatedStatements: 2 })
    await engine.gather(
      [1, 2, 3, 4].map(
        (id) =>
          ({ repository }: BankSession) =>
            repository(accounts).get(id),
      ),
    )
    await engine.session(({ repository }) => repository(accounts).getMany([1, 2, 3, 4]))
    await using off = await bank.engine({ observe: recorder.observe, repeatedStatements: 0 })
    await off.session(async (session) => {
      for (let count = 0; count < 30; count++) await read(session)
    })
    expect(recorder.of('session.repeated')).toEqual([])
  })

  test('tell why COMMIT was refused', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    await bank.admin.sql`create table checked_late (id int unique deferrable initially deferred)`
    await engine.transaction(({ sql }) => sql`insert into checked_late values (1), (1)`).catch(() => undefined)
    expect(recorder.of('transaction.finished')).toMatchObject([
      { outcome: 'rolled_back', commitMs: expect.any(Number), error: { code: 'unique_violation' } },
    ])
  })

  test('tell of every task of a gather its wait, its run time, its backend and its outcome', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    await engine.gather({ a: read, b: ({ sql }) => sql`select 1/0` }, { label: 'page' }).catch(() => undefined)
    const [finished] = recorder.of('gather.finished')
    expect(finished).toMatchObject({ label: 'page', durationMs: expect.any(Number), overlap: expect.any(Number) })
    expect(finished?.tasks).toMatchObject([
      { key: 'a', backendPid: expect.any(Number) },
      { key: 'b', outcome: 'failed', error: { code: 'database_error' } },
    ])
  })

  test('tell of connections that were lost, and why connections were retired', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, pool: { max: 1 } })
    await engine.session(async ({ backendPid }) => {
      await bank.admin.terminate(backendPid)
      await eventually(() => expect(recorder.of('connection.lost')).toHaveLength(1))
    })
    await engine.session(({ sql }) => sql`set work_mem = '5MB'`)
    await engine.session(({ sql }) => sql`select pg_sleep(20)`, { timeoutMs: 400 }).catch(() => undefined)
    await expectQuiet(engine, bank.admin)
    expect(recorder.of('connection.retired').map(({ reason }) => reason)).toEqual([
      'unhealthy',
      'session_state_changed',
      'deadline',
    ])
  })

  test('hold no parameter, in no event and in no error of any event', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, pool: { max: 2 } })
    await engine.session(({ sql }) => sql`select ${secret}::int`).catch(() => undefined)
    await engine.transaction(({ sql }) => sql`insert into accounts values (1, ${secret}, 1)`).catch(() => undefined)
    await engine.gather({ a: read, b: ({ sql }) => sql`select ${secret}::uuid` }).catch(() => undefined)
    await engine
      .session(({ sql }) => sql`select pg_terminate_backend(pg_backend_pid()), ${secret}::text`)
      .catch(() => undefined)
    const said = recorder.all.map((event) => JSON.stringify(event) + everythingIn('error' in event ? event.error : ''))
    expect(said.filter((text) => text.includes(secret))).toEqual([])
    expect(recorder.of('statement.finished').length).toBeGreaterThan(3)
  })

  test('reach several sinks, and a sink that throws harms neither sessions nor the other sinks', async () => {
    const warnings: string[] = []
    const onWarning = (warning: Error) => void warnings.push(warning.message)
    process.on('warning', onWarning)
    const recorder = new Recorder()
    const broken = () => {
      throw new Error('the sink is broken')
    }
    await using engine = await bank.engine({ observe: [broken, recorder.observe] })
    const rows = await engine.gather({ a: read, b: read })
    expect(rows.a).toMatchObject([{ value: secret }])
    expect(recorder.of('gather.finished')).toHaveLength(1)
    await expectQuiet(engine, bank.admin)
    await eventually(() => expect(warnings.join()).toContain('the sink is broken'))
    process.off('warning', onWarning)
  })

  test('may be published while a sink uses the engine', async () => {
    const seen: Observation['type'][] = []
    let calls = 0
    const engine = await bank.engine({
      observe: (event) => {
        seen.push(event.type)
        if (event.type === 'session.released' && calls++ < 3) void engine.session(read)
      },
    })
    await engine.session(read)
    await eventually(() => expect(seen.filter((type) => type === 'session.released')).toHaveLength(4))
    await expectQuiet(engine, bank.admin)
  })
})
