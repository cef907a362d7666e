/** The sinks of an engine: none costs nothing, they come and go, and a broken one harms nobody. */
import { once } from 'node:events'
import { expect, test } from 'vitest'
import type { Observation } from '../../src/observe/observation.ts'
import { Observers } from '../../src/observe/observers.ts'

const ended: Observation = { type: 'overload.ended' }

test('without a sink there is nothing to publish to, nor after the last has gone', () => {
  const observers = new Observers()
  expect(observers.publish).toBeUndefined()
  const [first, second] = [observers.add(() => undefined), observers.add(() => undefined)]
  first()
  expect(observers.publish).toBeDefined()
  second()
  second()
  expect(observers.publish).toBeUndefined()
})

test('a sink that was added twice is told twice, and taken away once', () => {
  const told: Observation[] = []
  const sink = (observation: Observation) => void told.push(observation)
  const observers = new Observers(sink)
  const remove = observers.add(sink)
  observers.publish?.(ended)
  expect(told).toEqual([ended, ended])
  remove()
  observers.publish?.(ended)
  expect(told).toHaveLength(3)
})

test('a sink that takes itself away while it is told leaves the others their turn', () => {
  const told: string[] = []
  const observers = new Observers()
  const remove = observers.add(() => {
    told.push('first')
    remove()
  })
  observers.add(() => void told.push('second'))
  observers.publish?.(ended)
  observers.publish?.(ended)
  expect(told).toEqual(['first', 'second', 'second'])
})

test.each([
  [
    'throws',
    () => {
      throw new Error('full disk')
    },
  ],
  [
    'rejects',
    async () => {
      throw new Error('full disk')
    },
  ],
])('a sink that %s is warned about once, and the others are told', async (_, broken) => {
  const told: Observation[] = []
  const observers = new Observers(broken, (observation) => void told.push(observation))
  const warned = once(process, 'warning') as Promise<[Error]>
  let warnings = 0
  const count = () => (warnings += 1)
  process.on('warning', count)
  observers.publish?.(ended)
  observers.publish?.(ended)
  const [{ message }] = await warned
  process.off('warning', count)
  expect(message).toBe('an observer threw: full disk')
  expect([told.length, warnings]).toEqual([2, 1])
})
