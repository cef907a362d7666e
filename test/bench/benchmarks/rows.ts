import { once } from 'node:events'
import { finished } from 'node:stream/promises'
import { asc } from 'drizzle-orm'
import type postgres from 'postgres'
import { customers } from '../../../schema/index.ts'
import { type Benchmark, median, rateRatio, workOf } from '../benchmark.ts'
import { openBenchEngine, openDrizzle, openPg, openPostgres } from '../clients.ts'
import { wide, wideRow, written } from '../schema.ts'

const text = `
  select id, label, price, ratio, stock, total, available, code, day, note, attributes, created_at as "createdAt"
  from bench_rows order by id limit 1000`

/** What it costs to make objects of what the server sends. */
export const decoding: Benchmark = {
  name: 'decoding',
  title: '1,000 rows of 12 columns, one list at a time',
  limits: 'Half of the columns are numbers and texts that need no work.',
  contenders: [
    {
      name: 'postgres.js',
      how: 'sql`select …`, prepared, bigint and date parsed',
      open: async (url) => {
        const client = openPostgres(url)
        return workOf(client, async () => [...(await client.sql.unsafe(text, [], { prepare: true }))])
      },
    },
    {
      name: 'node-postgres',
      how: 'a named statement, bigint and date parsed',
      open: async (url) => {
        const client = openPg(url)
        return workOf(client, async () => (await client.pool.query({ name: 'rows', text })).rows)
      },
    },
    {
      name: 'Drizzle',
      how: 'db.select() on postgres.js',
      open: async (url) => {
        const client = openDrizzle(url)
        return workOf(client, async () => await client.db.select().from(wide).orderBy(asc(wide.id)).limit(1000))
      },
    },
    {
      name: 'Rivulet',
      how: 'repository.list({ limit: 1000 })',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        return workOf(engine, () =>
          engine.session(async ({ repository }) => (await repository(wide).list({ limit: 1000 })).rows),
        )
      },
    },
  ],
  run: async ({ race }) => {
    const found = await race({ concurrency: 1 })
    const is = rateRatio(found, 'Rivulet', 'postgres.js')
    return { races: [found], goals: [{ what: 'list to postgres.js', is, least: 1, unit: 'x' }] }
  },
}

/** A page with what belongs to it. */
export const listPage: Benchmark = {
  name: 'list-page',
  title: 'A list of 20 customers with their reviews and orders, 10 at a time',
  limits: 'Drizzle asks once, for JSON that the server makes; Rivulet sends three statements.',
  contenders: [
    {
      name: 'Drizzle',
      how: 'db.query.customers.findMany({ with })',
      open: async (url) => {
        const client = openDrizzle(url)
        const options = { limit: 20, orderBy: asc(customers.id), with: { reviews: true, orders: true } } as const
        return workOf(client, async () => await client.db.query.customers.findMany(options))
      },
    },
    {
      name: 'Rivulet',
      how: 'repository.list({ limit: 20, with })',
      open: async (url) => {
        const engine = await openBenchEngine(url)
        const options = { limit: 20, with: { reviews: true, orders: true } } as const
        return workOf(engine, () => engine.session(({ repository }) => repository(customers).list(options)))
      },
    },
  ],
  run: async ({ race }) => {
    // Drizzle has bigint and timestamps of related rows as JSON has them.
    const found = await race({ sameValues: false })
    const is = rateRatio(found, 'Rivulet', 'Drizzle')
    return { races: [found], goals: [{ what: 'list to Drizzle', is, least: 2, unit: 'x' }] }
  },
}

const count = 100_000

/** Rows into an empty table. */
export const insertMany: Benchmark = {
  name: 'insert-many',
  title: `${count.toLocaleString('en')} rows of 12 columns into an empty table`,
  limits: 'The server keeps nothing safe on disk here (fsync is off), and has no index but the key to keep up.',
  run: async ({ url }) => {
    await using engine = await openBenchEngine(url)
    await using raw = openPostgres(url)
    const rows = Array.from({ length: count }, (_, index) => wideRow(index + 1))
    const ways = [
      () => copyRows(raw.sql, rows),
      () => engine.session(({ repository }) => repository(written).insertMany(rows)),
    ]
    const ratios: number[] = []
    for (let round = 0; round < 5; round += 1) {
      const took = [Number.NaN, Number.NaN]
      for (const way of round % 2 === 0 ? [0, 1] : [1, 0]) {
        await raw.sql`truncate bench_written`
        const startedAt = performance.now()
        await ways[way]?.()
        took[way] = performance.now() - startedAt
      }
      const [copied, inserted] = took as [number, number]
      ratios.push(inserted / copied)
    }
    await raw.sql`truncate bench_written`
    return {
      races: [],
      goals: [{ what: 'insertMany to COPY through postgres.js', is: median(ratios), most: 1.3, unit: 'x the time' }],
    }
  },
}

/** In pieces of 64 kB, as postgres.js' documentation shows: the text is the caller's to write. */
async function copyRows(sql: postgres.Sql, rows: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
  const stream = await sql`copy bench_written from stdin`.writable()
  const ended = finished(stream)
  let text = ''
  for (const row of rows) {
    text += `${Object.values(row).map(copyText).join('\t')}\n`
    if (text.length < 65_536) continue
    if (!stream.write(text)) await once(stream, 'drain')
    text = ''
  }
  stream.end(text)
  await ended
}

function copyText(value: unknown): string {
  if (value === null) return '\\N'
  if (typeof value === 'boolean') return value ? 't' : 'f'
  if (value instanceof Date) return value.toISOString()
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  return /[\\\n\r\t]/.test(text) ? text.replaceAll(/[\\\n\r\t]/g, (found) => escapes[found] ?? found) : text
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }
