/**
 * The same work done by Drizzle on postgres.js, by postgres.js alone, and by Rivulet: the same statements, the same rows,
 * ten connections each. Drizzle's handle is shared by all tasks and pools in postgres.js, as its documentation shows;
 * each contender has a client of its own, because drizzle() changes the parsers of the one it gets.
 */
import { desc, eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import * as schema from '../../schema/index.ts'
import { parseDatabaseUrl } from '../../src/config.ts'
import { openEngine } from '../../src/engine.ts'
import type { Database } from '../../src/drizzle/driver.ts'
import { productPage } from '../../src/shop/product-page.ts'
import { productRepository } from '../../src/shop/repositories.ts'
import type { Contender } from './measure.ts'

const { customers, orders, products, reviews } = schema
const connections = 10
const pageLength = 50

/** The keys the sample data has. */
const productId = (index: number) => 1 + (index % 16)
const customerId = (index: number) => 1 + (index % 24)

/** The three reads of a page as Drizzle queries, on a shared handle or on a session's. */
type Handle = Database<typeof schema>

const readProduct = (db: Handle, index: number) =>
  db
    .select()
    .from(products)
    .where(eq(products.id, productId(index)))

const readReviews = (db: Handle, index: number) =>
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
    .leftJoin(customers, eq(customers.id, reviews.customerId))
    .where(eq(reviews.productId, productId(index)))
    .orderBy(desc(reviews.createdAt), desc(reviews.id))
    .limit(pageLength)

const readOrders = (db: Handle, index: number) =>
  db
    .select()
    .from(orders)
    .where(eq(orders.customerId, customerId(index)))
    .orderBy(desc(orders.placedAt), desc(orders.id))
    .limit(pageLength)

/** The contenders of each scenario; Drizzle and postgres.js first, whom the others are compared with. */
export interface Field extends AsyncDisposable {
  readonly pointRead: readonly Contender[]
  readonly productPage: readonly Contender[]
}

/** Opens engine and clients on one database. */
export async function openField(url: string): Promise<Field> {
  const engine = await openEngine({ schema, url, pool: { max: connections }, traceSessions: false })
  const forDrizzle = connect(url)
  const db = drizzle(forDrizzle, { schema })
  const sql = connect(url)
  return {
    pointRead: [
      {
        name: 'Drizzle',
        how: 'db.select() on one shared handle',
        run: (index) => readProduct(db, index),
      },
      {
        name: 'postgres.js',
        how: 'sql`select …`, prepared, rows not mapped',
        run: async (index) => await sql`select * from products where id = ${productId(index)}`,
      },
      {
        name: 'Rivulet db',
        how: 'a session, db.select()',
        run: (index) => engine.session((session) => readProduct(session.db, index)),
      },
      {
        name: 'Rivulet repository',
        how: 'a session, repository.get(key)',
        run: (index) => engine.session((session) => productRepository(session).get(productId(index))),
      },
    ],
    productPage: [
      {
        name: 'Drizzle',
        how: 'Promise.all of three db.select() on one shared handle',
        run: (index) => Promise.all([readProduct(db, index), readReviews(db, index), readOrders(db, index)]),
      },
      {
        name: 'postgres.js',
        how: 'Promise.all of three sql`select …`, prepared, rows not mapped',
        run: (index) =>
          Promise.all([
            sql`select * from products where id = ${productId(index)}`,
            sql`
              select reviews.id, rating, body, customer_id, customers.name as customer_name, reviews.created_at
              from reviews left join customers on customers.id = customer_id
              where product_id = ${productId(index)} order by reviews.created_at desc, reviews.id desc limit ${pageLength}`,
            sql`
              select * from orders where customer_id = ${customerId(index)}
              order by placed_at desc, id desc limit ${pageLength}`,
          ]),
      },
      {
        name: 'Rivulet db',
        how: 'gather of three db.select(), a session and a connection each',
        run: (index) =>
          engine.gather([
            (session) => readProduct(session.db, index),
            (session) => readReviews(session.db, index),
            (session) => readOrders(session.db, index),
          ]),
      },
      {
        name: 'Rivulet shop',
        how: 'productPage(): gather over the repositories',
        run: (index) => productPage(engine, { productId: productId(index), customerId: customerId(index) }),
      },
    ],
    [Symbol.asyncDispose]: async () => {
      await engine.close()
      await forDrizzle.end({ timeout: 1 })
      await sql.end({ timeout: 1 })
    },
  }
}

function connect(url: string): postgres.Sql {
  const { host, port, user, password, database } = parseDatabaseUrl(url)
  return postgres({ host, port, user, password, database, max: connections, onnotice: () => {} })
}
