/** Several statements in one `db.execute`: in order, all or none, and nothing gets past a session in one. */
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { UniqueViolation, UsageError } from '../../src/errors.ts'
import { accounts, type Bank, type BankEngine, openBank } from '../support/bank.ts'
import { expectQuiet } from '../support/invariants.ts'

let bank: Bank
let engine: BankEngine

beforeAll(async () => {
  bank = await openBank()
  engine = await bank.engine({ pool: { max: 1 } })
})

afterAll(() => bank[Symbol.asyncDispose]())

beforeEach(() => bank.admin.sql.unsafe('truncate entries restart identity'))

const noncesThere = async () => {
  const rows = await bank.admin.sql<{ nonce: string }[]>`select nonce from entries order by id`
  return rows.map(({ nonce }) => nonce)
}

const script = `
  insert into entries (nonce, half) values ('a;', 1), ('b', 1);  -- the first; of three
  update entries set half = half + 1 where nonce = 'b';
  select nonce, half from entries order by id;`

describe('several statements in one db.execute', () => {
  test('run in order and answer one after the other', async () => {
    const answers = (await engine.session(({ db }) => db.execute(script))) as unknown as { count: number }[]
    expect(answers.map((rows) => [rows.count, [...(rows as never as object[])]])).toEqual([
      [2, []],
      [1, []],
      [
        2,
        [
          { nonce: 'a;', half: 1 },
          { nonce: 'b', half: 2 },
        ],
      ],
    ])
    await expectQuiet(engine, bank.admin)
  })

  test('are done all or none', async () => {
    await engine.session(async ({ db }) => {
      const failing = sql`insert into entries (nonce, half) values ('a', 1); insert into entries (nonce, half) values ('a', 1)`
      await expect(db.execute(failing)).rejects.toBeInstanceOf(UniqueViolation)
      expect(await db.select().from(accounts).where(eq(accounts.id, 1))).toHaveLength(1)
    })
    expect(await noncesThere()).toEqual([])
  })

  test('in a transaction are part of it', async () => {
    const stop = new Error('stop')
    await expect(
      engine.transaction(async ({ db }) => {
        await db.execute(script)
        throw stop
      }),
    ).rejects.toBe(stop)
    expect(await noncesThere()).toEqual([])
  })

  test.each([
    'commit',
    '/* to be sure */ COMMIT',
    'end',
    'begin',
    'abort',
    'rollback',
    'savepoint s',
    "prepare transaction 'p'",
    'copy entries from stdin',
  ])('do not slip %s past the session', async (statement) => {
    const text = `insert into entries (nonce, half) values ('a', 1); ${statement}; insert into entries (nonce, half) values ('b', 1)`
    await engine.session(async ({ db }) => {
      await expect(db.execute(text)).rejects.toBeInstanceOf(UsageError)
    })
    await engine.transaction(async ({ db }) => {
      await expect(db.execute(text)).rejects.toBeInstanceOf(UsageError)
    })
    expect(await noncesThere()).toEqual([])
    await expectQuiet(engine, bank.admin)
  })

  test('that change the server session do not change the next one', async () => {
    await engine.session(({ db }) => db.execute(`set work_mem = '7MB'; select 1`))
    const [row] = await engine.session((session) => session.sql<{ work_mem: string }>`show work_mem`)
    expect(row?.work_mem).not.toBe('7MB')
  })

  test('with a body of their own stay whole', async () => {
    await engine.session(({ db }) =>
      db.execute(`create function twice(n int) returns int language sql begin atomic select 1; select n * 2; end;
        create function thrice(n int) returns int language plpgsql as $$ begin return n * 3; end $$`),
    )
    expect(await engine.session((session) => session.sql`select twice(4), thrice(4)`)).toEqual([
      { twice: 8, thrice: 12 },
    ])
  })
})
