/** Deadlines: absolute once made, never below zero, exact where timers are not. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import { Deadline, tighter } from '../../src/task/deadline.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

describe('a deadline', () => {
  test('is absolute: what remains shrinks, and never below 0', () => {
    const deadline = Deadline.after(100)
    vi.advanceTimersByTime(60)
    expect(deadline.remainingMs).toBe(40)
    expect(deadline.expired).toBe(false)
    vi.advanceTimersByTime(60)
    expect([deadline.remainingMs, deadline.expired, deadline.timeoutMs]).toEqual([0, true, 100])
  })

  test('calls once when it has come, never before, and not after it was disarmed', () => {
    const calls: string[] = []
    Deadline.after(50).arm(() => calls.push('armed'))
    const disarm = Deadline.after(50).arm(() => calls.push('disarmed'))
    vi.advanceTimersByTime(49)
    expect(calls).toEqual([])
    disarm()
    vi.advanceTimersByTime(1000)
    expect(calls).toEqual(['armed'])
  })

  test('has passed when it calls, although a timer may be early by a part of a millisecond', async () => {
    vi.useRealTimers()
    const early: number[] = []
    const all = Array.from({ length: 400 }, (_, index) => {
      const deadline = Deadline.after(1 + index * 0.13)
      return new Promise<void>((resolve) => {
        deadline.arm(() => {
          if (!deadline.expired) early.push(deadline.remainingMs)
          resolve()
        })
      })
    })
    await Promise.all(all)
    expect(early).toEqual([])
  })

  test('beyond what a timer can hold does not fire at once', () => {
    const days = 40 * 86_400_000
    let fired = false
    Deadline.after(days).arm(() => void (fired = true))
    vi.advanceTimersByTime(days - 1000)
    expect(fired).toBe(false)
    vi.advanceTimersByTime(2000)
    expect(fired).toBe(true)
  })

  test('bounds work: what settles first counts, and no timer is left', async () => {
    const late = () => new Error('late')
    await expect(Deadline.after(50).race(Promise.resolve(1), late)).resolves.toBe(1)
    await expect(Deadline.after(50).race(Promise.reject(new Error('own')), late)).rejects.toThrow('own')
    expect(vi.getTimerCount()).toBe(0)
    const slow = Deadline.after(50).race(new Promise(() => undefined), late)
    vi.advanceTimersByTime(50)
    await expect(slow).rejects.toThrow('late')
  })

  test('of Infinity is never reached and holds no timer', () => {
    const deadline = Deadline.after(Infinity)
    deadline.arm(() => expect.unreachable())
    expect([deadline.expired, deadline.remainingMs, vi.getTimerCount()]).toEqual([false, Infinity, 0])
  })

  test.each([-1, Number.NaN, '5' as never, undefined as never])('of %s is a UsageError', (timeoutMs) => {
    expect(() => Deadline.after(timeoutMs)).toThrow(UsageError)
  })

  test('the tighter of two is the earlier one; none is no bound', () => {
    const [soon, late] = [Deadline.after(10), Deadline.after(20)]
    expect(tighter(soon, late)).toBe(soon)
    expect(tighter(late, soon)).toBe(soon)
    expect([tighter(undefined, late), tighter(soon, undefined), tighter(undefined, undefined)]).toEqual([
      late,
      soon,
      undefined,
    ])
  })
})
