/** What the tests of the example have in common: a database for each file, and rows to fill it with. */
import { defineFactory, withTestDatabase } from 'rivulet/testing'
import { test as base } from 'vitest'
import * as schema from '../schema.ts'

export const test = withTestDatabase(base, {
  schema,
  migrations: new URL('../migrations', import.meta.url),
  seed: {
    run: (engine) =>
      engine.session(({ repository }) =>
        repository(schema.authors).insert({ email: 'editor@example.org', name: 'The editor' }),
      ),
    files: [new URL(import.meta.url)],
  },
})

export const authors = defineFactory(schema.authors, (n, random) => ({
  email: `author${n}@example.org`,
  name: random.pick(['Ann', 'Ben', 'Cleo', 'Dan']),
}))

export const posts = defineFactory(schema.posts, (n) => ({ authorId: 1, title: `Post ${n}` }))
