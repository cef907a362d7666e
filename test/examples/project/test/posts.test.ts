/** Posts, each test in a sandbox that is rolled back after it. */
import { NotFound } from 'rivulet'
import { expect } from 'vitest'
import { authorPage, publish } from '../publish.ts'
import { authors as table } from '../schema.ts'
import { authors, posts, test } from './blog.ts'

test('a post is on its author’s page once it is published', async ({ sandbox }) => {
  const author = await sandbox.transaction(async (session) => {
    const author = await authors.create(session, { email: 'author1@example.org', name: 'Lynn' })
    await posts.createMany(session, 3, { authorId: author.id })
    await posts.create(session, { authorId: author.id, title: 'Rivers' })
    return author
  })
  await publish(sandbox, author.id, 'Rivers')
  expect(await authorPage(sandbox, author.id)).toMatchObject({ author: { name: 'Lynn' }, published: 1 })
})

test('nothing is published that is not there, and nothing of the test before is', async ({ sandbox }) => {
  await expect(publish(sandbox, 1, 'Rivers')).rejects.toBeInstanceOf(NotFound)
  const author = await sandbox.session((session) => authors.create(session, { email: 'author1@example.org' }))
  expect(author.name).toMatch(/^(Ann|Ben|Cleo|Dan)$/)
})

test('the sandboxes have left nothing in the database', async ({ engine, database }) => {
  expect(await engine.session(({ repository }) => repository(table).count())).toBe(1)
  console.log(`posts.test.ts used ${database.name}`)
})
