/** Checks of values for types that the test server lacks, and for spellings too many to send one by one. */
import {
  bit,
  char,
  geometry,
  halfvec,
  interval,
  line,
  macaddr,
  macaddr8,
  type PgColumn,
  pgTable,
  point,
  text,
  varchar,
  vector,
} from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { InvalidInput } from '../../src/errors.ts'
import { encodeFor, encoderOf } from '../../src/repository/columns/encode.ts'

const odd = pgTable('odd', {
  bits: bit('bits', { dimensions: 3 }),
  letter: char('letter'),
  color: text('color', { enum: ['red', 'green'] }),
  shade: varchar('shade', { length: 5, enum: ['dark', 'light'] }),
  place: point('place', { mode: 'xy' }),
  way: line('way'),
  equation: line('equation', { mode: 'abc' }),
  spot: geometry('spot', { type: 'point' }),
  spotXy: geometry('spot_xy', { type: 'point', mode: 'xy' }),
  embedding: vector('embedding', { dimensions: 2 }),
  half: halfvec('half', { dimensions: 2 }),
  mac: macaddr('mac'),
  mac8: macaddr8('mac8'),
  span: interval('span'),
  hours: interval('hours', { fields: 'day to hour' }),
})

const store = (property: keyof typeof odd.$inferInsert, value: unknown) =>
  encodeFor(property, encoderOf(odd[property] as PgColumn), value, 'store')

describe('a value is written as the server reads it', () => {
  test.each([
    ['bits', '101', '101'],
    ['letter', 'x', 'x'],
    ['color', 'red', 'red'],
    ['shade', 'light', 'light'],
    ['place', { x: -0, y: 1e21 }, '(-0,1e+21)'],
    ['way', [1, 0, -2.5], '{1,0,-2.5}'],
    ['equation', { a: 0, b: 2, c: 3 }, '{0,2,3}'],
    ['spot', [1, 2], 'point(1 2)'],
    ['spotXy', { x: 1, y: 2 }, 'point(1 2)'],
    ['embedding', [0.5, -1], '[0.5,-1]'],
    ['half', [0.5, -1], '[0.5,-1]'],
  ] as const)('%s: %j', (property, value, written) => {
    expect(store(property, value)).toBe(written)
  })
})

describe('a value that would be changed is refused, and its column named', () => {
  test.each([
    ['bits', ['10', '1010', '102', 5]],
    ['letter', ['xy', 'x ']],
    ['color', ['blue', '', 1]],
    ['shade', ['dim']],
    ['place', [{ x: 1 }, { x: 1, y: 2, z: 3 }, { x: '1', y: 2 }, { x: Number.NaN, y: 1 }, [1, 2], '(1,2)', 1]],
    ['way', [[1, 2], [0, 0, 1], [Number.NaN, 1, 1], { a: 1, b: 2, c: 3 }]],
    [
      'equation',
      [
        { a: 1, b: 2 },
        { a: 1, b: 2, c: Number.NaN },
        { a: 0, b: 0, c: 1 },
      ],
    ],
    ['spot', [[1, 2, 3], [1, Infinity], '1 2']],
    ['spotXy', [{ x: 1 }, { x: 1, y: Number.NaN }]],
    ['embedding', [[1], [1, 2, 3], [1, Number.NaN], [1, null], '[1,2]']],
    ['half', [[1, Infinity]]],
    ['mac', ['08:00:2b:01:02:03:04:05', '08:00-2b:01:02:03']],
    ['mac8', ['08:00:2b:01:02:03', '0800:2b01:0203']],
  ] as const)('%s', (property, values) => {
    for (const value of values) {
      expect(() => store(property, value), JSON.stringify(value)).toThrow(InvalidInput)
    }
  })
})

test('MAC addresses may be spelled as the server allows', () => {
  for (const mac of ['08:00:2b:01:02:03', '8-0-2b-1-2-3', '08002b:010203', '0800.2b01.0203', '08002B010203']) {
    expect(store('mac', mac)).toBe(mac)
  }
  for (const mac of ['08:00:2b:01:02:03:04:05', '0800.2b01.0203.0405', '08002b01:02030405', '08002b0102030405']) {
    expect(store('mac8', mac)).toBe(mac)
  }
})

test('intervals may be spelled as the server allows', () => {
  const spelled = [
    '1 year 2 mons 3 days 04:05:06.789',
    '@ 1 year 2 months ago',
    '1y2mon3d4h5m6.5s',
    '1-2 3 4:05:06',
    '3 4:05:06',
    '-1-2 +3 -4:05:06',
    '90',
    '1.5 hours',
    '1.5 years',
    '250 milliseconds 3 us',
    '1 century 2 decades',
    'P1Y2M3DT4H5M6S',
    'P2W',
    'PT0.5S',
    'P-1Y-2M+3DT-4H',
    'infinity',
    '-infinity',
  ]
  for (const span of spelled) expect(store('span', span)).toBe(span)
  for (const span of [
    'foo',
    '',
    '1 fortnight',
    'P',
    'P1DT',
    '1:2:3:4',
    '1.1234567 s',
    '1.3 years',
    `${'1'.repeat(50_000)}x`,
  ]) {
    expect(() => store('span', span), span.slice(0, 30)).toThrow(InvalidInput)
  }
  for (const span of ['1 day 5 hours', 'P1DT5H', '3 h']) expect(store('hours', span)).toBe(span)
  for (const span of ['1 day 5 minutes', 'PT5M', '05:30', '1.5 hours']) {
    expect(() => store('hours', span), span).toThrow(InvalidInput)
  }
})
