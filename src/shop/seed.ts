/**
 * The shop's sample data: the same rows every time, made by drizzle-seed from one number. Customer 1 is Lynn, Backend
 * Developer. It fills an empty shop only, in one transaction, so it can be run at every start.
 * drizzle-seed is loaded only when there is something to do: a service in production does without it.
 */
import { eq } from 'drizzle-orm'
import { customers, orderItems, orders, products, reviews, users } from '../../schema/index.ts'
import type { Engine } from '../engine.ts'
import type { Session } from '../repository/session.ts'
import { withPackages } from '../optional-packages.ts'

/** What `seed` did. */
export interface SeedResult {
  /** False when the shop had customers or products already: nothing was touched. */
  readonly seeded: boolean
}

const randomSeed = 7
const counts = { users: 24, customers: 24, orders: 60 }

/** Fills an empty shop with sample data. @throws PackageMissing when drizzle-seed is not installed. */
export async function seed(engine: Pick<Engine, 'transaction'>): Promise<SeedResult> {
  return engine.transaction(async (session) => {
    const { sql } = session
    // Two starts at once: the second waits here, and then finds the shop filled.
    await sql`select pg_advisory_xact_lock(hashtext('rivulet shop seed'))`
    const [found] = await sql<{ any: boolean }>`
      select exists (select from customers) or exists (select from products) or exists (select from users) as any`
    if (found?.any === true) return { seeded: false }
    await seedWithLibrary(session)
    const lynn = { name: 'Lynn', job: 'Backend Developer', updatedAt: openingDay }
    await session.db.update(customers).set(lynn).where(eq(customers.id, 1))
    await seedReviews(session)
    await seedOrderItems(session)
    await advanceIdentities(session)
    return { seeded: true }
  })
}

async function seedWithLibrary({ db }: Pick<Session, 'db'>): Promise<void> {
  const { seed: fill } = await withPackages('the sample data', ['drizzle-seed'], () => import('drizzle-seed'))
  await fill(db, { users, customers, products, orders }, { seed: randomSeed, version: '2' }).refine((make) => {
    const one = <T extends string | number>(values: readonly T[]) => make.valuesFromArray({ values: [...values] })
    const each = (values: readonly string[]) => make.valuesFromArray({ values: [...values], isUnique: true })
    const stamps = {
      createdAt: make.default({ defaultValue: openingDay }),
      updatedAt: make.default({ defaultValue: openingDay }),
    }
    return {
      users: {
        count: counts.users,
        columns: {
          email: each(keys(counts.users).map((n) => `account-${n}@example.com`)),
          role: one(['customer', 'staff']),
          ...stamps,
        },
      },
      customers: {
        count: counts.customers,
        columns: {
          name: make.fullName({ isUnique: true }),
          job: one(jobs),
          version: make.default({ defaultValue: 1 }),
          ...stamps,
        },
      },
      products: {
        count: productNames.length,
        columns: {
          sku: each(productNames.map((_, index) => `RV-${1001 + index}`)),
          name: each(productNames),
          description: make.loremIpsum({ sentencesCount: 2 }),
          price: make.number({ minValue: 3, maxValue: 250, precision: 100 }),
          tags: make.valuesFromArray({ values: [...tags], arraySize: 2 }),
          attributes: make.default({ defaultValue: {} }),
          stock: make.int({ minValue: 10, maxValue: 200 }),
          available: make.default({ defaultValue: true }),
          ...stamps,
        },
      },
      orders: {
        count: counts.orders,
        columns: {
          status: one(['pending', 'paid', 'shipped', 'delivered']),
          total: make.default({ defaultValue: '0' }),
          placedAt: make.date({ minDate: openingDay, maxDate: lastDay }),
          ...stamps,
        },
      },
    }
  })
}

/** Each product is reviewed by a third of the customers, once each, which a random choice would not keep to. */
async function seedReviews({ db }: Pick<Session, 'db'>): Promise<void> {
  const rows = keys(productNames.length).flatMap((productId) =>
    keys(counts.customers)
      .filter((customerId) => (productId + customerId) % 3 === 0)
      .map((customerId, index) => {
        const verdict = verdicts[(productId * 7 + customerId * 5) % verdicts.length] ?? verdicts[0]
        const createdAt = new Date(openingDay.getTime() + (productId * 24 + index) * hourMs)
        return { productId, customerId, ...verdict, createdAt, updatedAt: createdAt }
      }),
  )
  await db.insert(reviews).values(rows)
}

/** One to three lines an order at today's price, and the orders' totals. */
async function seedOrderItems({ db, sql }: Pick<Session, 'db' | 'sql'>): Promise<void> {
  const placed = await db.select({ id: orders.id, placedAt: orders.placedAt }).from(orders).orderBy(orders.id)
  const prices = new Map((await db.select().from(products)).map(({ id, price }) => [id, price]))
  const rows = placed.flatMap(({ id: orderId, placedAt }) =>
    keys(1 + (Number(orderId) % 3)).map((line) => {
      const productId = 1 + ((Number(orderId) * 3 + line * 5) % productNames.length)
      const stamps = { createdAt: placedAt, updatedAt: placedAt }
      return {
        orderId,
        productId,
        quantity: 1 + ((Number(orderId) + line) % 4),
        unitPrice: prices.get(productId) ?? '0',
        ...stamps,
      }
    }),
  )
  await db.insert(orderItems).values(rows)
  await sql`
    update orders set created_at = placed_at, updated_at = placed_at, total = lines.total
    from (select order_id, sum(quantity * unit_price) as total from order_items group by order_id) as lines
    where lines.order_id = orders.id`
}

/** The library writes keys of its own; without this the first row that is added would meet them. */
async function advanceIdentities({ sql }: Pick<Session, 'sql'>): Promise<void> {
  await sql`
    select setval(pg_get_serial_sequence('customers', 'id'), (select max(id) from customers)),
           setval(pg_get_serial_sequence('products', 'id'), (select max(id) from products)),
           setval(pg_get_serial_sequence('orders', 'id'), (select max(id) from orders))`
}

function keys(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}

const hourMs = 3_600_000
const openingDay = new Date('2026-01-05T09:00:00.000Z')
const lastDay = new Date('2026-10-30T18:00:00.000Z')

const jobs = ['Backend Developer', 'Designer', 'Gardener', 'Nurse', 'Carpenter', 'Teacher', 'Baker', 'Translator']

const tags = ['kitchen', 'desk', 'garden', 'travel', 'gift', 'new', 'classic', 'handmade']

const productNames = [
  'Copper Kettle',
  'Walnut Desk Lamp',
  'Linen Apron',
  'Field Notebook',
  'Ceramic Mug',
  'Steel Water Bottle',
  'Wool Blanket',
  'Garden Shears',
  'Oak Cutting Board',
  'Canvas Tool Roll',
  'Glass Teapot',
  'Brass Bookmark',
  'Beeswax Candle',
  'Enamel Bowl',
  'Leather Key Fob',
  'Cork Notice Board',
]

const verdicts = [
  { rating: 5, body: 'Exactly what I was looking for.' },
  { rating: 4, body: 'Well made; the delivery took a while.' },
  { rating: 5, body: 'I bought a second one for my sister.' },
  { rating: 3, body: 'Does what it should, smaller than I thought.' },
  { rating: 2, body: 'Arrived with a scratch.' },
  { rating: 4, body: 'Good value, would buy again.' },
  { rating: 1, body: 'It broke within a week.' },
] as const
