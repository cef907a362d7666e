/** The error for a value that a column cannot take, and the checks that values of several types share. */

import { textIssue } from '../../values/text.ts'

/** The purpose of a value: to be stored in the column, or compared with it. */
export type Purpose = 'store' | 'compare'

/** Returns the value as a parameter. @throws InvalidValue when it does not fit this column. */
export type Encode = (value: unknown, purpose: Purpose) => unknown

/** What is wrong with a value, without the name of the column and without the value itself. */
export class InvalidValue extends Error {}

/** Returns the value if it has this type. */
export function checkedType<T>(value: unknown, type: string, article = 'a'): T {
  // oxlint-disable-next-line valid-typeof
  if (typeof value === type) return value as T
  throw new InvalidValue(`must be ${article} ${type}, not ${typeNameOf(value)}`)
}

/** Names the type of a value for messages. */
export function typeNameOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Date) return 'a Date'
  return typeof value === 'object' ? 'an object' : typeof value
}

/** Returns a text that any column can hold. */
export function checkedText(value: unknown): string {
  return storableText(checkedType<string>(value, 'string'))
}

/** Returns a text that PostgreSQL can hold: without NUL and half surrogates. */
export function storableText(value: string): string {
  const issue = textIssue(value)
  if (issue !== undefined) throw new InvalidValue(issue)
  return value
}

/** Returns the text if it matches the pattern. */
export function matching(value: string, pattern: RegExp, issue: string): string {
  if (!pattern.test(value)) throw new InvalidValue(issue)
  return value
}
