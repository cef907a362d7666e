/** Pauses between attempts: they grow up to a bound, and only the random part of them varies. */
import { expect, test } from 'vitest'
import { backoffMs } from '../../src/task/backoff.ts'

test('a pause may be twice the one before, up to the longest', () => {
  const pauses = Array.from({ length: 8 }, (_, failures) =>
    backoffMs(failures, { firstMs: 100, longestMs: 1500, jitter: 0 }),
  )
  expect(pauses).toEqual([100, 200, 400, 800, 1500, 1500, 1500, 1500])
})

test('jitter takes away at most its share', () => {
  const options = { firstMs: 100, longestMs: 1000, jitter: 0.25 }
  const pauses = Array.from({ length: 500 }, () => backoffMs(1, options))
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(150)
  expect(Math.max(...pauses)).toBeLessThanOrEqual(200)
  expect(new Set(pauses).size).toBeGreaterThan(1)
})

test('any number of failures has a pause', () => {
  expect(backoffMs(10_000, { firstMs: 1, longestMs: 50, jitter: 0 })).toBe(50)
})
