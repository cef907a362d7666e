/** The reserve: what a deadlock teaches, whom it holds back, and that it is forgotten. */
import { expect, test } from 'vitest'
import { Reserve } from '../../src/pool/deadlock-avoidance.ts'

test('nobody is held back before a deadlock', () => {
  const reserve = new Reserve(() => undefined)
  expect(reserve.active).toBe(false)
  expect(reserve.allows(1, 9, 10)).toBe(true)
})

test('a call leaves a connection alone for every level further in', () => {
  const reserve = new Reserve(() => undefined)
  reserve.learn(3)
  const mostLeased = (level: number) =>
    Array.from({ length: 5 }, (_, n) => n).filter((n) => reserve.allows(level, n, 5)).length
  expect([1, 2, 3, 4].map(mostLeased)).toEqual([3, 4, 5, 5])
  reserve.forget()
})

test('chains deeper than the pool hold nobody back for ever: one call goes on at a time', () => {
  const reserve = new Reserve(() => undefined)
  reserve.learn(8)
  expect([reserve.allows(1, 0, 2), reserve.allows(1, 1, 2)]).toEqual([true, false])
  reserve.forget()
})

test('what was learnt is forgotten when nobody nests any more', async () => {
  const forgotten = new Promise<void>((resolve) => {
    new Reserve(resolve).learn(2)
  })
  // The reserve's own timer keeps no process alive.
  const alive = setInterval(() => undefined, 1000)
  await forgotten
  clearInterval(alive)
})
