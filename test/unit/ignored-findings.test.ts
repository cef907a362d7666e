/** What a person writes to accept a finding of the doctor. */
import { expect, test } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import { readAccepted } from '../../src/migrate/doctor/ignored-findings.ts'

test.each([
  ['dead-rows: a queue', { rule: 'dead-rows', reason: 'a queue' }],
  [
    'dead-rows public.jobs: a queue: it turns over',
    { rule: 'dead-rows', object: 'public.jobs', reason: 'a queue: it turns over' },
  ],
  ['dead-rows public."My: ""Jobs"". x" : r', { rule: 'dead-rows', object: 'public."My: ""Jobs"". x"', reason: 'r' }],
  [' long-transaction 123:r ', { rule: 'long-transaction', object: '123', reason: 'r' }],
])('%s is read', (text, accepted) => {
  expect(readAccepted(text)).toEqual(accepted)
})

test.each(['', 'dead-rows', 'dead-rows:', 'dead-rows public.jobs', 'dead-rows public.a public.b: r', ': r', 'a "b: r'])(
  '%j gives no reason, or names nothing, and is refused',
  (text) => {
    expect(() => readAccepted(text)).toThrow(UsageError)
  },
)
