/** One task, one session, one connection: what a session may do, when it ends, and what its misuse leads to. */
import { eq, sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConnectionLost, SessionEnded, UsageError } from '../../src/errors.ts'
import { defineQuery } from '../../src/repository/define-query.ts'
import { defineRepository } from '../../src/repository/define-repository.ts'
import { accounts, type Bank, type BankSession, gate, openBank, Recorder } from '../support/bank.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

describe('a session', () => {
  test('hands its internals to no query that a task has made or changed', async () => {
    await using engine = await bank.engine()
    await engine.session(async (session) => {
      const { db, sql, stream } = session
      let leaked: unknown
      const prepared = db.select().from(accounts).limit(1).prepare('own') as unknown as Record<string, unknown>
      prepared['on'] = (runner: unknown) => (leaked = runner)
      expect(await (prepared as { execute(): Promise<unknown[]> }).execute()).toHaveLength(1)

      const build = (query: unknown) => () => query as never
      const imitation = { prepare: () => ({ on: (runner: unknown) => (leaked = runner) }) }
      for (const query of [imitation, 5, undefined, {}]) {
        expect(() => defineQuery(build(query))(session)).toThrow(UsageError)
      }
      const cursor = {
        text: 'select 1',
        parameters: [],
        arrays: false,
        map: (_: unknown, ask: unknown) => (leaked = ask),
      }
      for (const query of [cursor, { prepare: () => ({ cursor: () => cursor }) }, { map: () => [] }, null]) {
        await expect(stream(query as never).next()).rejects.toBeInstanceOf(UsageError)
      }
      expect(leaked).toBeUndefined()
      const { length } = await sql`select 1`
      expect(length).toBe(1)
    })
  })

  test('refuses options that its calls do not have', async () => {
    await using engine = await bank.engine()
    await engine.session(async ({ stream }) => {
      for (const options of [{ batchsize: 3 }, null]) {
        await expect(stream(fragment`select 1`, options as never).next()).rejects.toBeInstanceOf(UsageError)
      }
    })
    expect(() => defineRepository(accounts, () => ({}), { shema: {} } as never)).toThrow('shema')
    for (const options of [{ timeoutms: 5 }, null]) {
      expect(() => void engine.close(options as never)).toThrow(UsageError)
    }
  })

  test('refuses an array that contains itself, or has more dimensions than PostgreSQL', async () => {
    await using engine = await bank.engine()
    const cyclic: unknown[] = []
    cyclic.push(cyclic)
    await engine.session(async ({ sql }) => {
      await expect(sql`select ${cyclic}::text[]`).rejects.toBeInstanceOf(UsageError)
      const six = [[[[[['a']]]]]]
      expect(await sql`select ${six}::text[] as a`).toEqual([{ a: six }])
      await expect(sql`select ${[six]}::text[]`).rejects.toBeInstanceOf(UsageError)
    })
  })

  test('has the eleven members of its type, which may be taken off it, and nothing behind them is in reach', async () => {
    await using engine = await bank.engine()
    await engine.transaction(async (session) => {
      const members = Object.getOwnPropertyNames(Object.getPrototypeOf(session)).filter(
        (name) => name !== 'constructor',
      )
      expect(members.toSorted()).toEqual([
        'backendPid',
        'db',
        'deadline',
        'explain',
        'inTransaction',
        'label',
        'repository',
        'signal',
        'sql',
        'stream',
        'transaction',
      ])
      expect(Reflect.ownKeys(session)).toEqual([])
      const { sql, db, repository, transaction, stream, inTransaction, label, deadline, signal, backendPid } = session
      const pid = fragment<number>`pg_backend_pid()`
      expect(await sql`select pg_backend_pid() as pid`).toEqual([{ pid: backendPid }])
      expect(await db.select({ pid }).from(accounts).limit(1)).toEqual([{ pid: backendPid }])
      expect(await repository(accounts).count()).toBeGreaterThan(0)
      const nested = (inner: BankSession) => [inner.backendPid, inner !== session, Reflect.ownKeys(inner)]
      expect(await transaction(nested)).toEqual([backendPid, true, []])
      for await (const row of stream(fragment`select 1 as n`)) expect(row).toEqual({ n: 1 })
      expect([inTransaction, label, deadline, signal.aborted]).toEqual([true, undefined, undefined, false])
    })
  })

  test('speaks plain SQL, Drizzle core and relational queries on one backend', async () => {
    await using engine = await bank.engine()
    const pids = await engine.session(async ({ sql, db, backendPid }) => {
      const [plain] = await sql<{ pid: number }>`select pg_backend_pid() as pid, ${'x'}::text`
      const [core] = await db
        .select({ pid: fragment<number>`pg_backend_pid()` })
        .from(accounts)
        .limit(1)
      const relational = await db.query.accounts.findFirst({
        extras: { pid: fragment<number>`pg_backend_pid()`.as('pid') },
      })
      return [backendPid, plain?.pid, core?.pid, relational?.pid]
    })
    expect(new Set(pids).size).toBe(1)
  })

  test('ends with its task: whatever was taken from it throws SessionEnded', async () => {
    await using engine = await bank.engine()
    let kept: BankSession | undefined
    await engine.session((session) => void (kept = session))
    const { sql, db, transaction } = kept as BankSession
    await expect(sql`select 1`).rejects.toThrow(SessionEnded)
    await expect(db.select().from(accounts)).rejects.toThrow(SessionEnded)
    await expect(transaction(() => 1)).rejects.toThrow(SessionEnded)
    await expect((kept as BankSession).stream(db.select().from(accounts)).next()).rejects.toThrow(SessionEnded)
    await expectQuiet(engine, bank.admin)
  })

  test('does not abort its signal by ending, but by what ends it early, also when it was asked for afterwards', async () => {
    await using engine = await bank.engine()
    const session = await engine.session((given) => (given.signal, given))
    expect(session.signal.aborted).toBe(false)
    const failure = new Error('of its own')
    let failed: BankSession | undefined
    const failing = engine.session((given) => {
      failed = given
      throw failure
    })
    await expect(failing).rejects.toBe(failure)
    expect(failed?.signal.aborted).toBe(false)
    let late: BankSession | undefined
    const cut = engine.session((given) => ((late = given), given.sql`select pg_sleep(60)`), { timeoutMs: 100 })
    await expect(cut).rejects.toMatchObject({ code: 'deadline_exceeded' })
    expect(late?.signal.aborted).toBe(true)
    await expectQuiet(engine, bank.admin)
  })

  test('that lost its connection refuses every later statement, and none reaches another connection', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 2 }, observe: recorder.observe })
    const failures = await engine
      .transaction(async ({ sql, backendPid }) => {
        await sql`insert into entries (nonce, half) values ('lost', 1)`
        await bank.admin.terminate(backendPid)
        await eventually(() => expect(recorder.of('connection.lost')).toHaveLength(1))
        return Promise.allSettled([
          sql`insert into entries (nonce, half) values ('lost', 2)`,
          sql`select ${1}::int`,
          sql`insert into entries (nonce, half) values ('lost', 3)`,
        ])
      })
      .catch((error: unknown) => error)
    expect(failures).toBeInstanceOf(ConnectionLost)
    expect(await bank.admin.sql`select * from entries where nonce = 'lost'`).toHaveLength(0)
    expect(recorder.of('statement.finished').filter(({ error }) => error === undefined)).toHaveLength(1)
    await engine.session(({ sql }) => sql`select 1`)
    await expectQuiet(engine, bank.admin)
  })

  test('lost while its statement runs gets ConnectionLost, and the next session a new backend at once', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const error: unknown = await engine
      .session(({ sql }) => sql`select pg_terminate_backend(pg_backend_pid()), ${'SECRET'}::text`)
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ConnectionLost)
    // A second is what a polite goodbye on a dead connection would cost.
    await engine.session(({ sql }) => sql`select 1`, { timeoutMs: 900 })
  })

  test('used from several branches sends their statements in order on its one backend, and says so', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    const rows = await engine.session(({ sql }) =>
      Promise.all(
        [1, 2, 3].map((n) => sql<{ n: number; pid: number }>`select ${n}::int as n, pg_backend_pid() as pid`),
      ),
    )
    expect(rows.map(([row]) => row?.n)).toEqual([1, 2, 3])
    expect(new Set(rows.map(([row]) => row?.pid)).size).toBe(1)
    expect(recorder.of('session.pipelined')).toMatchObject([{ statements: 3 }])
  })

  test('held without a statement is reported once, with its label and where it was asked for', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe, idleSessionMs: 20 })
    await engine.session(() => eventually(() => expect(recorder.of('session.held_idle')).toHaveLength(1)), {
      label: 'leaky',
    })
    const [report] = recorder.of('session.held_idle')
    expect(report).toMatchObject({ label: 'leaky' })
    expect(report?.acquiredAt).toContain('sessions.test.ts')
  })
})

describe('a task', () => {
  test('that throws synchronously rejects its call and gives its connection back', async () => {
    await using engine = await bank.engine()
    const failure = new Error('thrown at once')
    const task = () => {
      throw failure
    }
    await expect(engine.session(task)).rejects.toBe(failure)
    await expect(engine.transaction(task)).rejects.toBe(failure)
    await expectQuiet(engine, bank.admin)
  })

  test('whose nested transaction throws synchronously leaves nothing of it behind', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    await engine.session(async ({ transaction, sql }) => {
      const nested = transaction(() => {
        throw new Error('thrown at once')
      })
      await expect(nested).rejects.toThrow('thrown at once')
      await sql`insert into entries (nonce, half) values ('after a throw', 1)`
    })
    expect(await bank.admin.sql`select * from entries where nonce = 'after a throw'`).toHaveLength(1)
  })

  test('that returns without awaiting its query is an error, and its connection is replaced', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ observe: recorder.observe })
    const careless = engine.session(({ sql }) => {
      void sql`select pg_sleep(0.05)`.catch(() => undefined)
      return 'done'
    })
    await expect(careless).rejects.toThrow(UsageError)
    await expect(careless).rejects.toThrow(/await every query/)
    expect(recorder.of('connection.retired')).toMatchObject([{ reason: 'statements_still_running' }])
    await expectQuiet(engine, bank.admin)
  })

  test('may hold its session while others work', async () => {
    await using engine = await bank.engine({ pool: { max: 2 } })
    const { opened, open } = gate()
    const holder = engine.session(() => opened)
    await engine.session(({ db }) => db.select().from(accounts).where(eq(accounts.id, 1)))
    open()
    await holder
    await expectQuiet(engine, bank.admin)
  })
})

describe('a transaction that its task did not wait for', () => {
  test('reaches no other session, is an error of the task, and leaves nothing', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const { opened, open } = gate()
    let late: Promise<unknown> = Promise.resolve()
    const careless = engine.session(({ transaction }) => {
      late = transaction(async ({ sql }) => {
        await opened
        await sql`insert into entries (nonce, half) values ('late', 1)`
      })
      late.catch(() => undefined)
    })
    await expect(careless).rejects.toThrow(UsageError)
    await engine.session(async ({ sql }) => {
      await sql`select 1`
      open()
      await expect(late).rejects.toThrow(SessionEnded)
      await sql`insert into entries (nonce, half) values ('of the next one', 1)`
    })
    const nonces = await bank.admin.sql`select nonce from entries where nonce in ('late', 'of the next one')`
    expect(nonces).toEqual([{ nonce: 'of the next one' }])
    await expectQuiet(engine, bank.admin)
  })

  test('inside another transaction undoes that one', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const { opened, open } = gate()
    let late: Promise<unknown> = Promise.resolve()
    await engine.session(async ({ transaction, sql }) => {
      const careless = transaction(async ({ transaction, sql }) => {
        await sql`insert into entries (nonce, half) values ('outer of a late one', 1)`
        late = transaction(async ({ sql }) => {
          await opened
          await sql`insert into entries (nonce, half) values ('late', 2)`
        })
        late.catch(() => undefined)
      })
      await expect(careless).rejects.toThrow(UsageError)
      open()
      await expect(late).rejects.toThrow(SessionEnded)
      await sql`select 1`
    })
    expect(await bank.admin.sql`select * from entries where nonce in ('late', 'outer of a late one')`).toHaveLength(0)
    await expectQuiet(engine, bank.admin)
  })
})
