/**
 * Reads and writes dates and times as text. PostgreSQL accepts more than is meant ('now', 'tomorrow', an offset that it
 * then drops), and JavaScript misreads what PostgreSQL writes (years past 9999, BC, offsets with seconds); so both
 * directions are written out here. https://www.postgresql.org/docs/current/datatype-datetime.html
 */

/** Writes a valid Date in ISO 8601, with years as PostgreSQL understands them. */
export function timestampText(date: Date): string {
  const iso = date.toISOString()
  const year = date.getUTCFullYear()
  if (year > 0 && year <= 9999) return iso
  const rest = iso.replace(/^[+-]?\d+/, '')
  return year > 0 ? `${year}${rest}` : `${String(1 - year).padStart(4, '0')}${rest} BC`
}

/** Writes the day of a Date in UTC, as PostgreSQL does. */
export function dateText(date: Date): string {
  return timestampText(date).replace(/T[^ ]*/, '')
}

const instantPattern =
  /^(\d{4,})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?([+-]\d\d(?::\d\d(?::\d\d)?)?)?( BC)?$/

/** Reads a date or timestamp as the server writes it (DateStyle ISO). Without an offset it is taken as UTC. */
export function parseInstant(text: string): Date {
  return commonInstant(text) ?? anyInstant(text)
}

/** Reads nearly every instant: a year of four digits, in UTC. Digit by digit, this is three times as fast as `Date`. */
function commonInstant(text: string): Date | undefined {
  const offset = text.length - 3
  if (offset < 19 || !text.endsWith('+00')) return undefined
  if (text.charCodeAt(4) !== dash || text.charCodeAt(10) !== space) return undefined
  const year = digits(text, 0, 4)
  // Date.UTC takes the years below 100 for those of the twentieth century.
  if (year < 100) return undefined
  const kept = Math.min(3, Math.max(0, offset - 20))
  const ms = digits(text, 20, 20 + kept) * 10 ** (3 - kept)
  const month = digits(text, 5, 7) - 1
  return new Date(
    Date.UTC(year, month, digits(text, 8, 10), digits(text, 11, 13), digits(text, 14, 16), digits(text, 17, 19), ms),
  )
}

function digits(text: string, from: number, to: number): number {
  let value = 0
  for (let index = from; index < to; index++) value = value * 10 + text.charCodeAt(index) - zero
  return value
}

const zero = 0x30
const space = 0x20
const dash = 0x2d

function anyInstant(text: string): Date {
  const match = instantPattern.exec(text)
  // A Date cannot hold infinity, so the result is an invalid Date.
  if (!match) return new Date(Number.NaN)
  const [, years = '', month, day, hour = '0', minute = '0', second = '0', fraction = '', offset, bc] = match
  const date = new Date(0)
  date.setUTCFullYear(bc ? 1 - Number(years) : Number(years), Number(month) - 1, Number(day))
  date.setUTCHours(Number(hour), Number(minute), Number(second), Number(fraction.padEnd(3, '0').slice(0, 3)))
  return offset === undefined ? date : new Date(date.getTime() - offsetMs(offset))
}

function offsetMs(offset: string): number {
  const [hours = '0', minutes = '0', seconds = '0'] = offset.slice(1).split(':')
  const ms = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000
  return offset.startsWith('-') ? -ms : ms
}

const day = String.raw`(\d{4,7})-(\d\d)-(\d\d)`
// Second 60 and hour 24 would be stored as the minute and the day after.
const time = String.raw`(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?`
// A time of day may also be the end of the day, which is stored as it is.
const timeOfDay = String.raw`(?:${time}|24:00(?::00(?:\.0{1,6})?)?)`
const zone = String.raw` ?(?:Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d(?::[0-5]\d)?)?)`
const dayPattern = new RegExp(`^${day}( BC)?$`)
const timePattern = new RegExp(`^${timeOfDay}$`)
const zonedTimePattern = new RegExp(`^${timeOfDay}${zone}$`)
const timestampPattern = new RegExp(`^${day}(?:[T ]${time})?( BC)?$`)
const zonedTimestampPattern = new RegExp(`^${day}[T ]${time}${zone}( BC)?$`)

/** The issue of a time without an offset; the server would use the TimeZone of the session. */
const offsetMissing = 'has no offset from UTC, and the server would assume one: add Z or, for example, +02:00'

/** What is wrong with a text as a value of a date or time type; undefined when nothing is. */
export function temporalIssue(
  text: string,
  type: 'date' | 'time' | 'timestamp',
  withTimezone: boolean,
): string | undefined {
  if (type === 'time') {
    if ((withTimezone ? zonedTimePattern : timePattern).test(text)) return undefined
    if (withTimezone && timePattern.test(text)) return offsetMissing
    return `must be a time such as ${withTimezone ? "'13:37:00+02:00'" : "'13:37:00'"}`
  }
  if (text === 'infinity' || text === '-infinity') return undefined
  const pattern = type === 'date' ? dayPattern : withTimezone ? zonedTimestampPattern : timestampPattern
  const match = pattern.exec(text)
  if (!match) {
    if (type === 'date') return "must be a date such as '2026-12-31'"
    if (withTimezone && timestampPattern.test(text)) return offsetMissing
    if (!withTimezone && zonedTimestampPattern.test(text))
      return 'has an offset from UTC, but the column has no time zone and would drop it'
    return `must be a timestamp such as ${withTimezone ? "'2026-12-31T13:37:00Z'" : "'2026-12-31T13:37:00'"}`
  }
  const [, years, month, dayOfMonth, bc] = match
  const year = bc === undefined ? Number(years) : 1 - Number(years)
  if (Number(years) === 0 || !isDay(year, Number(month), Number(dayOfMonth))) return 'must be a day that exists'
  return isKnownDay(year, Number(month), Number(dayOfMonth), type) ? undefined : outOfRange(type)
}

/** What is wrong with a Date outside the range of the server; undefined when it is in range. */
export function rangeIssue(date: Date, type: 'date' | 'timestamp'): string | undefined {
  const known = isKnownDay(date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), type)
  return known ? undefined : outOfRange(type)
}

/** https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-DATETIME-TABLE */
const lastYears = { date: 5_874_897, timestamp: 294_276 }

function isKnownDay(year: number, month: number, dayOfMonth: number, type: 'date' | 'timestamp'): boolean {
  // The first day is the first of the Julian calendar's count, 24 November 4714 BC.
  return year <= lastYears[type] && (year + 4713 || month - 11 || dayOfMonth - 24) >= 0
}

function outOfRange(type: 'date' | 'timestamp'): string {
  return `must be from 4714-11-24 BC to the year ${lastYears[type]}`
}

/**
 * True for a day that exists. The calendar repeats itself every 400 years; a Date does not reach as far as PostgreSQL.
 */
function isDay(year: number, month: number, dayOfMonth: number): boolean {
  const date = new Date(Date.UTC(2000 + (((year % 400) + 400) % 400), month - 1, dayOfMonth))
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === dayOfMonth
}

/**
 * What is wrong with a text that has more digits of a second than a column of this precision keeps; undefined when it
 * has not. By default the server keeps microseconds.
 */
export function fractionIssue(text: string, precision = 6): string | undefined {
  const fractions = Array.from(text.matchAll(/\.(\d*?)0*(?!\d)/g), ([, digits = '']) => digits.length)
  return Math.max(0, ...fractions) > precision ? `must have at most ${precision} digits after the point` : undefined
}
