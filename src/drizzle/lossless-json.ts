/**
 * Reads JSON that PostgreSQL built without rounding whole numbers. Drizzle's relational queries carry related rows as JSON.
 * Columns go into it as text where they must, but the type of an expression ("extras") is not known: a bigint beyond 2^53
 * would be rounded. Such numbers are kept as marked text until the value is read. Every other number is JavaScript's, as in
 * Drizzle: the type of an expression must not change with the zeros behind its point.
 */

/** Marks such a number; a text from PostgreSQL cannot hold this character. */
const mark = '\0'

const stringsAndNumbers = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/** Parses JSON, keeping every digit of whole numbers; see `columnValue` for getting the values out. */
export function parseKeepingDigits(text: string): unknown {
  return JSON.parse(text.replaceAll(stringsAndNumbers, (token) => (isKept(token) ? token : `"\\u0000${token}"`)))
}

/** Whether a token is kept as it stands: a text, or anything but a whole number that JavaScript would round. */
function isKept(token: string): boolean {
  return !/^-?\d+$/.test(token) || Number.isSafeInteger(Number(token))
}

/** What a column's reader or an expression is to see: the digits as text, JSON values with ordinary numbers. */
export function columnValue(value: unknown): unknown {
  if (typeof value === 'string') return value.startsWith(mark) ? value.slice(1) : value
  return jsonValue(value)
}

/** A JSON value of a column, whose numbers are ordinary ones. */
export function jsonValue(value: unknown): unknown {
  if (typeof value === 'string') return value.startsWith(mark) ? Number(value.slice(1)) : value
  if (Array.isArray(value)) return value.map(jsonValue)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, jsonValue(inner)]))
}
