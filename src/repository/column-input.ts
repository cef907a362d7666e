/**
 * Checks what the caller gives for a column and turns it into the text PostgreSQL reads. Refused is whatever the server
 * or the driver would store as something else: NUL, half surrogates, NaN, fractions in integers, digits beyond the
 * scale, objects for scalars, days that do not exist. What the server itself refuses clearly is left to it.
 * Values for a filter may be longer than the column: nothing equals them, but they can be compared.
 */
import { is } from 'drizzle-orm'
import { type PgColumn, PgArray } from 'drizzle-orm/pg-core'
import { InvalidInput } from '../errors.ts'
import { isJsonType } from './column-output.ts'
import {
  dateText,
  fractionComplaint,
  intervalComplaint,
  rangeComplaint,
  temporalComplaint,
  timestampText,
} from './temporal.ts'

/** What a value is for: to be stored in the column, or to be compared with it. */
export type Purpose = 'store' | 'compare'

/** Answers the value as a parameter; throws the complaint, as text, when it is none for this column. */
export type Encode = (value: unknown, purpose: Purpose) => unknown

/** A complaint about a value, without the column's name and without the value. */
class Complaint extends Error {}

/** Turns a complaint into `InvalidInput` that names the property. */
export function encodeFor(property: string, encode: Encode, value: unknown, purpose: Purpose): unknown {
  try {
    return encode(value, purpose)
  } catch (error) {
    if (!(error instanceof Complaint)) throw error
    throw new InvalidInput(`${property} ${error.message}`, { column: property })
  }
}

/** The encoder of a column; it never sees null or undefined. */
export function encoderOf(column: PgColumn): Encode {
  const integer = integerRanges[column.columnType]
  if (integer) return (value) => wholeNumber(value, integer)
  const make = encoders[column.columnType]
  if (make) return make(column)
  if (is(column, PgArray)) return arrayEncoder(column)
  return (value) => mapped(column, value)
}

const integerRanges: Readonly<Record<string, readonly [number, number]>> = {
  PgSmallInt: [-32_768, 32_767],
  PgSmallSerial: [-32_768, 32_767],
  PgInteger: [-2_147_483_648, 2_147_483_647],
  PgSerial: [-2_147_483_648, 2_147_483_647],
  PgBigInt53: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  PgBigSerial53: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
}

const encoders: Readonly<Record<string, (column: PgColumn) => Encode>> = {
  PgBigInt64: () => bigIntegers,
  PgBigSerial64: () => bigIntegers,
  PgReal: () => (value) => real(value),
  PgDoublePrecision: () => (value) => finiteOrNot(value),
  PgNumeric: (column) => (value, purpose) => numericText(column, text(value), purpose),
  PgNumericNumber: (column) => (value, purpose) => numericText(column, plainNumber(finite(value)), purpose),
  PgNumericBigInt: (column) => (value, purpose) => numericText(column, String(bigint(value)), purpose),
  PgBoolean: () => (value) => (boolean(value) ? 't' : 'f'),
  PgText: () => text,
  PgVarchar: limitedText,
  PgChar: limitedText,
  PgUUID: () => (value) => matching(text(value), uuid, 'must be a UUID'),
  PgEnumColumn: enumEncoder,
  PgEnumObjectColumn: enumEncoder,
  PgTimestamp: instantEncoder,
  PgDate: () => (value) => dateText(known(wholeDay(date(value)), 'date')),
  PgTimestampString: (column) => temporalEncoder('timestamp', column),
  PgDateString: (column) => temporalEncoder('date', column),
  PgTime: (column) => temporalEncoder('time', column),
  PgInterval: intervalEncoder,
  PgPointTuple: (column) => (value) => mapped(column, coordinates(value, 2)),
  PgLine: (column) => (value) => mapped(column, coordinates(value, 3)),
  PgJson: () => jsonText,
  PgJsonb: () => jsonText,
}

const uuid = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i

function typed<T>(value: unknown, type: string, article = 'a'): T {
  // oxlint-disable-next-line valid-typeof
  if (typeof value === type) return value as T
  throw new Complaint(`must be ${article} ${type}, not ${nameOf(value)}`)
}

function nameOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Date) return 'a Date'
  return typeof value === 'object' ? 'an object' : typeof value
}

const boolean = (value: unknown) => typed<boolean>(value, 'boolean')
const bigint = (value: unknown) => typed<bigint>(value, 'bigint')

function text(value: unknown): string {
  return storable(typed<string>(value, 'string'))
}

/** The encoder of text, whatever the column. */
export const encodeText: Encode = text

/** Text as PostgreSQL can hold it: without NUL, and whole in UTF-8. */
function storable(value: string): string {
  if (value.includes('\0')) throw new Complaint('holds a NUL character, which text cannot store')
  if (!value.isWellFormed()) throw new Complaint('holds half of a surrogate pair, which UTF-8 cannot store')
  return value
}

function matching(value: string, pattern: RegExp, complaint: string): string {
  if (!pattern.test(value)) throw new Complaint(complaint)
  return value
}

function wholeNumber(value: unknown, [least, most]: readonly [number, number]): number {
  const number = typed<number>(value, 'number')
  if (!Number.isInteger(number)) throw new Complaint('must be a whole number')
  if (number < least || number > most) throw new Complaint(`must be from ${least} to ${most}`)
  return number
}

const mostBigInteger = 2n ** 63n - 1n

function bigIntegers(value: unknown): string {
  const number = bigint(value)
  if (number > mostBigInteger || number < -mostBigInteger - 1n) throw new Complaint('must fit into 64 bits')
  return String(number)
}

function finite(value: unknown): number {
  const number = typed<number>(value, 'number')
  if (!Number.isFinite(number)) throw new Complaint('must be a finite number')
  return number
}

/** Floating point columns know NaN and the infinities. */
function finiteOrNot(value: unknown): string {
  const number = typed<number>(value, 'number')
  return Object.is(number, -0) ? '-0' : String(number)
}

function real(value: unknown): string {
  const number = typed<number>(value, 'number')
  const single = Math.fround(number)
  if (Number.isFinite(number) && !Number.isFinite(single)) throw new Complaint('is out of the range of real')
  if (number !== 0 && single === 0) throw new Complaint('is too small for real')
  return finiteOrNot(number)
}

/** A number without exponent, as numeric columns are compared digit by digit. */
function plainNumber(number: number): string {
  return String(number)
}

const numericPattern = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:e([+-]?\d{1,5}))?$/i
const numericWords = new Set(['NaN', 'Infinity', '-Infinity'])

/** A decimal number in text; more digits than the column has would be rounded away by the server. */
function numericText(column: PgColumn, value: string, purpose: Purpose): string {
  const { precision, scale = 0 } = column as unknown as { precision?: number; scale?: number }
  const match = numericPattern.exec(value)
  if (!match) {
    if (numericWords.has(value) && (precision === undefined || value === 'NaN')) return value
    throw new Complaint('must be a decimal number')
  }
  if (purpose === 'compare' || precision === undefined) return value
  const [, , whole = '', fraction = match[4] ?? '', , exponentText = '0'] = match
  const exponent = Number(exponentText)
  const digits = `${whole}${fraction}`
  const point = whole.length + exponent
  const lastDigit = digits.replace(/0+$/, '').length
  if (lastDigit - point > scale) throw new Complaint(`must have at most ${scale} digits after the point`)
  const firstDigit = digits.search(/[1-9]/)
  if (firstDigit !== -1 && point - firstDigit > precision - scale) {
    throw new Complaint(`must have at most ${precision - scale} digits before the point`)
  }
  return value
}

function limitedText(column: PgColumn): Encode {
  const { length } = column as unknown as { length?: number }
  return (value, purpose) => {
    const given = text(value)
    // The server counts code points, and cuts spaces beyond the limit off without a word.
    if (purpose === 'store' && length !== undefined && given.length > length && [...given].length > length) {
      throw new Complaint(`must have at most ${length} characters`)
    }
    return given
  }
}

function enumEncoder(column: PgColumn): Encode {
  const values = new Set<unknown>(column.enumValues)
  return (value) => {
    if (values.has(value)) return value
    throw new Complaint(`must be one of ${column.enumValues?.join(', ')}`)
  }
}

function date(value: unknown): Date {
  if (!(value instanceof Date)) throw new Complaint(`must be a Date, not ${nameOf(value)}`)
  if (Number.isNaN(value.getTime())) throw new Complaint('is an invalid Date')
  return value
}

/** A `date` has no time of day: one that is given would be dropped, and another day be stored or compared with. */
function wholeDay(given: Date): Date {
  if (given.getTime() % 86_400_000 !== 0) throw new Complaint('has a time of day, which a date has not')
  return given
}

/** A Date that the server knows as well. */
function known(given: Date, type: 'date' | 'timestamp'): Date {
  const complaint = rangeComplaint(given, type)
  if (complaint !== undefined) throw new Complaint(complaint)
  return given
}

/** Refuses what would be rounded; digits may be beyond the column where values are only compared. */
function checkFraction(text: string, column: PgColumn, purpose: Purpose): string {
  const { precision } = column as unknown as { precision?: number }
  const complaint = purpose === 'store' ? fractionComplaint(text, precision) : undefined
  if (complaint !== undefined) throw new Complaint(complaint)
  return text
}

function instantEncoder(column: PgColumn): Encode {
  return (value, purpose) => checkFraction(timestampText(known(date(value), 'timestamp')), column, purpose)
}

function intervalEncoder(column: PgColumn): Encode {
  const { fields } = column as unknown as { fields?: string }
  return (value, purpose) => {
    const given = checkFraction(text(value), column, purpose)
    const complaint = purpose === 'store' ? intervalComplaint(given, fields) : undefined
    if (complaint !== undefined) throw new Complaint(complaint)
    return given
  }
}

/** Numbers of a geometric type: more than it has would be dropped, and NaN is no place. */
function coordinates(value: unknown, count: number): number[] {
  if (!Array.isArray(value) || value.length !== count) throw new Complaint(`must be an array of ${count} numbers`)
  return Array.from(value as unknown[], (number) => {
    if (Number.isNaN(typed<number>(number, 'number'))) throw new Complaint('must not hold NaN')
    return number as number
  })
}

function temporalEncoder(type: 'date' | 'time' | 'timestamp', column: PgColumn): Encode {
  const { withTimezone = false } = column as unknown as { withTimezone?: boolean }
  return (value, purpose) => {
    const given = text(value)
    const complaint = temporalComplaint(given, type, withTimezone)
    if (complaint !== undefined) throw new Complaint(complaint)
    return checkFraction(given, column, purpose)
  }
}

function jsonText(value: unknown): string {
  checkJson(value, 0)
  return JSON.stringify(value)
}

const deepestJson = 1000

/** JSON.stringify would make null of NaN, {} of a Map and text of a Date: what comes back must be what went in. */
function checkJson(value: unknown, depth: number): void {
  if (value === null || typeof value === 'boolean') return
  if (typeof value === 'string') return void storable(value)
  if (typeof value === 'number') return void finite(value)
  if (depth > deepestJson) throw new Complaint(`is nested deeper than ${deepestJson} levels`)
  if (Array.isArray(value)) {
    // A loop by index also sees the holes of a sparse array.
    for (let index = 0; index < value.length; index++) checkJson(value[index], depth + 1)
    return
  }
  if (!isPlain(value)) throw new Complaint(`must be made of JSON values only, not ${jsonNameOf(value)}`)
  for (const [key, inner] of Object.entries(value)) {
    storable(key)
    // As in JSON itself, a property that is undefined is not there.
    if (inner !== undefined) checkJson(inner, depth + 1)
  }
}

function jsonNameOf(value: unknown): string {
  return typeof value === 'object' ? `a ${value?.constructor?.name ?? 'strange object'}` : typeof value
}

/** True for object literals and their like. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    (prototype === Object.prototype || prototype === null) &&
    typeof (value as { toJSON?: unknown }).toJSON !== 'function'
  )
}

/** Arrays travel as PostgreSQL's array literal. https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO */
function arrayEncoder(column: PgColumn): Encode {
  const { baseColumn } = column as unknown as { baseColumn: PgColumn }
  const encode = is(baseColumn, PgArray) ? arrayEncoder(baseColumn) : encoderOf(baseColumn)
  return (value, purpose) => {
    if (!Array.isArray(value)) throw new Complaint(`must be an array, not ${nameOf(value)}`)
    const nested = is(baseColumn, PgArray)
    const elements = Array.from(value as unknown[], (element) => {
      if (element === undefined) throw new Complaint('has an element that is undefined')
      if (element === null) {
        if (nested) throw new Complaint('must hold arrays, not null')
        return 'NULL'
      }
      const encoded = encode(element, purpose)
      return nested ? (encoded as string) : quoted(encoded)
    })
    if (nested) checkShape(value as unknown[])
    return `{${elements.join(',')}}`
  }
}

function quoted(encoded: unknown): string {
  return `"${textOf(encoded).replaceAll(/["\\]/g, String.raw`\$&`)}"`
}

/** The dimensions of an array are those of its first elements; empty inner arrays would vanish. */
function checkShape(value: readonly unknown[]): void {
  const lengths = new Set(value.map((inner) => (inner as unknown[]).length))
  if (lengths.size > 1) throw new Complaint('must have inner arrays of one length')
  if (lengths.has(0)) throw new Complaint('must not have empty inner arrays')
}

/** A type without rules of its own: Drizzle's mapping, then what every text must keep to. */
function mapped(column: PgColumn, value: unknown): unknown {
  let result: unknown
  try {
    result = column.mapToDriverValue(value)
  } catch (cause) {
    throw new Complaint(`is no value of ${column.getSQLType()}`, { cause })
  }
  if (typeof result === 'string') {
    // Any other text would be taken for bytes, escapes and all.
    if (isBytes(column) && !hexBytes.test(result)) throw new Complaint('must be a Uint8Array')
    if (isJsonType(column)) checkJsonText(result)
    return storable(result)
  }
  if (typeof result === 'number' || typeof result === 'bigint') return String(result)
  if (typeof result === 'boolean') return result ? 't' : 'f'
  if (result instanceof Date) return timestampText(date(result))
  if (result instanceof Uint8Array) return textOf(result)
  // A JSON type of the user's own may leave the writing to the driver.
  if (isJsonType(column)) return jsonText(result)
  throw new Complaint(`must be a value of ${column.getSQLType()}, not ${nameOf(result)}`)
}

/** A JSON type of the user's own may write JSON itself; a text that is none is not made one. */
function checkJsonText(text: string): void {
  try {
    JSON.parse(text)
  } catch {
    throw new Complaint('must be written as JSON by its type')
  }
}

const hexBytes = /^\\x(?:[\da-f]{2})*$/i

function isBytes(column: PgColumn): boolean {
  return column.getSQLType().toLowerCase() === 'bytea'
}

/** An encoded value as the text PostgreSQL reads. */
export function textOf(encoded: unknown): string {
  if (encoded instanceof Uint8Array) {
    return String.raw`\x${Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength).toString('hex')}`
  }
  return String(encoded)
}
