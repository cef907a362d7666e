/** Amounts as people read them. */

/** 12,345,678 */
export function shownNumber(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** Bytes as PostgreSQL says them: 1 kB is 1,024 bytes. */
export function shownSize(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  while (value >= 1024 && units.length > 1) {
    value /= 1024
    units.shift()
  }
  return `${value >= 10 ? Math.round(value) : Math.round(value * 10) / 10} ${units[0]}`
}

/** Milliseconds in the unit that tells most: `3 days`, `5 min`. */
export function shownTime(ms: number): string {
  const [unit, size] = timeUnits.find(([, least]) => ms >= 2 * least) ?? ['s', 1000]
  return `${Math.floor(ms / size)} ${unit}`
}

const timeUnits: readonly (readonly [unit: string, ms: number])[] = [
  ['days', 86_400_000],
  ['hours', 3_600_000],
  ['min', 60_000],
]

/** `1 table`, `3 tables`. */
export function shownCount(count: number, noun: string): string {
  return `${shownNumber(count)} ${noun}${count === 1 ? '' : 's'}`
}
