/**
 * The shop's repositories: what every table's repository can do, and the few operations that have a name in the shop.
 * Each is a function of a session, so what it does belongs to that session's task and transaction.
 */
import { asc, desc, eq, inArray, sql } from 'drizzle-orm'
import * as schema from '../../schema/index.ts'
import type { Session } from '../repository/session.ts'
import { defineRepository } from '../repository/define-repository.ts'
import { defineQuery } from '../repository/define-query.ts'
import type { Database } from '../drizzle/driver.ts'

const { customers, orders, products, reviews, users } = schema

/** A session on the shop's schema. */
export type ShopSession = Session<typeof schema>

/** What the shop sells. */
export const productRepository = defineRepository(
  products,
  (_, session) => ({
    /**
     * The products with these keys, locked until the transaction ends, in the order of their keys: all callers
     * lock in the same order, and so none wait for each other in a circle.
     */
    lockAll: (ids: readonly number[]) =>
      session.db
        .select()
        .from(products)
        .where(inArray(products.id, [...ids]))
        .orderBy(asc(products.id))
        .for('update'),
  }),
  { schema },
)

/** Who buys and reviews. */
export const customerRepository = defineRepository(customers, (base) => ({
  /** The customer of this name; names are unique. */
  findByName: (name: string) => base.find({ name }),
}))

/** Who may sign in. */
export const userRepository = defineRepository(
  users,
  (_, session) => ({
    /** The account of this address, in upper or lower case: by the index on `lower(email)`. */
    findByEmail: async (email: string) => {
      const [user] = await session.db
        .select()
        .from(users)
        .where(sql`lower(${users.email}) = lower(${email})`)
      return user
    },
  }),
  { schema },
)

const reviewsOfProduct = defineQuery((db: Database<typeof schema>) =>
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
    // Row-level security hides the others from a customer: their reviews stay, without names.
    .leftJoin(customers, eq(customers.id, reviews.customerId))
    .where(eq(reviews.productId, sql.placeholder('productId')))
    .orderBy(desc(reviews.createdAt), desc(reviews.id))
    .limit(sql.placeholder('limit')),
)

/** What customers say. */
export const reviewRepository = defineRepository(reviews, (_, session) => ({
  /** The reviews of a product with their customers' names, as far as they may be seen, newest first. */
  ofProduct: (productId: number, limit: number) => reviewsOfProduct(session, { productId, limit }),
}))

/** What was bought. */
export const orderRepository = defineRepository(orders, (base) => ({
  /** A customer's orders, newest first. */
  ofCustomer: async (customerId: number, limit: number) => {
    const { rows } = await base.list({ where: { customerId }, orderBy: { placedAt: 'desc', id: 'desc' }, limit })
    return rows
  },
}))
