/**
 * How JavaScript values travel to the server and back. Parameters are encoded here, completely, before the driver sees
 * them: an encoding error inside the driver would reject the wrong statement and hang the rest of the pipeline.
 * Values keep their digits and their meaning or are refused; nothing is coerced.
 *
 * To the server: string, number, bigint, boolean, null, Date (timestamptz), Uint8Array (bytea), arrays of these
 * (array literal), plain objects (json). From the server: int2, int4, float, oid -> number, bool -> boolean,
 * bytea -> Buffer, arrays of PostgreSQL's own types, of any depth; everything else arrives as PostgreSQL's text.
 */
import { InvalidInput, UsageError } from '../errors.ts'
import { arrayText } from '../values/array.ts'
import { bytesText } from '../values/bytes.ts'
import { connectionReaders, oids } from '../values/server-type.ts'
import { timestampText } from '../values/temporal.ts'
import { textIssue } from '../values/text.ts'

/** A parameter whose type the value itself tells; postgres.js sends `type` along in Parse. */
export interface TypedParameter {
  readonly value: string
  readonly type: number
}

type Wrap = (parameter: TypedParameter) => unknown

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
  if (value instanceof Uint8Array) return wrap({ value: bytesText(value), type: oids.bytea })
  if (Array.isArray(value)) return arrayText(value, (element) => elementText(element, position))
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
  const complaint = textIssue(text)
  if (complaint !== undefined) throw new InvalidInput(`parameter $${position} ${complaint}`)
  return text
}

function checkedDate(date: Date, position: number): string {
  if (Number.isNaN(date.getTime())) throw new InvalidInput(`parameter $${position} is an invalid Date`)
  return timestampText(date)
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

function elementText(element: unknown, position: number): string {
  return encodeParameter(element, position, (parameter) => parameter.value) as string
}

/** Replaces the driver's serializers and parsers: parameters come encoded, results are read as `values/` says. */
export function installCodecs(options: {
  serializers: Record<number, unknown>
  parsers: Record<number, unknown>
}): void {
  for (const oid of Object.keys(options.serializers)) delete options.serializers[Number(oid)]
  for (const oid of Object.keys(options.parsers)) delete options.parsers[Number(oid)]
  Object.assign(options.parsers, connectionReaders)
}
