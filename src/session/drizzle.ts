/**
 * Drizzle's driver for a session: the classes Drizzle asks a driver for, on our statements instead of a client's.
 * It prepares every parameterised query, lets our typed errors through instead of wrapping them (Drizzle's wrapper
 * repeats SQL and parameters in its message), and keeps the digits of numbers in relational queries.
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
  PgDialect,
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
import { oids, plainParsers } from '../pool/codec.ts'
import type { Result, StatementOptions } from '../pool/connection.ts'
import { columnValue, parseKeepingDigits } from './json-digits.ts'
import { createRowMapper, type RowMapper } from './row-mapper.ts'
import { decodePlain } from './sql.ts'

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

/** A query whose rows can be fetched one by one: a select, an SQL fragment, or a query taken apart already. */
export type Streamable<TRow> =
  | SQL<TRow>
  | (PromiseLike<readonly TRow[]> & { prepare(name: string): unknown })
  | CursorQuery<TRow>

/** A query taken apart for a cursor. */
export interface CursorQuery<TRow> {
  readonly text: string
  readonly parameters: readonly unknown[]
  /** What each parameter is for, for errors about its value. */
  readonly names?: readonly (string | undefined)[]
  /** Whether `map` wants rows as arrays. */
  readonly arrays: boolean
  map(rows: Result): readonly TRow[]
}

/** Drizzle set up for one schema. */
export interface Drizzle<TSchema extends Schema = Schema> {
  /** The database of one session. */
  database(runner: StatementRunner): Database<TSchema>
  /** Renders what `build` makes, once. */
  compile<TResult>(build: (db: Database<TSchema>) => { prepare(name: string): unknown }): CompiledQuery<TResult>
  /** Renders a query for a cursor. */
  cursor<TRow>(query: Streamable<TRow>): CursorQuery<TRow>
  /** Renders a fragment; its placeholders stand among the parameters. */
  render(fragment: SQL): { readonly text: string; readonly parameters: readonly unknown[] }
  /** The name of a column in the database, with the casing applied. */
  columnName(column: Column): string
  /** The schema's tables under their keys there, with their relations. */
  readonly tables: TablesRelationalConfig
  /** `schema.table` in the database -> key in the schema. */
  readonly tableKeys: Readonly<Record<string, string>>
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
  const dialect = new PgDialect(casing === undefined ? {} : { casing })
  const { tables, tableNamesMap } = extractTablesRelationalConfig(schema, createTableRelationsHelpers)
  const relational: RelationalSchema = { fullSchema: schema, schema: tables, tableNamesMap }
  const database = (runner: StatementRunner) =>
    new PgDatabase(
      dialect,
      new SessionDriver(dialect, relational, runner),
      relational as never,
    ) as unknown as Database<TSchema>
  const detached = database({ run: refuseDetached, transaction: refuseDetached })
  return {
    database,
    compile: <TResult>(build: (db: Database<TSchema>) => { prepare(name: string): unknown }) => {
      const prepared = build(detached).prepare('compiled') as SessionQuery<PreparedQueryConfig>
      return { on: (runner, values) => prepared.on(runner, values) as Promise<TResult> }
    },
    cursor: <TRow>(query: Streamable<TRow>) => {
      if (is(query, SQL)) {
        const { sql: text, params: parameters } = dialect.sqlToQuery(query)
        return { text, parameters, arrays: false, map: (rows: Result) => decodePlain(rows) as Result<TRow> }
      }
      if (isTakenApart(query)) return query
      if (typeof (query as { prepare?: unknown } | undefined)?.prepare !== 'function') {
        throw new UsageError('stream takes a Drizzle select, or a fragment made with sql of drizzle-orm')
      }
      return (query.prepare('cursor') as SessionQuery<PreparedQueryConfig>).cursor() as CursorQuery<TRow>
    },
    render: (fragment) => {
      const { sql: text, params: parameters } = dialect.sqlToQuery(fragment)
      return { text, parameters }
    },
    columnName: (column) => (dialect as unknown as { casing: CasingCache }).casing.getColumnCasing(column),
    tables,
    tableKeys: tableNamesMap,
  }
}

/** Drizzle's own cache of column names. */
interface CasingCache {
  getColumnCasing(column: Column): string
}

function isTakenApart<TRow>(query: Streamable<TRow>): query is CursorQuery<TRow> {
  return typeof (query as Partial<CursorQuery<TRow>> | undefined)?.map === 'function'
}

function refuseDetached(): Promise<never> {
  return Promise.reject(new UsageError('a compiled query runs on a session: call on(session)'))
}

type ResultMapper = (rows: unknown[][], mapColumnValue?: (value: unknown) => unknown) => unknown

class SessionDriver extends PgSession<PgQueryResultHKT, Record<string, unknown>, TablesRelationalConfig> {
  readonly #relational: RelationalSchema
  readonly #runner: StatementRunner

  constructor(dialect: PgDialect, relational: RelationalSchema, runner: StatementRunner) {
    super(dialect)
    this.#relational = relational
    this.#runner = runner
  }

  override prepareQuery<T extends PreparedQueryConfig>(
    query: Query,
    fields: SelectedFieldsOrdered | undefined,
    _name: string | undefined,
    _isResponseInArrayMode: boolean,
    mapResult?: ResultMapper,
  ): PgPreparedQuery<T> {
    return new SessionQuery<T>(this.#runner, query, fields, mapResult)
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
      const driver = new SessionDriver(this.dialect, this.#relational, nested)
      return unitOfWork(new SessionTransaction(this.dialect, driver, this.#relational as never))
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

class SessionQuery<T extends PreparedQueryConfig> extends PgPreparedQuery<T> {
  /** Set by Drizzle on queries with joins: which joined tables are never null. */
  joinsNotNullableMap: Record<string, boolean> | undefined
  readonly #runner: StatementRunner
  readonly #fields: SelectedFieldsOrdered | undefined
  readonly #mapResult: ResultMapper | undefined
  readonly #options: StatementOptions
  readonly #hasPlaceholders: boolean
  #mapRow: RowMapper | undefined

  constructor(
    runner: StatementRunner,
    query: Query,
    fields: SelectedFieldsOrdered | undefined,
    mapResult: ResultMapper | undefined,
  ) {
    super(query, undefined, undefined)
    this.#runner = runner
    this.#fields = fields
    this.#mapResult = mapResult
    const arrays = fields !== undefined || mapResult !== undefined
    this.#options = { arrays, prepare: query.params.length > 0 }
    this.#hasPlaceholders = query.params.some((parameter) => typeof parameter === 'object' && parameter !== null)
  }

  override execute(values?: Record<string, unknown>): Promise<T['execute']> {
    return this.on(this.#runner, values)
  }

  all(values?: Record<string, unknown>): Promise<T['all']> {
    return this.on(this.#runner, values)
  }

  on(runner: StatementRunner, values: Record<string, unknown> = {}): Promise<unknown> {
    const { sql: text, params } = this.query
    const parameters = this.#hasPlaceholders ? fillPlaceholders(params, values) : params
    return runner.run(text, parameters, this.#options, this.#map)
  }

  cursor(): CursorQuery<unknown> {
    const { sql: text, params } = this.query
    const arrays = this.#fields !== undefined
    return { text, parameters: fillPlaceholders(params, {}), arrays, map: (rows) => this.#map(rows) as unknown[] }
  }

  readonly #map = (rows: Result): unknown => {
    if (this.#mapResult) return this.#mapResult(withParsedRelations(rows as Result<unknown[]>), columnValue)
    if (!this.#fields) return withParsedJson(rows)
    this.#mapRow ??= createRowMapper(this.#fields, this.joinsNotNullableMap)
    return mapRows(rows as Result<unknown[]>, this.#fields, this.#mapRow)
  }
}

function mapRows(rows: Result<unknown[]>, fields: SelectedFieldsOrdered, mapRow: RowMapper): unknown[] {
  if (fields.some(({ field }) => !is(field, Column))) parseExpressionJson(rows, fields)
  const mapped: unknown[] = Array.from({ length: rows.length })
  for (let index = 0; index < rows.length; index++) mapped[index] = mapRow(rows[index] as unknown[])
  return mapped
}

/** JSON columns decode themselves; JSON that an expression makes has no decoder and is parsed here. */
function parseExpressionJson(rows: Result<unknown[]>, fields: SelectedFieldsOrdered): void {
  rows.columns?.forEach(({ type }, index) => {
    if ((type !== oids.json && type !== oids.jsonb) || is(fields[index]?.field, Column)) return
    for (const row of rows) {
      const value = row[index]
      if (typeof value === 'string') row[index] = plainParsers[type]?.(value)
    }
  })
}

function withParsedRelations(rows: Result<unknown[]>): unknown[][] {
  rows.columns?.forEach(({ type }, index) => {
    if (type !== oids.json) return
    for (const row of rows) {
      const value = row[index]
      if (typeof value === 'string' && value.startsWith('[')) row[index] = parseKeepingDigits(value)
    }
  })
  return rows
}

function withParsedJson(rows: Result): Result {
  for (const { name, type } of rows.columns ?? []) {
    if (type !== oids.json && type !== oids.jsonb) continue
    for (const row of rows as Record<string, unknown>[]) {
      const value = row[name]
      if (typeof value === 'string') row[name] = plainParsers[type]?.(value)
    }
  }
  return rows
}
