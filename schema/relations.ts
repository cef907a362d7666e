/**
 * How the tables belong together, for Drizzle's relational queries (`db.query.reviews.findMany({ with: ... })`).
 * They say nothing to the database: the foreign keys stand with the columns.
 */
import { relations } from 'drizzle-orm'
import { customers } from './customers.ts'
import { orderItems } from './order-items.ts'
import { orders } from './orders.ts'
import { products } from './products.ts'
import { reviews } from './reviews.ts'
import { users } from './users.ts'

export const usersRelations = relations(users, ({ many }) => ({
  customers: many(customers),
}))

export const customersRelations = relations(customers, ({ one, many }) => ({
  user: one(users, { fields: [customers.userId], references: [users.id] }),
  reviews: many(reviews),
  orders: many(orders),
}))

export const productsRelations = relations(products, ({ many }) => ({
  reviews: many(reviews),
  orderItems: many(orderItems),
}))

export const reviewsRelations = relations(reviews, ({ one }) => ({
  product: one(products, { fields: [reviews.productId], references: [products.id] }),
  customer: one(customers, { fields: [reviews.customerId], references: [customers.id] }),
}))

export const ordersRelations = relations(orders, ({ one, many }) => ({
  customer: one(customers, { fields: [orders.customerId], references: [customers.id] }),
  items: many(orderItems),
}))

export const orderItemsRelations = relations(orderItems, ({ one }) => ({
  order: one(orders, { fields: [orderItems.orderId], references: [orders.id] }),
  product: one(products, { fields: [orderItems.productId], references: [products.id] }),
}))
