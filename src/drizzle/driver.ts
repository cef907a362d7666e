/**
 * Drizzle's driver for a session: the classes Drizzle asks a driver for, on our statements instead of a client's.
 * It prepares every parameterised query, lets our typed errors through instead of wrapping them (Drizzle's wrapper
 * repeats SQL and parameters in its message), and reads every value by one table (`column-reader.ts`).
 * A query compiled once can run on any session: `CompiledQuery.on(runner, values)`.
 */
import {
  Column,
  createTableRelationsHelpers,
  extractTablesRelationalConfig,
  fillPlaceholders,
  is,
  type Query,
  SQL,
  type TablesRelationalConfig,
} from 'drizzle-orm'
import {
  PgDatabase,
  PgPreparedQuery,
  type PgQueryResultHKT,
  PgSession,
  PgTransaction,
  type PgTransactionConfig,
  type PreparedQueryConfig,
  type SelectedFieldsOrdered,
} from 'drizzle-orm/pg-core'
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { UsageError } from '../errors.ts'
import type { Result, StatementOptions } from '../pool/connection.ts'
import type { RowSink } from '../pool/server-messages.ts'
import type { Read } from '../values/server-type.ts'
import { type Ask, PlainRows } from './plain-rows.ts'
import { type RelationalReading, type RowReader, SessionDialect } from './relational-query.ts'
import { createRowMapper, type PlainPlaces, plainPlaces, type RowMapper } from './row-mapper.ts'
import { ScriptQuery, statementsOf } from './script-query.ts'
import { noCache, UncachedQuery } from './uncached-query.ts'

/** Tables and relations as a module of a schema exports them. */
export type Schema = Record<string, unknown>

/** A full Drizzle database, typed with the schema: core and relational queries. */
export type Database<TSchema extends Schema = Schema> = PostgresJsDatabase<TSchema>

/** What runs the statements: a session. */
export interface StatementRunner {
  run<TResult = Result>(
    text: string,
    parameters: readonly unknown[],
    options: StatementOptions,
    read?: (rows: Result) => TResult,
  ): Promise<TResult>
  transaction<T>(unitOfWork: (nested: StatementRunner) => Promise<T>, options?: DrizzleTransactionOptions): Promise<T>
}

/** Drizzle's transaction options in our words. */
interface DrizzleTransactionOptions {
  readonly isolation?: 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable'
  readonly readOnly?: boolean
  readonly deferrable?: boolean
}

/** A query built and rendered once; runs on any session, with a value for each placeholder. */
export interface CompiledQuery<TResult> {
  on(runner: StatementRunner, values?: Record<string, unknown>): Promise<TResult>
}

/** A query whose rows can be fetched one by one: a select of Drizzle, or an SQL fragment. */
export type Streamable<TRow> = SQL<TRow> | (PromiseLike<readonly TRow[]> & Preparable)

/** What Drizzle's query builders have in common. */
export interface Preparable {
  /** Renders the query. */
  prepare(name: string): unknown
}

/** A query taken apart for a cursor. */
export interface CursorQuery<TRow> {
  readonly text: string
  readonly parameters: readonly unknown[]
  /** What each parameter is for, for errors about its value. */
  readonly names?: readonly (string | undefined)[]
  /** Whether `map` wants rows as arrays. */
  readonly arrays: boolean
  /** Reads a batch; it may have to `ask` what a type is. */
  map(rows: Result, ask: Ask): readonly TRow[] | Promise<readonly TRow[]>
  /** What reads the next batch from the server's bytes in place of `map`; undefined while it cannot be. */
  direct?: (() => DirectReading<TRow> | undefined) | undefined
}

/** Reads one batch from the server's bytes. */
export interface DirectReading<TRow> {
  readonly row: RowSink
  /** What was read. @throws what went wrong with a row */
  end(): readonly TRow[]
}

/** Drizzle set up for one schema. */
export interface Drizzle<TSchema extends Schema = Schema> {
  /** The database of one session. */
  database(runner: StatementRunner): Database<TSchema>
  /** Renders what `build` makes, once. */
  compile<TResult>(build: (db: Database<TSchema>) => { prepare(name: string): unknown }): CompiledQuery<TResult>
  /** Renders a query for a cursor, or for `caller`. @throws UsageError for anything but a Drizzle query or a fragment. */
  cursor<TRow>(query: Streamable<TRow>, caller?: string): CursorQuery<TRow>
  /** Renders a fragment; its placeholders stand among the parameters. */
  render(fragment: SQL): { readonly text: string; readonly parameters: readonly unknown[] }
  /** The name of a column in the database, with the casing applied. */
  columnName(column: Column): string
  /** The schema's tables under their keys there, with their relations. */
  readonly tables: TablesRelationalConfig
  /** `schema.table` in the database -> key in the schema. */
  readonly tableKeys: Readonly<Record<string, string>>
  /** Reads rows that no column describes. */
  readonly plainRows: PlainRows
}

type RelationalSchema = {
  fullSchema: Record<string, unknown>
  schema: TablesRelationalConfig
  tableNamesMap: Record<string, string>
}

/** Reads the schema's relations once and makes databases on it. */
export function createDrizzle<TSchema extends Schema>(
  schema: TSchema,
  casing?: 'snake_case' | 'camelCase',
): Drizzle<TSchema> {
  const dialect = new SessionDialect(casing === undefined ? {} : { casing })
  const plainRows = new PlainRows()
  const { tables, tableNamesMap } = extractTablesRelationalConfig(schema, createTableRelationsHelpers)
  const relational: RelationalSchema = { fullSchema: schema, schema: tables, tableNamesMap }
  const database = (runner: StatementRunner) => {
    const driver = new SessionDriver(dialect, relational, runner, plainRows)
    const db = new PgDatabase(dialect, driver, relational as never)
    db.$cache = noCache
    return db as unknown as Database<TSchema>
  }
  const detached = database({ run: refuseDetached, transaction: refuseDetached })
  return {
    database,
    compile: <TResult>(build: (db: Database<TSchema>) => { prepare(name: string): unknown }) => {
      const query: unknown = build(detached)
      const prepared = isPreparable(query) ? query.prepare('compiled') : undefined
      if (prepared instanceof UncachedQuery) return { on: () => prepared.refuse() }
      if (!SessionQuery.isOne(prepared)) {
        throw new UsageError('defineQuery takes a function that returns a Drizzle query: (db) => db.select().from(…)')
      }
      return { on: (runner, values) => SessionQuery.run(prepared, runner, values) as Promise<TResult> }
    },
    cursor: <TRow>(query: Streamable<TRow>, caller = 'stream') => {
      if (is(query, SQL)) {
        const { sql: text, params: parameters } = dialect.sqlToQuery(query)
        const map = (rows: Result, ask: Ask) =>
          plainRows.objects(rows, { instants: true }, ask) as Promise<Result<TRow>>
        return { text, parameters, arrays: false, map }
      }
      const prepared = isPreparable(query) ? query.prepare('cursor') : undefined
      if (prepared instanceof UncachedQuery) throw prepared.refusal()
      if (!SessionQuery.isOne(prepared)) {
        throw new UsageError(
          `${caller} takes a Drizzle query, such as db.select().from(…) or db.query.…, or a fragment made with sql of drizzle-orm`,
        )
      }
      return SessionQuery.cursor(prepared) as CursorQuery<TRow>
    },
    render: (fragment) => {
      const { sql: text, params: parameters } = dialect.sqlToQuery(fragment)
      return { text, parameters }
    },
    columnName: (column) => (dialect as unknown as { casing: CasingCache }).casing.getColumnCasing(column),
    tables,
    tableKeys: tableNamesMap,
    plainRows,
  }
}

/** Drizzle's own cache of column names. */
interface CasingCache {
  getColumnCasing(column: Column): string
}

/** True for what Drizzle's builders make. Not for certain: only what its `prepare` returns is known to be ours. */
function isPreparable(query: unknown): query is Preparable {
  return typeof (query as { prepare?: unknown } | null | undefined)?.prepare === 'function'
}

function refuseDetached(): Promise<never> {
  return Promise.reject(new UsageError('a compiled query runs on a session: call on(session)'))
}

type ResultMapper = (rows: unknown[][]) => unknown

class SessionDriver extends PgSession<PgQueryResultHKT, Record<string, unknown>, TablesRelationalConfig> {
  readonly #relational: RelationalSchema
  readonly #runner: StatementRunner
  readonly #dialect: SessionDialect
  readonly #plainRows: PlainRows

  constructor(dialect: SessionDialect, relational: RelationalSchema, runner: StatementRunner, plainRows: PlainRows) {
    super(dialect)
    this.#dialect = dialect
    this.#relational = relational
    this.#runner = runner
    this.#plainRows = plainRows
  }

  // eslint-disable-next-line max-params -- Drizzle's signature
  override prepareQuery<T extends PreparedQueryConfig>(
    query: Query,
    fields: SelectedFieldsOrdered | undefined,
    _name: string | undefined,
    _isResponseInArrayMode: boolean,
    mapResult?: ResultMapper,
    _metadata?: unknown,
    cache?: { readonly enable: boolean },
  ): PgPreparedQuery<T> {
    if (cache?.enable) return new UncachedQuery<T>(query)
    if (fields === undefined && mapResult === undefined && query.params.length === 0) {
      const statements = statementsOf(query.sql)
      if (statements.length > 1) return new ScriptQuery<T, StatementRunner>(query, this.#runner, statements, this.#raw)
    }
    return new SessionQuery<T>(this.#runner, query, this.#readingOf(query, fields, mapResult))
  }

  readonly #raw = (runner: StatementRunner, sql: string): Promise<unknown> =>
    new SessionQuery(runner, { sql, params: [] }, new RawRows(this.#plainRows)).execute()

  #readingOf(
    query: Query,
    fields: SelectedFieldsOrdered | undefined,
    mapResult: ResultMapper | undefined,
  ): QueryReading {
    const relational = mapResult && this.#dialect.readingOf(query)
    // Drizzle's mapper, given no rows, returns undefined when one row is wanted, and a list when all are.
    if (relational) return new RelationalRows(this.#plainRows, relational, mapResult([]) === undefined)
    return fields ? new SelectedRows(this.#plainRows, fields) : new RawRows(this.#plainRows)
  }

  override transaction<T>(
    unitOfWork: (tx: PgTransaction<PgQueryResultHKT, Record<string, unknown>, TablesRelationalConfig>) => Promise<T>,
    config: PgTransactionConfig = {},
  ): Promise<T> {
    const options: DrizzleTransactionOptions = {
      ...(config.isolationLevel === undefined ? {} : { isolation: config.isolationLevel }),
      ...(config.accessMode === undefined ? {} : { readOnly: config.accessMode === 'read only' }),
      ...(config.deferrable === undefined ? {} : { deferrable: config.deferrable }),
    }
    return this.#runner.transaction((nested) => {
      const driver = new SessionDriver(this.#dialect, this.#relational, nested, this.#plainRows)
      const tx = new SessionTransaction(this.dialect, driver, this.#relational as never)
      tx.$cache = noCache
      return unitOfWork(tx)
    }, options)
  }
}

class SessionTransaction extends PgTransaction<PgQueryResultHKT, Record<string, unknown>, TablesRelationalConfig> {
  override transaction<T>(
    unitOfWork: (tx: PgTransaction<PgQueryResultHKT, Record<string, unknown>, TablesRelationalConfig>) => Promise<T>,
  ): Promise<T> {
    const { session } = this as unknown as { session: SessionDriver }
    return session.transaction(unitOfWork)
  }
}

/** How the rows of one query are read. */
interface QueryReading {
  /** Whether rows are wanted as arrays. */
  readonly arrays: boolean
  read(rows: Result, ask: Ask, notNullable: Record<string, boolean> | undefined): unknown
}

/** Rows of SQL that no columns describe. */
class RawRows implements QueryReading {
  readonly arrays = false
  readonly #plainRows: PlainRows

  constructor(plainRows: PlainRows) {
    this.#plainRows = plainRows
  }

  read(rows: Result, ask: Ask): unknown {
    return this.#plainRows.objects(rows, { instants: false }, ask)
  }
}

/** Rows of columns and expressions. */
class SelectedRows implements QueryReading {
  readonly arrays = true
  readonly #plainRows: PlainRows
  readonly #fields: SelectedFieldsOrdered
  readonly #places: PlainPlaces | undefined
  #mapRow: RowMapper | undefined

  constructor(plainRows: PlainRows, fields: SelectedFieldsOrdered) {
    this.#plainRows = plainRows
    this.#fields = fields
    this.#places = plainPlaces(fields)
  }

  read(rows: Result, ask: Ask, notNullable: Record<string, boolean> | undefined): unknown {
    const mapRow = (this.#mapRow ??= createRowMapper(this.#fields, notNullable))
    return readThen(this.#plainRows, rows, this.#places, ask, (values) => values.map(mapRow))
  }
}

/** Rows with related rows in JSON. */
class RelationalRows implements QueryReading {
  readonly arrays = true
  readonly #plainRows: PlainRows
  readonly #reading: RelationalReading
  readonly #first: boolean
  #readRow: RowReader | undefined

  constructor(plainRows: PlainRows, reading: RelationalReading, first: boolean) {
    this.#plainRows = plainRows
    this.#reading = reading
    this.#first = first
  }

  read(rows: Result, ask: Ask): unknown {
    const { ownTypes, rowReader, places } = this.#reading
    const read = (known: ReadonlyMap<string, Read>) => {
      const readRow = (this.#readRow ??= rowReader(known))
      return readThen(this.#plainRows, rows, places, ask, (values) => {
        if (!this.#first) return values.map(readRow)
        return values[0] && readRow(values[0])
      })
    }
    const own = this.#plainRows.named(ownTypes, ask)
    return own instanceof Promise ? own.then(read) : read(own)
  }
}

/** Reads what the answer alone tells the type of, which may take a question to the server, then the rows. */
function readThen(
  plainRows: PlainRows,
  rows: Result,
  places: PlainPlaces | undefined,
  ask: Ask,
  then: (values: unknown[][]) => unknown,
): unknown {
  if (!places) return then(rows as unknown[][])
  const read = plainRows.values(rows as Result<unknown[]>, places, ask)
  return read instanceof Promise ? read.then((values) => then(values as unknown[][])) : then(read as unknown[][])
}

class SessionQuery<T extends PreparedQueryConfig> extends PgPreparedQuery<T> {
  /** Set by Drizzle on queries with joins: which joined tables are never null. */
  joinsNotNullableMap: Record<string, boolean> | undefined
  readonly #runner: StatementRunner
  readonly #reading: QueryReading
  readonly #options: StatementOptions
  readonly #hasPlaceholders: boolean

  constructor(runner: StatementRunner, query: Query, reading: QueryReading) {
    super(query, undefined, undefined)
    this.#runner = runner
    this.#reading = reading
    this.#options = { arrays: reading.arrays, prepare: query.params.length > 0 }
    this.#hasPlaceholders = query.params.some((parameter) => typeof parameter === 'object' && parameter !== null)
  }

  override execute(values?: Record<string, unknown>): Promise<T['execute']> {
    return this.#on(this.#runner, values)
  }

  all(values?: Record<string, unknown>): Promise<T['all']> {
    return this.#on(this.#runner, values)
  }

  /** True for a query of this class, which no task can imitate. */
  static isOne(query: unknown): query is SessionQuery<PreparedQueryConfig> {
    return typeof query === 'object' && query !== null && #runner in query
  }

  static run(
    query: SessionQuery<PreparedQueryConfig>,
    runner: StatementRunner,
    values?: Record<string, unknown>,
  ): Promise<unknown> {
    return query.#on(runner, values)
  }

  static cursor(query: SessionQuery<PreparedQueryConfig>): CursorQuery<unknown> {
    return query.#cursor()
  }

  // Private, because a task can put methods of its own on a query: they would be handed the session's internals.
  #on(runner: StatementRunner, values: Record<string, unknown> = {}): Promise<unknown> {
    const { sql: text, params } = this.query
    const parameters = this.#hasPlaceholders ? fillPlaceholders(params, values) : params
    const ask: Ask = (question, about, options, read) => runner.run(question, about, options, read)
    return runner.run(text, parameters, this.#options, (rows) => this.#read(rows, ask))
  }

  #cursor(): CursorQuery<unknown> {
    const { sql: text, params } = this.query
    const map = (rows: Result, ask: Ask) => this.#read(rows, ask) as unknown[]
    return { text, parameters: fillPlaceholders(params, {}), arrays: this.#reading.arrays, map }
  }

  #read(rows: Result, ask: Ask): unknown {
    return this.#reading.read(rows, ask, this.joinsNotNullableMap)
  }
}
