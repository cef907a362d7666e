/**
 * The one table of how a column's values are read: rows of the connection, arrays of any depth, and
 * the JSON in which a relational query carries related rows. Drizzle's own readers lose NULL elements, backslashes in
 * arrays, far years, offsets with seconds, JSON strings and, in relations, digits; they are used where they are right.
 * https://www.postgresql.org/docs/current/functions-json.html
 */
import type { PgColumn } from 'drizzle-orm/pg-core'
import { DatabaseError } from '../errors.ts'
import { readArray } from '../values/array.ts'
import { itself, oidOfName, type Read, textReader } from '../values/server-type.ts'
import { parseInstant } from '../values/temporal.ts'
import { type ColumnKind, delimiterOf, elementOf, isJsonType, kindOf } from './column-kind.ts'

/** Reads one value that is not null. */
export type Decode = (value: unknown) => unknown

/** How the values of a column are read; where there is no function, a value arrives as it should be. */
export interface ColumnReader {
  /** Reads what the connection answers. */
  readonly row: Decode | undefined
  /** Reads an element of an array, as text or as the connection answers it. */
  readonly element: Decode
  /** Reads a value in JSON that the server built. */
  readonly json: Decode | undefined
  /**
   * How the statement must put the value into that JSON. PostgreSQL writes most as the text that the connection answers,
   * but a bigint as a JSON number, a timestamp with a T and a composite as an object: these go in as `text`. What it would
   * make of a type of the database's own is not known here, nor what its cast to text does: it goes in as its `output`.
   */
  readonly asText: 'text' | 'output' | undefined
  /** The name of a type that only the database knows, where it is one: `json` wants the value as that type reads it. */
  readonly ownType?: string
}

const asItArrives: ColumnReader = { row: undefined, element: (value) => value, json: undefined, asText: undefined }
const whole: ColumnReader = { ...asItArrives, element: Number }
// NaN and the infinities are no JSON: they come as text.
const floating: ColumnReader = { ...whole, json: Number }

/** Read by this from the text, wherever it comes from; PostgreSQL's JSON would change it. */
function fromText(read: Decode): ColumnReader {
  return { row: read, element: read, json: read, asText: 'text' }
}

const asText = fromText(itself as Decode)
const bigints = fromText((value) => BigInt(value as string))
const instants = fromText((value) => (typeof value === 'string' ? parseInstant(value) : value))
/** In JSON of the server it has been parsed with the rest: a JSON string is not parsed again. */
const json: ColumnReader = { row: parsedJson, element: parsedJson, json: undefined, asText: undefined }

const readers: Partial<Readonly<Record<ColumnKind, ColumnReader>>> = {
  smallint: whole,
  integer: whole,
  bigint: bigints,
  real: floating,
  'double precision': floating,
  numeric: { ...asText, row: undefined, json: undefined },
  'numeric as number': fromText(Number),
  'numeric as bigint': bigints,
  boolean: { ...asItArrives, element: (value) => value === true || value === 't' },
  text: asItArrives,
  varchar: asItArrives,
  char: asItArrives,
  uuid: asItArrives,
  enum: asItArrives,
  'timestamp as Date': instants,
  timestamp: { ...asText, row: undefined, json: undefined },
  'date as Date': instants,
  date: { ...asText, row: undefined, json: undefined },
  time: asItArrives,
  interval: asItArrives,
  inet: asItArrives,
  cidr: asItArrives,
  macaddr: asItArrives,
  macaddr8: asItArrives,
  json,
  jsonb: json,
}

const made = new WeakMap<PgColumn, ColumnReader>()

/** What reads a column. */
export function readerOf(column: PgColumn): ColumnReader {
  const kind = kindOf(column)
  const known = readers[kind] ?? made.get(column)
  if (known) return known
  const reader = makeReader(column, kind)
  made.set(column, reader)
  return reader
}

function makeReader(column: PgColumn, kind: ColumnKind): ColumnReader {
  const element = elementOf(column)
  if (element) return arrayOf(readerOf(element), isJsonType(element), delimiterOf(element))
  if (kind === 'bigint as number') return fromText(safeInteger(column))
  return mapped(column)
}

/** An array, which arrives taken apart or as text; either way an array of any depth arrives whole. */
function arrayOf(element: ColumnReader, ofJson: boolean, delimiter: string): ColumnReader {
  const read: Decode = (value) =>
    typeof value === 'string' ? readArray(value, element.element, delimiter) : elementsOf(value, element.element)
  const { json: readJson } = element
  // In an array of JSON arrays the elements could not be told from each other.
  const asText = element.asText || ofJson ? 'text' : undefined
  if (asText) return { row: read, element: element.element, json: read, asText }
  return { row: read, element: element.element, json: readJson && ((value) => elementsOf(value, readJson)), asText }
}

function elementsOf(value: unknown, decode: Decode): unknown {
  if (value === null) return null
  return Array.isArray(value) ? value.map((inner) => elementsOf(inner, decode)) : decode(value)
}

/**
 * A type whose values Drizzle maps, mostly the user's own: the mapping gets what a driver makes of the type, known by its
 * name, wherever the value comes from.
 */
function mapped(column: PgColumn): ColumnReader {
  const { name, depth } = typeNameOf(column)
  const oid = oidOfName(name)
  const scalar: Read = /^jsonb?$/i.test(name)
    ? parsedJson
    : ((oid === undefined ? undefined : textReader(oid, { instants: false })) ?? itself)
  const read: Read =
    depth === 0 || datesAndTimes.test(name) ? scalar : (text) => readArray(text, scalar, delimiterOf(column))
  const map: Decode = (value) => column.mapFromDriverValue(value as never)
  const fromDriver: Decode = read === itself ? map : (value) => map(typeof value === 'string' ? read(value) : value)
  const asText = depth > 0 || changedInJson.test(name) ? 'text' : outputInJson.test(name) ? undefined : 'output'
  const reader = { row: fromDriver, element: fromDriver, json: isJsonType(column) ? map : fromDriver, asText } as const
  return asText === 'output' ? { ...reader, ownType: name } : reader
}

/** Arrays of these, drizzle's driver leaves as text, and so do we for a mapping that is made for it. */
const datesAndTimes = /^(?:date|timestamp(?:tz)?)(?![a-z_])/i

/** Types of its own that PostgreSQL writes into JSON otherwise than the connection answers them. */
const changedInJson =
  /^(?:bigint|int8|(?:big)?serial8?|numeric|decimal|date|timestamp(?:tz)?(?: with(?:out)? time zone)?)$/i

/** Types that PostgreSQL writes into JSON as the connection answers them: as their text, a number, a boolean or JSON. */
const outputInJson = new RegExp(
  `^(?:${[
    'text|citext|name|varchar|character varying|bpchar|char|character|"char"|uuid|bytea|jsonb?|bool(?:ean)?',
    'int2|smallint|int4?|integer|oid|float[48]|real|double precision|time(?:tz)?(?: with(?:out)? time zone)?|interval',
    'inet|cidr|macaddr8?|bit|bit varying|varbit|money|xml|point|lseg|path|box|polygon|line|circle|tsvector|tsquery',
  ].join('|')})$`,
  'i',
)

/** The name of a type without limits and brackets, and how many brackets there were. */
function typeNameOf(column: PgColumn): { readonly name: string; readonly depth: number } {
  const [, name = '', brackets = ''] = /^([^[]*)((?:\[\d*\])*)/.exec(column.getSQLType()) ?? []
  const depth = brackets.split('[').length - 1
  return { name: name.replace(/ *\([^)]*\)/, '').trim(), depth }
}

/** JSON as the server wrote it. Where a schema calls text JSON, the text stays, as in Drizzle. */
function parsedJson(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}

/** A bigint as a number, which cannot tell neighbours beyond 2^53 apart: it throws rather than return the wrong one. */
function safeInteger({ name }: PgColumn): Decode {
  return (value) => {
    const number = Number(value)
    if (Number.isSafeInteger(number)) return number
    throw new DatabaseError(
      `${name} holds a bigint beyond 2^53, which a number would round: give it mode: 'bigint' (what was written stays written)`,
      { sqlState: '22003', columns: [name] },
    )
  }
}
