/** Backoff: which failures pass, how often they are tried, how long the pauses are, and what ends one. */
import { describe, expect, test } from 'vitest'
import { DeadlockDetected, SerializationFailure, UniqueViolation, UsageError } from '../../src/errors.ts'
import { attemptsFrom, Retry } from '../../src/task/retry.ts'

const conflict = () => new SerializationFailure('x', { sqlState: '40001' })

describe('backoff', () => {
  test('lets an attempt less than asked for be repeated', () => {
    const backoff = new Retry(3)
    expect([backoff.next(conflict()), backoff.next(conflict()), backoff.next(conflict())]).toEqual([
      expect.any(Number),
      expect.any(Number),
      undefined,
    ])
    expect(backoff.attempt).toBe(3)
    expect(new Retry(1).next(conflict())).toBeUndefined()
  })

  test('pauses longer and longer, at random, within a second', () => {
    const first = Array.from({ length: 200 }, () => new Retry(100).next(conflict()) ?? 0)
    expect(Math.max(...first)).toBeLessThanOrEqual(20)
    const backoff = new Retry(100)
    const pauses = Array.from({ length: 99 }, () => backoff.next(conflict()) ?? 0)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(1000)
    expect(Math.max(...pauses.slice(20))).toBeGreaterThan(Math.max(...first))
  })

  test('repeats serialization failures and deadlocks, also inside errors of others, and nothing else', () => {
    const again = (error: unknown) => new Retry(5).next(error) !== undefined
    const deadlock = new DeadlockDetected('x', { sqlState: '40P01' })
    expect([again(deadlock), again(new Error('mine', { cause: new Error('theirs', { cause: conflict() }) }))]).toEqual([
      true,
      true,
    ])
    const others = [new UniqueViolation('x', { sqlState: '23505' }), new Error('40001'), '40001', undefined]
    expect(others.map(again)).toEqual([false, false, false, false])
    const circle = new Error('circle')
    circle.cause = circle
    expect(again(circle)).toBe(false)
  })

  test('does not repeat what has been tried as often as it may further down', () => {
    const error = conflict()
    const inner = new Retry(2)
    expect([inner.next(error), inner.next(error)]).toEqual([expect.any(Number), undefined])
    expect(new Retry(5).next(error)).toBeUndefined()
    expect(new Retry(5).next(new Error('wrapped', { cause: error }))).toBeUndefined()
  })

  test('a pause ends early when its signal is aborted, without an error', async () => {
    const controller = new AbortController()
    const pause = new Retry(2).pause(60_000, controller.signal)
    controller.abort()
    await pause
    await new Retry(2).pause(60_000, AbortSignal.abort())
  })

  test('attempts are 5 unless said otherwise, from 1 to 100', () => {
    expect([attemptsFrom({}), attemptsFrom({ attempts: 1 }), attemptsFrom({ attempts: 100 })]).toEqual([5, 1, 100])
    for (const attempts of [0, 101, 2.5, Number.NaN]) expect(() => attemptsFrom({ attempts })).toThrow(UsageError)
  })
})
