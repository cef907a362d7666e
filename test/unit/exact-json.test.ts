/** JSON of the server is written as it was read: the digits of its numbers, and everything else. */
import {
  array,
  assert,
  constantFrom,
  dictionary,
  jsonValue,
  letrec,
  oneof,
  property,
  string,
  stringMatching,
} from 'fast-check'
import { expect, test } from 'vitest'
import { readExactJson, writeJson } from '../../src/values/exact-json.ts'

const numbers = oneof(
  stringMatching(/^-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?$/),
  stringMatching(/^-?[1-9](?:\.\d{1,5})?[eE][+-]?\d{1,3}$/),
  constantFrom('9007199254740993', '-0', '0.0000001', '12.50', '1e400', '0.1', '10', '1.0'),
)
const texts = oneof(
  string().map((given) => JSON.stringify(given)),
  numbers.map((number) => `"${number}"`),
  numbers.map((number) => `"a\\", ${number}"`),
)
const { document } = letrec<{ document: string }>((tie) => ({
  document: oneof(
    { maxDepth: 3 },
    numbers,
    texts,
    constantFrom('null', 'true'),
    array(tie('document')).map((items) => `[${items.join(',')}]`),
    dictionary(stringMatching(/^[a-z]{1,3}$/), tie('document')).map((object) => {
      return `{${Object.entries(object)
        .map(([key, value]) => `"${key}":${value}`)
        .join(',')}}`
    }),
  ),
}))

test('a document is written as it was read, whatever its numbers', () => {
  assert(
    property(document, (text) => {
      expect(writeJson(readExactJson(text))).toBe(text)
    }),
    { numRuns: 1000 },
  )
})

test('a value of JavaScript is written as ever', () => {
  assert(
    property(jsonValue(), (value) => {
      expect(writeJson(value)).toBe(JSON.stringify(value))
      expect(JSON.stringify(readExactJson(JSON.stringify(value)))).toBe(JSON.stringify(value))
    }),
  )
  expect(writeJson(undefined)).toBeUndefined()
})

test('a number that is kept is one to arithmetic and to other writers', () => {
  const { amount } = readExactJson('{"amount": 12.50}') as { amount: number }
  expect(amount * 2).toBe(25)
  expect(JSON.stringify({ amount })).toBe('{"amount":12.5}')
})
