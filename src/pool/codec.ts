/**
 * How JavaScript values travel to the server and back. Parameters are encoded here, completely, before the driver sees
 * them: an encoding error inside the driver would reject the wrong statement and hang the rest of the pipeline.
 * Values keep their digits and their meaning or are refused; nothing is coerced.
 *
 * To the server: string, number, bigint, boolean, null, Date (timestamptz), Uint8Array (bytea), arrays of these
 * (array literal), plain objects (json). From the server: int2, int4, float, oid -> number, bool -> boolean,
 * bytea -> Buffer, one-dimensional arrays of these and of text; everything else arrives as PostgreSQL's text.
 */
import { parse as parseArray } from 'postgres-array'
import { InvalidInput, UsageError } from '../errors.ts'

/** Type oids of pg_type that matter here; they never change. */
export const oids = {
  bool: 16,
  bytea: 17,
  int8: 20,
  json: 114,
  jsonb: 3802,
  timestamptz: 1184,
} as const

/** A parameter whose type the value itself tells; postgres.js sends `type` along in Parse. */
export interface TypedParameter {
  readonly value: string
  readonly type: number
}

type Wrap = (parameter: TypedParameter) => unknown
type Parser = (text: string) => unknown

/**
 * Encodes one parameter. `wrap` makes the driver's own typed parameter.
 * @throws UsageError for undefined, functions and symbols; InvalidInput for values PostgreSQL cannot store as given.
 */
export function encodeParameter(value: unknown, position: number, wrap: Wrap): unknown {
  switch (typeof value) {
    case 'string':
      return checkedText(value, position)
    case 'number':
      return String(value)
    case 'bigint':
      return String(value)
    case 'boolean':
      return wrap({ value: value ? 't' : 'f', type: oids.bool })
    case 'object':
      break
    default:
      throw new UsageError(
        `parameter $${position} is ${value === undefined ? 'undefined' : `a ${typeof value}`}: pass a value, or null for SQL NULL`,
      )
  }
  if (value === null) return null
  if (value instanceof Date) return wrap({ value: checkedDate(value, position), type: oids.timestamptz })
  if (value instanceof Uint8Array) return wrap({ value: hexOf(value), type: oids.bytea })
  if (Array.isArray(value)) return arrayLiteral(value, position)
  if (!isJsonObject(value)) throw notAValue(value, position)
  return checkedText(jsonText(value, position), position)
}

/** Plain objects, and those that say themselves how they are written as JSON. */
function isJsonObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    prototype === Object.prototype || prototype === null || typeof (value as { toJSON?: unknown }).toJSON === 'function'
  )
}

function notAValue(value: object, position: number): UsageError {
  const hint =
    'then' in value
      ? 'await it first'
      : 'pass a string, number, bigint, boolean, Date, Uint8Array, array or plain object'
  return new UsageError(`parameter $${position} is a ${value.constructor?.name ?? 'object of a class'}: ${hint}`)
}

/** Text as PostgreSQL stores it. @throws InvalidInput for NUL and for lone surrogates, which UTF-8 cannot carry. */
function checkedText(text: string, position: number): string {
  if (text.includes('\0'))
    throw new InvalidInput(`parameter $${position} holds a NUL character, which text cannot store`)
  if (!text.isWellFormed()) {
    throw new InvalidInput(`parameter $${position} holds half of a surrogate pair, which UTF-8 cannot store`)
  }
  return text
}

function checkedDate(date: Date, position: number): string {
  if (Number.isNaN(date.getTime())) throw new InvalidInput(`parameter $${position} is an invalid Date`)
  return timestampText(date)
}

/** ISO 8601 with the years PostgreSQL understands: expanded years without sign, years before 1 as BC. */
function timestampText(date: Date): string {
  const year = date.getUTCFullYear()
  const rest = date.toISOString().replace(/^[+-]?\d+/, '')
  return year > 0 ? `${String(year).padStart(4, '0')}${rest}` : `${String(1 - year).padStart(4, '0')}${rest} BC`
}

function hexOf(bytes: Uint8Array): string {
  return `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`
}

function jsonText(value: object, position: number): string {
  try {
    const text = JSON.stringify(value) as string | undefined
    if (text !== undefined) return text
  } catch (cause) {
    throw new InvalidInput(`parameter $${position} cannot be written as JSON`, { cause })
  }
  throw new InvalidInput(`parameter $${position} cannot be written as JSON`)
}

/** https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO */
function arrayLiteral(values: readonly unknown[], position: number): string {
  const elements = values.map((value) => {
    if (value === null) return 'NULL'
    if (Array.isArray(value)) return arrayLiteral(value, position)
    const encoded = encodeParameter(value, position, (parameter) => parameter.value) as string
    return `"${encoded.replaceAll(/["\\]/g, '\\$&')}"`
  })
  return `{${elements.join(',')}}`
}

/** Replaces the driver's serializers and parsers: parameters come encoded, results are decoded as said above. */
export function installCodecs(options: {
  serializers: Record<number, unknown>
  parsers: Record<number, unknown>
}): void {
  for (const oid of Object.keys(options.serializers)) delete options.serializers[Number(oid)]
  for (const oid of Object.keys(options.parsers)) delete options.parsers[Number(oid)]
  Object.assign(options.parsers, parsers)
}

const number: Parser = Number
const boolean: Parser = (text) => text === 't'
/** In either format of bytea_output. https://www.postgresql.org/docs/current/datatype-binary.html */
const bytes: Parser = (text) => (text.startsWith('\\x') ? Buffer.from(text.slice(2), 'hex') : escapedBytes(text))
const escapedBytes = (text: string): Buffer =>
  Buffer.from(
    text.replaceAll(/\\(\\|[0-7]{3})/g, (_, code: string) =>
      code === '\\' ? code : String.fromCharCode(Number.parseInt(code, 8)),
    ),
    'latin1',
  )
const arrayOf =
  (element: Parser): Parser =>
  (text) =>
    parseArray(text, element)
const text: Parser = (value) => value

/** Type oid -> parser; array types stand beside their element type. */
const parsers: Readonly<Record<number, Parser>> = {
  [oids.bool]: boolean,
  1000: arrayOf(boolean),
  [oids.bytea]: bytes,
  1001: arrayOf(bytes),
  21: number, // int2
  1005: arrayOf(number),
  23: number, // int4
  1007: arrayOf(number),
  26: number, // oid
  1028: arrayOf(number),
  700: number, // float4
  1021: arrayOf(number),
  701: number, // float8
  1022: arrayOf(number),
  1016: arrayOf(text), // int8
  1009: arrayOf(text), // text
  1015: arrayOf(text), // varchar
  1014: arrayOf(text), // char
  1002: arrayOf(text), // "char"
  1003: arrayOf(text), // name
  1231: arrayOf(text), // numeric
  2951: arrayOf(text), // uuid
}

/** Parsers for rows that no Drizzle column decodes: what a reader of plain SQL expects beyond the above. */
export const plainParsers: Readonly<Record<number, Parser>> = {
  [oids.json]: JSON.parse,
  [oids.jsonb]: JSON.parse,
  [oids.timestamptz]: instant,
}

const instantForm =
  /^(\d{4,6})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?( BC)?$/

/** A Date for what a Date can hold; infinity and years out of range stay text. Offsets may have seconds. */
function instant(text: string): unknown {
  const parts = instantForm.exec(text)
  if (!parts) return text
  const [year, month, day, hours, minutes, seconds] = parts.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const date = new Date(0)
  date.setUTCFullYear(parts[12] === undefined ? year : 1 - year, month - 1, day)
  const offset = (Number(parts[9]) * 60 + Number(parts[10] ?? 0)) * 60 + Number(parts[11] ?? 0)
  const milliseconds = Math.floor(Number((parts[7] ?? '').padEnd(6, '0')) / 1000)
  date.setUTCHours(hours, minutes, seconds - (parts[8] === '+' ? offset : -offset), milliseconds)
  return Number.isNaN(date.getTime()) ? text : date
}
