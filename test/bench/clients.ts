/**
 * The clients that benchmarks compare, opened and closed in one way. Each contender has one of its own, because `drizzle()`
 * changes the parsers of the client it gets. MikroORM 7 asks for Node 22.17, and so is not among them on Node 20.
 */
import { drizzle as drizzleOnPg } from 'drizzle-orm/node-postgres'
import { drizzle } from 'drizzle-orm/postgres-js'
import { type ColumnType, Kysely, PostgresDialect } from 'kysely'
import { Pool, types as pgTypes } from 'pg'
import postgres from 'postgres'
import { parseDatabaseUrl } from '../../src/config.ts'
import { type Engine, openEngine } from '../../src/engine.ts'
import { schema } from './schema.ts'

export type BenchEngine = Engine<typeof schema>

/** An engine as an application has it in production: traces of sessions are for development. */
export function openBenchEngine(url: string, max = 10): Promise<BenchEngine> {
  return openEngine({ schema, url, pool: { max }, traceSessions: false })
}

/** Values as Rivulet has them, where a client would have a text. */
const bigintType = 20
const dateType = 1082

export interface SqlClient extends AsyncDisposable {
  readonly sql: postgres.Sql
}

/** postgres.js, reading bigint and date as the schema says. */
export function openPostgres(url: string, max = 10): SqlClient {
  const { host, port, user, password, database } = parseDatabaseUrl(url)
  const types = {
    bigint: { to: bigintType, from: [bigintType], serialize: String, parse: BigInt },
    date: { to: dateType, from: [dateType], serialize: String, parse: String },
  }
  const sql = postgres({ host, port, user, password, database, max, onnotice: () => {}, types })
  return { sql: sql as unknown as postgres.Sql, [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) }
}

export interface PgClient extends AsyncDisposable {
  readonly pool: Pool
}

/** node-postgres, reading bigint and date as the schema says. */
export function openPg(url: string, max = 10): PgClient {
  const { host, port, user, password, database } = parseDatabaseUrl(url)
  const getTypeParser = ((type: number, format?: 'text') => {
    if (type === bigintType) return BigInt
    return type === dateType ? String : pgTypes.getTypeParser(type, format)
  }) as typeof pgTypes.getTypeParser
  const pool = new Pool({ host, port, user, password, database, max, types: { getTypeParser } })
  return { pool, [Symbol.asyncDispose]: () => pool.end() }
}

/** Drizzle on postgres.js. */
export function openDrizzle(url: string, max = 10) {
  const { host, port, user, password, database } = parseDatabaseUrl(url)
  const client = postgres({ host, port, user, password, database, max, onnotice: () => {} })
  return { db: drizzle(client, { schema }), [Symbol.asyncDispose]: () => client.end({ timeout: 1 }) }
}

/** Drizzle on node-postgres. */
export function openDrizzleOnPg(url: string, max = 10) {
  const { host, port, user, password, database } = parseDatabaseUrl(url)
  const pool = new Pool({ host, port, user, password, database, max })
  return { db: drizzleOnPg(pool, { schema }), [Symbol.asyncDispose]: () => pool.end() }
}

/** What Kysely is told of the tables that it reads. */
interface KyselyTables {
  products: {
    id: number
    sku: string
    name: string
    description: string
    price: string
    tags: string[]
    attributes: ColumnType<Record<string, unknown>>
    stock: number
    available: boolean
    created_at: Date
    updated_at: Date
  }
}

/** Kysely on node-postgres. */
export function openKysely(url: string, max = 10) {
  const { pool } = openPg(url, max)
  const db = new Kysely<KyselyTables>({ dialect: new PostgresDialect({ pool }) })
  return { db, [Symbol.asyncDispose]: () => db.destroy() }
}
