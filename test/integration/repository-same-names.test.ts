/** Tables that share their name: what `with` gives is what its type says, of whichever it is. */
import { relations } from 'drizzle-orm'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine.ts'
import { UsageError } from '../../src/errors.ts'
import { conventions } from '../../src/repository/types/conventions.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'
import * as schema from '../support/same-names.ts'
import { accounts, authAccounts, logins, posts, sameNamesDdl } from '../support/same-names.ts'

let database: TestDatabase
let engine: Engine<typeof schema>

beforeAll(async () => {
  database = await openTestDatabase(scriptTemplate('same_names', sameNamesDdl))
  engine = await openEngine({ schema, url: database.url, pool: { max: 1 } })
})

beforeEach(async () => {
  await engine.transaction(async ({ sql, repository }) => {
    await sql`truncate logins, posts, accounts, auth.accounts`
    await repository(authAccounts).insert({ id: 1, email: 'a@b' })
    await repository(accounts).insert({ id: 1, email: 5, nickname: 'a' })
    await repository(logins).insert({ id: 7, accountId: 1 })
    await repository(posts).insert({ id: 8, accountId: 1 })
  })
})

afterAll(async () => {
  await engine.close()
  await database[Symbol.asyncDispose]()
})

test('a relation leads to its own table, with columns that its type asks to be told apart', async () => {
  await engine.session(async ({ repository }) => {
    const { account } = await repository(posts).get(8, { with: { account: true } })
    expect(account).toEqual({ id: 1, email: 5, nickname: 'a' })
    expect(account && 'nickname' in account ? account.nickname : undefined).toBe('a')
    const login = await repository(logins).get(7, { with: { account: { select: ['email'] } } })
    expect(login.account).toEqual({ email: 'a@b' })
  })
})

test('a related row may be missing where a table of this name has soft delete', async () => {
  await engine.session(async ({ repository }) => {
    await repository(authAccounts).remove(1)
    const { account } = await repository(logins).get(7, { with: { account: true } })
    expect(account).toBeNull()
  })
})

test('each of them has its own relations, and is refused those of the other', async () => {
  await engine.session(async ({ repository }) => {
    expect(await repository(accounts).get(1, { with: { posts: true } })).toMatchObject({ posts: [{ id: 8 }] })
    expect(await repository(authAccounts).get(1, { with: { logins: true } })).toMatchObject({ logins: [{ id: 7 }] })
    const refused = repository(accounts).get(1, { with: { logins: true } })
    await expect(refused).rejects.toThrow(UsageError)
    await expect(refused).rejects.toThrow('has no relation "logins"')
  })
})

test('a table that the schema has twice, plain and with conventions, has its relations in both', async () => {
  const plain = pgTable('posts', { id: integer().primaryKey(), authorId: integer('account_id').notNull() })
  const declared = conventions(pgTable('posts', { id: integer().primaryKey(), accountId: integer('account_id') }), {
    key: ['id'],
  })
  const twice = {
    plain,
    declared,
    accounts,
    postsRelations: relations(plain, ({ one }) => ({
      account: one(accounts, { fields: [plain.authorId], references: [accounts.id] }),
    })),
  }
  await using twin = await openEngine({ schema: twice, url: database.url, pool: { max: 1 } })
  await twin.session(async ({ repository }) => {
    for (const table of [plain, declared]) {
      const { rows } = await repository(table).list({ with: { account: true } } as object)
      expect(rows).toMatchObject([{ id: 8, account: { nickname: 'a' } }])
    }
  })
})
