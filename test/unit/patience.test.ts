/** Patience: a signal that ends with a wait that was too long, with the caller's, or when it is told to. */
import { expect, test } from 'vitest'
import { Patience } from '../../src/task/patience.ts'

const late = () => new Error('late')

test('a wait that takes too long ends the signal with its reason', async () => {
  const patience = new Patience(new AbortController().signal)
  patience.wait(1, late)
  await expect.poll(() => patience.signal.aborted).toBe(true)
  expect(patience.reason).toMatchObject({ message: 'late' })
})

test('the next wait takes the place of the one before, and stop ends all', async () => {
  const patience = new Patience(new AbortController().signal)
  patience.wait(1, late)
  patience.wait(60_000, late)
  patience.wait(1, late)
  patience.stop()
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(patience.signal.aborted).toBe(false)
})

test('it ends with the signal of its caller, also where that has been aborted before', () => {
  const caller = new AbortController()
  const patience = new Patience(caller.signal)
  caller.abort()
  expect(patience.reason).toMatchObject({ code: 'cancelled' })
  expect(new Patience(caller.signal).reason).toMatchObject({ code: 'cancelled' })
})

test('what ends it first is the reason', () => {
  const patience = new Patience(new AbortController().signal)
  patience.end(new Error('first'))
  patience.end(new Error('second'))
  expect(patience.reason).toMatchObject({ message: 'first' })
})
