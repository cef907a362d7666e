/**
 * PostgreSQL's own types by oid, and the readers of their text. The connection reads what every caller wants (numbers,
 * booleans, bytes, arrays). Other types stay text until more is known: a Drizzle column reads them, or `plainReader`
 * for rows without columns. Oids below 16384 never change; those above are types of the database's own.
 * https://www.postgresql.org/docs/current/datatype-oid.html
 */
import { readArray } from './array.ts'
import { readBytes } from './bytes.ts'
import { parseInstant } from './temporal.ts'

/** Reads the text of one value that is not NULL. */
export type Read = (text: string) => unknown

/** Type oids that other modules name. */
export const oids = {
  bool: 16,
  bytea: 17,
  int8: 20,
  json: 114,
  date: 1082,
  timestamp: 1114,
  timestamptz: 1184,
  jsonb: 3802,
} as const

/** The lowest oid that a type of the database's own can have. */
export const firstOwnOid = 16_384

const scalars: Readonly<Record<number, Read>> = {
  [oids.bool]: (text) => text === 't',
  [oids.bytea]: readBytes,
  21: Number, // int2
  23: Number, // int4
  26: Number, // oid
  700: Number, // float4
  701: Number, // float8
}

/** Array type -> type of its elements, from pg_type. */
const elements = new Map(
  [
    [1000, 16, 1001, 17, 1002, 18, 1003, 19, 1016, 20, 1005, 21, 1007, 23, 1008, 24, 1009, 25, 1028, 26, 1010, 27],
    [1011, 28, 1012, 29, 199, 114, 143, 142, 1017, 600, 1018, 601, 1019, 602, 1020, 603, 1027, 604, 629, 628],
    [651, 650, 1021, 700, 1022, 701, 719, 718, 775, 774, 791, 790, 1040, 829, 1041, 869, 1034, 1033, 1014, 1042],
    [1015, 1043, 1182, 1082, 1183, 1083, 1115, 1114, 1185, 1184, 1187, 1186, 1270, 1266, 1561, 1560, 1563, 1562],
    [1231, 1700, 2201, 1790, 2207, 2202, 2208, 2203, 2209, 2204, 2210, 2205, 2211, 2206, 2951, 2950, 2949, 2970],
    [3221, 3220, 3643, 3614, 3645, 3615, 3735, 3734, 3770, 3769, 3807, 3802, 3905, 3904, 3907, 3906, 3909, 3908],
    [3911, 3910, 3913, 3912, 3927, 3926, 4073, 4072, 4090, 4089, 4097, 4096, 4192, 4191, 6150, 4451, 6151, 4532],
    [6152, 4533, 6153, 4534, 6155, 4535, 6157, 4536, 5039, 5038, 271, 5069],
  ].flatMap((row) => Array.from({ length: row.length / 2 }, (_, index) => [row[2 * index], row[2 * index + 1]])) as [
    number,
    number,
  ][],
)

/** The type of the elements of an array's type; undefined for all others. */
export function elementTypeOf(oid: number): number | undefined {
  return elements.get(oid)
}

const boxes = 603

/**
 * Types that the connection leaves as text: JSON keeps its digits, and Drizzle's driver leaves these dates as they are,
 * too.
 */
const leftAsText = new Set<number>([oids.json, oids.jsonb, oids.date, oids.timestamp, oids.timestamptz])

/** The readers of the connection: type oid -> reader. */
export const connectionReaders: Readonly<Record<number, Read>> = {
  ...scalars,
  ...Object.fromEntries(
    Array.from(elements)
      .filter(([, element]) => !leftAsText.has(element))
      .map(([array, element]) => [array, arrayReader(scalars[element] ?? itself, element === boxes ? ';' : ',')]),
  ),
}

/** How rows without columns are read. With `instants`, a timestamptz becomes a Date, as callers of plain SQL expect. */
export interface PlainStyle {
  readonly instants: boolean
}

/** The reader for a type that the connection leaves as text; undefined when there is nothing left to read. */
export function plainReader(oid: number, { instants }: PlainStyle): Read | undefined {
  if (oid === oids.json || oid === oids.jsonb) return JSON.parse
  if (oid === oids.timestamptz && instants) return readInstant
  const element = elements.get(oid)
  if (element === undefined || !leftAsText.has(element)) return undefined
  return arrayReader(plainReader(element, { instants }) ?? itself)
}

/** The reader of a value from its text, arrays of any depth included. */
export function textReader(oid: number, style: PlainStyle): Read | undefined {
  return plainReader(oid, style) ?? connectionReaders[oid]
}

/** The reader of arrays whose elements `read` reads. */
export function arrayReader(read: Read, delimiter = ','): Read {
  return (text) => readArray(text, read, delimiter)
}

/** Reads a Date; infinity, and years that a Date cannot hold, stay text. */
function readInstant(text: string): unknown {
  const date = parseInstant(text)
  return Number.isNaN(date.getTime()) ? text : date
}

/** Returns the text as it is. */
export function itself(text: string): string {
  return text
}

/** Names of the types that have a reader, as a schema may spell them; types of text need none. */
const names: Readonly<Record<string, number>> = {
  bool: oids.bool,
  boolean: oids.bool,
  bytea: oids.bytea,
  int2: 21,
  smallint: 21,
  int: 23,
  int4: 23,
  integer: 23,
  oid: 26,
  float4: 700,
  real: 700,
  float8: 701,
  'double precision': 701,
  json: oids.json,
  jsonb: oids.jsonb,
}

/** The oid of a type that is not read as text, by its name; undefined for all others. */
export function oidOfName(name: string): number | undefined {
  const known = name.toLowerCase()
  return Object.hasOwn(names, known) ? names[known] : undefined
}
