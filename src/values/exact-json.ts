/**
 * JSON of the server, answered with the digits that it has: a number that a double would round, or that JavaScript writes in
 * another way, is an `ExactNumber`, which `writeJson` writes as it was read. Every other value is JavaScript's own.
 */
import { randomUUID } from 'node:crypto'

/** Stands before the digits where JSON is made or read; nobody can send it. */
const mark = `${randomUUID()}:`
const marked = new RegExp(`"${mark}([^"]*)"`, 'g')

let writing = false
let met = false

/** A number as the server wrote it; for arithmetic, and for any other writer of JSON, the nearest double. */
class ExactNumber {
  readonly #digits: string

  constructor(digits: string) {
    this.#digits = digits
  }

  valueOf(): number {
    return Number(this.#digits)
  }

  toJSON(): unknown {
    if (!writing) return this.valueOf()
    met = true
    return mark + this.#digits
  }
}

/** Where a number begins, and is long, or ends in a zero, or has an exponent, or many zeros behind its point. */
const maybeExact = /(?:^|[[:,\s])(?:-0(?![\d.])|-?(?:[\d.]{16}|\d+(?:\.\d+)?[eE]|\d+\.\d*0(?!\d)|0\.0{6}))/

const stringsAndNumbers = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/** Reads what the server gives as JSON. @throws SyntaxError for anything else */
export function readExactJson(text: string): unknown {
  if (!maybeExact.test(text)) return JSON.parse(text)
  const kept = text.replaceAll(stringsAndNumbers, (token) => {
    return token.startsWith('"') || String(Number(token)) === token ? token : `"${mark}${token}"`
  })
  return JSON.parse(kept, (_, value: unknown) => {
    return typeof value === 'string' && value.startsWith(mark) ? new ExactNumber(value.slice(mark.length)) : value
  })
}

/** Like `JSON.stringify`, with the digits of what `readExactJson` has read, and each bigint as a string of its digits. */
export function writeJson(value: unknown): string | undefined {
  writing = true
  met = false
  try {
    const text = JSON.stringify(withTextForBigints(value, '', 0)) as string | undefined
    return met ? text?.replaceAll(marked, '$1') : text
  } finally {
    writing = false
  }
}

/** JSON of the database may be deeper, and has no bigint. */
const deepest = 100

/**
 * The same value where there is no bigint in it; else a copy. A replacer of `JSON.stringify`, which is called for every
 * member, costs ten times as much.
 */
function withTextForBigints(value: unknown, key: string, depth: number): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null || value instanceof Date || depth === deepest) return value
  const { toJSON } = value as { readonly toJSON?: unknown }
  if (typeof toJSON === 'function') return withTextForBigints(toJSON.call(value, key), key, depth + 1)
  let copy: Record<string, unknown> | unknown[] | undefined
  for (const name of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[name]
    const written = withTextForBigints(member, name, depth + 1)
    if (written === member) continue
    copy ??= Array.isArray(value) ? [...(value as unknown[])] : { ...value }
    ;(copy as Record<string, unknown>)[name] = written
  }
  return copy ?? value
}
