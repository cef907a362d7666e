import { describe, expect, test } from 'vitest'
import { dateText, parseInstant, temporalIssue, timestampText } from '../../src/values/temporal.ts'

describe('instants are read as the server writes them', () => {
  test.each([
    ['2026-12-31 23:59:59+00', '2026-12-31T23:59:59.000Z'],
    ['2026-12-31 23:59:59.1+00', '2026-12-31T23:59:59.100Z'],
    ['2026-12-31 23:59:59.123456+00', '2026-12-31T23:59:59.123Z'],
    ['2026-12-31 23:59:59.9', '2026-12-31T23:59:59.900Z'],
    ['2026-12-31', '2026-12-31T00:00:00.000Z'],
    ['2026-07-01 12:00:00+05:30', '2026-07-01T06:30:00.000Z'],
    ['2026-07-01 12:00:00-02', '2026-07-01T14:00:00.000Z'],
    // Amsterdam before 1937.
    ['1930-01-01 00:19:32+00:19:32', '1930-01-01T00:00:00.000Z'],
    ['0009-01-01 00:00:00+00', '0009-01-01T00:00:00.000Z'],
    ['0001-12-31 00:00:00+00 BC', '0000-12-31T00:00:00.000Z'],
    ['0044-03-15 BC', '-000043-03-15T00:00:00.000Z'],
    ['12026-01-01 00:00:00+00', '+012026-01-01T00:00:00.000Z'],
  ])('%s', (text, iso) => {
    expect(parseInstant(text).toISOString()).toBe(iso)
  })

  test('what a Date cannot hold is an invalid one', () => {
    for (const text of ['infinity', '-infinity', '294276-12-31 23:59:59+00']) {
      expect(parseInstant(text).getTime(), text).toBeNaN()
    }
  })
})

test('instants are written with the years the server understands', () => {
  const year = (value: number) => {
    const date = new Date(0)
    date.setUTCFullYear(value)
    return date
  }
  expect(timestampText(new Date(0))).toBe('1970-01-01T00:00:00.000Z')
  expect(timestampText(year(12_026))).toBe('12026-01-01T00:00:00.000Z')
  expect(timestampText(year(0))).toBe('0001-01-01T00:00:00.000Z BC')
  expect(timestampText(year(-43))).toBe('0044-01-01T00:00:00.000Z BC')
  expect(dateText(year(9))).toBe('0009-01-01')
  expect(dateText(year(-43))).toBe('0044-01-01 BC')
})

test('texts that are no day, time or timestamp are told so', () => {
  for (const [type, text] of [
    ['date', '2024-02-29'],
    ['date', '0001-01-01 BC'],
    ['date', 'infinity'],
    ['time', '24:00:00'],
    ['time', '12:34'],
    ['timestamp', '2026-01-01T00:00:00'],
    ['timestamp', '2026-01-01 00:00:00.123456'],
    ['timestamp', '2026-01-01'],
    ['time', '23:59:59.999999'],
    ['date', '5874897-12-31'],
    ['date', '4714-11-24 BC'],
    ['timestamp', '294276-12-31 23:59:59'],
  ] as const) {
    expect(temporalIssue(text, type, false), text).toBeUndefined()
  }
  for (const [type, text] of [
    ['date', '2023-02-29'],
    ['date', '2026-1-1'],
    ['date', '0000-01-01'],
    ['date', 'tomorrow'],
    ['time', '25:00'],
    ['time', '12:00+01'],
    ['timestamp', '2026-01-01T00:00:00Z'],
    ['timestamp', '2026-04-31T00:00:00'],
    ['timestamp', 'now'],
    ['timestamp', '2026-01-01T00:00:60'],
    ['timestamp', '2026-01-01T24:00:00'],
    ['timestamp', '294277-01-01'],
    ['timestamp', '4714-11-23 BC'],
    ['time', '12:00:60'],
    ['time', '24:00:01'],
    ['date', '5874898-01-01'],
    ['date', '5874895-02-29'],
  ] as const) {
    expect(temporalIssue(text, type, false), text).toBeDefined()
  }
  expect(temporalIssue('2026-01-01T00:00:00+05:30', 'timestamp', true)).toBeUndefined()
  expect(temporalIssue('12:00:00-02', 'time', true)).toBeUndefined()
  for (const [type, text] of [
    ['timestamp', '2026-01-01'],
    ['timestamp', '2026-01-01 00:00:00'],
    ['time', '13:37:00'],
  ] as const) {
    expect(temporalIssue(text, type, true), text).toContain('offset')
  }
  expect(temporalIssue('2026-01-01T00:00:00+16', 'timestamp', true)).toBeDefined()
})
