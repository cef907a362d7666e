/** Authors, in a database that the tests of this file share, as a program would have it. */
import { UniqueViolation } from 'rivulet'
import { expect } from 'vitest'
import { authors as table } from '../schema.ts'
import { authors, test } from './blog.ts'

test('the database begins with the seed and nothing of another file', async ({ engine }) => {
  expect(await engine.session(({ db }) => db.select().from(table))).toMatchObject([{ name: 'The editor' }])
})

test('twenty authors register at once, each on a connection of their own', async ({ engine }) => {
  const made = await Promise.all(Array.from({ length: 20 }, () => engine.session((session) => authors.create(session))))
  expect(new Set(made.map(({ email }) => email)).size).toBe(20)
})

test('an address is taken once, whoever took it in an earlier test', async ({ engine }) => {
  const again = engine.session((session) => authors.create(session, { email: 'author1@example.org' }))
  await expect(again).rejects.toBeInstanceOf(UniqueViolation)
})

test('stays in this file', async ({ engine, database }) => {
  expect(await engine.session(({ repository }) => repository(table).count())).toBe(21)
  console.log(`authors.test.ts used ${database.name}`)
})
