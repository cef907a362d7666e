/** The queue: whom overload turns away, whom it never does, when it is over, and what all are told at the end. */
import { describe, expect, test } from 'vitest'
import { poolSettings } from '../../src/config.ts'
import { ConfigInvalid, PoolClosed, PoolOverloaded, PoolTimeout, RivuletError } from '../../src/errors.ts'
import type { Observation } from '../../src/observe/observation.ts'
import { Observers } from '../../src/observe/observers.ts'
import { type AcquireRequest, WaitQueue } from '../../src/pool/wait-queue.ts'
import { Scope } from '../../src/task/scope.ts'

const everybody = () => true

/** A request for a connection. */
function request(scope?: Scope): AcquireRequest {
  return { scope, cancelled: () => new PoolTimeout('cancelled') }
}

/** A queue under overload, of sessions that take 100 ms, in which one call still waits. */
function overloaded(last = request(), pool = {}) {
  const events: Observation['type'][] = []
  const queue = new WaitQueue(poolSettings(pool), new Observers(({ type }) => void events.push(type)))
  queue.held(100)
  const join = (joining: AcquireRequest) => {
    const joined = queue.join(
      joining,
      () => new PoolTimeout('timed out'),
      () => undefined,
    )
    // What is taken out by `next` never settles.
    return joined.catch((error: unknown) => error)
  }
  join(request())
  join(request())
  const now = performance.now()
  const waiting = join(last)
  // Two late ones, an interval apart.
  queue.next(now + 300, everybody)
  queue.next(now + 600, everybody)
  expect([queue.size, events]).toEqual([1, ['overload.started']])
  return { queue, events, waiting, now: now + 600 }
}

describe('overload is over when the last one leaves, though no connection comes back', () => {
  test.each(['cancelled', 'timed out', 'refused', 'served'])('%s', async (how) => {
    const controller = new AbortController()
    const last = request(new Scope({ signal: controller.signal }))
    const { queue, events, waiting, now } = overloaded(last, how === 'timed out' ? { acquireTimeoutMs: 20 } : {})
    if (how === 'cancelled') controller.abort()
    if (how === 'refused') queue.refuseAll(new PoolClosed('closed'))
    if (how === 'served') queue.next(now, everybody)
    else expect(await waiting).toBeInstanceOf(RivuletError)
    expect(events).toEqual(['overload.started', 'overload.ended'])
    expect(queue.refusal(request(new Scope({ timeoutMs: 150 })), 0, 0)).toBeUndefined()
  })
})

describe('under overload', () => {
  test('a call is refused that would be too late, unless there is room for it and for all before it', () => {
    const { queue } = overloaded()
    const short = request(new Scope({ timeoutMs: 300 }))
    expect(queue.refusal(short, 1, 0)).toBeInstanceOf(PoolOverloaded)
    expect(queue.refusal(short, 1, 1)).toBeInstanceOf(PoolOverloaded)
    expect(queue.refusal(short, 1, 2)).toBeUndefined()
    queue.refuseAll(new PoolClosed('closed'))
  })

  test('a call with too little time left makes way for others, and is served when there are none', async () => {
    const { queue, waiting, now } = overloaded(request(new Scope({ timeoutMs: 150 })))
    const after = queue.join(
      request(new Scope({ timeoutMs: 150 })),
      () => new PoolTimeout('timed out'),
      () => undefined,
    )
    after.catch(() => undefined)
    const served = queue.next(now, everybody)
    expect(await waiting).toBeInstanceOf(PoolOverloaded)
    expect([served === undefined, queue.size]).toEqual([false, 0])
  })
})

test.each([new PoolClosed('closed'), new ConfigInvalid('refused', { cause: new Error('wrong password') })])(
  'everybody is turned away with an error of their own: %s',
  async (refusal) => {
    const queue = new WaitQueue(poolSettings({}), new Observers())
    const never = (): RivuletError => new PoolClosed('not asked for')
    const join = () => queue.join({ cancelled: never }, never, () => undefined)
    const waiting = Promise.allSettled([join(), join()])
    queue.refuseAll(refusal)
    const reasons = (await waiting).map((settled) => settled.status === 'rejected' && settled.reason)
    expect(reasons).toEqual([refusal, refusal])
    expect(new Set([refusal, ...reasons]).size).toBe(3)
    expect(queue.size).toBe(0)
  },
)
