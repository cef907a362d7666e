/**
 * Where two guarantees meet: transactions with pipelined statements, floating promises, snapshots with failing tasks,
 * full pools under a gather, and DDL under prepared statements.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  DatabaseError,
  optional,
  PoolDeadlock,
  PoolOverloaded,
  SerializationFailure,
  UsageError,
  withIdentity,
} from '../../src/index.ts'
import { accounts, type Bank, type BankSession, gate, openBank, Recorder } from '../support/bank.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
  await bank.admin.sql.unsafe(`
    create sequence failures;
    create function fail(text) returns void language plpgsql as
      $$ begin raise exception 'on purpose' using errcode = $1; end $$;
    create function fail_first() returns int language plpgsql as
      $$ begin if nextval('failures') = 1 then perform fail('40001'); end if; return 1; end $$;
    create role rivulet_seam_reader`)
})
afterAll(async () => {
  await bank.admin.sql`drop role rivulet_seam_reader`
  await bank[Symbol.asyncDispose]()
})

const entries = async (nonce: string) => (await bank.admin.sql`select half from entries where nonce = ${nonce}`).length
const write = ({ sql }: BankSession, nonce: string, half = 1) =>
  sql`insert into entries (nonce, half) values (${nonce}, ${half}::int)`

describe('a transaction', () => {
  test('is run again when one of several pipelined statements fails with 40001', async () => {
    const recorder = new Recorder()
    await using proxy = await bank.proxy()
    await using engine = await bank.engine({ pool: { max: 1 }, proxy, observe: recorder.observe })
    await bank.admin.sql`alter sequence failures restart`
    await engine.transaction(async (session) => {
      const { sql } = session
      await Promise.all([
        write(session, 'pipelined', 1),
        sql`select fail_first()`,
        write(session, 'pipelined', 2),
        sql`select 1`,
      ])
    })
    expect(await entries('pipelined')).toBe(2)
    expect(recorder.of('transaction.retried')).toHaveLength(1)
    expect(engine.stats()).toMatchObject({ opened: 1, retired: 0 })
  })

  test('is run again when a nested one was begun beside the statement that fails', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    await bank.admin.sql`alter sequence failures restart`
    await engine.transaction(async (session) => {
      const { sql, transaction } = session
      await Promise.all([sql`select fail_first()`, transaction((nested) => write(nested, 'beside'))])
    })
    expect(await entries('beside')).toBe(1)
    await expectQuiet(engine, bank.admin)
  })

  test('goes on after a nested one that hid a failure was rolled back', async () => {
    await using engine = await bank.engine()
    await engine.transaction(async (session) => {
      const hidden = session.transaction(async ({ sql }) => void (await sql`select 1/0`.catch(() => undefined)))
      await expect(hidden).rejects.toThrow('was rolled back')
      await write(session, 'after a hidden failure')
    })
    expect(await entries('after a hidden failure')).toBe(1)
  })

  test('tells the failure that was caught, when a nested one is begun after it', async () => {
    await using engine = await bank.engine()
    const failed = engine.transaction(async (session) => {
      await session.sql`select 1/0`.catch(() => undefined)
      await session.transaction((nested) => write(nested, 'never'))
    })
    await expect(failed).rejects.toThrow('division by zero')
    expect(engine.stats().retired).toBe(0)
  })

  test('keeps its session while it pauses between two attempts', async () => {
    await using engine = await bank.engine()
    const { opened, open } = gate()
    await engine.session(async (session) => {
      let attempts = 0
      const first = session.transaction(async ({ sql }) => {
        attempts += 1
        if (attempts === 1) {
          open()
          await sql`select fail('40001')`
        }
        return attempts
      })
      await opened
      let others = 0
      const watched = first.finally(() => (others = -others))
      while (others >= 0) {
        await expect(session.transaction(() => 1)).rejects.toThrow('a unit of work is open')
        others += 1
        await Promise.race([turn(), watched])
      }
      expect(await first).toBe(2)
    })
  })

  test('counts its own statements only, not those its session sent before', async () => {
    await using engine = await bank.engine()
    await engine.session(async ({ sql, transaction }) => {
      const before = sql`select pg_sleep(0.05)`
      expect(await transaction(async ({ sql }) => (await sql`select 1 as one`)[0])).toEqual({ one: 1 })
      await before
    })
  })

  test('within another engine call tries as often as it may, and not as often again for every attempt of that', async () => {
    await using engine = await bank.engine()
    let attempts = 0
    const failing = engine.transaction(async ({ sql }) => {
      await sql`select 1`
      await engine.transaction(async (session) => {
        attempts += 1
        await session.sql`select fail('40001')`
      })
    })
    await expect(failing).rejects.toBeInstanceOf(SerializationFailure)
    expect(attempts).toBe(5)
  })

  test('leaves a statement_timeout that its task has set', async () => {
    await using engine = await bank.engine()
    const slow = engine.transaction(
      async ({ sql }) => {
        await sql`set local statement_timeout = 50`
        await sql`select 1`
        await sql`select pg_sleep(5)`
      },
      { timeoutMs: 60_000 },
    )
    await expect(slow).rejects.toMatchObject({ sqlState: '57014' })
  })
})

describe('a failure before a transaction', () => {
  const failBefore = ({ sql }: BankSession) => sql`select 1/0`.catch(() => undefined)

  test('is not taken for the reason of what fails in it', async () => {
    await using engine = await bank.engine()
    const failed = engine.session(async (session) => {
      await failBefore(session)
      await session.transaction(async ({ sql }) => {
        await sql`insert into accounts values (1, 'twice', 1)`.catch(() => undefined)
        await sql`select 1`
      })
    })
    await expect(failed).rejects.toMatchObject({ sqlState: '23505' })
  })

  test('does not keep one that conflicts from being run again', async () => {
    await using engine = await bank.engine()
    let attempts = 0
    await engine.session(async (session) => {
      await failBefore(session)
      await session.transaction(async ({ sql }) => {
        attempts += 1
        if (attempts > 2) return
        await sql`select fail('40001')`.catch(() => undefined)
        await sql`select 1`
      })
    })
    expect(attempts).toBe(3)
  })
})

describe('a transaction whose function fails while a nested one runs a statement', () => {
  test('stops that statement', async () => {
    await using engine = await bank.engine()
    const { opened, open } = gate()
    const startedAt = performance.now()
    const failed = engine.transaction(async (session) => {
      session
        .transaction(({ sql }) => {
          open()
          return sql`select pg_sleep(30)`
        })
        .catch(() => undefined)
      await opened
      throw new RangeError('of its own')
    })
    await expect(failed).rejects.toThrow('of its own')
    // Else it would have waited for the whole sleep.
    expect(performance.now() - startedAt).toBeLessThan(20_000)
    await expectQuiet(engine, bank.admin)
  })
})

describe('a deadline that passes during COMMIT', () => {
  test('lets COMMIT be answered, and ends the task that goes on after it', async () => {
    await using engine = await bank.engine()
    await bank.admin.sql.unsafe(`
      create table slow_to_commit (id int);
      create function linger() returns trigger language plpgsql as $$ begin perform pg_sleep(0.4); return null; end $$;
      create constraint trigger linger after insert on slow_to_commit deferrable initially deferred
        for each row execute function linger()`)
    const forever = gate()
    let outcome = 'open'
    const controller = new AbortController()
    const ended = engine
      .session(
        async (session) => {
          await session
            .transaction(({ sql }) => sql`insert into slow_to_commit values (1)`)
            .then(
              () => (outcome = 'committed'),
              () => (outcome = 'failed'),
            )
          await forever.opened
        },
        { signal: controller.signal },
      )
      .catch((error: unknown) => error)
    await eventually(async () =>
      expect(
        await bank.admin.sql`
          select 1 from pg_stat_activity
          where datname = current_database() and query = 'commit' and state = 'active'`,
      ).toHaveLength(1),
    )
    controller.abort()
    expect(await ended).toMatchObject({ code: 'cancelled' })
    expect(await bank.admin.sql`select * from slow_to_commit`).toHaveLength(outcome === 'committed' ? 1 : 0)
    forever.open()
    await expectQuiet(engine, bank.admin)
  })
})

describe('the time limit of an earlier call', () => {
  test('is lifted before a transaction, an identity, a stream or a call without a limit begins', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1 }, observe: recorder.observe })
    const limit = async ({ sql }: BankSession) =>
      (await sql<{ ms: string }>`select current_setting('statement_timeout') as ms`)[0]?.ms
    const limited = () => engine.session(limit, { timeoutMs: 60_000 })
    expect(await limited()).not.toBe('0')
    expect(await engine.session(limit)).toBe('0')
    await limited()
    expect(await engine.transaction(limit)).toBe('0')
    await limited()
    expect(await engine.as({ settings: { 'app.user': 'alice' } }).session(limit)).toBe('0')
    await limited()
    await engine.session(async ({ stream }) => {
      for await (const row of stream(fragment<{ ms: string }>`select current_setting('statement_timeout') as ms`)) {
        expect(row.ms).toBe('0')
      }
    })
    expect(engine.stats()).toMatchObject({ opened: 1, retired: 0 })
  })
})

describe('a task that returns too early', () => {
  test('hands no open transaction, role or setting to the next session', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    for (let round = 0; round < 5; round++) {
      const { opened, open } = gate()
      const careless = engine.session(async (session) => {
        void session.transaction(async (outer) => {
          await outer.sql`set local role rivulet_seam_reader`
          await outer.sql`select set_config('app.user', 'alice', true)`
          await outer.transaction(async ({ sql }) => {
            await sql`select 1`
            open()
          })
          await eventually(() => expect(outer.signal.aborted).toBe(true))
        })
        await opened
      })
      await expect(careless).rejects.toThrow(UsageError)
      const [seen] = await engine.session(
        ({ sql }) => sql`select current_user = session_user as own, current_setting('app.user', true) as name`,
      )
      expect(seen).toEqual({ own: true, name: null })
    }
    await expectQuiet(engine, bank.admin)
  })

  test('is told the truth about a COMMIT that was under way', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1 }, observe: recorder.observe })
    const { opened, open } = gate()
    const careless = engine.session(async (session) => {
      void session.transaction(async (transaction) => {
        await write(transaction, 'committed unseen')
        // The next turn finds COMMIT sent.
        queueMicrotask(() => queueMicrotask(() => queueMicrotask(open)))
      })
      await opened
    })
    const error: unknown = await careless.catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(UsageError)
    const undone = (error as Error).message.includes('was undone')
    expect(await entries('committed unseen')).toBe(undone ? 0 : 1)
  })

  test('leaves no unhandled rejection: of statements, of repositories, of what fails in the same turn', async () => {
    await using engine = await bank.engine({ pool: { max: 2 } })
    const tasks: ((session: BankSession) => Promise<unknown>)[] = [
      async ({ sql }) => {
        const both = [sql`select 1/0`, sql`select 2/0`]
        await both[0]
      },
      async ({ sql, repository }) => {
        const slow = sql`select pg_sleep(5)`
        void repository(accounts).list({})
        void repository(accounts).load(1)
        void repository(accounts).update(1, { owner: 'nobody' })
        await slow
      },
      async ({ sql, repository }) => {
        const slow = sql`select pg_sleep(5)`
        void repository(accounts).insertMany([{ id: 1, owner: 'twice', balance: 1 }])
        await slow
      },
    ]
    for (const task of tasks)
      await expect(engine.session(task, { timeoutMs: 100 })).rejects.toThrow(/deadline|division/)
    await expectQuiet(engine, bank.admin)
  })
})

describe('a procedure that fails after it has committed', () => {
  test('leaves nothing in its server session', async () => {
    await bank.admin.sql.unsafe(`
      create procedure leaves_a_path() language plpgsql as
        $$ begin set search_path = 'elsewhere'; commit; raise exception 'after all'; end $$`)
    await using engine = await bank.engine({ pool: { max: 1 } })
    await expect(engine.session(({ sql }) => sql`call leaves_a_path()`)).rejects.toThrow('after all')
    const [path] = await engine.session(({ sql }) => sql`select current_setting('search_path') as path`)
    expect(path).not.toEqual({ path: 'elsewhere' })
  })
})

describe('a stream', () => {
  test('leaves nothing in its server session either', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    await engine.session(async ({ stream }) => {
      for await (const _ of stream(fragment`select pg_advisory_lock(42), set_config('app.user', 'alice', false)`));
    })
    const [seen] = await engine.session(({ sql }) => sql`select current_setting('app.user', true) as name`)
    expect(seen).toEqual({ name: null })
    const held = await bank.admin.sql`
      select 1 from pg_locks where locktype = 'advisory' and objid = 42
        and database = (select oid from pg_database where datname = current_database())`
    expect(held).toHaveLength(0)
  })
})

describe('a gather that the pool refuses', () => {
  const tasks = { a: ({ sql }: BankSession) => sql`select 1`, b: ({ sql }: BankSession) => sql`select 2` }

  test('fails, and answers nothing for tasks that never ran', async () => {
    await using engine = await bank.engine({ pool: { max: 2, maxQueue: 0 } })
    const { opened, open } = gate()
    const holders = [1, 2].map(() => engine.session(() => opened))
    await eventually(() => expect(engine.stats().leased).toBe(2))
    await expect(engine.gather(tasks)).rejects.toBeInstanceOf(PoolOverloaded)
    const settled = await engine.gatherSettled(tasks)
    expect(Object.values(settled).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    open()
    await Promise.all(holders)
    expect(await engine.gather(tasks)).toMatchObject({ a: [{}], b: [{}] })
  })

  test('loses no task to a connection that is shed in the moment in which another lane ends', async () => {
    await using engine = await bank.engine({ pool: { max: 2 } })
    const pause = (ms: number) => () => new Promise<void>((resolve) => setTimeout(resolve, ms))
    const long = engine.session(pause(1500))
    const short = Array.from({ length: 4 }, () => engine.session(pause(150)))
    const gathered = engine
      .gather({ a: async () => (await pause(150)(), 1), b: async () => 2 }, { timeoutMs: 960 })
      .catch((error: unknown) => error)
    const behind = Array.from({ length: 2 }, () => engine.session(pause(10)))
    const outcome = await gathered
    if (outcome instanceof Error) expect(outcome).toBeInstanceOf(PoolOverloaded)
    else expect(outcome).toEqual({ a: 1, b: 2 })
    await Promise.all([long, ...short, ...behind])
  })

  test('is a PoolDeadlock when two sessions that fill the pool gather within', async () => {
    await using engine = await bank.engine({ pool: { max: 2 } })
    const { opened, open } = gate()
    const gathering = () =>
      engine.session(async () => {
        if (engine.stats().leased === 2) open()
        await opened
        return engine.gather(tasks)
      })
    const outcomes = await Promise.allSettled([gathering(), gathering()])
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(PoolDeadlock)
      else expect(outcome.value).toMatchObject({ a: [{}], b: [{}] })
    }
    expect(outcomes.map(({ status }) => status)).toContain('rejected')
    await expectQuiet(engine, bank.admin)
  })
})

describe('a snapshot gather', () => {
  test.each([{ settle: true }, { settle: false }])(
    'without a connection is a failure of its tasks: %o',
    async ({ settle }) => {
      await using engine = await bank.engine({ pool: { max: 1, acquireTimeoutMs: 30 } })
      const { opened, open } = gate()
      const holder = engine.session(() => opened)
      const one = ({ sql }: BankSession) => sql`select 1`
      if (settle) {
        const settled = await engine.gatherSettled({ a: one, b: one }, { snapshot: true })
        expect(Object.values(settled).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
      } else {
        const answers = engine.gather({ a: optional(one, 'instead') }, { snapshot: true })
        expect(await answers).toEqual({ a: 'instead' })
        await expect(engine.gather({ a: one, b: one }, { snapshot: true })).rejects.toMatchObject({ task: 'a' })
      }
      open()
      await holder
      await expectQuiet(engine, bank.admin)
    },
  )

  test('outlives a task whose identity is refused, even on one connection', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const answers = await engine.gatherSettled(
      {
        a: withIdentity({ role: 'rivulet_nobody' }, ({ sql }: BankSession) => sql`select 1`),
        b: async ({ sql }) => (await sql`select 1 as one`)[0],
      },
      { snapshot: true },
    )
    expect(answers.a).toMatchObject({ status: 'rejected', reason: expect.any(UsageError) as UsageError })
    expect(answers.b).toEqual({ status: 'fulfilled', value: { one: 1 } })
    expect(engine.stats()).toMatchObject({ opened: 1, retired: 0 })
  })

  test('does not blame a task for what the one before it left running', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const answers = await engine.gather(
      {
        a: optional(async ({ sql }: BankSession) => {
          void sql`select pg_sleep(0.05)`
          throw new RangeError('of its own')
        }, 'instead'),
        b: async () => 'innocent',
      },
      { snapshot: true },
    )
    expect(answers).toEqual({ a: 'instead', b: 'innocent' })
    await expectQuiet(engine, bank.admin)
  })

  test('that fails gives every connection back before it is over', async () => {
    await using engine = await bank.engine({ pool: { max: 3 } })
    for (let round = 0; round < 5; round++) {
      const { opened, open } = gate()
      const failing = engine.gather(
        {
          slow: ({ sql }) => {
            open()
            return sql`select pg_sleep(20)`
          },
          wrong: () => opened.then(() => Promise.reject(new RangeError('wrong'))),
        },
        { snapshot: true },
      )
      await expect(failing).rejects.toThrow('wrong')
      expect(engine.stats().leased).toBe(0)
    }
  })
})

describe('DDL under prepared statements', () => {
  test('fails no pipelined statement outside a transaction, and hangs none', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1 }, observe: recorder.observe })
    const page = (session: BankSession) =>
      Promise.all(
        [1, 2, 3].map((id) =>
          session.db
            .select()
            .from(accounts)
            .where(fragment`id = ${id}`),
        ),
      )
    await engine.session(page)
    await bank.admin.sql`alter table accounts alter column owner type varchar(60)`
    expect((await engine.session(page)).flat().map(({ id }) => id)).toEqual([1, 2, 3])
    expect(recorder.of('connection.retired')).toMatchObject([{ reason: 'prepared_statements_outdated' }])
    await bank.admin.sql`alter table accounts alter column owner type text`
    expect((await engine.transaction(page)).flat().map(({ id }) => id)).toEqual([1, 2, 3])
    await expectQuiet(engine, bank.admin)
  })

  test('never puts a write into a transaction that was begun after it, nor out of its order', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    const set = ({ sql }: BankSession, balance: number) =>
      sql`update accounts set balance = ${balance}::bigint where id = 9 returning *`
    const balance = async () => Number((await bank.admin.sql`select balance from accounts where id = 9`)[0]?.balance)
    await engine.session(async (session) => {
      await set(session, 7)
      await bank.admin.sql`alter table accounts add column one int`
      const [write] = await Promise.allSettled([
        set(session, 99),
        session.transaction(async ({ sql }) => {
          await sql`select 1`
          throw new RangeError('undone')
        }),
      ])
      expect(await balance()).toBe(write.status === 'fulfilled' ? 99 : 7)
    })
    await using fresh = await bank.engine({ pool: { max: 1 } })
    await fresh.session(async (session) => {
      await set(session, 8)
      await bank.admin.sql`alter table accounts add column two int`
      const [first] = await Promise.allSettled([
        set(session, 100),
        session.sql`update accounts set balance = 200 where id = 9`,
      ])
      expect([first.status, await balance()]).toEqual(['rejected', 200])
    })
    await bank.admin.sql`alter table accounts drop column one, drop column two`
    await fresh.close()
    await expectQuiet(engine, bank.admin)
  })

  test('a statement that is wrong stays wrong', async () => {
    await using engine = await bank.engine()
    const wrong = engine.session(({ sql }) => sql`update accounts set balance = ${'x'}::text where id = ${1}`)
    await expect(wrong).rejects.toBeInstanceOf(DatabaseError)
  })
})
