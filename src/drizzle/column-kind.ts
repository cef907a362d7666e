/**
 * What Drizzle's columns are, told by Drizzle's own names for them (`columnType`), which only this module compares.
 * Serials are integers, and the two ways of declaring an enum are one kind; a type of the user's own is `custom`, and what
 * no kind is known for is `other`.
 */
import { is } from 'drizzle-orm'
import { type PgColumn, PgArray } from 'drizzle-orm/pg-core'

const kinds = {
  PgSmallInt: 'smallint',
  PgSmallSerial: 'smallint',
  PgInteger: 'integer',
  PgSerial: 'integer',
  PgBigInt53: 'bigint as number',
  PgBigSerial53: 'bigint as number',
  PgBigInt64: 'bigint',
  PgBigSerial64: 'bigint',
  PgReal: 'real',
  PgDoublePrecision: 'double precision',
  PgNumeric: 'numeric',
  PgNumericNumber: 'numeric as number',
  PgNumericBigInt: 'numeric as bigint',
  PgBoolean: 'boolean',
  PgText: 'text',
  PgVarchar: 'varchar',
  PgChar: 'char',
  PgUUID: 'uuid',
  PgEnumColumn: 'enum',
  PgEnumObjectColumn: 'enum',
  PgTimestamp: 'timestamp as Date',
  PgTimestampString: 'timestamp',
  PgDate: 'date as Date',
  PgDateString: 'date',
  PgTime: 'time',
  PgInterval: 'interval',
  PgInet: 'inet',
  PgCidr: 'cidr',
  PgMacaddr: 'macaddr',
  PgMacaddr8: 'macaddr8',
  PgPointTuple: 'point',
  PgPointObject: 'point as object',
  PgLine: 'line',
  PgLineABC: 'line as object',
  PgGeometry: 'geometry',
  PgGeometryObject: 'geometry as object',
  PgBinaryVector: 'bit',
  PgVector: 'vector',
  PgHalfVector: 'halfvec',
  PgJson: 'json',
  PgJsonb: 'jsonb',
  PgArray: 'array',
  PgCustomColumn: 'custom',
} as const

/** What a column is. */
export type ColumnKind = (typeof kinds)[keyof typeof kinds] | 'other'

/** The kind of a column. */
export function kindOf({ columnType }: PgColumn): ColumnKind {
  return Object.hasOwn(kinds, columnType) ? kinds[columnType as keyof typeof kinds] : 'other'
}

/** Whether a column is one of these kinds. */
export function isKind(column: PgColumn | undefined, ...wanted: readonly ColumnKind[]): boolean {
  return column !== undefined && wanted.includes(kindOf(column))
}

/** The column of an array's elements, which may be an array again; undefined for what is no array. */
export function elementOf(column: PgColumn): PgColumn | undefined {
  return is(column, PgArray) ? (column as unknown as { baseColumn: PgColumn }).baseColumn : undefined
}

/** The column of an array's innermost elements; the column itself where it is no array. */
export function innermostOf(column: PgColumn): PgColumn {
  const element = elementOf(column)
  return element ? innermostOf(element) : column
}

/** What stands between two elements of an array of such columns. */
export function delimiterOf(column: PgColumn): string {
  return /^box(?:\[|$)/i.test(column.getSQLType()) ? ';' : ','
}

/** True for json and jsonb, Drizzle's own and others. */
export function isJsonType(column: PgColumn): boolean {
  return /^jsonb?$/i.test(column.getSQLType())
}
