/**
 * A contender of the HTTP races as a process of its own: `http-server.js NAME URL`. Says its port to the parent, and how much
 * CPU it has used, or memory it uses, whenever it is asked. The bare ones are what their documentation shows: Hono, served by its adapter as
 * it is, and `c.json`.
 */
import { serve } from '@hono/node-server'
import { desc, eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/postgres-js'
import { Hono } from 'hono'
import type { AddressInfo } from 'node:net'
import postgres from 'postgres'
import * as schema from '../../schema/index.ts'
import { parseDatabaseUrl } from '../../src/config.ts'
import { openEngine } from '../../src/engine.ts'
import { createApp } from '../../src/http/app.ts'
import { resource } from '../../src/resource/resource.ts'
import { openHttpServer } from '../../src/server/server.ts'
import { createShopApp } from '../../src/shop/app.ts'
import { wide } from './schema.ts'

const { customers, orders, products, reviews } = schema
const [, , name = '', url = ''] = process.argv
const connections = 10
const pageLength = 50

async function rivulet(): Promise<number> {
  const engine = await openEngine({ schema, url, pool: { max: connections }, traceSessions: false })
  return (await openHttpServer(createShopApp(engine), { port: 0 })).port
}

/** The table of many rows, as a resource. */
async function rows(): Promise<number> {
  const engine = await openEngine({ schema: { wide }, url, pool: { max: connections }, traceSessions: false })
  return (await openHttpServer(createApp(engine, { resources: [resource(wide)] }), { port: 0 })).port
}

function rawPostgres(): Promise<number> {
  const sql = connect()
  const product = (id: number) => sql`
    select id, sku, name, description, price, tags, attributes, stock, available,
           created_at as "createdAt", updated_at as "updatedAt"
    from products where id = ${id}`
  const app = new Hono()
  app.get('/products/:id', async (c) => {
    const [row] = await product(Number(c.req.param('id')))
    return row ? c.json(row) : c.notFound()
  })
  app.get('/product/:id/:customerId', async (c) => {
    const [id, customerId] = [Number(c.req.param('id')), Number(c.req.param('customerId'))]
    const [[row], said, bought] = await Promise.all([
      product(id),
      sql`
        select reviews.id, rating, body, customer_id as "customerId", customers.name as "customerName",
               reviews.created_at as "createdAt"
        from reviews join customers on customers.id = customer_id
        where product_id = ${id} order by reviews.created_at desc, reviews.id desc limit ${pageLength}`,
      sql`
        select id, customer_id as "customerId", status, total, placed_at as "placedAt",
               created_at as "createdAt", updated_at as "updatedAt"
        from orders where customer_id = ${customerId} order by placed_at desc, id desc limit ${pageLength}`,
    ])
    return row ? c.json({ product: row, reviews: said, orders: bought }) : c.notFound()
  })
  return listen(app)
}

function naiveDrizzle(): Promise<number> {
  const db = drizzle(connect(), { schema })
  const product = (id: number) => db.select().from(products).where(eq(products.id, id))
  const app = new Hono()
  app.get('/products/:id', async (c) => {
    const [row] = await product(Number(c.req.param('id')))
    return row ? c.json(row) : c.notFound()
  })
  app.get('/product/:id/:customerId', async (c) => {
    const [id, customerId] = [Number(c.req.param('id')), Number(c.req.param('customerId'))]
    const [[row], said, bought] = await Promise.all([
      product(id),
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
        .where(eq(reviews.productId, id))
        .orderBy(desc(reviews.createdAt), desc(reviews.id))
        .limit(pageLength),
      db
        .select()
        .from(orders)
        .where(eq(orders.customerId, customerId))
        .orderBy(desc(orders.placedAt), desc(orders.id))
        .limit(pageLength),
    ])
    const history = bought.map((order) => ({ ...order, id: String(order.id) }))
    return row ? c.json({ product: row, reviews: said, orders: history }) : c.notFound()
  })
  return listen(app)
}

function connect(): postgres.Sql {
  const { host, port, user, password, database } = parseDatabaseUrl(url)
  return postgres({ host, port, user, password, database, max: connections, onnotice: () => {} })
}

function listen(app: Hono): Promise<number> {
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () =>
      resolve((server.address() as AddressInfo).port),
    )
  })
}

const start = { rivulet, rows, 'raw-postgres': rawPostgres, 'naive-drizzle': naiveDrizzle }[name]
if (!start) throw new Error(`no contender is called ${name}`)
const port = await start()
process.on('message', (asked) => {
  const { user, system } = process.cpuUsage()
  const { heapUsed, external } = process.memoryUsage()
  process.send?.(asked === 'cpu' ? user + system : (heapUsed + external) / 1_048_576)
})
process.send?.(port)
