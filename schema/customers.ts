/**
 * The people who buy and review. A customer may have an account and keeps existing when the account goes.
 * `version` counts the updates of a row: an update that expects an older one has met somebody else's change. Both it and
 * `updatedAt` are kept by the repositories.
 */
import { sql } from 'drizzle-orm'
import { index, integer, pgTable, uuid, varchar } from 'drizzle-orm/pg-core'
import { conventions } from '../src/repository/types/conventions.ts'
import { currentCustomer, forOwner, forStaff } from './roles.ts'
import { timestamps } from './timestamps.ts'
import { users } from './users.ts'

export const customers = conventions(
  pgTable(
    'customers',
    {
      id: integer('id').primaryKey().generatedAlwaysAsIdentity(),
      userId: uuid('user_id').references(() => users.id, { onDelete: 'set null' }),
      name: varchar('name', { length: 50 }).notNull().unique('customers_name_unique'),
      job: varchar('job', { length: 50 }).notNull().default(''),
      version: integer('version').notNull().default(1),
      ...timestamps(),
    },
    (table) => [
      index('customers_user_id_index').on(table.userId),
      forStaff('customers'),
      forOwner('customers', sql`${table.id} = ${currentCustomer}`),
    ],
  ),
  { version: 'version', updatedAt: 'updatedAt' },
)

export type Customer = typeof customers.$inferSelect
