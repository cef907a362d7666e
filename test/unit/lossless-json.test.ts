/** JSON of the server keeps every digit of whole numbers, and everything that is no number stays what JSON.parse makes of it. */
import { array, assert, bigInt, integer, jsonValue, nat, oneof, property, tuple } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { columnValue, parseKeepingDigits } from '../../src/drizzle/lossless-json.ts'

const values = (text: string) => (parseKeepingDigits(text) as unknown[]).map(columnValue)

describe('numbers', () => {
  test('that are whole and that JavaScript would round come as text', () => {
    expect(values('[9007199254740993, -9007199254740993]')).toEqual(['9007199254740993', '-9007199254740993'])
  })

  test('of any other kind come as numbers, however many zeros stand behind the point', () => {
    expect(values('[0, 1, -5, 1.5, 9007199254740991]')).toEqual([0, 1, -5, 1.5, 9007199254740991])
    expect(values('[10.50, 1.0, 2.5000000000000000, -0.00]')).toEqual([10.5, 1, 2.5, -0])
    expect(values('[-0, 1e+20, 1e-07]')).toEqual([-0, 1e20, 1e-7])
  })

  test('inside text are text', () => {
    expect(values(String.raw`["10.50", "a \"10.50\" b", "\\", "9007199254740993"]`)).toEqual([
      '10.50',
      'a "10.50" b',
      '\\',
      '9007199254740993',
    ])
  })

  test('inside JSON columns are ordinary numbers, at any depth', () => {
    expect(values('[{"a": 1.50, "b": [2.0, {"c": 9007199254740993}]}]')).toEqual([
      { a: 1.5, b: [2, { c: 9007199254740992 }] },
    ])
  })
})

test('any whole number survives, digit by digit; any other is the number that JSON.parse makes', () => {
  const decimals = tuple(integer(), nat()).map(([whole, fraction]) => `${whole}.${fraction}0`)
  assert(
    property(array(oneof(bigInt().map(String), decimals)), (numbers) => {
      const expected = numbers.map((text) => (text.includes('.') ? (JSON.parse(text) as number) : text))
      const read = values(`[${numbers.join(',')}]`)
      expect(read.map((value, index) => (numbers[index]?.includes('.') ? value : String(value)))).toEqual(expected)
    }),
  )
})

test('any JSON value without digits is what JSON.parse says', () => {
  const withoutDigits = jsonValue().filter((value) => !/\d/.test(JSON.stringify(value)))
  assert(
    property(array(withoutDigits), (array) => {
      const text = JSON.stringify(array)
      expect(values(text)).toEqual(JSON.parse(text))
    }),
  )
})
