/**
 * What a customer says of a product: one review each, one to five stars. Reviews go with their product and customer.
 */
import { sql } from 'drizzle-orm'
import { check, index, integer, pgTable, smallint, text, unique } from 'drizzle-orm/pg-core'
import { customers } from './customers.ts'
import { products } from './products.ts'
import { currentCustomer, forOwner, forReaders, forStaff } from './roles.ts'
import { timestamps } from './timestamps.ts'

export const reviews = pgTable(
  'reviews',
  {
    id: integer('id').primaryKey().generatedAlwaysAsIdentity(),
    productId: integer('product_id')
      .notNull()
      .references(() => products.id, { onDelete: 'cascade' }),
    customerId: integer('customer_id')
      .notNull()
      .references(() => customers.id, { onDelete: 'cascade' }),
    rating: smallint('rating').notNull(),
    body: text('body').notNull().default(''),
    ...timestamps(),
  },
  (table) => [
    unique('reviews_product_id_customer_id_unique').on(table.productId, table.customerId),
    check('reviews_rating_one_to_five', sql`${table.rating} between 1 and 5`),
    // Newest first. NULLS FIRST is what a plain `ORDER BY ... DESC` asks for; Drizzle's default would force a sort.
    index('reviews_product_id_newest_index').on(
      table.productId,
      table.createdAt.desc().nullsFirst(),
      table.id.desc().nullsFirst(),
    ),
    index('reviews_customer_id_index').on(table.customerId),
    forStaff('reviews'),
    forReaders('reviews'),
    forOwner('reviews', sql`${table.customerId} = ${currentCustomer}`),
  ],
)

export type Review = typeof reviews.$inferSelect
