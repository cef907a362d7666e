/** When to connect again and how long to try: quick to notice that the server is back, never impatient for good. */
import { describe, expect, test } from 'vitest'
import { ConnectBackoff } from '../../src/pool/connect-backoff.ts'

const failure = new Error('refused')

/** Has seen so many failures that took `tookMs` each, with no connection left. */
function failing(times: number, tookMs = 0, backoff = new ConnectBackoff()): ConnectBackoff {
  for (let attempt = 0; attempt < times; attempt++) backoff.failed(failure, 0, tookMs)
  return backoff
}

describe('an attempt', () => {
  test('has a second and a half while nobody knows whether the server is there', () => {
    expect(new ConnectBackoff().patienceMs()).toBe(1500)
    expect(failing(3).patienceMs()).toBe(1500)
  })

  test('has longer for a server that was slow before', () => {
    const backoff = new ConnectBackoff()
    backoff.succeeded(1000)
    expect(failing(2, 0, backoff).patienceMs()).toBe(3000)
  })

  test('has its whole time now and then, in case the server has become slow', () => {
    const patience = Array.from({ length: 20 }, (_, failures) => failing(failures).patienceMs())
    expect(patience.filter((ms) => ms === Infinity)).toHaveLength(2)
    expect(patience[0]).toBe(1500)
  })
})

describe('the pause', () => {
  test('makes at most ten attempts in five seconds when they fail at once', () => {
    const backoff = new ConnectBackoff()
    let [attempts, now] = [0, 0]
    for (; now < 5000; attempts++) now += backoff.failed(failure, 0, 0).retryInMs
    expect(attempts).toBeLessThanOrEqual(10)
  })

  test('counts from the start of the attempt: after a long silence the next one follows at once', () => {
    expect(failing(5).failed(failure, 0, 1500).retryInMs).toBe(0)
  })
})

test('too many connections: the pool is as small as it is now until it may grow again', () => {
  const backoff = new ConnectBackoff()
  const tooMany = new Error('refused', { cause: Object.assign(new Error('too many'), { code: '53300' }) })
  expect(backoff.failed(tooMany, 3, 0)).toMatchObject({ shrunk: true })
  expect([backoff.failures, backoff.limit(10), backoff.limit(2)]).toEqual([0, 3, 2])
  backoff.regrow()
  expect(backoff.limit(10)).toBe(10)
})
