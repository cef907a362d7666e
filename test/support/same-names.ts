/** Two tables of one name in two PostgreSQL schemas, which Drizzle's types of relations do not tell apart. */
import { relations } from 'drizzle-orm'
import { integer, pgSchema, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import { conventions } from '../../src/repository/types/conventions.ts'

export const sameNamesDdl = `
create schema auth;
create table auth.accounts (id integer primary key, email text not null, removed_at timestamptz);
create table accounts (id integer primary key, email integer not null, nickname text);
create table logins (id integer primary key, account_id integer not null references auth.accounts);
create table posts (id integer primary key, account_id integer not null references accounts);
`

/** With soft delete. */
export const authAccounts = conventions(
  pgSchema('auth').table('accounts', {
    id: integer('id').primaryKey(),
    email: text('email').notNull(),
    removedAt: timestamp('removed_at', { withTimezone: true }),
  }),
  { removedAt: 'removedAt' },
)

/** Its email is a number: of another type than its namesake's. */
export const accounts = pgTable('accounts', {
  id: integer('id').primaryKey(),
  email: integer('email').notNull(),
  nickname: text('nickname'),
})
export const logins = pgTable('logins', { id: integer('id').primaryKey(), accountId: integer('account_id').notNull() })
export const posts = pgTable('posts', { id: integer('id').primaryKey(), accountId: integer('account_id').notNull() })

/** @public used through the schema as a whole, like the others */
export const authAccountsRelations = relations(authAccounts, ({ many }) => ({ logins: many(logins) }))
/** @public */
export const accountsRelations = relations(accounts, ({ many }) => ({ posts: many(posts) }))
/** @public */
export const loginsRelations = relations(logins, ({ one }) => ({
  account: one(authAccounts, { fields: [logins.accountId], references: [authAccounts.id] }),
}))
/** @public */
export const postsRelations = relations(posts, ({ one }) => ({
  account: one(accounts, { fields: [posts.accountId], references: [accounts.id] }),
}))
