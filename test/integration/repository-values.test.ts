import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Engine } from '../../src/engine.ts'
import { InvalidInput } from '../../src/errors.ts'
import type { NewRow } from '../../src/repository/types/table-types.ts'
import { hasInfiniteIntervals } from '../support/server-version.ts'
import { openToy, type Toy } from '../support/toy.ts'
import * as schema from '../support/toy-schema.ts'
import { Money, samples } from '../support/toy-schema.ts'

let toy: Toy
let engine: Engine<typeof schema>

beforeAll(async () => {
  toy = await openToy()
  engine = toy.engine
})

afterAll(async () => {
  await toy[Symbol.asyncDispose]()
})

type Sample = Required<NewRow<typeof samples>>
type Edges = { readonly [K in keyof Sample]?: readonly NonNullable<Sample[K]>[] }

const farPast = new Date(Date.UTC(-4711, 0, 1))
farPast.setUTCFullYear(-4711)
const yearNine = new Date(0)
yearNine.setUTCFullYear(9)

/** Values at the edges of each type, all of which must come back as they were given. */
const edges: Edges = {
  aSmallint: [-32_768, 0, 32_767],
  anInteger: [-2_147_483_648, 0, 2_147_483_647],
  aBigint: [-(2n ** 63n), 0n, 2n ** 53n + 1n, 2n ** 63n - 1n],
  aSafeBigint: [Number.MIN_SAFE_INTEGER, 0, Number.MAX_SAFE_INTEGER],
  aNumeric: ['0', '0.00', '-1.50', '9'.repeat(60), `0.${'0'.repeat(40)}1`, 'NaN', 'Infinity', '-Infinity'],
  anAmount: ['0.00', '-9999999999.99', '9999999999.99'],
  aNumericNumber: [0, -1.5, 1e21, 0.000_001, Number.MAX_SAFE_INTEGER],
  aNumericBigint: [0n, 10n ** 40n, -(10n ** 40n)],
  aReal: [0, 16_777_216, -1e21, 0.1, -1.5, 3.402_823_5e38, Number.NaN, Infinity, -Infinity],
  aDouble: [0, -0, 0.1, 5e-324, Number.MAX_VALUE, Number.NaN, Infinity, -Infinity],
  aBoolean: [true, false],
  aText: [
    '',
    ' ',
    'NULL',
    'a\\b"c\'d',
    '\u{1F600}',
    '\uFEFF',
    'line\nbreak\r\t',
    "'; drop table samples; --",
    '{}',
    '\u0001',
  ],
  aVarchar: ['', '12345', '\u{1F600}'.repeat(5)],
  aChar: ['abc'],
  aUuid: ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  aMood: ['sad', 'happy'],
  aSize: ['s', 'l'],
  aTimestamp: [
    new Date(0),
    new Date('2026-12-31T23:59:59.999Z'),
    new Date('+010000-01-01T00:00:00Z'),
    farPast,
    yearNine,
  ],
  aTimestampText: ['2026-12-31 23:59:59.123456', 'infinity', '0001-01-01 00:00:00 BC'],
  anInstant: [
    new Date(0),
    new Date('2026-12-31T23:59:59.999Z'),
    new Date('+010000-01-01T00:00:00Z'),
    farPast,
    yearNine,
  ],
  anInstantText: ['2026-12-31 23:59:59.123456+00', '-infinity'],
  aDate: [new Date('2026-02-28T00:00:00Z'), new Date('+010000-01-01T00:00:00Z'), farPast, yearNine],
  aDateText: ['2024-02-29', '0044-03-15 BC', '12026-01-01', '5874897-12-31', '4714-11-24 BC', 'infinity'],
  aTime: ['00:00:00', '23:59:59.999999', '24:00:00'],
  aZonedTime: ['13:37:00+05:30', '00:00:00-12'],
  anInterval: [
    '1 year 2 mons 3 days 04:05:06.789',
    '-00:00:01',
    '-1 years -2 mons +3 days -04:05:06',
    ...(hasInfiniteIntervals ? ['infinity'] : []),
  ],
  aJson: [{ a: [1, null, 'x'] }, [], 'text', '10.5', 0, true, { '': '\u{1F600}' }],
  aJsonb: [{ a: { b: [] } }, [null], 'text', '10.5', -1.5, false, 'null', '{}'],
  aBytea: [new Uint8Array(), new Uint8Array([0, 255, 92, 39])],
  anInet: ['192.168.0.1', '::1', '10.0.0.0/8'],
  aCidr: ['10.0.0.0/8', '::/0'],
  aMacaddr: ['08:00:2b:01:02:03'],
  aPoint: [
    [0, 0],
    [-1.5, 1e21],
  ],
  aTsvector: ["'a' 'b':1"],
  aRange: ['[1,5)', 'empty', '(,)'],
  aSpan: ['["2026-01-01 00:00:00+00","2026-02-01 00:00:00+00")'],
  aMoney: [new Money(0n), new Money(-1n), new Money(999_999_999_999_999_999_99n)],
  aDocument: [{ x: 'text' }, { x: [1, { y: null }] }],
  integers: [[], [1, -2, 2_147_483_647]],
  bigints: [[2n ** 63n - 1n, 0n]],
  texts: [[], ['', 'NULL', 'null', 'a,b', '{}', '"', '\\', ' x ', '\n', '\u{1F600}']],
  matrix: [
    [],
    [
      [1, 2],
      [3, 4],
    ],
  ],
  moods: [['sad', 'happy', 'sad']],
  instants: [[new Date('2026-12-31T23:59:59.999Z'), new Date(0)]],
  documents: [[{ a: '"\\{}' }, [1], 'x', '10.5', 0, true]],
  booleans: [[true, false]],
}

const cases = Object.entries(edges).flatMap(([property, values]) =>
  (values as readonly unknown[]).map((value) => [property, value] as const),
)

/** Bytes come back as Buffer, which is a Uint8Array. */
const plain = (value: unknown) => (value instanceof Uint8Array ? new Uint8Array(value) : value)

describe('a value at the edge of its type comes back as it was given', () => {
  test('through insert, update, insertMany and upsert', async () => {
    await engine.session(async ({ repository }) => {
      const repo = repository(samples)
      const many = await repo.insertMany(cases.map(([property, value]) => ({ [property]: value })))
      const { id } = await repo.insert({})
      for (const [index, [property, value]] of cases.entries()) {
        const name = property as 'aText'
        expect(plain(many[index]?.[name]), `insertMany ${property}`).toEqual(value)
        expect(plain((await repo.insert({ [property]: value }))[name]), `insert ${property}`).toEqual(value)
        expect(plain((await repo.update(id, { [property]: value }))[name]), `update ${property}`).toEqual(value)
        expect(plain((await repo.get(id, { select: [name] }))[name]), `get ${property}`).toEqual(value)
        const upserted = await repo.upsert({ id, [property]: value })
        expect(plain(upserted[name]), `upsert ${property}`).toEqual(value)
      }
    })
  })

  test('and null does as well, in every column', async () => {
    await engine.session(async ({ repository }) => {
      const repo = repository(samples)
      const nulls = Object.fromEntries(Object.keys(edges).map((property) => [property, null]))
      const { id, ...row } = await repo.insert(nulls)
      expect(row).toEqual(nulls)
      const [many] = await repo.insertMany([nulls, nulls])
      expect(many).toMatchObject(nulls)
      expect(await repo.update(id, nulls)).toEqual({ id, ...nulls })
    })
  })

  test('null elements of arrays too', async () => {
    await engine.session(async ({ repository }) => {
      const arrays = {
        integers: [1, null],
        texts: [null, 'NULL'],
        moods: [null, 'sad'],
        instants: [null, new Date(0)],
        booleans: [null, true],
        bigints: [null, 1n],
      } as unknown as NewRow<typeof samples>
      expect(await repository(samples).insert(arrays)).toMatchObject(arrays)
      expect((await repository(samples).insertMany([arrays, arrays]))[1]).toMatchObject(arrays)
    })
  })

  test('and a filter for it finds it', async () => {
    const uncomparable = new Set(['aJson', 'aPoint'])
    await engine.session(async ({ repository }) => {
      const repo = repository(samples)
      for (const [property, value] of cases.filter(([property]) => !uncomparable.has(property))) {
        const { id } = await repo.insert({ [property]: value })
        const where = { [property]: { eq: value }, id }
        expect(await repo.exists(where as never), `${property} ${JSON.stringify(value, (_, v) => String(v))}`).toBe(
          true,
        )
      }
    })
  })
})

type Bad = { readonly [K in keyof Sample]?: readonly unknown[] }

/** Values that would be stored as something else, or that the type cannot hold. */
const bad: Bad = {
  aSmallint: [32_768, 1.5, Number.NaN, '1', {}, [], true, 1n],
  anInteger: [2 ** 31, -(2 ** 31) - 1, 0.5, Infinity, Number.NaN, '0x10', new Date(0)],
  aBigint: [2n ** 63n, -(2n ** 63n) - 1n, 1, '1'],
  aSafeBigint: [2 ** 53, 0.5],
  aNumeric: ['1e-20000', '1e131072', '0.' + '0'.repeat(20_000), '', 'abc', '0x10', '1_000', '1e', ' 1', 1, {}],
  anAmount: ['0.001', '10000000000', '1e10', 'Infinity', '12.345e-1'],
  aNumericNumber: [Number.NaN, Infinity, '1'],
  aNumericBigint: [1, 1.5],
  aReal: [1e39, 1e-50, 16_777_217, -123_456_789, '1', {}],
  aDouble: ['1', {}],
  aBoolean: ['true', 0, 'maybe', {}],
  aText: ['\0', 'a\0b', '\uD800', 'x\uDC00', 1, {}, [], true, new Date(0)],
  aVarchar: ['123456', '12345 ', 'a\0'],
  aChar: ['1234'],
  aUuid: ['', 'x', '00000000-0000-0000-0000-00000000000', '{00000000-0000-0000-0000-000000000000}', 1],
  aMood: ['glad', '', 1],
  aTimestamp: [new Date(Number.NaN), '2026-01-01', 0, new Date(-8.64e15)],
  aTimestampText: [
    'now',
    '2026-02-30 00:00:00',
    '2026-01-01T00:00:00+05:00',
    '2026-13-01',
    'yesterday',
    '2026-01-01T12:00:60',
    '2026-01-01T24:00:00',
    '294277-01-01',
  ],
  anInstant: [new Date(Number.NaN), 'now', new Date(-8.64e15)],
  anInstantText: ['now', '2026-02-29T00:00:00Z', '25:00', '2026-01-01', '2026-01-01 00:00:00'],
  aDate: [new Date(Number.NaN), '2026-01-01', new Date(-8.64e15), new Date('2026-01-01T12:00:00Z')],
  aDateText: ['2026-02-30', '2026-1-1', 'today', '01/02/2026', ''],
  aTime: ['25:00', 'now', '12:00:00+01', '12:60', '12:00:60', '24:00:01'],
  aZonedTime: ['13:37:00', '13:37'],
  anInterval: ['foo', '', '1 fortnight', '1.1234567 seconds', '1.3 years', '0.5 us', 1, {}],
  anInet: ['x', '', '10.0.0.0/33', '1.2.3', '::1/129', 'fe80::1%eth0', 10],
  aCidr: ['10', 10, '256.0.0.0/8'],
  aMacaddr: ['08:00:2b:01:02', 'x', 8],
  aPoint: [[1, 2, 3], [1], ['1', 2], [Number.NaN, 1], '(1,2)', { x: 1, y: 2 }],
  aJson: [Number.NaN, { a: undefined, b: Infinity }, new Date(0), new Map(), [undefined], 1n, 'a\0', '\uD800', () => 0],
  aJsonb: [{ deep: [{ nan: Number.NaN }] }, new Set(), { '\0': 1 }, Symbol.iterator],
  aDocument: [{ x: Number.NaN }, { x: 1n }],
  integers: [[1.5], ['1'], 'x', {}, [[1]], [undefined]],
  texts: [['\0'], [1], 'x', ['\uD800']],
  matrix: [[[1], [1, 2]], [[]], [1], [null]],
  moods: [['glad']],
}

describe('a bad value is refused with InvalidInput that names the column, and nothing is sent', () => {
  test.each(Object.keys(bad))('%s', async (property) => {
    await engine.transaction(async ({ repository }) => {
      const repo = repository(samples)
      const { id } = await repo.insert({})
      for (const value of bad[property as keyof Bad] ?? []) {
        const row = { [property]: value } as NewRow<typeof samples>
        for (const [refused, ...outer] of [
          [repo.insert(row)],
          [repo.insertMany([{}, row]), 1],
          [repo.update(id, row)],
          [repo.upsert({ id, ...row })],
          [repo.updateWhere({ id }, row)],
        ] as const) {
          const error = await refused.catch((reason: unknown) => reason)
          expect(error, String(JSON.stringify(value, (_, v) => String(v)))).toBeInstanceOf(InvalidInput)
          expect(error).toMatchObject({ path: [...outer, property] })
        }
      }
      // The transaction still works, so no statement has failed in it.
      expect(await repo.count({ id })).toBe(1)
    })
  })

  test('also in filters, keys and limits', async () => {
    await engine.session(async ({ repository }) => {
      const repo = repository(samples)
      await expect(repo.get(2 ** 40)).rejects.toMatchObject({ code: 'invalid_input', path: ['id'] })
      await expect(repo.find({ anInteger: Number.NaN })).rejects.toMatchObject({ path: ['anInteger'] })
      const noon = new Date('2026-01-01T12:00:00Z')
      for (const where of [
        { aDate: noon },
        { aDate: { ne: noon } },
        { aDate: { gte: noon } },
        { aDate: { in: [noon] } },
      ]) {
        await expect(repo.count(where)).rejects.toMatchObject({ code: 'invalid_input', path: ['aDate'] })
      }
      await expect(repo.count({ aText: { like: 'a\\' } })).rejects.toMatchObject({ path: ['aText'] })
      expect(await repo.count({ aText: { ilike: 'a\\\\' } })).toBe(0)
      await expect(repo.count({ aText: { in: ['a', '\0'] } })).rejects.toMatchObject({ path: ['aText'] })
      for (const limit of [0, -1, 1.5, Number.NaN, Infinity, 10_001, '5', null]) {
        await expect(repo.list({ limit: limit as number })).rejects.toMatchObject({ path: ['limit'] })
      }
    })
  })
})
