/**
 * Columns as JSON, in one place: what JSON a value becomes, what JSON may become a value, what a text in a query means,
 * and the JSON Schema that says so. Values keep their digits: a bigint or numeric is a string, a timestamp has its
 * microseconds, and NaN, which is no JSON, is a word. What may be stored is for the repositories' own rules to say.
 */
import type { PgColumn } from 'drizzle-orm/pg-core'
import { type ColumnKind, elementOf, innermostOf, isJsonType, isKind, kindOf } from '../drizzle/column-kind.ts'
import { readerOf } from '../drizzle/column-reader.ts'
import { traitsOf } from '../drizzle/column-traits.ts'
import { textTwin } from '../drizzle/text-twin.ts'
import { encodeFor, encoderOf, encodeUntyped } from '../repository/columns/encode.ts'
import { type Encode, InvalidValue, checkedText } from '../repository/columns/invalid-value.ts'
import { integerRanges } from '../repository/columns/number.ts'
import { limitOf } from '../repository/columns/type-limits.ts'
import type { PlannedColumn } from '../repository/query/table-plan.ts'
import { bytesText } from '../values/bytes.ts'
import { readExactJson } from '../values/exact-json.ts'
import { arrayReader, elementTypeOf, oids, type Read } from '../values/server-type.ts'
import { exactNumber, isNumberText, JsonFault, parseJson } from '../values/strict-json.ts'

/** A JSON Schema of draft 2020-12, as OpenAPI 3.1 has it. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** A column as JSON; null is dealt with elsewhere. */
export interface ColumnJson {
  readonly schema: JsonSchema
  /** What the connection answered, as JSON. */
  readonly decode: (value: unknown) => unknown
  /** JSON as a parameter. @throws InvalidValue */
  readonly encode: Encode
  /** A text of a query as JSON. @throws InvalidValue */
  readonly parse: (text: string) => unknown
  /** The same of an array's element; undefined for what is no array, or one of arrays. */
  readonly parseElement?: (text: string) => unknown
  /** The operators of a filter that the type has. */
  readonly operators: readonly string[]
  readonly sortable: boolean
  /**
   * How the server's text becomes JSON without `decode`: as it is, or between quotes; `t` as true; a timestamp in ISO 8601; a
   * document without its spaces; a floating point number as it is, unless it has an exponent or is none. Undefined where it does not.
   */
  readonly verbatim?: 'bare' | 'quoted' | 'boolean' | 'timestamp' | 'document' | 'floating' | undefined
}

const made = new WeakMap<PlannedColumn, ColumnJson>()

/** The same column with JSON for values; `columnJson` knows it afterwards. */
export function asJson(planned: PlannedColumn): PlannedColumn {
  const { column, untyped, encode: encodeOwn, ...rest } = planned
  const twin = column && textTwin(column)
  const json = twin ? jsonOf(twin) : ofExpression(planned)
  const formed: PlannedColumn = {
    ...rest,
    column: twin,
    ...(untyped && !twin && { untyped: (type: number) => exactReader(type) ?? untyped(type) }),
    decode: json.decode,
    // What a `$defaultFn` makes is no JSON, but a value of the schema's own type.
    encode: (value, purpose) => {
      return isJson(value) ? encodeFor(rest.property, json.encode, value, purpose) : encodeOwn(value, purpose)
    },
  }
  made.set(formed, json)
  return formed
}

/** How a column that `asJson` made is JSON. */
export function columnJson(planned: PlannedColumn): ColumnJson {
  return made.get(planned) as ColumnJson
}

function jsonOf(column: PgColumn): ColumnJson {
  const kind = kindOf(column)
  const form = formOf(column, kind)
  const operators = operatorsOf(column, kind)
  const sortable = operators.length > 1 && kind !== 'jsonb'
  return { parse: (given) => given, ...form, operators, sortable, verbatim: verbatim[kind] }
}

const verbatim: Partial<Record<ColumnKind, ColumnJson['verbatim']>> = {
  smallint: 'bare',
  integer: 'bare',
  bigint: 'quoted',
  numeric: 'quoted',
  text: 'quoted',
  varchar: 'quoted',
  char: 'quoted',
  enum: 'quoted',
  uuid: 'quoted',
  date: 'quoted',
  time: 'quoted',
  interval: 'quoted',
  inet: 'quoted',
  cidr: 'quoted',
  macaddr: 'quoted',
  boolean: 'boolean',
  timestamp: 'timestamp',
  jsonb: 'document',
  real: 'floating',
  'double precision': 'floating',
}

type JsonForm = Pick<ColumnJson, 'schema' | 'decode' | 'encode'> & Partial<Pick<ColumnJson, 'parse' | 'parseElement'>>

/** What is said of a kind, where it is not a text that arrives and goes as it is. */
interface JsonRule {
  readonly schema?: JsonSchema
  /** JSON as what the repository's encoder takes. */
  readonly read?: (json: unknown) => unknown
  /** What the column's reader made of the answer, as JSON. */
  readonly write?: (value: unknown) => unknown
  readonly parse?: (text: string) => unknown
}

function formOf(column: PgColumn, kind: ColumnKind): JsonForm {
  const element = elementOf(column)
  if (element) return ofArray(column, element)
  if (kind === 'custom' || kind === 'other') return ofServerText(column)
  const { schema = { type: 'string' }, read, write = plain, parse } = ruleOf(column, kind)
  const row = isJsonType(column) ? exactly : readerOf(column).row
  const encode = encoderOf(column)
  return {
    schema,
    decode: row ? (value) => write(row(value)) : write,
    encode: read ? (value, purpose) => encode(read(value), purpose) : encode,
    ...(parse && { parse }),
  }
}

function ruleOf(column: PgColumn, kind: ColumnKind): JsonRule {
  const { length, withTimezone } = traitsOf(column)
  const range = integerRanges[kind]
  if (range) return { schema: { type: 'integer', minimum: range[0], maximum: range[1] }, parse: parseWhole }
  switch (kind) {
    case 'bigint':
    case 'numeric as bigint':
      return { schema: { type: 'string', pattern: '^-?[0-9]+$' }, read: readBigint, write: String }
    case 'numeric':
      return { schema: decimal, read: (json) => (typeof json === 'number' ? String(json) : json) }
    case 'numeric as number':
      return { schema: { type: 'number' }, write: finiteOrWord, parse: parseNumber }
    case 'real':
    case 'double precision':
      return { schema: floating, read: readFloat, write: finiteOrWord, parse: parseFloating }
    case 'boolean':
      return { schema: { type: 'boolean' }, parse: parseBoolean }
    case 'text':
    case 'varchar':
    case 'char':
    case 'enum':
      return { schema: column.enumValues?.length ? { type: 'string', enum: column.enumValues } : bounded(length) }
    case 'uuid':
      return { schema: { type: 'string', format: 'uuid' } }
    case 'date':
      return { schema: { type: 'string', format: 'date' } }
    case 'timestamp':
      return { schema: withTimezone ? { type: 'string', format: 'date-time' } : localTime, write: isoText }
    case 'json':
    case 'jsonb':
      return { schema: {}, parse: parseDocument }
    case 'point':
    case 'geometry':
      return { schema: numbers(2), parse: parseDocument }
    case 'line':
      return { schema: numbers(3), parse: parseDocument }
    case 'vector':
    case 'halfvec':
      return { schema: { type: 'array', items: { type: 'number' } }, parse: parseDocument }
    case 'point as object':
    case 'geometry as object':
    case 'line as object':
      return { schema: { type: 'object', additionalProperties: { type: 'number' } }, parse: parseDocument }
    default:
      return {}
  }
}

const decimal = {
  type: 'string',
  pattern: String.raw`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$|^NaN$|^-?Infinity$`,
}
const floating = { anyOf: [{ type: 'number' }, { type: 'string', enum: ['NaN', 'Infinity', '-Infinity'] }] }
const localTime = { type: 'string', description: 'A date and a time of day without a time zone.' }
const bounded = (maxLength?: number): JsonSchema => ({
  type: 'string',
  ...(maxLength === undefined ? {} : { maxLength }),
})
const numbers = (count: number) => ({ type: 'array', items: { type: 'number' }, minItems: count, maxItems: count })

/** The schema of a value that may be null. */
export function nullable(schema: JsonSchema): JsonSchema {
  const { type, enum: values } = schema
  if (type === undefined) return Object.keys(schema).length === 0 ? schema : { anyOf: [schema, { type: 'null' }] }
  return {
    ...schema,
    type: [type, 'null'],
    ...(Array.isArray(values) ? { enum: [...(values as unknown[]), null] } : {}),
  }
}

function ofArray(column: PgColumn, element: PgColumn): JsonForm {
  const { schema, parse } = jsonOf(element)
  const { read = plain, write = plain } =
    elementOf(element) || isKind(element, 'custom', 'other') ? {} : ruleOf(element, kindOf(element))
  const row = isJsonType(innermostOf(column)) ? exactArray : readerOf(column).row
  const encode = encoderOf(column)
  return {
    schema: { type: 'array', items: elementOf(element) ? schema : nullable(schema) },
    decode: (value) => each(row ? row(value) : value, write),
    encode: (value, purpose) => encode(each(value, read), purpose),
    parse: parseDocument,
    ...(elementOf(element) ? {} : { parseElement: parse }),
  }
}

/** JSON as the server wrote it. Where a schema calls text JSON, the text stays. */
function exactly(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return readExactJson(value)
  } catch {
    return value
  }
}

const readExactArray = arrayReader(exactly)
const exactArray = (value: unknown) => (typeof value === 'string' ? readExactArray(value) : each(value, exactly))

/** The reader of what an expression answers, where that is JSON. */
function exactReader(type: number): Read | undefined {
  const element = elementTypeOf(type)
  if (element !== undefined && isJsonOid(element)) return readExactArray
  return isJsonOid(type) ? readExactJson : undefined
}

function isJsonOid(type: number): boolean {
  return type === oids.json || type === oids.jsonb
}

function each(value: unknown, change: (value: unknown) => unknown): unknown {
  if (value === null) return null
  return Array.isArray(value) ? value.map((inner) => each(inner, change)) : change(value)
}

/** A type of the user's own travels as the server writes it: what the mapping makes of it may be anything. */
function ofServerText(column: PgColumn): JsonForm {
  const type = column.getSQLType()
  if (/^bytea$/i.test(type))
    return { schema: { type: 'string', contentEncoding: 'base64' }, decode: plain, encode: readBytes }
  const limit = limitOf(type)
  return {
    schema: { type: 'string' },
    decode: (value) => (typeof value === 'string' ? value : plain(value)),
    encode: (value, purpose) => {
      const given = checkedText(value)
      limit?.(given, purpose)
      return given
    },
  }
}

/** What a view works out has the type that the answer tells. */
function ofExpression({ decode }: PlannedColumn): ColumnJson {
  const operators = [...comparisons, ...lists, ...patterns]
  return {
    schema: {},
    decode: (value) => plain(decode ? decode(value) : value),
    encode: encodeUntyped,
    parse: (given) => given,
    operators,
    sortable: true,
  }
}

/** A value that no rule is for, as JSON that loses nothing. */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return finiteOrWord(value)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  return Array.isArray(value) ? value.map(plain) : value
}

function isJson(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint'
  return Array.isArray(value)
    ? value.every(isJson)
    : [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null)
}

function finiteOrWord(value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

/** `2026-01-05 09:00:00.25+00` in ISO 8601, with milliseconds at least; what that cannot say (infinity, BC) stays as it is. */
function isoText(value: unknown): string {
  const given = String(value)
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?([+-][\d:]+)?$/.exec(given)
  if (!match) return given
  const [, day, time, fraction = '', offset = ''] = match
  const zone = offset === '+00' ? 'Z' : offset.length === 3 ? `${offset}:00` : offset
  return `${day}T${time}.${fraction.padEnd(3, '0')}${zone}`
}

/** One way to write each, so that a row has one path. */
const wholeNumber = /^-?(?:0|[1-9]\d{0,999})$/

function readBigint(json: unknown): unknown {
  if (typeof json === 'number' && Number.isSafeInteger(json)) return BigInt(json)
  if (typeof json === 'string' && wholeNumber.test(json)) return BigInt(json)
  throw new InvalidValue('must be a whole number in a string')
}

function readFloat(json: unknown): unknown {
  return json === 'NaN' || json === 'Infinity' || json === '-Infinity' ? Number(json) : json
}

function readBytes(json: unknown): string {
  const given = checkedText(json)
  const bytes = Buffer.from(given, 'base64')
  if (bytes.toString('base64') === given) return bytesText(bytes)
  throw new InvalidValue('must be bytes in base64')
}

function parseWhole(given: string): number {
  if (!wholeNumber.test(given)) throw new InvalidValue('must be a whole number')
  return parseNumber(given)
}

function parseNumber(given: string): number {
  const number = isNumberText(given) ? exactNumber(given) : undefined
  if (number === undefined) throw new InvalidValue('must be a number')
  return number
}

function parseFloating(given: string): unknown {
  const word = readFloat(given)
  return typeof word === 'number' ? given : parseNumber(given)
}

function parseBoolean(given: string): boolean {
  if (given !== 'true' && given !== 'false') throw new InvalidValue('must be true or false')
  return given === 'true'
}

function parseDocument(given: string): unknown {
  try {
    return parseJson(given)
  } catch (error) {
    throw error instanceof JsonFault ? new InvalidValue(error.message) : error
  }
}

const comparisons = ['eq', 'ne', 'isNull', 'gt', 'gte', 'lt', 'lte']
const lists = ['in', 'notIn']
const patterns = ['like', 'ilike']

/** As the repositories' filters have them. */
function operatorsOf(column: PgColumn, kind: ColumnKind): readonly string[] {
  const innermost = innermostOf(column)
  if (isKind(innermost, 'json', 'point', 'line', 'geometry')) return ['isNull']
  if (isKind(innermost, 'point as object', 'line as object', 'geometry as object')) return ['isNull']
  if (kind === 'jsonb') return ['eq', 'ne', 'isNull', 'contains']
  if (kind === 'array') return ['eq', 'ne', 'isNull', 'contains', 'overlaps']
  const textual = isKind(column, 'text', 'varchar', 'char', 'custom') ? patterns : []
  return [...comparisons, ...lists, ...textual, ...(kind === 'custom' ? ['contains', 'overlaps'] : [])]
}
