import { eq } from 'drizzle-orm'
import { productPage as shopPage } from '../../../src/shop/product-page.ts'
import { productRepository } from '../../../src/shop/repositories.ts'
import { type Benchmark, rateRatio, resultOf, workOf } from '../benchmark.ts'
import { openBenchEngine, openDrizzle, openPostgres } from '../clients.ts'
import { wide } from '../schema.ts'

/** A row of its own for each of those that run at once. */
const keyOf = (index: number) => 1 + (index % 1000)

/** Units of work. */
export const transactions: Benchmark = {
  name: 'transactions',
  title: 'A transaction of a read and a write, 10 at a time',
  limits: 'Nobody touches the same row: nothing waits for a lock, and nothing is tried again.',
  contenders: [
    {
      name: 'Drizzle',
      how: 'db.transaction on postgres.js',
      open: async (url) => {
        const client = openDrizzle(url)
        return workOf(client, (index) =>
          client.db.transaction(async (tx) => {
            const [row] = await tx
              .select()
              .from(wide)
              .where(eq(wide.id, keyOf(index)))
            await tx
              .update(wide)
              .set({ stock: (row?.stock ?? 0) + 1 })
              .where(eq(wide.id, keyOf(index)))
          }),
        )
      },
    },
    {
      name: 'postgres.js',
      how: 'sql.begin',
      open: async (url) => {
        const client = openPostgres(url)
        return workOf(client, (index) =>
          client.sql.begin(async (sql) => {
            const [row] = await sql`select * from bench_rows where id = ${keyOf(index)}`
            await sql`update bench_rows set stock = ${Number(row?.['stock']) + 1} where id = ${keyOf(index)}`
          }),
        )
      },
    },
    {
      name: 'Rivulet',
      how: 'engine.transaction, the repository',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        return workOf(engine, (index) =>
          engine.transaction(async ({ repository }) => {
            const { stock } = await repository(wide).get(keyOf(index))
            await repository(wide).update(keyOf(index), { stock: stock + 1 })
          }),
        )
      },
    },
  ],
  run: async ({ race }) => {
    const found = await race()
    const is = rateRatio(found, 'Rivulet', 'Drizzle')
    return { races: [found], goals: [{ what: 'transaction to Drizzle', is, least: 2, unit: 'x' }] }
  },
}

const keys = { productId: 1, customerId: 1 }

/** What one instant for all costs. */
export const snapshots: Benchmark = {
  name: 'snapshots',
  title: 'The product page at one instant, one page at a time',
  limits: 'On loopback: a round trip elsewhere takes longer, and the difference with it.',
  contenders: [
    {
      name: 'plain',
      how: 'gather',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        return workOf(engine, () => shopPage(engine, keys))
      },
    },
    {
      name: 'snapshot',
      how: 'gather with snapshot: true',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        return workOf(engine, () => shopPage(engine, keys, { snapshot: true }))
      },
    },
    {
      name: 'round trip',
      how: 'select 1',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        return workOf(engine, () => engine.session(({ sql }) => sql`select 1`))
      },
    },
  ],
  run: async ({ race }) => {
    const found = await race({ concurrency: 1, sameValues: false })
    const ms = (name: string) => 1000 / resultOf(found, name).perSecond.median
    const is = (ms('snapshot') - ms('plain')) / ms('round trip')
    return { races: [found], goals: [{ what: 'snapshot takes longer by', is, most: 1, unit: 'round trips' }] }
  },
}

/** What an identity costs. */
export const identities: Benchmark = {
  name: 'identities',
  title: 'One product by its key under an identity, 10 at a time',
  limits: 'The policies of the role are looked at for one row.',
  contenders: [
    {
      name: 'plain',
      how: 'engine.session',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        return workOf(engine, (index) => engine.session((session) => productRepository(session).get(1 + (index % 16))))
      },
    },
    {
      name: 'as staff',
      how: "engine.as({ role: 'staff' }).session",
      open: async (url) => {
        const engine = await openBenchEngine(url)
        const staff = engine.as({ role: 'staff' })
        return workOf(engine, (index) => staff.session((session) => productRepository(session).get(1 + (index % 16))))
      },
    },
  ],
  run: async ({ race }) => {
    const found = await race()
    const is = rateRatio(found, 'as staff', 'plain')
    return { races: [found], goals: [{ what: 'as() to plain', is, least: 0.7, unit: 'x' }] }
  },
}
