/** Texts as parameters, of types with rules beyond those of every text. */
import { isIP } from 'node:net'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { isKind } from '../../drizzle/column-kind.ts'
import { traitsOf } from '../../drizzle/column-traits.ts'
import { InvalidValue, type Encode, matching, checkedText } from './invalid-value.ts'

/** The encoder of text, with the column's length and `enum`, if it has them. */
export function textEncoder(column: PgColumn): Encode {
  const { length = isKind(column, 'char') ? 1 : undefined } = traitsOf(column)
  const values = column.enumValues && new Set(column.enumValues)
  return (value, purpose) => {
    const given = checkedText(value)
    if (purpose === 'compare') return given
    // A text shorter than char(n) is read back padded.
    const unpadded = isKind(column, 'char') ? given.replace(/ +$/, '') : given
    if (values && !values.has(given) && !values.has(unpadded))
      throw new InvalidValue(`must be one of ${column.enumValues?.join(', ')}`)
    return length === undefined ? given : shortText(given, length)
  }
}

/**
 * Returns a text of at most `length` characters. The server counts code points, and cuts spaces beyond the length off
 * silently.
 */
export function shortText(given: string, length: number): string {
  if (given.length <= length || [...given].length <= length) return given
  throw new InvalidValue(`must have at most ${length} characters`)
}

/** The encoder of enums. */
export function enumEncoder(column: PgColumn): Encode {
  const values = new Set<unknown>(column.enumValues)
  return (value) => {
    if (values.has(value)) return value
    throw new InvalidValue(`must be one of ${column.enumValues?.join(', ')}`)
  }
}

/** The encoder of `bit(n)`. */
export function bitsEncoder(column: PgColumn): Encode {
  const { dimensions } = traitsOf(column)
  return (value, purpose) => {
    const bits = matching(checkedText(value), /^[01]*$/, 'must be made of 0 and 1')
    if (purpose === 'store' && bits.length !== dimensions) throw new InvalidValue(`must have ${dimensions} bits`)
    return bits
  }
}

/** The encoder of addresses and of networks written in full, with or without the bits of the mask. */
export const addressEncoder: Encode = (value) => {
  const given = checkedText(value)
  const [, address = '', bits] = /^([^/%]*)(?:\/(\d{1,3}))?$/.exec(given) ?? []
  const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  if (Number(bits ?? 0) <= most) return given
  throw new InvalidValue("must be an address such as '10.0.0.1', '10.0.0.0/8' or '2001:db8::1'")
}

const macaddr =
  /^(?:[\da-f]{1,2}([:-])(?:[\da-f]{1,2}\1){4}[\da-f]{1,2}|[\da-f]{6}[:-]?[\da-f]{6}|[\da-f]{4}([.-])[\da-f]{4}\2[\da-f]{4})$/i

/** The encoder of `macaddr`. */
export const macaddrEncoder: Encode = (value) => {
  return matching(checkedText(value), macaddr, "must be a MAC address such as '08:00:2b:01:02:03'")
}

const macaddr8 =
  /^(?:[\da-f]{2}([:.-]?)(?:[\da-f]{2}\1){6}[\da-f]{2}|[\da-f]{4}([:.-])(?:[\da-f]{4}\2){2}[\da-f]{4}|[\da-f]{8}[:-][\da-f]{8}|[\da-f]{6}[:-][\da-f]{10})$/i

/** The encoder of `macaddr8`. The server would turn six bytes into eight. */
export const macaddr8Encoder: Encode = (value) => {
  return matching(checkedText(value), macaddr8, "must be an address of eight bytes such as '08:00:2b:01:02:03:04:05'")
}

/** Returns a pattern of `like`. It must not end with a backslash that escapes nothing. */
export function pattern(value: unknown): string {
  const given = checkedText(value)
  const [backslashes = ''] = /\\*$/.exec(given) ?? []
  if (backslashes.length % 2 === 1) throw new InvalidValue(String.raw`must not end with a single \ in a pattern`)
  return given
}
