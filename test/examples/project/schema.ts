/** The tables of the example: authors and their posts. */
import { integer, pgTable, text, timestamp } from 'drizzle-orm/pg-core'

export const authors = pgTable('authors', {
  id: integer().generatedAlwaysAsIdentity().primaryKey(),
  email: text().notNull().unique(),
  name: text().notNull(),
})

export const posts = pgTable('posts', {
  id: integer().generatedAlwaysAsIdentity().primaryKey(),
  authorId: integer('author_id')
    .notNull()
    .references(() => authors.id),
  title: text().notNull(),
  publishedAt: timestamp('published_at', { withTimezone: true }),
})
