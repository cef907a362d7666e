/**
 * Reads JSON that PostgreSQL built from columns without losing digits. Drizzle's relational queries carry related rows
 * as JSON, where a bigint beyond 2^53 and the trailing zeros of a numeric would be lost to JavaScript's numbers.
 * Numbers that JavaScript would not write back as they stand are kept as marked text until the column decodes them.
 */

/** Marks such a number; a text from PostgreSQL cannot hold this character. */
const mark = '\0'

const stringsAndNumbers = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/** The arrays this module parsed, with the text they came from. */
const sources = new WeakMap<object, string>()

/** Parses a JSON array, keeping every digit; see `columnValue` for getting the values out. */
export function parseKeepingDigits(text: string): unknown {
  const marked = text.replaceAll(stringsAndNumbers, (token) =>
    token.startsWith('"') || String(Number(token)) === token ? token : `"\\u0000${token}"`,
  )
  const parsed: unknown = JSON.parse(marked)
  if (typeof parsed === 'object' && parsed !== null) sources.set(parsed, text)
  return parsed
}

/** What a column's decoder is to see: the digits as text, JSON values with ordinary numbers, the rest untouched. */
export function columnValue(value: unknown): unknown {
  if (typeof value === 'string') return value.startsWith(mark) ? value.slice(1) : value
  if (typeof value !== 'object' || value === null) return value
  // A whole JSON column was parsed like a relation: its decoder parses the text itself.
  return sources.get(value) ?? (isPlain(value) ? withPlainNumbers(value) : value)
}

function isPlain(value: object): boolean {
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype
}

function withPlainNumbers(value: unknown): unknown {
  if (typeof value === 'string') return value.startsWith(mark) ? Number(value.slice(1)) : value
  if (Array.isArray(value)) return value.map(withPlainNumbers)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withPlainNumbers(inner)]))
}
