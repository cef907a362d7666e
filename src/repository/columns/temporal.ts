/** Dates and times as parameters. Values that are only compared may have more digits than the column. */
import type { PgColumn } from 'drizzle-orm/pg-core'
import { traitsOf } from '../../drizzle/column-traits.ts'
import { InvalidValue, type Encode, typeNameOf, type Purpose, checkedText } from './invalid-value.ts'
import { dateText, fractionIssue, rangeIssue, temporalIssue, timestampText } from '../../values/temporal.ts'

function date(value: unknown): Date {
  if (!(value instanceof Date)) throw new InvalidValue(`must be a Date, not ${typeNameOf(value)}`)
  if (Number.isNaN(value.getTime())) throw new InvalidValue('is an invalid Date')
  return value
}

/** A `date` has no time of day: a given one would be dropped, and another day stored or compared with. */
function wholeDay(given: Date): Date {
  if (given.getTime() % 86_400_000 !== 0)
    throw new InvalidValue('has a time of day, but the column stores only the day')
  return given
}

/** Returns a Date in the range of the server. */
function known(given: Date, type: 'date' | 'timestamp'): Date {
  const issue = rangeIssue(given, type)
  if (issue !== undefined) throw new InvalidValue(issue)
  return given
}

/** Refuses a value to store that would be rounded. */
function checkFraction(text: string, column: PgColumn, purpose: Purpose): string {
  const { precision } = traitsOf(column)
  const issue = purpose === 'store' ? fractionIssue(text, precision) : undefined
  if (issue !== undefined) throw new InvalidValue(issue)
  return text
}

/** The encoder of days that are Dates. */
export const dayEncoder: Encode = (value) => dateText(known(wholeDay(date(value)), 'date'))

/** Writes an instant as text. */
export function instantText(value: unknown): string {
  return timestampText(known(date(value), 'timestamp'))
}

/** The encoder of timestamps that are Dates. */
export function instantEncoder(column: PgColumn): Encode {
  return (value, purpose) => checkFraction(instantText(value), column, purpose)
}

/** The encoder of dates and times that are text. */
export function temporalEncoder(type: 'date' | 'time' | 'timestamp', column: PgColumn): Encode {
  const { withTimezone = false } = traitsOf(column)
  return (value, purpose) => {
    const given = checkedText(value)
    const issue = temporalIssue(given, type, withTimezone)
    if (issue !== undefined) throw new InvalidValue(issue)
    return checkFraction(given, column, purpose)
  }
}
