/** Bad input and failures at the door: one clear typed error each, no password, no parameter, no connection lost. */
import { sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine.ts'
import { ConfigInvalid, ConnectionLost, InvalidInput, RivuletError, UsageError } from '../../src/errors.ts'
import { taskSessionOf } from '../../src/repository/session.ts'
import { type Bank, bankSchema, openBank } from '../support/bank.ts'
import { everythingIn, expectQuiet, secret } from '../support/invariants.ts'
import { openPrivateServer } from '../support/private-server.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

const failureOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('opening an engine', () => {
  const open = (config: object) => failureOf(openEngine({ schema: bankSchema, url: bank.url, ...config } as never))

  test.each([
    ['a schema with no tables', { schema: {} }, /no tables/],
    ['no schema', { schema: undefined }, /no tables/],
    ['max: 0', { pool: { max: 0 } }, /pool\.max .* from 1/],
    ['a pool setting that is misspelt', { pool: { maximum: 5 } }, /unknown setting pool\.maximum/],
    ['a setting that is misspelt', { pools: {} }, /unknown setting config\.pools/],
    ['a timeout that is no number', { pool: { acquireTimeoutMs: '5s' } }, /acquireTimeoutMs/],
    ['an unknown pooler', { pooler: 'pgcat' }, /pooler/],
    ['a URL of another database', { url: 'mysql://root@localhost/x' }, /not a PostgreSQL URL/],
    ['an unknown URL parameter', { url: `postgres://u:${secret}@localhost/x?connect_time=5` }, /connect_time/],
    ['a password with a bare @ too late', { url: `postgres://u:${secret}/@:x@localhost/x` }, /percent-encoded/],
    ['a port out of range', { url: `postgres://u:${secret}@localhost:99999/x` }, /cannot be parsed|port/],
  ])('with %s is ConfigInvalid', async (_name, config, message) => {
    const error = await open(config)
    expect(error).toBeInstanceOf(ConfigInvalid)
    expect(String(error)).toMatch(message)
    expect(everythingIn(error)).not.toContain(secret)
  })

  test('on a server that cannot be reached is ConnectionLost, and says where it looked', async () => {
    const error = await open({ url: `postgres://u:${secret}@127.0.0.1:1/x` })
    expect(error).toBeInstanceOf(ConnectionLost)
    expect(String(error)).toMatch(/127\.0\.0\.1:1.*is the server running/)
    expect(everythingIn(error)).not.toContain(secret)
  })

  test.each([
    ['an unknown database', (url: string) => url.replace(/\/[^/?]+(\?|$)/, '/nowhere_to_be_found$1'), /does not exist/],
  ])('with %s is ConfigInvalid', async (_name, change, message) => {
    const error = await open({ url: change(bank.url) })
    expect(error).toBeInstanceOf(ConfigInvalid)
    expect(String(error)).toMatch(message)
    expect(everythingIn(error)).not.toContain(secret)
  })

  test('with a wrong password, or as nobody known, is ConfigInvalid', async () => {
    // A server of its own, which asks for a password whatever the run's server does.
    await using server = await openPrivateServer()
    const errors = [
      await open({ url: server.url.replace(/:[^:@/]+@/, `:${secret}@`) }),
      await open({ url: server.url.replace(/\/\/[^:]+:/, '//nobody_at_all:') }),
    ]
    for (const error of errors) {
      expect(error).toBeInstanceOf(ConfigInvalid)
      expect(String(error)).toMatch(/password authentication failed/)
      expect(everythingIn(error)).not.toContain(secret)
    }
  })

  test.each(['end', 'reset', 'end after first answer'] as const)(
    'on a server whose connections %s is ConnectionLost, soon',
    async (opening) => {
      const proxy = await bank.proxy()
      proxy.opening = opening
      const startedAt = performance.now()
      expect(await open({ url: proxy.url, pool: { connectTimeoutMs: 20_000 } })).toBeInstanceOf(RivuletError)
      expect(performance.now() - startedAt).toBeLessThan(10_000)
      expect(proxy.connections).toBeLessThan(3)
    },
  )

  test.each(['silence', 'garbage', 'half an answer'] as const)(
    'on a server that gives %s fails after connectTimeoutMs',
    async (opening) => {
      const proxy = await bank.proxy()
      proxy.opening = opening
      const startedAt = performance.now()
      expect(await open({ url: proxy.url, pool: { connectTimeoutMs: 200 } })).toBeInstanceOf(ConnectionLost)
      // The default is 5 seconds.
      expect(performance.now() - startedAt).toBeLessThan(4000)
    },
  )
})

describe('values', () => {
  test.each([
    ['undefined', undefined, UsageError],
    ['a function', () => 1, UsageError],
    ['a symbol', Symbol('x'), UsageError],
    ['an invalid Date', new Date(Number.NaN), InvalidInput],
    ['text with NUL', 'a\0b', InvalidInput],
    ['half a surrogate pair', '\ud800', InvalidInput],
    ['an array with undefined', [1, undefined], UsageError],
    ['a circle', circle(), InvalidInput],
  ])('%s as a parameter is refused before anything is sent, beside healthy statements', async (_name, value, type) => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    await engine.session(async ({ sql }) => {
      const [before, wrong, after] = await Promise.allSettled([
        sql<{ n: number }>`select ${1}::int as n`,
        sql`select ${value}`,
        sql<{ n: number }>`select ${2}::int as n`,
      ])
      expect(before).toMatchObject({ status: 'fulfilled', value: [{ n: 1 }] })
      expect(after).toMatchObject({ status: 'fulfilled', value: [{ n: 2 }] })
      expect(wrong).toMatchObject({ status: 'rejected', reason: expect.any(type) })
    })
    await expectQuiet(engine, bank.admin)
  })

  test('more parameters than the protocol carries are refused, and the connection is as before', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    await engine.session(async (session) => {
      const many = Array.from({ length: 65_534 }, () => 1)
      const text = `select ${many.map((_, index) => `$${index + 1}::int`).join(' + ')}`
      await expect(taskSessionOf(session).run(text, many)).rejects.toThrow(UsageError)
      expect(await session.sql`select 1 as n`).toMatchObject([{ n: 1 }])
    })
    expect(engine.stats().retired).toBe(0)
  })

  test.each([
    ['no number', '22P02', `${secret}`, 'int'],
    ['no date', '22007', `${secret}`, 'date'],
    ['no uuid', '22P02', `${secret}`, 'uuid'],
    ['no JSON', '22P02', `{"${secret}`, 'jsonb'],
    ['out of range', '22003', '99999999999999999999', 'int8'],
  ])('that are %s are InvalidInput, whose message does not repeat them', async (_name, _state, value, type) => {
    await using engine = await bank.engine()
    const error = await failureOf(
      engine.session((session) => taskSessionOf(session).run(`select $1::text::${type}`, [value])),
    )
    expect(error).toBeInstanceOf(InvalidInput)
    expect(everythingIn(error)).not.toContain(value)
    await expectQuiet(engine, bank.admin)
  })

  test('that violate constraints are named by table, columns and constraint, never by value', async () => {
    await using engine = await bank.engine()
    await bank.admin
      .sql`create table strict (id int primary key, note text not null unique, amount int check (amount > 0),
      account int references accounts (id))`
    await bank.admin.sql`insert into strict values (1, ${secret}, 1, 1)`
    const failures = await engine.gatherSettled({
      unique: ({ sql }) => sql`insert into strict values (2, ${secret}, 1, 1)`,
      missing: ({ sql }) => sql`insert into strict (id) values (3)`,
      check: ({ sql }) => sql`insert into strict values (4, ${`${secret}4`}, -5, 1)`,
      foreign: ({ sql }) => sql`insert into strict values (5, ${`${secret}5`}, 1, 987654)`,
    })
    const reasons = Object.values(failures).map((result) => (result.status === 'rejected' ? result.reason : undefined))
    expect(reasons).toMatchObject([
      { code: 'unique_violation', table: 'strict', columns: ['note'], constraint: 'strict_note_key' },
      { code: 'not_null_violation', table: 'strict', columns: ['note'] },
      { code: 'check_violation', table: 'strict', constraint: 'strict_amount_check' },
      { code: 'foreign_key_violation', table: 'strict', columns: ['account'], constraint: 'strict_account_fkey' },
    ])
    expect(reasons.map((reason) => everythingIn(reason)).join()).not.toMatch(new RegExp(`${secret}|987654|-5`))
  })
})

describe('errors of the server', () => {
  test('raised by a function in a class that means a lost connection leave the connection alone', async () => {
    await using engine = await bank.engine({ pool: { max: 1 } })
    await bank.admin.sql.unsafe(`create function remote() returns int language plpgsql as
      $$ begin raise exception 'could not connect to the other server' using errcode = '08001'; end $$`)
    await engine.session(async ({ sql }) => {
      await expect(sql`select remote()`).rejects.toMatchObject({ code: 'database_error', sqlState: '08001' })
      expect(await sql`select 1 as n`).toMatchObject([{ n: 1 }])
    })
    expect(engine.stats()).toMatchObject({ lost: 0, retired: 0 })
  })

  test('that are several statements in one are refused', async () => {
    await using engine = await bank.engine()
    await engine.session(async ({ sql, db }) => {
      const refused = { sqlState: '42601', message: expect.stringMatching(/one by one, or .* db\.execute/) }
      await expect(sql`select 1; drop table accounts`).rejects.toMatchObject(refused)
      await expect(db.execute(fragment`select ${1}; drop table accounts`)).rejects.toMatchObject(refused)
    })
    expect(await bank.admin.sql`select * from accounts`).toHaveLength(10)
  })
})

describe('a call', () => {
  test.each(['session', 'transaction'] as const)('%s without a function says what it takes', async (name) => {
    await using engine = await bank.engine()
    await expect(failureOf(Promise.resolve().then(() => engine[name](5 as never)))).resolves.toBeInstanceOf(UsageError)
    await expectQuiet(engine, bank.admin)
  })

  test('gather without tasks says what it takes', async () => {
    await using engine = await bank.engine()
    for (const wrong of [undefined, null, 'tasks', 5]) {
      await expect(engine.gather(wrong as never)).rejects.toThrow(UsageError)
    }
  })

  test('sql called as a function, or with a fragment of Drizzle inside, says what to write', async () => {
    await using engine = await bank.engine()
    await engine.session(async ({ sql }) => {
      await expect(sql('select 1' as never)).rejects.toThrow(/template tag/)
      await expect(sql`select * from ${bankSchema.accounts}`).rejects.toThrow(/db\.execute/)
    })
  })
})

function circle(): unknown {
  const one: Record<string, unknown> = {}
  one.self = one
  return one
}
