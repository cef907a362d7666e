import { assert as holds, constantFrom, jsonValue, nat, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { exactNumber, JsonFault, parseJson } from '../../src/values/strict-json.ts'

function faultOf(text: string): JsonFault {
  try {
    parseJson(text)
  } catch (error) {
    if (error instanceof JsonFault) return error
    throw error
  }
  throw new Error(`${text} was read`)
}

test('reads whatever JSON.stringify writes, as JSON.parse does', () => {
  holds(
    property(jsonValue({ maxDepth: 6 }), nat(4), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent)
      expect(parseJson(text)).toEqual(JSON.parse(text))
    }),
  )
})

test('takes no text that JSON.parse does not take', () => {
  holds(
    property(string({ unit: constantFrom(...'{}[]":,0123456789.eE+-tfn \\u"') }), (text) => {
      let read = true
      try {
        parseJson(text)
      } catch {
        read = false
      }
      if (read) JSON.parse(text)
    }),
  )
})

describe('refuses as no JSON', () => {
  test.each([
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    "{'a':1}",
    'NaN',
    'Infinity',
    '-',
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    '0x10',
    'undefined',
    'nul',
    'true false',
    '{} x',
    '// comment\n1',
    '/* c */ 1',
    '"\u0000"',
    '"\n"',
    '"abc',
    String.raw`"\x41"`,
    String.raw`"\u12"`,
    '\uFEFF{}',
    '[1 2]',
    '{"a" 1}',
    '{"a":}',
    '[}',
  ])('%j', (text) => {
    expect(faultOf(text).path).toBeUndefined()
  })
})

test.each([
  ['{"a":1,"b":{"c":1,"c":2}}', ['b', 'c'], /twice/],
  ['{"__proto__":1,"__proto__":2}', ['__proto__'], /twice/],
  ['[0,{"n":9007199254740993}]', [1, 'n'], /digits/],
  ['1e400', [], /digits/],
  ['-1e400', [], /digits/],
  ['1e-400', [], /digits/],
  ['0.9999999999999999999', [], /digits/],
  ['123456789012345678901', [], /digits/],
  [`1${'0'.repeat(5000)}`, [], /digits/],
  [`0.${'0'.repeat(5000)}1`, [], /digits/],
  [`${'['.repeat(10_000)}1`, [], /deep/],
  [`{${Array.from({ length: 1001 }, (_, index) => `"k${index}":1`).join(',')}}`, [], /members/],
])('refuses %.60s, and says where', (text, path, message) => {
  const fault = faultOf(text)
  expect(fault.path).toEqual(path)
  expect(fault.message).toMatch(message)
})

test.each([
  ['0', 0],
  ['-0', -0],
  ['0.1', 0.1],
  ['1.10', 1.1],
  ['1e2', 100],
  ['100', 100],
  ['12E-1', 1.2],
  ['9007199254740991', 9007199254740991],
  ['-9007199254740992', -9007199254740992],
  ['1.7976931348623157e308', Number.MAX_VALUE],
  ['5e-324', 5e-324],
  ['0.30000000000000004', 0.30000000000000004],
  ['0e99999', 0],
  ['1000000000000000000000', 1e21],
])('keeps the number %s', (text, number) => {
  expect(exactNumber(text)).toBe(number)
})

test('a key __proto__ is a property like any other, and sets no prototype', () => {
  const read = parseJson('{"__proto__":{"admin":true},"constructor":{"prototype":{}}}') as Record<string, unknown>
  expect(Object.getPrototypeOf(read)).toBe(Object.prototype)
  expect(read.admin).toBeUndefined()
  expect(Object.keys(read)).toEqual(['__proto__', 'constructor'])
  expect(({} as Record<string, unknown>).admin).toBeUndefined()
})
