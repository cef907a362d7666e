/**
 * The ledger of applied migrations is Drizzle's own table, column for column, so that each tool finds what the other
 * applied: `drizzle.__drizzle_migrations (id serial, hash text, created_at bigint)`, created_at being the journal's
 * `when`.
 *
 * What Drizzle has no column for (name, time, duration, progress of a file without a transaction) is in a table beside
 * it, `__rivulet_migrations` (beside a ledger of another name: `__rivulet_` and that name). Not in more columns:
 * progress exists before a ledger row does, Drizzle 1.0 takes a column `name` as the sign of its own next format, and
 * altering the table of another tool needs more rights than reading it.
 */
import { isOfIdempotency } from '../../idempotency/kept-answers.ts'
import type { Connection } from '../../pool/connection.ts'
import { type Migration, sha256 } from '../files/folder.ts'
import { quotedName, shownName } from '../../values/quoting.ts'

/** The place of the ledger: Drizzle's names, unless the project's config has others. */
export interface LedgerName {
  /** Default `drizzle`. */
  readonly schema?: string | undefined
  /** Default `__drizzle_migrations`. */
  readonly table?: string | undefined
}

/** One row of the ledger, joined with its details. */
export interface LedgerRow {
  readonly id: number
  readonly hash: string
  /** The journal's `when` of the file; undefined in rows that were written by hand. */
  readonly when: number | undefined
  readonly name: string | undefined
  readonly appliedAt: Date | undefined
  readonly durationMs: number | undefined
}

/** How far a file without a transaction has come. */
export interface Progress {
  /** Statements completed. */
  readonly done: number
  /** SHA-256 of the completed statements, which must still be the same when the run resumes. */
  readonly doneHash: string
  /** True when the next statement was begun but its end was not recorded. */
  readonly running: boolean
}

const drizzleTable = '__drizzle_migrations'

export class Ledger {
  readonly schema: string
  readonly table: string
  /** The advisory lock's key: one a ledger, so that two projects in one database do not wait for each other. */
  readonly lockKey: string
  readonly #ledger: string
  readonly #details: string
  readonly #detailsTable: string

  constructor(name: LedgerName = {}) {
    this.schema = name.schema ?? 'drizzle'
    this.table = name.table ?? drizzleTable
    this.lockKey = `rivulet migrate ${this.schema}.${this.table}`
    this.#ledger = `${quotedName(this.schema)}.${quotedName(this.table)}`
    this.#detailsTable = detailsTable(this.table)
    this.#details = `${quotedName(this.schema)}.${quotedName(this.#detailsTable)}`
  }

  /** The rows, oldest first; empty when there is no ledger yet. Changes nothing. */
  async read(connection: Connection): Promise<readonly LedgerRow[]> {
    const { ledger, details } = await this.#exist(connection)
    if (!ledger) return []
    const rows = (await connection.query(
      details
        ? `select l.id, l.hash, l.created_at, d.name, d.duration_ms,
             to_char(d.applied_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as applied_at
           from ${this.#ledger} l left join lateral
             (select * from ${this.#details} d where d.hash = l.hash order by d.applied_at desc nulls last limit 1) d
             on true order by l.id`
        : `select id, hash, created_at, null as name, null as duration_ms, null as applied_at
           from ${this.#ledger} order by id`,
      [],
    )) as unknown as Record<string, unknown>[]
    return rows.map((row) => ({
      id: row.id as number,
      hash: row.hash as string,
      when: row.created_at === null ? undefined : Number(row.created_at),
      name: (row.name ?? undefined) as string | undefined,
      appliedAt: typeof row.applied_at === 'string' ? new Date(row.applied_at) : undefined,
      durationMs: (row.duration_ms ?? undefined) as number | undefined,
    }))
  }

  /**
   * Creates the schema and the tables that are missing. Checks first, because IF NOT EXISTS needs rights even when
   * nothing is missing.
   */
  async create(connection: Connection): Promise<void> {
    const { schema, ledger, details } = await this.#exist(connection)
    if (!schema) await connection.script(`create schema if not exists ${quotedName(this.schema)}`)
    if (!ledger) {
      await connection.script(
        `create table if not exists ${this.#ledger} (id serial primary key, hash text not null, created_at bigint)`,
      )
    }
    if (!details) {
      await connection.script(
        `create table if not exists ${this.#details} (
           name text primary key, hash text not null,
           applied_at timestamptz, duration_ms double precision, done integer not null default 0,
           done_hash text not null default '', running boolean not null default false)`,
      )
    }
  }

  /** Enters a migration as applied. `durationMs` is undefined when it was adopted, not run. */
  async record(connection: Connection, migration: Migration, durationMs: number | undefined): Promise<void> {
    const values = [migration.hash, migration.when]
    if (await this.#namesMigrations(connection)) {
      const names = `insert into ${this.#ledger} (hash, created_at, name) values ($1, $2, $3)`
      await connection.query(names, [...values, migration.name])
    } else await connection.query(`insert into ${this.#ledger} (hash, created_at) values ($1, $2)`, values)
    await connection.query(
      `insert into ${this.#details} as d (name, hash, applied_at, duration_ms)
       values ($1, $2, clock_timestamp(), $3)
       on conflict (name) do update set hash = excluded.hash, applied_at = excluded.applied_at,
         duration_ms = excluded.duration_ms, done = 0, done_hash = '', running = false`,
      [migration.name, migration.hash, durationMs ?? null],
    )
  }

  /** Removes a reverted migration: `rows` are those that belong to it, and to no other file of the same text. */
  async remove(connection: Connection, migration: Migration, rows: readonly LedgerRow[]): Promise<void> {
    await connection.query(`delete from ${this.#ledger} where id = any($1::int[])`, [rows.map(({ id }) => id)])
    await connection.query(`delete from ${this.#details} where name in ($1, $2)`, [
      migration.name,
      `${migration.name}.down`,
    ])
  }

  /** Replaces the stored hash of an applied file, whose rows are `rows`, by that of its present text. */
  async acceptChange(connection: Connection, migration: Migration, rows: readonly LedgerRow[]): Promise<void> {
    await connection.query(`update ${this.#ledger} set hash = $1 where id = any($2::int[])`, [
      migration.hash,
      rows.map(({ id }) => id),
    ])
    await connection.query(`update ${this.#details} set hash = $1 where name = $2`, [migration.hash, migration.name])
  }

  /** The interrupted scripts, with the number of their completed statements. Changes nothing. */
  async unfinished(connection: Connection): Promise<ReadonlyMap<string, number>> {
    if (!(await this.#exist(connection)).details) return new Map()
    const rows = (await connection.query(
      `select name, done from ${this.#details} where done > 0 or running`,
      [],
    )) as unknown as { name: string; done: number }[]
    return new Map(rows.map(({ name, done }) => [name, done]))
  }

  /** The progress of the script with this key; none when it was never begun. */
  async progress(connection: Connection, key: string): Promise<Progress> {
    const [row] = (await connection.query(`select done, done_hash, running from ${this.#details} where name = $1`, [
      key,
    ])) as unknown as { done: number; done_hash: string; running: boolean }[]
    return { done: row?.done ?? 0, doneHash: row?.done_hash ?? '', running: row?.running ?? false }
  }

  async saveProgress(connection: Connection, key: string, hash: string, progress: Progress): Promise<void> {
    await connection.query(
      `insert into ${this.#details} as d (name, hash, done, done_hash, running) values ($1, $2, $3, $4, $5)
       on conflict (name) do update set hash = excluded.hash, done = excluded.done, done_hash = excluded.done_hash,
         running = excluded.running`,
      [key, hash, progress.done, progress.doneHash, progress.running],
    )
  }

  /**
   * True for the ledger's own objects in a description of the database (`describe.ts`), and for what else is Rivulet's; their
   * schemas may have others.
   */
  owns(object: string): boolean {
    const schema = shownName(this.schema)
    if (object === `schema ${schema}` || isOfIdempotency(object)) return true
    return [this.table, this.#detailsTable].some((table) => {
      const relation = `${schema}.${shownName(table)}`
      return (
        object === `table ${relation}` ||
        object.startsWith(`column ${relation}.`) ||
        object === `sequence ${schema}.${shownName(`${table}_id_seq`)}` ||
        object === `constraint ${schema}.${shownName(`${table}_pkey`)} on ${shownName(table)}`
      )
    })
  }

  /**
   * True when Drizzle 1.0 keeps the ledger: it identifies a migration by its name, and runs again what it cannot name.
   */
  async #namesMigrations(connection: Connection): Promise<boolean> {
    const rows = await connection.query(
      `select from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where n.nspname = $1 and c.relname = $2 and a.attname = 'name' and not a.attisdropped`,
      [this.schema, this.table],
    )
    return rows.length > 0
  }

  async #exist(connection: Connection): Promise<{ schema: boolean; ledger: boolean; details: boolean }> {
    // The catalogs, not to_regclass(), which fails without the right to use the schema.
    const [row] = (await connection.query(
      `select exists (select from pg_catalog.pg_namespace where nspname = $1) as schema,
         exists (select from pg_catalog.pg_tables where schemaname = $1 and tablename = $2) as ledger,
         exists (select from pg_catalog.pg_tables where schemaname = $1 and tablename = $3) as details`,
      [this.schema, this.table, this.#detailsTable],
    )) as unknown as { schema: boolean; ledger: boolean; details: boolean }[]
    return row ?? { schema: false, ledger: false, details: false }
  }
}

/** The table beside the ledger: one for each, because one schema may hold the ledgers of several projects. */
function detailsTable(ledger: string): string {
  if (ledger === drizzleTable) return '__rivulet_migrations'
  const name = `__rivulet_${ledger}`
  // PostgreSQL cuts longer names off, so that two could become one.
  return Buffer.byteLength(name) <= 63 ? name : `__rivulet_${sha256(ledger).slice(0, 32)}`
}
