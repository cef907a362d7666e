/**
 * Numbers as parameters: whole if the column is, in its range, with no digit that the column would round away.
 * https://www.postgresql.org/docs/current/datatype-numeric.html
 */
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { ColumnKind } from '../../drizzle/column-kind.ts'
import { type ColumnTraits, traitsOf } from '../../drizzle/column-traits.ts'
import { InvalidValue, type Encode, type Purpose, checkedText, checkedType } from './invalid-value.ts'

/** The least and the greatest value of each type of whole numbers. */
export const integerRanges: Partial<Readonly<Record<ColumnKind, readonly [number, number]>>> = {
  smallint: [-32_768, 32_767],
  integer: [-2_147_483_648, 2_147_483_647],
  'bigint as number': [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
}

const bigint = (value: unknown) => checkedType<bigint>(value, 'bigint')

export function wholeNumber(value: unknown, [least, most]: readonly [number, number]): number {
  const number = checkedType<number>(value, 'number')
  if (!Number.isInteger(number)) throw new InvalidValue('must be a whole number')
  if (number < least || number > most) throw new InvalidValue(`must be from ${least} to ${most}`)
  return number
}

const mostBigInteger = 2n ** 63n - 1n

export function bigIntegers(value: unknown): string {
  const number = bigint(value)
  if (number > mostBigInteger || number < -mostBigInteger - 1n) throw new InvalidValue('must fit into 64 bits')
  return String(number)
}

export function finite(value: unknown): number {
  const number = checkedType<number>(value, 'number')
  if (!Number.isFinite(number)) throw new InvalidValue('must be a finite number')
  return number
}

/** Floating point columns have NaN and the infinities. */
export function finiteOrNot(value: unknown): string {
  const number = checkedType<number>(value, 'number')
  return Object.is(number, -0) ? '-0' : String(number)
}

export function real(value: unknown, purpose: Purpose): string {
  const number = checkedType<number>(value, 'number')
  const single = Math.fround(number)
  if (Number.isFinite(number) && !Number.isFinite(single)) throw new InvalidValue('is out of the range of real')
  if (number !== 0 && single === 0) throw new InvalidValue('is too small for real')
  // Any floating point column rounds fractions, but a caller does not expect it of a whole number.
  if (purpose === 'store' && Number.isInteger(number) && number !== single && !isKept(number, single)) {
    throw new InvalidValue('has more digits than real can keep')
  }
  return finiteOrNot(number)
}

/**
 * Whether the server writes this whole number for the single that stores it, or means it with fewer digits. The server
 * writes the fewest digits that mean no other single. A number half-way to the next single is stored as this one too
 * but is not what the server writes (34000000000 is stored, 33999999000 is read).
 */
function isKept(number: number, single: number): boolean {
  for (let digits = 1; digits <= 9; digits++) {
    const nearest = Number(single.toPrecision(digits))
    if (nearest === number) return true
    if (isMeantBy(nearest, single)) return false
  }
  return false
}

/** Whether a number and its neighbouring doubles are all stored as this single. */
function isMeantBy(number: number, single: number): boolean {
  return [1 + Number.EPSILON, 1 - Number.EPSILON].every((nudge) => Math.fround(number * nudge) === single)
}

/** The digits a numeric column keeps: in all, and after the point. */
type Digits = Pick<ColumnTraits, 'precision' | 'scale'>

/** The encoder of numeric columns whose values are text. */
export function numericString(column: PgColumn): Encode {
  return (value, purpose) => numericText(traitsOf(column), checkedText(value), purpose)
}

/** The encoder of numeric columns whose values are numbers. */
export function numericNumber(column: PgColumn): Encode {
  return (value, purpose) => numericText(traitsOf(column), String(finite(value)), purpose)
}

/** The encoder of numeric columns whose values are bigints. */
export function numericBigint(column: PgColumn): Encode {
  return (value, purpose) => numericText(traitsOf(column), String(bigint(value)), purpose)
}

const numericPattern = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:e([+-]?\d{1,5}))?$/i
const numericWords = new Set(['NaN', 'Infinity', '-Infinity'])

/** The limits of any numeric. https://www.postgresql.org/docs/current/datatype-numeric.html */
const mostDigits = { before: 131_072, after: 16_383 }

function tooManyDigits(most: number, where: 'before' | 'after'): InvalidValue {
  return new InvalidValue(`must have at most ${most} digits ${where} the point`)
}

/** Checks a decimal number as text: the server would round away digits that the column does not have. */
export function numericText({ precision, scale = 0 }: Digits, value: string, purpose: Purpose): string {
  const match = numericPattern.exec(value)
  if (!match) {
    if (numericWords.has(value) && (precision === undefined || value === 'NaN')) return value
    throw new InvalidValue('must be a decimal number')
  }
  const [, , whole = '', fraction = match[4] ?? '', , exponentText = '0'] = match
  const exponent = Number(exponentText)
  if (fraction.length - exponent > mostDigits.after) throw tooManyDigits(mostDigits.after, 'after')
  if (whole.length + exponent > mostDigits.before) throw tooManyDigits(mostDigits.before, 'before')
  if (purpose === 'compare' || precision === undefined) return value
  const digits = `${whole}${fraction}`
  const point = whole.length + exponent
  const firstDigit = digits.search(/[1-9]/)
  if (firstDigit === -1) return value
  const lastDigit = digits.replace(/0+$/, '').length
  if (lastDigit - point > scale) throw tooManyDigits(scale, 'after')
  if (point - firstDigit > precision - scale) {
    throw tooManyDigits(precision - scale, 'before')
  }
  return value
}
