/**
 * A column taken for its twin, whose values lose nothing on their way as text: a timestamp read as Date has milliseconds,
 * its twin all microseconds. A type of the user's own is taken for the type that PostgreSQL calls by the same name, where
 * it has no limits to keep. All else of a twin (its name, its default, whether it may be null) is the column's own.
 */
import type { PgColumn } from 'drizzle-orm/pg-core'
import { elementOf, kindOf } from './column-kind.ts'

/** The twin of a column, or the column itself where it has none. */
export function textTwin(column: PgColumn): PgColumn {
  const element = elementOf(column)
  if (element) {
    const twin = textTwin(element)
    return twin === element ? column : Object.create(column, { baseColumn: { value: twin } })
  }
  const columnType = twinType(column)
  return columnType === undefined ? column : Object.create(column, { columnType: { value: columnType } })
}

function twinType(column: PgColumn): string | undefined {
  const kind = kindOf(column)
  if (kind === 'timestamp as Date') return 'PgTimestampString'
  if (kind === 'date as Date') return 'PgDateString'
  if (kind !== 'custom') return undefined
  const name = column.getSQLType().toLowerCase()
  return Object.hasOwn(ownTypes, name) ? ownTypes[name] : undefined
}

const ownTypes: Readonly<Record<string, string>> = {
  smallint: 'PgSmallInt',
  int2: 'PgSmallInt',
  integer: 'PgInteger',
  int: 'PgInteger',
  int4: 'PgInteger',
  bigint: 'PgBigInt64',
  int8: 'PgBigInt64',
  real: 'PgReal',
  float4: 'PgReal',
  'double precision': 'PgDoublePrecision',
  float8: 'PgDoublePrecision',
  boolean: 'PgBoolean',
  bool: 'PgBoolean',
  text: 'PgText',
  citext: 'PgText',
  uuid: 'PgUUID',
  json: 'PgJson',
  jsonb: 'PgJsonb',
}
