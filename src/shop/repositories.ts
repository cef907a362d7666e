/**
 * The shop's repositories: what every table's repository can do, and the few reads that have a name in the shop.
 * Each is a function of a session, so what it does belongs to that session's task and transaction.
 */
import { desc, eq, sql } from 'drizzle-orm'
import { customers, orders, products, reviews } from '../../schema/index.ts'
import type * as schema from '../../schema/index.ts'
import type { Session } from '../engine.ts'
import { NotFound } from '../errors.ts'

/** A session on the shop's schema. */
export type ShopSession = Session<typeof schema>

export const productRepository = ({ db }: ShopSession) => ({
  async get(id: number) {
    const [row] = await db.select().from(products).where(eq(products.id, id))
    if (!row) throw new NotFound('no row of products has this key', { table: 'products' })
    return row
  },
})

export const customerRepository = ({ db }: ShopSession) => ({
  async get(id: number) {
    const [row] = await db.select().from(customers).where(eq(customers.id, id))
    if (!row) throw new NotFound('no row of customers has this key', { table: 'customers' })
    return row
  },
  /** The customer of this name; names are unique. */
  async findByName(name: string) {
    const [row] = await db.select().from(customers).where(eq(customers.name, name))
    return row
  },
})

export const reviewRepository = ({ db }: ShopSession) => ({
  /** The reviews of a product with their customers' names, newest first. */
  ofProduct: (productId: number, limit: number) =>
    db
      .select({
        id: reviews.id,
        rating: reviews.rating,
        body: reviews.body,
        customerId: reviews.customerId,
        customerName: customers.name,
        createdAt: reviews.createdAt,
      })
      .from(reviews)
      .innerJoin(customers, eq(customers.id, reviews.customerId))
      .where(eq(reviews.productId, productId))
      .orderBy(sql`${reviews.createdAt} desc`, sql`${reviews.id} desc`)
      .limit(limit),
})

export const orderRepository = ({ db }: ShopSession) => ({
  /** A customer's orders, newest first. */
  ofCustomer: (customerId: number, limit: number) =>
    db
      .select()
      .from(orders)
      .where(eq(orders.customerId, customerId))
      .orderBy(desc(orders.placedAt), desc(orders.id))
      .limit(limit),
})
