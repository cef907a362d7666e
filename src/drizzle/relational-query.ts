/**
 * Relational queries whose related rows keep their values. Drizzle carries these in JSON, where a bigint loses digits, a
 * timestamp gets a T and a composite becomes an object: columns that JSON would change go into it as text, and every value
 * is read by one table (`column-reader.ts`). Drizzle builds the query; in what it built the columns are cast.
 * https://orm.drizzle.team/docs/rqb
 */
import {
  Column,
  is,
  One,
  type Query,
  SQL,
  sql,
  type SQLChunk,
  StringChunk,
  type TablesRelationalConfig,
} from 'drizzle-orm'
import { type PgColumn, PgDialect } from 'drizzle-orm/pg-core'
import { isJsonType } from './column-kind.ts'
import { type Decode, readerOf } from './column-reader.ts'
import type { Read } from '../values/server-type.ts'
import { UsageError } from '../errors.ts'
import { columnValue, jsonValue, parseKeepingDigits } from './lossless-json.ts'
import { type SelectQuery, WholeTables } from './whole-table.ts'
import { decoderOf, type Field, type PlainPlaces, plainPlaces } from './row-mapper.ts'

type QueryParts = Parameters<PgDialect['buildRelationalQueryWithoutPK']>[0]
type Built = ReturnType<PgDialect['buildRelationalQueryWithoutPK']>
type Items = readonly Item[]
type TableConfig = QueryParts['tableConfig']

/** One column, expression or relation of a query. */
interface Item {
  readonly tsKey: string
  readonly field: Column | SQL | SQL.Aliased
  /** True for a relation, whose rows are those of `selection` and of this table. */
  readonly isJson: boolean
  readonly relationTableTsKey: string | undefined
  readonly selection: Items
}

type OwnReads = ReadonlyMap<string, Read>

/** Reads the values of one row. */
export type RowReader = (row: readonly unknown[]) => Record<string, unknown>

/** How the rows of a relational query are read. */
export interface RelationalReading {
  /** Types of the database's own among the related rows, by name. */
  readonly ownTypes: readonly string[]
  /** Makes what reads one row, in the order of its columns; `own` reads values of these types. */
  readonly rowReader: (own: OwnReads) => RowReader
  readonly places: PlainPlaces | undefined
}

/** Drizzle's dialect; it remembers how to read the relational queries it has built. */
export class SessionDialect extends PgDialect {
  /** A query, built or rendered, and what it selects from which table. */
  readonly #selections = new WeakMap<object, { readonly selection: Items; readonly request: QueryParts }>()

  readonly #wholeTables = new WholeTables()

  override buildSelectQuery(query: SelectQuery): SQL {
    const build = (plain: SelectQuery) => super.buildSelectQuery(plain)
    const fieldsFlat = this.#wholeTables.of(query, build, (plain) => super.sqlToQuery(plain).sql)
    return super.buildSelectQuery(fieldsFlat ? Object.assign({}, query, { fieldsFlat }) : query)
  }

  override buildRelationalQueryWithoutPK(request: QueryParts): Built {
    if (request.nestedQueryRelation !== undefined) return this.#nested(request)
    const built = withOwnColumns(super.buildRelationalQueryWithoutPK(request), request)
    this.#selections.set(built.sql, { selection: built.selection, request })
    return built
  }

  override sqlToQuery(...parameters: Parameters<PgDialect['sqlToQuery']>): ReturnType<PgDialect['sqlToQuery']> {
    const query = super.sqlToQuery(...parameters)
    const relational = this.#selections.get(parameters[0])
    if (relational) this.#selections.set(query, relational)
    return query
  }

  /** How the rows of a rendered query are read; undefined where it is no relational one. */
  readingOf(query: Query): RelationalReading | undefined {
    const relational = this.#selections.get(query)
    if (!relational) return undefined
    const { selection, request } = relational
    const digits = selection.some(({ isJson, selection: inner }) => isJson && hasExtras(inner))
    const parse = digits ? parseKeepingDigits : (JSON.parse as (text: string) => unknown)
    return {
      ownTypes: [...new Set(selection.flatMap((item) => (item.isJson ? ownTypesOf(item.selection) : [])))],
      rowReader: (own) => rowReader({ tables: request.schema, digits, own }, request.tableConfig, selection, parse),
      places: plainPlaces(selection as readonly (Item & { readonly field: Field })[]),
    }
  }

  #nested(request: QueryParts): Built {
    const built = super.buildRelationalQueryWithoutPK(request)
    const values = valuesOf(built.sql as SQL)
    if (!values) throw new UsageError('this version of drizzle-orm builds related rows in another way: use one of 0.45')
    withOwnColumns(built, request).selection.forEach(({ field }, index) => {
      const asText = is(field, Column) ? readerOf(field as PgColumn).asText : undefined
      if (asText === undefined) return
      // Commas stand between the values.
      const value = values[2 * index]
      values[2 * index] = asText === 'text' ? sql`${value}::text` : outputOf(value)
    })
    return built
  }
}

/** The query, built already, with the table's columns instead of their aliases: what reads those is known. */
function withOwnColumns(built: Built, { tableConfig }: QueryParts): Built {
  for (const item of built.selection) {
    if (is(item.field, Column)) item.field = (tableConfig.columns[item.tsKey] ?? item.field) as PgColumn
  }
  return built
}

/** The text that a type's own output function makes. */
function outputOf(field: unknown): SQL {
  return sql`case when ${field} is distinct from null then format('%s', ${field}) end`
}

/** What stands in the `json_build_array(…)` of a related row. */
function valuesOf({ queryChunks }: SQL): SQLChunk[] | undefined {
  const [name, list] = queryChunks
  if (is(name, StringChunk) && name.value[0] === 'json_build_array(' && is(list, SQL)) return list.queryChunks
  for (const chunk of queryChunks) {
    const found = is(chunk, SQL) ? valuesOf(chunk) : undefined
    if (found) return found
  }
  return undefined
}

function hasExtras(selection: Items): boolean {
  return selection.some(({ field, isJson, selection: inner }) => (isJson ? hasExtras(inner) : !is(field, Column)))
}

/** The types of the database's own among related rows. */
function ownTypesOf(selection: Items): readonly string[] {
  return selection.flatMap(({ field, isJson, selection: inner }) => {
    if (isJson) return ownTypesOf(inner)
    return is(field, Column) ? (readerOf(field as PgColumn).ownType ?? []) : []
  })
}

interface Surroundings {
  readonly tables: TablesRelationalConfig
  /** Whether numbers of the JSON may be marked text. */
  readonly digits: boolean
  readonly own: OwnReads
}

interface ItemReader {
  readonly key: string
  readonly read: Decode | undefined
}

/** Reads a row of the query; `parse` reads the JSON of its relations, which in related rows is parsed already. */
function rowReader(
  surroundings: Surroundings,
  table: TableConfig,
  selection: Items,
  parse?: (text: string) => unknown,
): RowReader {
  const readers = selection.map((item): ItemReader => {
    const decode = item.isJson
      ? relationReader(surroundings, table, item, parse)
      : fieldReader(surroundings, item, !parse)
    const marked = surroundings.digits && !parse && !item.isJson
    const unmarked = is(item.field, Column) && isJsonType(item.field as PgColumn) ? jsonValue : columnValue
    const read: Decode | undefined = marked ? (value) => (decode ?? same)(unmarked(value)) : decode
    return { key: item.tsKey, read }
  })
  return (row) => {
    const result: Record<string, unknown> = {}
    for (let index = 0; index < readers.length; index++) {
      const { key, read } = readers[index] as ItemReader
      const value = row[index]
      result[key] = value === null || value === undefined ? null : read ? read(value) : value
    }
    return result
  }
}

function same(value: unknown): unknown {
  return value
}

function fieldReader({ own }: Surroundings, { field }: Item, inJson: boolean): Decode | undefined {
  if (!is(field, Column)) return decoderOf(field as Field)
  const { row, json, ownType } = readerOf(field as PgColumn)
  const read = inJson && ownType !== undefined ? own.get(ownType) : undefined
  if (read && json) return (value) => json(read(value as string))
  return inJson ? json : row
}

function relationReader(
  surroundings: Surroundings,
  table: TableConfig,
  { tsKey, relationTableTsKey, selection }: Item,
  parse: ((text: string) => unknown) | undefined,
): Decode {
  const related = surroundings.tables[relationTableTsKey ?? ''] as TableConfig
  const read = rowReader(surroundings, related, selection)
  const rows: Decode = is(table.relations[tsKey], One)
    ? (value) => (value === null ? null : read(value as unknown[]))
    : (value) => (value as unknown[][]).map(read)
  return parse ? (value) => rows(typeof value === 'string' ? parse(value) : value) : rows
}
