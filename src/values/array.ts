/**
 * Reads and writes arrays as text: of any depth, with NULL elements, and with any characters in the elements.
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
import { parse } from 'postgres-array'
import { UsageError } from '../errors.ts'

/** Reads an array; `read` takes the text of one element that is not NULL. `delimiter` is the type's `typdelim`. */
export function readArray(text: string, read: (element: string) => unknown, delimiter = ','): unknown[] {
  return parse(delimiter === ',' ? text : withCommas(text, delimiter), read)
}

/** Rewrites an array with commas between its elements; arrays of boxes have semicolons. */
function withCommas(text: string, delimiter: string): string {
  let rewritten = ''
  let element = ''
  const flush = (): void => {
    rewritten += element === '' || element === 'NULL' ? element : quotedElement(element)
    element = ''
  }
  for (const token of text.match(/"(?:[^"\\]|\\.)*"|[^]/g) ?? []) {
    if (token.length > 1) rewritten += token
    else if (token === '{' || token === '}' || token === delimiter) {
      flush()
      rewritten += token === delimiter ? ',' : token
    } else element += token
  }
  return rewritten
}

/** MAXDIM of the server. */
const maxDimensions = 6

/**
 * Writes an array: null is NULL, arrays nest, and `write` makes the text of everything else.
 * @throws UsageError for more dimensions than PostgreSQL has, which an array that contains itself has too.
 */
export function arrayText(values: readonly unknown[], write: (element: unknown) => string, dimensions = 1): string {
  if (dimensions > maxDimensions) {
    throw new UsageError(`an array has at most ${maxDimensions} dimensions in PostgreSQL, and cannot contain itself`)
  }
  const elements = Array.from(values, (element) => {
    if (element === null) return 'NULL'
    return Array.isArray(element) ? arrayText(element, write, dimensions + 1) : quotedElement(write(element))
  })
  return `{${elements.join(',')}}`
}

/** Quotes an element, so that it is never taken for NULL, for several elements or for an array. */
export function quotedElement(text: string): string {
  return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`
}
