/**
 * Patterns for intervals as text, precise enough to find what a column would round away: units by name, in ISO 8601 and
 * between colons. https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-INTERVAL-INPUT
 */

/** The units from the greatest to the smallest: their names, and their letters in ISO 8601. */
const units = [
  ['years?|yrs?|y|decades?|decs?|century|centuries|cent|c|millennium|millennia|mils?', 'Y'],
  ['months?|mons?', 'M'],
  ['weeks?|w|days?|d', 'WD'],
  ['hours?|hrs?|h', 'H'],
  ['minutes?|mins?|m', 'M'],
  ['seconds?|secs?|s', 'S'],
] as const

const whole = String.raw`[-+]?\d+`
const decimal = String.raw`[-+]?(?:\d+(?:\.\d*)?|\.\d+)`
/** Years and months with a dash, hours, minutes and seconds with colons, and seconds alone. */
const withoutName = String.raw`[-+]?(?:\d+-\d+|\d+:\d+(?::\d+(?:\.\d*)?)?|\d+(?:\.\d*)?)`

/** Matches whole numbers of the greatest `count` units, by name or in ISO 8601. */
export function wholeUnits(count: number): RegExp {
  const names = units.slice(0, count).map(([name]) => name)
  const [dates, times] = [units.slice(0, Math.min(count, 3)), units.slice(3, count)].map((part) => {
    return part.flatMap(([, letters]) => Array.from(letters, (letter) => `(?:${whole}${letter})?`)).join('')
  })
  // As the server writes it: hours and minutes between colons, and nothing under the last unit.
  const clock = count < 4 ? '00:00:00' : String.raw`[-+]?\d+:${count === 4 ? '00' : String.raw`\d\d`}(?::00)?`
  const time = times === '' ? '' : String.raw`(?:T(?=[-+\d])${times})?`
  return new RegExp(
    String.raw`^\s*(?:(?:${whole}\s*(?:${names.join('|')})(?![a-z])\s*)+(?:${clock})?|${clock}|-?infinity|P(?=[-+\dT])${dates}${time})\s*$`,
    'i',
  )
}

/** Matches any interval whose units below the second fit the precision. */
export function anyUnits(precision: number): RegExp {
  const [years, ...others] = units.map(([name]) => name)
  const under = [
    ...(precision >= 3 ? ['milliseconds?|msecs?|ms'] : []),
    ...(precision >= 6 ? ['microseconds?|usecs?|us'] : []),
  ]
  // The server rounds fractions of years to whole months.
  const named = [
    String.raw`[-+]?\d+(?:\.[05]?0*)?\s*(?:${years})(?![a-z])`,
    String.raw`${decimal}\s*(?:${others.join('|')})(?![a-z])`,
    ...(under.length === 0 ? [] : [String.raw`${whole}\s*(?:${under.join('|')})(?![a-z])`]),
    String.raw`${withoutName}(?![\w.:])`,
  ]
  const iso = String.raw`P(?=[-+\d.T])(?:${decimal}[YMWD])*(?:T(?:${decimal}[HMS])+)?`
  return new RegExp(String.raw`^\s*(?:@?\s*(?:(?:${named.join('|')})\s*)+(?:ago)?|${iso}|-?infinity)\s*$`, 'i')
}
