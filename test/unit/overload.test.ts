/** Overload: a burst is none; a queue that is never short for an interval is; what would be in vain is known beforehand. */
import { describe, expect, test } from 'vitest'
import { OverloadWatch } from '../../src/pool/overload.ts'

/** A watch of a pool whose calls each waited `waitMs`, one every 10 ms for `durationMs`. */
function watched(waitMs: number, durationMs: number, watch = new OverloadWatch()): OverloadWatch {
  for (let now = 1000; now <= 1000 + durationMs; now += 10) watch.waited(waitMs, now)
  return watch
}

describe('overload', () => {
  test('is seen when even the luckiest call of a whole interval was late', () => {
    expect(watched(100, 1000).overloaded).toBe(true)
    expect(watched(10, 1000).overloaded).toBe(false)
  })

  test('is no burst that is over within an interval', () => {
    expect(watched(500, 150).overloaded).toBe(false)
  })

  test('is not a late call or two after a quiet time, or after this process stood still', () => {
    const watch = watched(0, 100)
    watch.waited(400, 2000)
    watch.waited(400, 2001)
    expect(watch.overloaded).toBe(false)
  })

  test('is over with the first call that did not wait', () => {
    const watch = watched(100, 1000)
    expect(watch.waited(0, 2100)).toBe(true)
    expect(watch.overloaded).toBe(false)
    expect(watch.waited(0, 2200)).toBe(false)
  })

  test('refuses calls only while it lasts, and only those that would hardly be done in time', () => {
    const watch = watched(100, 1000)
    for (let call = 0; call < 200; call++) watch.held(10)
    expect(watch.inVain(0, 4, 1000)).toBe(false)
    expect(watch.inVain(1000, 4, 1000)).toBe(true)
    expect(watch.inVain(1000, 4, Infinity)).toBe(false)
    watch.waited(0, 2100)
    expect(watch.inVain(1000, 4, 1000)).toBe(false)
  })

  test('counts what replacing connections costs: how fast calls are served, not how long they take', () => {
    const watch = watched(100, 1000)
    for (let call = 0; call < 500; call++) {
      watch.held(1)
      watch.served(call * 50, 10)
    }
    // Ten others, one every 50 ms.
    expect(watch.inVain(10, 4, 400)).toBe(true)
    expect(watch.inVain(1, 4, 400)).toBe(false)
  })

  test('lets go of a call whose rest of time is shorter than a session takes', () => {
    const watch = watched(100, 1000)
    for (let call = 0; call < 200; call++) watch.held(40)
    expect([watch.tooLate(10), watch.tooLate(1000)]).toEqual([true, false])
    watch.waited(0, 2100)
    expect(watch.tooLate(10)).toBe(false)
  })
})
