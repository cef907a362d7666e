/** The key of a row as a segment of a path: its parts between commas, each percent-encoded, so that any text can be one. */
import { readKeyPart, WrongParameter } from './query.ts'
import type { PlannedResource } from './resource.ts'
import { type RowValues, WrongRows } from './row-input.ts'

/** The key that a segment, as it stands in the URL, says. @throws WrongParameter */
export function readKey({ key }: PlannedResource, segment: string): unknown {
  const parts = segment.split(',')
  const names = key.map(({ property }) => property).join(',')
  if (parts.length !== key.length) throw new WrongParameter(names, `must be ${key.length} values between commas`)
  const values = key.map((column, index) => {
    try {
      return readKeyPart(column, decodeURIComponent(parts[index] ?? ''))
    } catch (error) {
      throw error instanceof URIError ? new WrongParameter(names, 'is not valid UTF-8 in percent-encoding') : error
    }
  })
  return key.length === 1 ? values[0] : Object.fromEntries(key.map(({ property }, index) => [property, values[index]]))
}

/** The segment of a row. */
export function keySegment({ key }: PlannedResource, row: RowValues): string {
  return key.map(({ property }) => encodeURIComponent(String(row[property]))).join(',')
}

/** A row for the place of this key, which it may say again. @throws WrongRows when it says another one */
export function withKey({ key }: PlannedResource, given: unknown, value: unknown): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given
  const row: RowValues = { ...given }
  for (const { property, writable } of key) {
    const wanted = key.length === 1 ? value : (value as RowValues)[property]
    if (Object.hasOwn(row, property) && String(row[property]) !== String(wanted)) {
      throw new WrongRows([{ path: [property], detail: 'is not that of the path' }])
    }
    // What the database makes up is not written, but may be said.
    if (writable) row[property] = wanted
    else delete row[property]
  }
  return row
}
