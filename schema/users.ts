/**
 * Accounts: who may sign in, and as what. The address is kept as it was written and is unique without regard to case,
 * by an index on `lower(email)`: look one up with `lower(email) = lower($1)`.
 */
import { sql } from 'drizzle-orm'
import { pgEnum, pgTable, uniqueIndex, uuid, varchar } from 'drizzle-orm/pg-core'
import { forStaff } from './roles.ts'
import { timestamps } from './timestamps.ts'

/** What an account may do, from least to most. */
export const userRole = pgEnum('user_role', ['customer', 'staff', 'admin'])

export const users = pgTable(
  'users',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    // 254 characters are what SMTP can carry (RFC 5321, 4.5.3.1.3).
    email: varchar('email', { length: 254 }).notNull(),
    role: userRole('role').notNull().default('customer'),
    ...timestamps(),
  },
  (table) => [uniqueIndex('users_email_unique').on(sql`lower(${table.email})`), forStaff('users')],
)

export type User = typeof users.$inferSelect
