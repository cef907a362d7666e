/** How values travel: encoded with their digits and their meaning, or refused by name; decoded by type. */
import { assert, constantFrom, integer, oneof, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidInput, UsageError } from '../../src/errors.ts'
import { encodeParameter, installCodecs } from '../../src/pool/codec.ts'
import { oids } from '../../src/values/server-type.ts'

const encode = (value: unknown) => encodeParameter(value, 3, (parameter) => parameter)

function decoder(oid: number): (text: string) => unknown {
  const parsers: Record<number, (text: string) => unknown> = {}
  installCodecs({ serializers: {}, parsers })
  return parsers[oid] ?? ((text) => text)
}

describe('a parameter', () => {
  test.each<[string, unknown, unknown]>([
    ['text', 'plain', 'plain'],
    ['an empty text', '', ''],
    ['an integer', 42, '42'],
    ['minus zero', -0, '0'],
    ['not a number', Number.NaN, 'NaN'],
    ['infinity', -Infinity, '-Infinity'],
    ['a bigint', 2n ** 70n, String(2n ** 70n)],
    ['null', null, null],
    ['a boolean', true, { value: 't', type: oids.bool }],
    ['bytes', Uint8Array.of(0, 255), { value: String.raw`\x00ff`, type: oids.bytea }],
    ['a part of bytes', Uint8Array.of(1, 2, 3).subarray(1, 2), { value: String.raw`\x02`, type: oids.bytea }],
    ['an object', { a: [1, null] }, '{"a":[1,null]}'],
    ['an array', [1, null, 'x"\\'], String.raw`{"1",NULL,"x\"\\"}`],
    ['an empty array', [], '{}'],
    ['an array of arrays', [[1], [2]], '{{"1"},{"2"}}'],
    ['an array of booleans', [true, false], '{"t","f"}'],
    ['an array of texts that look like more', ['NULL', '{}', ',', ''], '{"NULL","{}",",",""}'],
  ])('that is %s', (_name, value, encoded) => {
    expect(encode(value)).toEqual(encoded)
  })

  test('that is a Date keeps its instant, also far from today', () => {
    const text = (iso: string) => (encode(new Date(iso)) as { value: string }).value
    expect(text('2024-02-29T12:34:56.789Z')).toBe('2024-02-29T12:34:56.789Z')
    expect(text('0044-03-15T00:00:00Z')).toBe('0044-03-15T00:00:00.000Z')
    expect(text('-000043-03-15T00:00:00Z')).toBe('0044-03-15T00:00:00.000Z BC')
    expect(text('+012345-01-01T00:00:00Z')).toBe('12345-01-01T00:00:00.000Z')
  })

  test.each<[string, unknown, new (message: string) => Error]>([
    ['undefined', undefined, UsageError],
    ['a function', () => 1, UsageError],
    ['a symbol', Symbol('x'), UsageError],
    ['an invalid Date', new Date(Number.NaN), InvalidInput],
    ['text with NUL', 'a\0', InvalidInput],
    ['half a surrogate pair', 'a\ud800', InvalidInput],
    ['undefined in an array', [undefined], UsageError],
    ['NUL in an array', ['\0'], InvalidInput],
    ['a bigint in JSON', { a: 1n }, InvalidInput],
    ['an object that has no JSON', { toJSON: () => undefined }, InvalidInput],
  ])('that is %s is refused with its position and without its value', (_name, value, type) => {
    expect(() => encode(value)).toThrow(type)
    expect(() => encode(value)).toThrow(/\$3/)
  })

  test('that is any text is either sent as it is or refused', () => {
    // fast-check's own unit of any character knows no halves of surrogate pairs.
    const codeUnit = integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code))
    const unit = oneof(codeUnit, constantFrom('\0', '\uD83D', '\uDE00', '\u{1F600}'))
    assert(
      property(string({ unit }), (text) => {
        const storable = !text.includes('\0') && text.isWellFormed()
        if (storable) expect(encode(text)).toBe(text)
        else expect(() => encode(text)).toThrow(InvalidInput)
      }),
    )
  })
})

describe('a value of the server', () => {
  test.each<[string, number, string, unknown]>([
    ['int4', 23, '-42', -42],
    ['float8', 701, 'NaN', Number.NaN],
    ['int8 keeps its digits', 20, '9007199254740993', '9007199254740993'],
    ['numeric keeps its zeros', 1700, '10.50', '10.50'],
    ['bool', 16, 'f', false],
    ['bytea', 17, String.raw`\x00ff`, Buffer.of(0, 255)],
    ['int4[]', 1007, '{1,NULL,3}', [1, null, 3]],
    ['text[]', 1009, '{"a,b","NULL",NULL}', ['a,b', 'NULL', null]],
    ['int8[]', 1016, '{9007199254740993}', ['9007199254740993']],
    ['bool[]', 1000, '{t,f}', [true, false]],
    ['json stays text for its column to decode', oids.jsonb, '{"a":1.0}', '{"a":1.0}'],
    ['a type nobody knows stays text', 600, '(1,2)', '(1,2)'],
  ])('%s', (_name, oid, text, value) => {
    expect(decoder(oid)(text)).toEqual(value)
  })
})
