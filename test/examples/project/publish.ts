/** What the example does: publishes a post, and tells how many an author has published. */
import { and, eq, isNotNull } from 'drizzle-orm'
import { type Engine, NotFound } from 'rivulet'
import { authors, posts } from './schema.ts'
import type * as schema from './schema.ts'

type Blog = Engine<typeof schema>

/** Publishes a draft. @throws NotFound when its author has none of that title. */
export function publish(engine: Blog, authorId: number, title: string) {
  return engine.transaction(async ({ db }) => {
    const [post] = await db
      .update(posts)
      .set({ publishedAt: new Date() })
      .where(and(eq(posts.authorId, authorId), eq(posts.title, title)))
      .returning()
    if (!post) throw new NotFound(`there is no post ${JSON.stringify(title)}`)
    return post
  })
}

/** An author's page: who it is, and what they have published. */
export function authorPage(engine: Blog, authorId: number) {
  return engine.gather({
    author: ({ repository }) => repository(authors).get(authorId),
    published: ({ db }) => db.$count(posts, and(eq(posts.authorId, authorId), isNotNull(posts.publishedAt))),
  })
}
