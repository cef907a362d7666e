/**
 * Turns what the connection answers for a column into the column's JavaScript value. Where Drizzle's own decoder reads
 * every value right it is used, and none where the value arrives as it should be; arrays, instants and JSON are read
 * here, because Drizzle's readers lose NULL elements, far years, offsets with seconds and JSON strings.
 */
import { is } from 'drizzle-orm'
import { type PgColumn, PgArray } from 'drizzle-orm/pg-core'
import { parse as parseArray } from 'postgres-array'
import { DatabaseError } from '../errors.ts'
import { parseInstant } from './temporal.ts'

/** Reads one value that is not null. */
export type Decode = (value: unknown) => unknown

/** JSON as the server wrote it, of an expression whose type only the answer tells. */
export class JsonText {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** As a parameter again: exactly as it came. */
  toString(): string {
    return this.#text
  }
}

/** Columns whose values the connection answers as they should be. */
const asTheyArrive = new Set(
  (
    'PgText PgVarchar PgChar PgUUID PgEnumColumn PgEnumObjectColumn PgNumeric PgBoolean PgSmallInt PgSmallSerial ' +
    'PgInteger PgSerial PgReal PgDoublePrecision PgTimestampString PgDateString PgTime PgInterval PgInet PgCidr ' +
    'PgMacaddr PgMacaddr8'
  ).split(' '),
)

const decoders: Readonly<Record<string, Decode>> = {
  PgTimestamp: instant,
  PgDate: instant,
  PgBigInt64: (value) => BigInt(value as string),
  PgBigSerial64: (value) => BigInt(value as string),
  PgNumericNumber: Number,
  PgNumericBigInt: (value) => BigInt(value as string),
  PgJson: (value) => JSON.parse(value as string) as unknown,
  PgJsonb: (value) => JSON.parse(value as string) as unknown,
}

/** The decoder of a column; undefined when values are left as they arrive. */
export function decoderOf(column: PgColumn): Decode | undefined {
  if (asTheyArrive.has(column.columnType)) return undefined
  const decode = decoders[column.columnType]
  if (decode) return decode
  if (column.columnType === 'PgBigInt53' || column.columnType === 'PgBigSerial53') return safeInteger(column)
  // A JSON type of the user's own expects what drivers make of JSON, not its text.
  if (isJsonType(column)) return (value) => column.mapFromDriverValue(JSON.parse(value as string))
  if (!is(column, PgArray)) return (value) => column.mapFromDriverValue(value)
  const element = elementDecoder(column)
  return (value) => elementsOf(typeof value === 'string' ? parseArray(value, identity) : value, element)
}

/** True for json and jsonb, Drizzle's own and others. */
export function isJsonType(column: PgColumn): boolean {
  return /^jsonb?$/i.test(column.getSQLType())
}

/** A bigint as a number, which cannot tell neighbours beyond 2^53 apart: nobody shall work with the wrong one. */
function safeInteger({ name }: PgColumn): Decode {
  return (value) => {
    const number = Number(value)
    if (Number.isSafeInteger(number)) return number
    throw new DatabaseError(
      `${name} holds a bigint beyond 2^53, which a number would round: give it mode: 'bigint' (what was written stays written)`,
      {
        sqlState: '22003',
        columns: [name],
      },
    )
  }
}

function instant(value: unknown): unknown {
  return typeof value === 'string' ? parseInstant(value) : value
}

function identity(value: string): string {
  return value
}

/** What reads the innermost elements: an array of any depth arrives whole. */
function elementDecoder(column: PgColumn): Decode {
  const { baseColumn } = column as unknown as { baseColumn: PgColumn }
  if (is(baseColumn, PgArray)) return elementDecoder(baseColumn)
  const numeric = numberLike.has(baseColumn.columnType)
  const decode = decoderOf(baseColumn)
  if (decode) return decode
  // Arrays of a domain or of an unknown type arrive as text, with text for elements.
  if (numeric) return Number
  return baseColumn.columnType === 'PgBoolean' ? (value) => value === true || value === 't' : (value) => value
}

const numberLike = new Set(['PgSmallInt', 'PgSmallSerial', 'PgInteger', 'PgSerial', 'PgReal', 'PgDoublePrecision'])

function elementsOf(value: unknown, decode: Decode): unknown {
  if (value === null) return null
  return Array.isArray(value) ? value.map((inner) => elementsOf(inner, decode)) : decode(value)
}
