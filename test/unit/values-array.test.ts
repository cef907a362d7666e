/** Arrays as PostgreSQL writes and reads them, whatever their elements hold. */
import { array, assert, constantFrom, integer, oneof, option, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { arrayText, readArray } from '../../src/values/array.ts'

const read = (text: string, delimiter?: string) => readArray(text, (element) => element, delimiter)
const element = oneof(constantFrom('', 'NULL', '\\', '"', '{', '}', ',', ';', ' '), string({ unit: 'binary' }))

describe('an array', () => {
  test('that was written is read as it was, with its NULLs', () => {
    assert(
      property(array(option(element)), (elements) => {
        expect(read(arrayText(elements, String))).toEqual(elements)
      }),
    )
  })

  test('of arrays keeps its shape', () => {
    const grids = integer({ min: 1, max: 4 }).chain((width) =>
      array(array(option(element), { minLength: width, maxLength: width }), { minLength: 1 }),
    )
    assert(
      property(grids, (grid) => {
        expect(read(arrayText(grid, String))).toEqual(grid)
      }),
    )
  })

  test('may begin at another index than 1', () => {
    expect(read('[0:1]={a,NULL}')).toEqual(['a', null])
  })

  test.each<[string, unknown]>([
    ['{}', []],
    ['{(1,1),(0,0);(2,2),(1,1)}', ['(1,1),(0,0)', '(2,2),(1,1)']],
    ['{NULL;(1,1),(0,0)}', [null, '(1,1),(0,0)']],
    ['{{(1,1),(0,0)};{NULL}}', [['(1,1),(0,0)'], [null]]],
    [String.raw`{"a;\"";b,c}`, ['a;"', 'b,c']],
  ])('with semicolons is read between them: %s', (text, value) => {
    expect(read(text, ';')).toEqual(value)
  })
})
