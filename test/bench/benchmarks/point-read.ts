import { eq } from 'drizzle-orm'
import { products } from '../../../schema/index.ts'
import { productRepository } from '../../../src/shop/repositories.ts'
import {
  type Benchmark,
  bestRate,
  type Contender,
  type Goal,
  type Race,
  rateRatio,
  resultOf,
  workOf,
} from '../benchmark.ts'
import { openBenchEngine, openDrizzle, openDrizzleOnPg, openKysely, openPg, openPostgres } from '../clients.ts'

const keyOf = (index: number) => 1 + (index % 16)

const text = `
  select id, sku, name, description, price, tags, attributes, stock, available,
         created_at as "createdAt", updated_at as "updatedAt"
  from products where id = $1`

const postgresJs: Contender = {
  name: 'postgres.js',
  how: 'sql`select …`, prepared',
  open: async (url) => {
    const client = openPostgres(url)
    return workOf(client, async (index) => (await client.sql.unsafe(text, [keyOf(index)], { prepare: true }))[0])
  },
}

const nodePostgres: Contender = {
  name: 'node-postgres',
  how: 'pool.query, a named statement',
  open: async (url) => {
    const client = openPg(url)
    const query = (index: number) => client.pool.query({ name: 'product', text, values: [keyOf(index)] })
    return workOf(client, async (index) => (await query(index)).rows[0])
  },
}

const repository: Contender = {
  name: 'Rivulet',
  how: 'a session, repository.get(key)',
  open: async (url) => {
    const engine = await openBenchEngine(url)
    return workOf(engine, (index) => engine.session((session) => productRepository(session).get(keyOf(index))))
  },
}

export const pointRead: Benchmark = {
  name: 'point-read',
  title: 'One product by its key, 10 at a time, 10 connections',
  limits:
    'The row is small and in memory, and the server is on the same cores: what a client costs weighs more here than in life.',
  contenders: [
    postgresJs,
    {
      name: 'postgres.js, reserved',
      how: 'the same on a connection of its own: sql.reserve()',
      open: async (url) => {
        const client = openPostgres(url)
        return workOf(client, async (index) => {
          const reserved = await client.sql.reserve()
          try {
            return (await reserved.unsafe(text, [keyOf(index)], { prepare: true }))[0]
          } finally {
            reserved.release()
          }
        })
      },
    },
    nodePostgres,
    {
      name: 'Drizzle',
      how: 'db.select() on postgres.js',
      open: async (url) => {
        const client = openDrizzle(url)
        const read = (index: number) =>
          client.db
            .select()
            .from(products)
            .where(eq(products.id, keyOf(index)))
        return workOf(client, async (index) => (await read(index))[0])
      },
    },
    {
      name: 'Drizzle on node-postgres',
      how: 'db.select()',
      open: async (url) => {
        const client = openDrizzleOnPg(url)
        const read = (index: number) =>
          client.db
            .select()
            .from(products)
            .where(eq(products.id, keyOf(index)))
        return workOf(client, async (index) => (await read(index))[0])
      },
    },
    {
      name: 'Kysely',
      how: 'selectFrom on node-postgres',
      open: async (url) => {
        const client = openKysely(url)
        return workOf(client, (index) =>
          client.db
            .selectFrom('products')
            .select(['id', 'sku', 'name', 'description', 'price', 'tags', 'attributes', 'stock', 'available'])
            .select(['created_at as createdAt', 'updated_at as updatedAt'])
            .where('id', '=', keyOf(index))
            .executeTakeFirst(),
        )
      },
    },
    {
      name: 'Rivulet db',
      how: 'a session, db.select()',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        return workOf(engine, (index) =>
          engine.session(async ({ db }) => {
            const [row] = await db
              .select()
              .from(products)
              .where(eq(products.id, keyOf(index)))
            return row
          }),
        )
      },
    },
    repository,
  ],
  run: async ({ race }) => {
    const found = await race()
    const to = (peer: string, least: number): Goal => {
      return { what: `repository to ${peer}`, is: rateRatio(found, 'Rivulet', peer), least, unit: 'x' }
    }
    return {
      races: [found],
      goals: [
        to('postgres.js', 0.95),
        to('node-postgres', 1),
        to('Drizzle', 4),
        to('Drizzle on node-postgres', 1),
        to('Kysely', 1),
        { what: 'session.db to postgres.js', is: rateRatio(found, 'Rivulet db', 'postgres.js'), least: 0.6, unit: 'x' },
      ],
    }
  },
}

/** Fewer and many more tasks than connections. */
export const manyTasks: Benchmark = {
  name: 'many-tasks',
  title: 'The same with 1, 64 and 1,000 tasks on 10 connections',
  limits:
    'postgres.js sends statements behind each other on one connection, where a slow one holds up those behind it; here none is slow.',
  contenders: [postgresJs, nodePostgres, repository],
  run: async ({ race }) => {
    const races: Race[] = []
    const goals: Goal[] = []
    for (const concurrency of [1, 64, 1000]) {
      const name = `${concurrency} at a time`
      const found = await race({ name, concurrency, rounds: 5 })
      races.push(found)
      const is = resultOf(found, 'Rivulet').perSecond.median / bestRate(found)
      goals.push({ what: `${name}, to the best`, is, least: 0.85, unit: 'x' })
    }
    return { races, goals }
  },
}
