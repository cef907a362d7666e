/**
 * Turns a row of values into the object a Drizzle selection describes. Readers and paths are worked out once a query
 * instead of once a row. A joined table of which every column is null becomes null, as in Drizzle.
 */
import { Column, getTableName, is, noopDecoder, SQL, Subquery } from 'drizzle-orm'
import type { PgColumn, SelectedFieldsOrdered } from 'drizzle-orm/pg-core'
import { innermostOf, isJsonType } from './column-kind.ts'
import { type Decode, readerOf } from './column-reader.ts'

/** Maps the values of one row, in column order. */
export type RowMapper = (row: readonly unknown[]) => Record<string, unknown>

/** What a selection names: a column, or an expression that may have a decoder. */
export type Field = SelectedFieldsOrdered[number]['field']

interface FieldReader {
  readonly key: string
  readonly decode: Decode | undefined
}

/** Makes the mapper of one selection; `notNullable` says which joined tables (by name) are always there. */
export function createRowMapper(
  fields: SelectedFieldsOrdered,
  notNullable: Record<string, boolean> | undefined,
): RowMapper {
  if (fields.every(({ path }) => path.length === 1)) return flatMapper(fields)
  const nullable = notNullable === undefined ? [] : nullableGroups(fields, notNullable)
  const readers = fields.map(({ path, field }) => ({
    parents: path.slice(0, -1),
    key: path.at(-1) ?? '',
    decode: decoderOf(field),
  }))
  return (row) => {
    const result: Record<string, unknown> = {}
    readers.forEach(({ parents, key, decode }, index) => {
      let node = result
      for (const parent of parents) node = (node[parent] ??= {}) as Record<string, unknown>
      node[key] = decoded(row[index], decode)
    })
    for (const { name, indexes } of nullable) {
      if (indexes.every((index) => row[index] === null)) result[name] = null
    }
    return result
  }
}

function flatMapper(fields: SelectedFieldsOrdered): RowMapper {
  const readers = fields.map(({ path, field }): FieldReader => ({ key: path[0] ?? '', decode: decoderOf(field) }))
  return (row) => {
    const result: Record<string, unknown> = {}
    for (let index = 0; index < readers.length; index++) {
      const { key, decode } = readers[index] as FieldReader
      result[key] = decoded(row[index], decode)
    }
    return result
  }
}

function decoded(value: unknown, decode: Decode | undefined): unknown {
  if (value === null || value === undefined) return null
  return decode ? decode(value) : value
}

/** Top-level objects made of the columns of a single joined table that a LEFT JOIN may leave out. */
function nullableGroups(fields: SelectedFieldsOrdered, notNullable: Record<string, boolean>) {
  const names = new Set(fields.filter(({ path }) => path.length === 2).map(({ path }) => path[0] ?? ''))
  return [...names].flatMap((name) => {
    const indexes: number[] = []
    const tables = new Set<string>()
    fields.forEach(({ path, field }, index) => {
      if (path.length !== 2 || path[0] !== name || !is(field, Column)) return
      indexes.push(index)
      tables.add(getTableName(field.table))
    })
    const [table] = tables
    return tables.size === 1 && table !== undefined && notNullable[table] !== true ? [{ name, indexes }] : []
  })
}

/** What reads the values of a field; undefined where they arrive as they should be. */
export function decoderOf(field: Field): Decode | undefined {
  const decoder = mappingOf(field)
  if (is(decoder, Column)) return readerOf(decoder as PgColumn).row
  return decoder === noopDecoder ? undefined : (value) => decoder.mapFromDriverValue(value)
}

/** Where in a row the answer alone tells the type. */
export interface PlainPlaces {
  /** Of expressions; where one is mapped like a column of arrays or JSON (`mapWith`), that reads the text itself. */
  readonly expressions: readonly number[]
  /** Of columns whose type is the database's own: under a domain there may be JSON, which their mapping wants parsed. */
  readonly columns: readonly number[]
}

/** These places of a selection. */
export function plainPlaces(
  fields: readonly { readonly field: Field; readonly isJson?: boolean }[],
): PlainPlaces | undefined {
  const expressions: number[] = []
  const columns: number[] = []
  for (let index = 0; index < fields.length; index++) {
    const { field, isJson } = fields[index] as (typeof fields)[number]
    if (isJson === true) continue
    if (is(field, Column)) {
      if (readerOf(field as PgColumn).ownType !== undefined) columns.push(index)
      continue
    }
    const mapping = mappingOf(field)
    if (!is(mapping, Column) || !readsText(mapping as PgColumn)) expressions.push(index)
  }
  return expressions.length + columns.length === 0 ? undefined : { expressions, columns }
}

function readsText(column: PgColumn): boolean {
  return innermostOf(column) !== column || isJsonType(column)
}

interface Decoder {
  mapFromDriverValue(value: unknown): unknown
}

/** Drizzle's decoder of a field: the column itself, or what `mapWith` gave to an expression. */
export function mappingOf(field: Field): Decoder {
  if (is(field, Column)) return field as unknown as Decoder
  const expression: unknown = is(field, SQL)
    ? field
    : is(field, Subquery)
      ? (field as unknown as { _: { sql: unknown } })._.sql
      : (field as unknown as { sql: unknown }).sql
  return (expression as { decoder: Decoder }).decoder
}
