/**
 * What columns of types that are not Drizzle's own would cut off or round, by the name of the type in PostgreSQL. Their
 * values pass through a mapping of the user's, so only the resulting text can be checked.
 */
import type { PgColumn } from 'drizzle-orm/pg-core'
import { isKind } from '../../drizzle/column-kind.ts'
import { traitsOf } from '../../drizzle/column-traits.ts'
import { InvalidValue, type Purpose } from './invalid-value.ts'
import { numericText } from './number.ts'
import { fractionIssue } from '../../values/temporal.ts'
import { shortText } from './text.ts'

/** Checks a text. @throws InvalidValue when the column would change it, or compare with another one. */
type Limit = (text: string, purpose: Purpose) => void

/** Returns the limit of a type such as `varchar(3)`; undefined when it has none that is known here. */
export function limitOf(type: string): Limit | undefined {
  if (type.endsWith(']')) return undefined
  const [, name = '', first, second] = /^([a-z" ]+?) *(?:\( *(\d+) *(?:, *(\d+) *)?\)|$)/.exec(type.toLowerCase()) ?? []
  if (first !== undefined && /^(?:numeric|decimal)$/.test(name)) {
    const digits = { precision: Number(first), scale: Number(second ?? 0) }
    return stored((text) => numericText(digits, text, 'store'))
  }
  if (/^(?:char|character)$/.test(name)) return stored((text) => shortText(text, Number(first ?? 1)))
  if (first !== undefined && /^(?:varchar|character varying|bpchar)$/.test(name)) {
    return stored((text) => shortText(text, Number(first)))
  }
  if (name === 'name') return bytes(63)
  if (name === '"char"') return bytes(1)
  if (name === 'date') return noTime
  if (/^(?:timestamp|timestamptz|time|timetz|interval)(?![a-z_])/.test(name)) return fractions(first)
  return undefined
}

/** True for types of text, which would store any other value as its text. */
export function isTextType(type: string): boolean {
  return /^(?:text|citext|name|varchar|character varying|bpchar|char|character)(?: *\(.*\))?$/i.test(type)
}

/** A limit of stored values only: a parameter to compare with has the type without the limit. */
function stored(check: (text: string) => unknown): Limit {
  return (text, purpose) => void (purpose === 'store' && check(text))
}

function bytes(most: number): Limit {
  return (text) => {
    if (Buffer.byteLength(text) > most) throw new InvalidValue(`must have at most ${most} bytes`)
  }
}

/** Refuses a time of day; midnight in UTC is how a Date says that there is none. */
function noTime(text: string): void {
  if (/\d[T ]\d\d:/.test(text) && !/[T ]00:00(?::00(?:\.0+)?)?(?:Z|\+00(?::?00)?)?(?: BC)?$/.test(text)) {
    throw new InvalidValue('has a time of day, but the column stores only the day')
  }
}

function fractions(precision: string | undefined): Limit {
  return stored((text) => {
    const issue = fractionIssue(text, precision === undefined ? undefined : Number(precision))
    if (issue !== undefined) throw new InvalidValue(issue)
  })
}

/** Whether rows may be finer than their Dates show: PostgreSQL keeps microseconds, a Date milliseconds. */
export function isFinerThanDate(column: PgColumn | undefined): boolean {
  if (!column || !isKind(column, 'timestamp as Date')) return false
  const { precision = 6 } = traitsOf(column)
  return precision > 3
}
