/**
 * What was bought, when and for how much in all. A customer with orders cannot be removed.
 * The key is a bigint in JavaScript too: a number is not exact beyond 2^53.
 */
import { sql } from 'drizzle-orm'
import { bigint, check, index, integer, numeric, pgEnum, pgTable } from 'drizzle-orm/pg-core'
import { customers } from './customers.ts'
import { currentCustomer, forOwner, forStaff } from './roles.ts'
import { instant, timestamps } from './timestamps.ts'

/** How far an order has come. */
export const orderStatus = pgEnum('order_status', ['pending', 'paid', 'shipped', 'delivered', 'cancelled'])

export const orders = pgTable(
  'orders',
  {
    id: bigint('id', { mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    customerId: integer('customer_id')
      .notNull()
      .references(() => customers.id),
    status: orderStatus('status').notNull().default('pending'),
    total: numeric('total', { precision: 12, scale: 2 }).notNull().default('0'),
    placedAt: instant('placed_at').notNull().defaultNow(),
    ...timestamps(),
  },
  (table) => [
    check('orders_total_not_negative', sql`${table.total} >= 0 and ${table.total} <> 'NaN'`),
    // Newest first. NULLS FIRST is what a plain `ORDER BY ... DESC` asks for; Drizzle's default would force a sort.
    index('orders_customer_id_newest_index').on(
      table.customerId,
      table.placedAt.desc().nullsFirst(),
      table.id.desc().nullsFirst(),
    ),
    forStaff('orders'),
    forOwner('orders', sql`${table.customerId} = ${currentCustomer}`),
  ],
)

export type Order = typeof orders.$inferSelect
