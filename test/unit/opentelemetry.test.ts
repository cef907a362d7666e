/** What telemetry keeps in mind: the time, the servers, the values it tells apart. */
import { context, type Span, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { errorAttributes, errorText } from '../../src/opentelemetry/error-attributes.ts'
import { DistinctValues } from '../../src/observe/distinct-values.ts'
import { EpochClock } from '../../src/opentelemetry/epoch-clock.ts'
import { ServerAttributes } from '../../src/opentelemetry/server-attributes.ts'
import { Cancelled, ConnectionLost, UniqueViolation } from '../../src/errors.ts'
import { sqlComment } from '../../src/opentelemetry/sql-comment.ts'

afterEach(() => void vi.restoreAllMocks())

describe('the clock', () => {
  test('never stands still, and is that of the system', () => {
    const clock = new EpochClock()
    const times = Array.from({ length: 1000 }, () => clock.now())
    expect(times.toSorted((a, b) => a - b)).toEqual(times)
    expect(times.some((time) => !Number.isInteger(time))).toBe(true)
    expect(Math.abs(Date.now() - clock.now())).toBeLessThan(5)
  })

  test('follows when the clock of the system is set', () => {
    const clock = new EpochClock()
    const hourAhead = Date.now() + 3_600_000
    vi.spyOn(Date, 'now').mockReturnValue(hourAhead)
    expect(clock.now()).toBe(hourAhead)
    expect(clock.now()).toBeGreaterThanOrEqual(hourAhead)
  })
})

describe('a server', () => {
  const opened = (backendPid: number, host = 'db') =>
    ({ type: 'connection.opened', backendPid, host, port: 5432, durationMs: 1 }) as const
  const lost = (backendPid: number) => ({ type: 'connection.lost', backendPid, error: undefined }) as const
  const server = { 'db.system.name': 'postgresql', 'db.namespace': 'shop' }

  test('is known by the process id of the backend until the connection is closed', () => {
    const servers = new ServerAttributes('shop')
    servers.opened(opened(1))
    servers.opened(opened(2, '/run/postgresql'))
    expect(servers.of(1)).toEqual({ ...server, 'server.address': 'db', 'server.port': 5432 })
    expect(servers.of(2)).toEqual({ ...server, 'server.address': '/run/postgresql' })
    servers.closed({ type: 'connection.retired', backendPid: 1, reason: 'idle' })
    expect(servers.of(1)).toEqual(server)
  })

  test('is known for a while when the connection has broken, as its statement fails afterwards', () => {
    const servers = new ServerAttributes('shop')
    for (let pid = 0; pid < 150; pid += 1) {
      servers.opened(opened(pid))
      servers.closed(lost(pid))
      expect(servers.of(pid)).toHaveProperty(['server.address'])
    }
    const known = Array.from({ length: 150 }, (_, pid) => servers.of(pid)).filter((each) => 'server.address' in each)
    expect(known).toHaveLength(100)
  })
})

test('values are told apart as far as there is room', () => {
  const values = new DistinctValues(2)
  expect(['a', 'b', 'c', 'a', 'd'].map((value) => values.named(value))).toEqual(['a', 'b', '_OTHER', 'a', '_OTHER'])
})

test.each([
  [new UniqueViolation('taken', { sqlState: '23505' }), '23505', 'unique_violation (23505)'],
  [new Cancelled('stopped'), 'cancelled', 'stopped'],
  [new ConnectionLost('gone', { cause: new Error('ECONNRESET') }), 'connection_lost', 'gone'],
  [new RangeError('of the caller'), 'RangeError', undefined],
  [Object.assign(Object.create(null) as object, { message: 'odd' }), '_OTHER', undefined],
  ['thrown', '_OTHER', undefined],
  [undefined, '_OTHER', undefined],
])('the error %s has a type, and only a text of ours', (error, type, text) => {
  expect([errorAttributes(error)['error.type'], errorText(error)]).toEqual([type, text])
})

test('a span that cannot say what it is keeps no statement from the server', () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const broken = {
    spanContext: () => {
      throw new Error('out of order')
    },
  }
  const active = trace.setSpan(context.active(), broken as unknown as Span)
  expect(context.with(active, () => sqlComment('select 1'))).toBe('select 1')
  context.disable()
})
