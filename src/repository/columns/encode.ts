/**
 * Checks what the caller gives for a column and turns it into the text that PostgreSQL reads. It refuses what the
 * server or the driver would store as something else: NUL, half surrogates, NaN, fractions in integers, digits beyond
 * the scale, objects for scalars, days that do not exist. What the server itself refuses clearly is left to the server.
 * Values of a filter may be longer than the column: no row equals them, but they can be compared.
 */
import { is, SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { type ColumnKind, delimiterOf, elementOf, isJsonType, isKind, kindOf } from '../../drizzle/column-kind.ts'
import { traitsOf } from '../../drizzle/column-traits.ts'
import { InvalidInput } from '../../errors.ts'
import { arrayText, quotedElement } from '../../values/array.ts'
import { bytesText } from '../../values/bytes.ts'
import { isPlain } from '../../values/plain-object.ts'
import { intervalEncoder } from './interval.ts'
import {
  InvalidValue,
  type Encode,
  matching,
  typeNameOf,
  type Purpose,
  storableText,
  checkedText,
  checkedType,
} from './invalid-value.ts'
import {
  bigIntegers,
  finite,
  finiteOrNot,
  integerRanges,
  numericBigint,
  numericNumber,
  numericString,
  real,
  wholeNumber,
} from './number.ts'
import { geometryEncoder, inArray, inObject, lineEncoder, pointEncoder, vectorEncoder } from './geometry.ts'
import { isTextType, limitOf } from './type-limits.ts'
import { dayEncoder, instantEncoder, instantText, temporalEncoder } from './temporal.ts'
import { addressEncoder, bitsEncoder, enumEncoder, macaddr8Encoder, macaddrEncoder, textEncoder } from './text.ts'

/** Turns an `InvalidValue` into `InvalidInput` that names the property. */
export function encodeFor(property: string, encode: Encode, value: unknown, purpose: Purpose): unknown {
  try {
    return encode(value, purpose)
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error
    throw new InvalidInput(`${property} ${error.message}`, { path: [property] })
  }
}

/** The encoder of a column; it never sees null or undefined. */
export function encoderOf(column: PgColumn): Encode {
  const kind = kindOf(column)
  const integer = integerRanges[kind]
  if (integer) return (value) => wholeNumber(value, integer)
  return (encoders[kind] ?? mappedEncoder)(column)
}

const encoders: Partial<Readonly<Record<ColumnKind, (column: PgColumn) => Encode>>> = {
  array: arrayEncoder,
  bigint: () => bigIntegers,
  real: () => real,
  'double precision': () => finiteOrNot,
  numeric: numericString,
  'numeric as number': numericNumber,
  'numeric as bigint': numericBigint,
  boolean: () => (value) => (checkedType<boolean>(value, 'boolean') ? 't' : 'f'),
  text: textEncoder,
  varchar: textEncoder,
  char: textEncoder,
  uuid: () => (value) => matching(checkedText(value), uuid, 'must be a UUID'),
  enum: enumEncoder,
  'timestamp as Date': instantEncoder,
  'date as Date': () => dayEncoder,
  timestamp: (column) => temporalEncoder('timestamp', column),
  date: (column) => temporalEncoder('date', column),
  time: (column) => temporalEncoder('time', column),
  interval: intervalEncoder,
  inet: () => addressEncoder,
  cidr: () => addressEncoder,
  macaddr: () => macaddrEncoder,
  macaddr8: () => macaddr8Encoder,
  bit: bitsEncoder,
  point: () => pointEncoder(inArray),
  'point as object': () => pointEncoder(inObject),
  line: () => lineEncoder(inArray),
  'line as object': () => lineEncoder(inObject),
  geometry: () => geometryEncoder(inArray),
  'geometry as object': () => geometryEncoder(inObject),
  vector: vectorEncoder,
  halfvec: vectorEncoder,
  json: () => jsonText,
  jsonb: () => jsonText,
}

const uuid = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i

function jsonText(value: unknown): string {
  checkJson(value, 0)
  return JSON.stringify(value)
}

const deepestJson = 1000

/**
 * JSON.stringify would turn NaN into null, a Map into {} and a Date into text: what is read back must be what was
 * written.
 */
function checkJson(value: unknown, depth: number): void {
  if (value === null || typeof value === 'boolean') return
  if (typeof value === 'string') return void storableText(value)
  if (typeof value === 'number') return void finite(value)
  if (depth > deepestJson) throw new InvalidValue(`is nested deeper than ${deepestJson} levels`)
  if (Array.isArray(value)) {
    // A loop by index also visits the holes of a sparse array.
    for (let index = 0; index < value.length; index++) checkJson(value[index], depth + 1)
    return
  }
  if (!isPlain(value)) throw new InvalidValue(`must be made of JSON values only, not ${jsonNameOf(value)}`)
  for (const [key, inner] of Object.entries(value)) {
    storableText(key)
    // As in JSON itself, a property that is undefined does not exist.
    if (inner !== undefined) checkJson(inner, depth + 1)
  }
}

function jsonNameOf(value: unknown): string {
  return typeof value === 'object' ? `a ${value?.constructor?.name ?? 'object without a constructor'}` : typeof value
}

/** Writes arrays as PostgreSQL's array literals. */
function arrayEncoder(column: PgColumn): Encode {
  const base = elementOf(column) as PgColumn
  const encode = encoderOf(base)
  const nested = elementOf(base) !== undefined
  const delimiter = delimiterOf(base)
  return (value, purpose) => {
    if (!Array.isArray(value)) throw new InvalidValue(`must be an array, not ${typeNameOf(value)}`)
    const elements = Array.from(value as unknown[], (element) => {
      if (element === undefined) throw new InvalidValue('has an element that is undefined')
      if (element === null) {
        if (nested) throw new InvalidValue('must hold arrays, not null')
        return 'NULL'
      }
      const encoded = encode(element, purpose)
      if (is(encoded, SQL)) throw new InvalidValue('has an element whose type writes SQL, which an array cannot hold')
      return nested ? (encoded as string) : quotedElement(textOf(encoded))
    })
    if (nested) checkShape(value as unknown[])
    return `{${elements.join(delimiter)}}`
  }
}

/** PostgreSQL takes the dimensions of an array from its first elements, and drops empty inner arrays. */
function checkShape(value: readonly unknown[]): void {
  const lengths = new Set(value.map((inner) => (inner as unknown[]).length))
  if (lengths.size > 1) throw new InvalidValue('must have inner arrays of one length')
  if (lengths.has(0)) throw new InvalidValue('must not have empty inner arrays')
}

/** Encodes a type without rules of its own: Drizzle's mapping, then the checks of every text. SQL is left as it is. */
function mappedEncoder(column: PgColumn): Encode {
  const type = column.getSQLType()
  const limit = limitOf(type)
  const { mapTo, mapFrom } = traitsOf(column)
  const textOnly = isKind(column, 'custom') && mapTo === undefined && mapFrom === undefined && isTextType(type)
  return (value, purpose) => {
    const result = textOnly ? checkedText(value) : mapped(column, value)
    if (is(result, SQL)) return result
    const written = writtenOf(column, result)
    limit?.(written, purpose)
    return written
  }
}

function mapped(column: PgColumn, value: unknown): unknown {
  try {
    return column.mapToDriverValue(value)
  } catch (cause) {
    throw new InvalidValue(`is not a valid value of ${column.getSQLType()}`, { cause })
  }
}

/** Writes the result of a mapping as text. */
function writtenOf(column: PgColumn, result: unknown): string {
  if (typeof result === 'string') {
    // PostgreSQL would take any other text as bytes, escapes included.
    if (isBytes(column) && !hexBytes.test(result)) throw new InvalidValue('must be a Uint8Array')
    if (isJsonType(column)) checkJsonText(result)
  }
  // A JSON type of the user's own may leave the writing to the driver.
  else if (isJsonType(column) && typeof result !== 'bigint') return jsonText(result)
  const written = Array.isArray(result) ? arrayLiteral(result) : scalarText(result)
  if (written !== undefined) return written
  throw new InvalidValue(`must be a value of ${column.getSQLType()}, not ${typeNameOf(result)}`)
}

/** Writes a scalar as drivers do; undefined for everything else. */
function scalarText(value: unknown): string | undefined {
  if (typeof value === 'string') return storableText(value)
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (typeof value === 'boolean') return value ? 't' : 'f'
  if (value instanceof Date) return instantText(value)
  return value instanceof Uint8Array ? textOf(value) : undefined
}

/**
 * Encodes a value for an expression, whose type only the server knows, with the checks of every type of its kind. A
 * value whose type the driver sets keeps it.
 */
export const encodeUntyped: Encode = (value) => {
  if (value instanceof Date) instantText(value)
  if (value instanceof Date || typeof value === 'boolean' || value instanceof Uint8Array) return value
  if (typeof value === 'number' && Number.isNaN(value)) throw new InvalidValue('must not be NaN')
  const written = Array.isArray(value)
    ? arrayLiteral(value)
    : (scalarText(value) ?? (isPlain(value) && jsonText(value)))
  if (typeof written === 'string') return written
  throw new InvalidValue(`must be a plain value, not ${typeNameOf(value)}`)
}

/** Writes an array as the driver does, with elements of any type. */
export function arrayLiteral(values: readonly unknown[]): string {
  return arrayText(values, (element) => {
    const written = scalarText(element) ?? (isPlain(element) ? jsonText(element) : undefined)
    if (written === undefined) throw new InvalidValue(`has an element that is ${typeNameOf(element)}`)
    return written
  })
}

/** A JSON type of the user's own may write JSON itself; a text that is not JSON stays an error. */
function checkJsonText(text: string): void {
  try {
    JSON.parse(text)
  } catch {
    throw new InvalidValue('was not written as JSON by its type')
  }
}

const hexBytes = /^\\x(?:[\da-f]{2})*$/i

function isBytes(column: PgColumn): boolean {
  return column.getSQLType().toLowerCase() === 'bytea'
}

/** Writes an encoded value as the text that PostgreSQL reads. */
export function textOf(encoded: unknown): string {
  return encoded instanceof Uint8Array ? bytesText(encoded) : String(encoded)
}
