/** Scopes: cancelled once, for the first reason, from above, by time, by the caller; closing frees everything. */
import { describe, expect, test } from 'vitest'
import { Cancelled } from '../../src/errors.ts'
import { checkOptions, optionNames } from '../../src/option-names.ts'
import { Deadline } from '../../src/task/deadline.ts'
import { isBounded, labelled, Scope, ScopedOptions, type TaskOptions } from '../../src/task/scope.ts'

/** How often somebody listens to a signal. */
function counted(signal: AbortSignal): () => number {
  let listeners = 0
  const { addEventListener, removeEventListener } = signal
  signal.addEventListener = (...args: unknown[]) => {
    listeners += 1
    Reflect.apply(addEventListener, signal, args)
  }
  signal.removeEventListener = (...args: unknown[]) => {
    listeners -= 1
    Reflect.apply(removeEventListener, signal, args)
  }
  return () => listeners
}

describe('a scope', () => {
  test('is cancelled by its signal, with the reason as the cause of Cancelled', () => {
    const controller = new AbortController()
    const scope = new Scope({ signal: controller.signal })
    const reason = new Error('hung up')
    controller.abort(reason)
    expect(scope.reason).toMatchObject({ kind: 'cancelled', error: { code: 'cancelled', cause: reason } })
  })

  test('whose deadline has passed is cancelled by whoever knows it before the timer does', () => {
    // Time enough to come to the next line on a busy machine.
    const scope = new Scope({ timeoutMs: 500 })
    const { signal } = scope
    scope.expire()
    expect(scope.reason).toBeUndefined()
    while (!scope.deadline?.expired);
    scope.expire()
    expect(scope.reason).toEqual({ kind: 'deadline', deadline: scope.deadline })
    expect(signal.reason).toMatchObject({ name: 'TimeoutError' })
  })

  test('that starts with an aborted signal, or with no time at all, is cancelled from the start', () => {
    expect(new Scope({ signal: AbortSignal.abort() }).reason?.kind).toBe('cancelled')
    expect(new Scope({ timeoutMs: 0 }).reason?.kind).toBe('deadline')
  })

  test('is cancelled when its time is up, and tells its signal', async () => {
    const scope = new Scope({ timeoutMs: 5 })
    const { signal } = scope
    await new Promise<void>((resolve) => void scope.onCancel(() => resolve()))
    expect(scope.reason?.kind).toBe('deadline')
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toMatchObject({ name: 'TimeoutError' })
  })

  test('keeps the first reason', () => {
    const scope = new Scope()
    const first = new Cancelled('first')
    scope.cancel(first)
    scope.cancel(new Cancelled('second'))
    expect(scope.reason).toEqual({ kind: 'cancelled', error: first })
  })

  test('inherits the tighter deadline and every cancellation from above, never the other way', () => {
    const parent = new Scope({ timeoutMs: 1000 })
    const tight = new Scope({ timeoutMs: 500 }, parent)
    const loose = new Scope({ timeoutMs: 5000 }, parent)
    expect(tight.deadline?.timeoutMs).toBe(500)
    expect(loose.deadline).toBe(parent.deadline)
    tight.cancel(new Cancelled('only this one'))
    expect([parent.reason, loose.reason]).toEqual([undefined, undefined])
    parent.cancel(new Cancelled('all'))
    expect(loose.reason).toBe(parent.reason)
    expect(new Scope({}, parent).reason).toBe(parent.reason)
  })

  test('tells listeners once, at once when it is too late, and not at all when they have gone', () => {
    const scope = new Scope()
    const told: string[] = []
    scope.onCancel(() => told.push('stayed'))
    scope.onCancel(() => told.push('gone'))()
    scope.cancel(new Cancelled('x'))
    scope.onCancel(() => told.push('late'))
    expect(told).toEqual(['stayed', 'late'])
  })

  test('when closed can no longer be cancelled', () => {
    const scope = new Scope()
    const { signal } = scope
    scope.close()
    scope.cancel(new Cancelled('too late'))
    expect([scope.reason, signal.aborted]).toEqual([undefined, false])
  })

  test('when closed leaves no listener on its signal or its parent, and no timer', async () => {
    const controller = new AbortController()
    const listeners = counted(controller.signal)
    const parent = new Scope()
    const scope = new Scope({ signal: controller.signal, timeoutMs: 500 }, parent)
    expect(listeners()).toBe(1)
    scope.close()
    expect(listeners()).toBe(0)
    parent.cancel(new Cancelled('x'))
    // A timer set later and for longer has fired: the scope's would have.
    await new Promise((resolve) => new Scope({ timeoutMs: 600 }).onCancel(resolve))
    expect(scope.reason).toBeUndefined()
  })
})

describe('the options of longer work', () => {
  const unasked = () => expect.unreachable('nobody asks for a signal')

  /** Work with this much time, whose client can go away. */
  function work(timeoutMs: number) {
    const client = new AbortController()
    const scope = new Scope()
    const leave = () => {
      client.abort()
      scope.cancel(new Cancelled('gone'))
    }
    return { scope, deadline: Deadline.after(timeoutMs), signal: () => client.signal, leave }
  }

  test('bound a call that is given them, without a signal', () => {
    const { leave, ...given } = work(1000)
    const options = new ScopedOptions({ ...given, signal: unasked }, 'GET /')
    checkOptions('call', optionNames<TaskOptions>({ signal: 'signal', timeoutMs: 'number', label: 'string' }), options)
    expect([isBounded(options), options.label]).toEqual([true, 'GET /'])
    const call = new Scope(options)
    expect(call.deadline).toBe(given.deadline)
    leave()
    expect(call.reason).toEqual({ kind: 'cancelled', error: new Cancelled('gone') })
    expect(new Scope(options).reason).toBe(call.reason)
  })

  test('keep their deadline by a timer of each call, whatever becomes of the work', async () => {
    const { scope, deadline } = work(20)
    const call = new Scope(new ScopedOptions({ scope, deadline, signal: unasked }))
    scope.close()
    await new Promise((resolve) => call.onCancel(resolve))
    expect(call.reason).toEqual({ kind: 'deadline', deadline })
    expect(new Scope(new ScopedOptions({ scope, deadline, signal: unasked })).reason).toMatchObject({
      kind: 'deadline',
    })
  })

  test.each<[string, (options: TaskOptions) => TaskOptions]>([
    ['spread into others', (options) => ({ ...options, label: 'x' })],
    ['assigned to others', (options) => Object.assign({ label: 'x' }, options)],
    ['taken apart', ({ signal, timeoutMs }) => ({ signal, timeoutMs })],
    ['made from their entries', (options) => Object.fromEntries(Object.entries(options))],
    ['with another label', (options) => labelled(options, 'x')],
    ['spread, with another label', (options) => labelled({ ...options }, 'x')],
    ['with others assigned to them', (options) => Object.assign(options, { concurrency: 2 })],
  ])('are in force %s', (_, made) => {
    const given = work(1000)
    const options = made(new ScopedOptions(given))
    const call = new Scope(options, new Scope({ timeoutMs: 2000 }))
    expect(call.deadline?.at).toBeGreaterThanOrEqual(given.deadline.at)
    expect(call.deadline?.at).toBeLessThan(given.deadline.at + 900)
    given.leave()
    expect(call.reason?.kind).toBe('cancelled')
  })

  test('do not loosen what a call is given itself', () => {
    const options = new ScopedOptions(work(1000))
    expect(new Scope({ ...options, timeoutMs: 0 }).reason).toMatchObject({ kind: 'deadline' })
    expect(new Scope({ ...options, signal: AbortSignal.abort() }).reason?.kind).toBe('cancelled')
  })
})
