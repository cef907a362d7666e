/**
 * The little language in the values of query parameters: lists (`4,5`), quoted texts (`"a,b"`), groups of conditions
 * (`(job=Nurse,or(rating[gte]=4,body[like]=%good%))`) and calls (`orders(limit:5;sort:-placedAt)`). Commas, semicolons and
 * parentheses within quotes are text; a backslash takes the meaning of a quote or a backslash away.
 */
import { InvalidValue } from '../repository/columns/invalid-value.ts'

/** The most parts of a text: counted while it is split, so that one with too many is refused before any is read. */
const mostParts = 1000

/** The parts of a text between separators that stand outside of quotes and parentheses. @throws InvalidValue */
export function splitText(given: string, separator: ',' | ';'): string[] {
  const parts: string[] = []
  let depth = 0
  let quoted = false
  let start = 0
  for (let at = 0; at < given.length; at++) {
    const character = given[at]
    if (character === '\\' && quoted) at += 1
    else if (character === '"') quoted = !quoted
    else if (quoted) continue
    else if (character === '(') depth += 1
    else if (character === ')' && --depth < 0) break
    else if (character === separator && depth === 0) {
      parts.push(given.slice(start, at))
      if (parts.length >= mostParts) throw new InvalidValue(`lists more than ${mostParts} values`)
      start = at + 1
    }
  }
  if (quoted || depth !== 0) throw new InvalidValue('has a quote or parenthesis without its partner: put texts in "…"')
  return [...parts, given.slice(start)]
}

/** A text without its quotes, if it has some. @throws InvalidValue */
export function unquoted(given: string): string {
  if (!given.startsWith('"')) return given
  if (!/^"(?:[^"\\]|\\["\\])*"$/.test(given)) throw new InvalidValue(String.raw`must be quoted as in "a \"b\" c"`)
  return given.slice(1, -1).replaceAll(/\\(["\\])/g, '$1')
}

/** What stands between the parentheses of `(…)`. @throws InvalidValue */
export function inParentheses(given: string): string {
  if (given.startsWith('(') && given.endsWith(')')) return given.slice(1, -1)
  throw new InvalidValue('must stand in parentheses')
}

/** `name(…)`, or a bare `name`. @throws InvalidValue */
export function readCall(given: string): { readonly name: string; readonly inner: string | undefined } {
  const open = given.indexOf('(')
  if (open === -1) return { name: given, inner: undefined }
  return { name: given.slice(0, open), inner: inParentheses(given.slice(open)) }
}
