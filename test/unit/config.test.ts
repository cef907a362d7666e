/** The settings of the pool: their defaults and ranges, and that an unknown one is named. */
import { describe, expect, test } from 'vitest'
import { poolSettings } from '../../src/config.ts'
import { ConfigInvalid } from '../../src/errors.ts'

describe('the settings of the pool', () => {
  test('have defaults, and keep what is given, 0 included', () => {
    expect(poolSettings()).toEqual({
      max: 10,
      maxQueue: 1000,
      acquireTimeoutMs: 10_000,
      idleTimeoutMs: 60_000,
      maxLifetimeMs: 1_800_000,
      connectTimeoutMs: 5000,
      probeAfterMs: 30_000,
      maxPreparedStatements: 1000,
      catalogCheckMs: 1000,
    })
    expect(poolSettings({ max: 3, maxQueue: 0, idleTimeoutMs: 0 })).toMatchObject({
      max: 3,
      maxQueue: 0,
      idleTimeoutMs: 0,
    })
    expect(poolSettings({ max: undefined })).toMatchObject({ max: 10 })
  })

  test.each([
    [{ max: 0 }, /pool\.max must be a whole number from 1 to 10000, not 0/],
    [{ max: 1.5 }, /pool\.max/],
    [{ max: '5' as never }, /pool\.max/],
    [{ acquireTimeoutMs: -1 }, /pool\.acquireTimeoutMs/],
    [{ connectTimeoutMs: Number.NaN }, /pool\.connectTimeoutMs/],
    [{ size: 5 } as never, /unknown setting pool\.size; known are max/],
  ])('%o are refused', (pool, message) => {
    expect(() => poolSettings(pool)).toThrow(ConfigInvalid)
    expect(() => poolSettings(pool)).toThrow(message)
  })
})
