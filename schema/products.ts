/**
 * What the shop sells. `stock` never goes below zero: the check holds whatever a program does, and a transaction that
 * sells locks the rows first (`FOR UPDATE`, in key order).
 */
import { sql } from 'drizzle-orm'
import { boolean, check, integer, jsonb, numeric, pgPolicy, pgTable, text, varchar } from 'drizzle-orm/pg-core'
import { customer, forReaders, forStaff } from './roles.ts'
import { timestamps } from './timestamps.ts'

export const products = pgTable(
  'products',
  {
    id: integer('id').primaryKey().generatedAlwaysAsIdentity(),
    sku: varchar('sku', { length: 64 }).notNull().unique('products_sku_unique'),
    name: varchar('name', { length: 200 }).notNull(),
    description: text('description').notNull().default(''),
    // An amount of money is a string in JavaScript: a number could not hold it exactly.
    price: numeric('price', { precision: 12, scale: 2 }).notNull(),
    tags: text('tags').array().notNull().default([]),
    attributes: jsonb('attributes').$type<Record<string, unknown>>().notNull().default({}),
    stock: integer('stock').notNull().default(0),
    available: boolean('available').notNull().default(true),
    ...timestamps(),
  },
  (table) => [
    // NaN is above every number, to PostgreSQL.
    check('products_price_not_negative', sql`${table.price} >= 0 and ${table.price} <> 'NaN'`),
    check('products_stock_not_negative', sql`${table.stock} >= 0`),
    forStaff('products'),
    forReaders('products'),
    // Who orders takes goods out of stock; more than the stock is not granted.
    pgPolicy('products_buyer', { for: 'update', to: customer, using: sql`true` }),
  ],
)

export type Product = typeof products.$inferSelect
