/** What a value must be, told as a complaint where it is not, and the checks that values of several types share. */

import { textComplaint } from '../../values/text.ts'

/** What a value is for: to be stored in the column, or to be compared with it. */
export type Purpose = 'store' | 'compare'

/** Answers the value as a parameter; throws the complaint, as text, when it is none for this column. */
export type Encode = (value: unknown, purpose: Purpose) => unknown

/** A complaint about a value, without the column's name and without the value. */
export class Complaint extends Error {}

/** The value, if it is of this type. */
export function typed<T>(value: unknown, type: string, article = 'a'): T {
  // oxlint-disable-next-line valid-typeof
  if (typeof value === type) return value as T
  throw new Complaint(`must be ${article} ${type}, not ${nameOf(value)}`)
}

/** What a value is, in words. */
export function nameOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Date) return 'a Date'
  return typeof value === 'object' ? 'an object' : typeof value
}

/** Text, whatever the column. */
export function text(value: unknown): string {
  return storable(typed<string>(value, 'string'))
}

/** Text as PostgreSQL can hold it: without NUL, and whole in UTF-8. */
export function storable(value: string): string {
  const complaint = textComplaint(value)
  if (complaint !== undefined) throw new Complaint(complaint)
  return value
}

/** The text, if it has this form. */
export function matching(value: string, pattern: RegExp, complaint: string): string {
  if (!pattern.test(value)) throw new Complaint(complaint)
  return value
}
