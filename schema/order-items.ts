/**
 * The lines of an order: a product at most once, with the price it had then. Lines go with their order; a product that
 * was ever ordered cannot be removed.
 */
import { sql } from 'drizzle-orm'
import { bigint, check, index, integer, numeric, pgTable, primaryKey } from 'drizzle-orm/pg-core'
import { conventions } from '../src/repository/types/conventions.ts'
import { orders } from './orders.ts'
import { products } from './products.ts'
import { forOwner, forStaff } from './roles.ts'
import { timestamps } from './timestamps.ts'

export const orderItems = conventions(
  pgTable(
    'order_items',
    {
      orderId: bigint('order_id', { mode: 'bigint' })
        .notNull()
        .references(() => orders.id, { onDelete: 'cascade' }),
      productId: integer('product_id')
        .notNull()
        .references(() => products.id),
      quantity: integer('quantity').notNull(),
      unitPrice: numeric('unit_price', { precision: 12, scale: 2 }).notNull(),
      ...timestamps(),
    },
    (table) => [
      primaryKey({ name: 'order_items_pkey', columns: [table.orderId, table.productId] }),
      check('order_items_quantity_positive', sql`${table.quantity} > 0`),
      check('order_items_unit_price_not_negative', sql`${table.unitPrice} >= 0 and ${table.unitPrice} <> 'NaN'`),
      index('order_items_product_id_index').on(table.productId),
      forStaff('order_items'),
      // Their own orders are the only ones that customers see in here.
      forOwner('order_items', sql`exists (select from ${orders} where ${orders.id} = ${table.orderId})`),
    ],
  ),
  { key: ['orderId', 'productId'] },
)

export type OrderItem = typeof orderItems.$inferSelect
