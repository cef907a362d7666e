/**
 * Turns a row of values into the object a Drizzle selection describes. The decoders and paths are worked out once a
 * query instead of once a row. A joined table of which every column is null becomes null, as in Drizzle.
 */
import { Column, getTableName, is, SQL, Subquery } from 'drizzle-orm'
import type { SelectedFieldsOrdered } from 'drizzle-orm/pg-core'

/** Maps the values of one row, in column order. */
export type RowMapper = (row: readonly unknown[]) => Record<string, unknown>

interface Decoder {
  mapFromDriverValue(value: unknown): unknown
}

type Field = SelectedFieldsOrdered[number]['field']

interface Slot {
  readonly key: string
  readonly decoder: Decoder
}

/** Makes the mapper of one selection; `notNullable` says which joined tables (by name) are always there. */
export function createRowMapper(
  fields: SelectedFieldsOrdered,
  notNullable: Record<string, boolean> | undefined,
): RowMapper {
  if (fields.every(({ path }) => path.length === 1)) return flatMapper(fields)
  const nullable = notNullable === undefined ? [] : nullableGroups(fields, notNullable)
  const slots = fields.map(({ path, field }) => ({
    parents: path.slice(0, -1),
    key: path.at(-1) ?? '',
    decoder: decoderOf(field),
  }))
  return (row) => {
    const result: Record<string, unknown> = {}
    slots.forEach(({ parents, key, decoder }, index) => {
      let node = result
      for (const parent of parents) node = (node[parent] ??= {}) as Record<string, unknown>
      const value = row[index]
      node[key] = value === null || value === undefined ? null : decoder.mapFromDriverValue(value)
    })
    for (const { name, indexes } of nullable) {
      if (indexes.every((index) => row[index] === null)) result[name] = null
    }
    return result
  }
}

function flatMapper(fields: SelectedFieldsOrdered): RowMapper {
  const slots = fields.map(({ path, field }): Slot => ({ key: path[0] ?? '', decoder: decoderOf(field) }))
  return (row) => {
    const result: Record<string, unknown> = {}
    for (let index = 0; index < slots.length; index++) {
      const { key, decoder } = slots[index] as Slot
      const value = row[index]
      result[key] = value === null || value === undefined ? null : decoder.mapFromDriverValue(value)
    }
    return result
  }
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

function decoderOf(field: Field): Decoder {
  if (is(field, Column)) return field as unknown as Decoder
  const expression: unknown = is(field, SQL)
    ? field
    : is(field, Subquery)
      ? (field as unknown as { _: { sql: unknown } })._.sql
      : (field as unknown as { sql: unknown }).sql
  return (expression as { decoder: Decoder }).decoder
}
