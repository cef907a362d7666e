import { desc, eq } from 'drizzle-orm'
import { customers, orders, products, reviews } from '../../../schema/index.ts'
import { productPage as shopPage } from '../../../src/shop/product-page.ts'
import {
  type Benchmark,
  type Contender,
  cpuRatio,
  type Goal,
  type Race,
  rateRatio,
  type Work,
  workOf,
} from '../benchmark.ts'
import { openBenchEngine, openDrizzle, openPostgres } from '../clients.ts'

const pageLength = 50
const productOf = (index: number) => 1 + (index % 16)
const customerOf = (index: number) => 1 + (index % 24)

const productText = `
  select id, sku, name, description, price, tags, attributes, stock, available,
         created_at as "createdAt", updated_at as "updatedAt"
  from products where id = $1`
const reviewsText = `
  select reviews.id, rating, body, customer_id as "customerId", customers.name as "customerName",
         reviews.created_at as "createdAt"
  from reviews left join customers on customers.id = customer_id
  where product_id = $1 order by reviews.created_at desc, reviews.id desc limit $2`
const ordersText = `
  select id, customer_id as "customerId", status, total, placed_at as "placedAt", created_at as "createdAt",
         updated_at as "updatedAt"
  from orders where customer_id = $1 order by placed_at desc, id desc limit $2`

/** Each contender on fewer connections than reads, and on enough. */
const pools = [10, 30]

/** A contender of each pool; `open` is told how many connections it may have. */
function onPools(name: string, how: string, open: (url: string, connections: number) => Promise<Work>): Contender[] {
  return pools.map((connections) => {
    return { name: nameOf(name, connections), how, open: (url) => open(url, connections) }
  })
}

const nameOf = (name: string, connections: number) => `${name}, ${connections} connections`

async function openRaw(url: string, connections: number): Promise<Work> {
  const client = openPostgres(url, connections)
  const send = (text: string, values: number[]) => client.sql.unsafe(text, values, { prepare: true })
  return workOf(client, async (index) => {
    const [found, said, bought] = await Promise.all([
      send(productText, [productOf(index)]),
      send(reviewsText, [productOf(index), pageLength]),
      send(ordersText, [customerOf(index), pageLength]),
    ])
    return { product: found[0], reviews: [...said], orders: [...bought] }
  })
}

async function openReserved(url: string, connections: number): Promise<Work> {
  const client = openPostgres(url, connections)
  const send = async (text: string, values: number[]) => {
    const reserved = await client.sql.reserve()
    try {
      return await reserved.unsafe(text, values, { prepare: true })
    } finally {
      reserved.release()
    }
  }
  return workOf(client, async (index) => {
    const [found, said, bought] = await Promise.all([
      send(productText, [productOf(index)]),
      send(reviewsText, [productOf(index), pageLength]),
      send(ordersText, [customerOf(index), pageLength]),
    ])
    return { product: found[0], reviews: [...said], orders: [...bought] }
  })
}

async function openNaive(url: string, connections: number): Promise<Work> {
  const client = openDrizzle(url, connections)
  const { db } = client
  return workOf(client, async (index) => {
    const [found, said, bought] = await Promise.all([
      db
        .select()
        .from(products)
        .where(eq(products.id, productOf(index))),
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
        .where(eq(reviews.productId, productOf(index)))
        .orderBy(desc(reviews.createdAt), desc(reviews.id))
        .limit(pageLength),
      db
        .select()
        .from(orders)
        .where(eq(orders.customerId, customerOf(index)))
        .orderBy(desc(orders.placedAt), desc(orders.id))
        .limit(pageLength),
    ])
    return { product: found[0], reviews: said, orders: bought }
  })
}

async function openPlain(url: string, connections: number): Promise<Work> {
  const engine = await openBenchEngine(url, connections)
  return workOf(engine, async (index) => {
    const page = await engine.gather({
      product: ({ sql }) => sql`
        select id, sku, name, description, price, tags, attributes, stock, available,
               created_at as "createdAt", updated_at as "updatedAt"
        from products where id = ${productOf(index)}`,
      reviews: ({ sql }) => sql`
        select reviews.id, rating, body, customer_id as "customerId", customers.name as "customerName",
               reviews.created_at as "createdAt"
        from reviews left join customers on customers.id = customer_id
        where product_id = ${productOf(index)} order by reviews.created_at desc, reviews.id desc limit ${pageLength}`,
      orders: ({ sql }) => sql<{ id: unknown }>`
        select id, customer_id as "customerId", status, total, placed_at as "placedAt", created_at as "createdAt",
               updated_at as "updatedAt"
        from orders where customer_id = ${customerOf(index)} order by placed_at desc, id desc limit ${pageLength}`,
    })
    // What has no schema answers a bigint as text.
    for (const order of page.orders) order.id = BigInt(order.id as string)
    return { product: page.product[0], reviews: [...page.reviews], orders: [...page.orders] }
  })
}

async function openShop(url: string, connections: number): Promise<Work> {
  const engine = await openBenchEngine(url, connections)
  return workOf(engine, (index) => shopPage(engine, { productId: productOf(index), customerId: customerOf(index) }))
}

export const productPage: Benchmark = {
  name: 'product-page',
  title: 'The product page: three reads at once, ten pages at a time',
  limits:
    'Three short reads on one machine: their round trips, which they share, take next to no time here, and postgres.js saves ' +
    'system calls by sending several reads behind each other on one connection.',
  contenders: [
    ...onPools('postgres.js', 'Promise.all of three sql`select …`, prepared', openRaw),
    ...onPools('postgres.js, reserved', 'the same, each on a connection of its own: sql.reserve()', openReserved),
    ...onPools('Drizzle', 'Promise.all of three db.select() on postgres.js', openNaive),
    ...onPools('Rivulet sql', 'gather of three sql`select …`', openPlain),
    ...onPools('Rivulet', 'productPage: gather of three repository reads', openShop),
  ],
  run: async ({ race }) => {
    const races: Race[] = []
    const goals: Goal[] = []
    for (const connections of pools) {
      const own = (name: string) => nameOf(name, connections)
      const among = ['postgres.js', 'postgres.js, reserved', 'Drizzle', 'Rivulet sql', 'Rivulet'].map(own)
      const found = await race({ name: `${connections} connections`, among, rounds: 5 })
      races.push(found)
      const rate = (to: string, least: number): Goal => {
        return { what: `${own('Rivulet')}, to ${to}`, is: rateRatio(found, own('Rivulet'), own(to)), least, unit: 'x' }
      }
      const cost = (name: string, most: number): Goal => {
        const is = cpuRatio(found, own(name), own('postgres.js'))
        return { what: `CPU of ${own(name)}, to postgres.js`, is, most, unit: 'x' }
      }
      if (connections === 10) goals.push(rate('postgres.js', 1.1), rate('Drizzle', 4))
      goals.push(cost('Rivulet', 1.15), cost('Rivulet sql', 1))
    }
    return { races, goals }
  },
}
