/** What may be said to `log` and in RIVULET_LOG, what is written of which observation, and how. */
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { ConfigInvalid, ConnectionLost, UniqueViolation } from '../../src/errors.ts'
import { terminalLine } from '../../src/observe/log-line.ts'
import { type Logger, type LogLevel, type LogSetting } from '../../src/observe/log-setting.ts'
import { logObservers } from '../../src/observe/log.ts'
import type { Observation } from '../../src/observe/observation.ts'

const none = () => undefined

/** A logger that keeps what it gets, and the sink of a setting that names it. */
function logging(
  setting: (to: Logger) => LogSetting | undefined,
  variable: (name: string) => string | undefined = none,
) {
  const entries: (readonly [LogLevel, string, object])[] = []
  const keep = (level: LogLevel) => (fields: object, message: string) => void entries.push([level, message, fields])
  const to = { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') }
  const [observe] = logObservers(setting(to), variable)
  return { entries, observe: observe! }
}

const statement = { type: 'statement.finished', label: 'page', backendPid: 7, rows: 1, error: undefined } as const
const quick: Observation = { ...statement, text: 'select 1', durationMs: 1.234 }
const slow: Observation = { ...statement, text: 'select 2', durationMs: 100 }
const ended = {
  type: 'transaction.finished',
  label: undefined,
  backendPid: 7,
  durationMs: 250,
  error: undefined,
} as const
const committed: Observation = { ...ended, outcome: 'committed', commitMs: 0.5 }
const released: Observation = { type: 'session.released', label: 'page', backendPid: 7, heldMs: 2, statements: 1 }

describe('the setting', () => {
  test.each([
    [
      'querys',
      /^config\.log must be true, false, a logger, \{ to, what, slowMs \}, or one or several of 'statements', 'sessions', 'slow', not "querys"$/,
    ],
    [['statements', 'querys'], /, not "querys"$/],
    [[], /one or several of 'statements', 'sessions', 'slow', not an empty list$/],
    [7, /not number$/],
    [() => undefined, /not function$/],
    [
      { what: 'sesions' },
      /^config\.log\.what must be one or several of 'statements', 'sessions', 'slow', not "sesions"$/,
    ],
    [{ what: [] }, /^config\.log\.what must be one or several/],
    [{ slowMs: '5' }, /^config\.log\.slowMs must be a number of at least 0/],
    [{ slowms: 5 }, /^unknown setting config\.log\.slowms; known are to, what, slowMs$/],
    [{ to: {} }, /^config\.log\.to must be a logger: an object with the methods debug, info, warn, error$/],
    [{ to: null }, /^config\.log\.to must be a logger/],
    [{ info: none }, /^config\.log must be a logger/],
  ])('%o is ConfigInvalid', (given, message) => {
    const make = () => logObservers(given as never, none)
    expect(make).toThrow(ConfigInvalid)
    expect(make).toThrow(message)
  })

  test.each(['querys', 'statements,', 'Slow', 'true'])(
    'RIVULET_LOG=%s is ConfigInvalid that names the topics',
    (text) => {
      const make = () => logObservers(undefined, (name) => (name === 'RIVULET_LOG' ? text : undefined))
      expect(make).toThrow(ConfigInvalid)
      expect(make).toThrow(
        `RIVULET_LOG must be one or several of statements, sessions, slow, separated by commas, not "${text}"`,
      )
    },
  )

  test('asks for nothing when it is absent or false, whatever RIVULET_LOG says', () => {
    expect(logObservers(undefined, none)).toEqual([])
    expect(logObservers(false, () => 'statements')).toEqual([])
    expect(logObservers(undefined, (name) => (name === 'RIVULET_LOG' ? 'statements, slow' : undefined))).toHaveLength(1)
  })
})

describe('a log', () => {
  const messages = (setting: (to: Logger) => LogSetting) => {
    const { entries, observe } = logging(setting)
    for (const observation of [quick, slow, committed, released]) observe(observation)
    return entries.map(([level, message]) => `${level}: ${message}`)
  }

  test('of a logger has its statements at debug and the slow ones at warn', () => {
    expect(messages((to) => to)).toEqual(['debug: statement', 'warn: slow statement', 'debug: transaction committed'])
  })

  test('has what it was asked for', () => {
    expect(messages((to) => ({ to, what: 'sessions' }))).toEqual(['debug: session ended'])
    expect(messages((to) => ({ to, what: ['slow'], slowMs: 0.3 }))).toEqual([
      'warn: slow statement',
      'warn: slow statement',
      'warn: slow COMMIT',
    ])
    expect(messages((to) => ({ to, what: 'statements' }))).not.toContain('warn: slow statement')
  })

  test('has trouble, whatever it was asked for', () => {
    const { entries, observe } = logging((to) => ({ to, what: 'slow' }))
    observe({ ...ended, outcome: 'unknown', commitMs: 3 })
    observe({ type: 'connection.failed', error: new ConnectionLost('away'), retryInMs: 100 })
    observe({ type: 'overload.started', queueMs: 900, waiting: 3 })
    expect(entries).toMatchObject([
      ['error', 'transaction may have been committed or not', { outcome: 'unknown', commitMs: 3 }],
      ['error', 'connecting failed', { error: { code: 'connection_lost', message: 'away' }, retryInMs: 100 }],
      ['warn', 'overloaded: calls are turned away', { waiting: 3 }],
    ])
  })

  test('has the code of an error, and no message that is not our own', () => {
    const { entries, observe } = logging((to) => ({ to, what: ['statements', 'sessions'] }))
    const error = new UniqueViolation('a row with this key already exists', { sqlState: '23505' })
    observe({ ...quick, error, rows: null } as Observation)
    const task = {
      key: 'a',
      waitMs: 1,
      runMs: 2.345,
      backendPid: 7,
      outcome: 'failed',
      error: new TypeError('Lynn'),
    } as const
    observe({ type: 'gather.finished', label: 'page', durationMs: 3, overlap: 1, tasks: [task] })
    expect(entries[0]?.[2]).toEqual({
      type: 'statement.finished',
      label: 'page',
      backendPid: 7,
      ms: 1.23,
      sql: 'select 1',
      error: { code: 'unique_violation', sqlState: '23505' },
    })
    expect(JSON.stringify(entries[1])).not.toContain('Lynn')
    expect(entries[1]?.[2]).toMatchObject({ tasks: [{ key: 'a', outcome: 'failed', runMs: 2.35, code: 'TypeError' }] })
  })

  test('leaves out the middle of SQL of more than 10,000 characters', () => {
    const { entries, observe } = logging((to) => to)
    observe({ ...quick, text: `insert ${'($1), '.repeat(50_000)} returning id` })
    const { sql } = entries[0]![2] as { sql: string }
    expect(sql).toMatch(/^insert \(\$1\).* … .*returning id$/)
    expect(sql.length).toBeLessThan(10_010)
  })

  test('makes no entry for a level that its logger does not want', () => {
    const lines: string[] = []
    const logger = pino(
      { level: 'info', base: null, timestamp: false },
      { write: (line: string) => void lines.push(line) },
    )
    const [observe] = logObservers(logger, none)
    const read: string[] = []
    const watched = new Proxy(quick, { ownKeys: (target) => (read.push('keys'), Reflect.ownKeys(target)) })
    observe!(watched)
    observe!(slow)
    expect(read).toEqual([])
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        level: 40,
        type: 'statement.finished',
        label: 'page',
        backendPid: 7,
        ms: 100,
        rows: 1,
        sql: 'select 2',
        msg: 'slow statement',
      },
    ])
  })
})

describe('a line for a terminal', () => {
  const time = new Date(2026, 0, 2, 3, 4, 5, 6)
  const parts = { time, level: 'debug', message: 'statement' } as const

  test('is one line without control characters, whatever SQL, labels and errors have in them', () => {
    const fields = {
      label: 'a\u001B[2J\u202Eb',
      backendPid: 7,
      ms: 1.5,
      sql: 'select\n  \u009B31m1',
      error: { code: 'x', message: 'a\r\nb' },
    }
    expect(terminalLine({ ...parts, fields }, false)).toBe(
      '03:04:05.006        7      1.50 ms              a [2J b  select 31m1  x: a b\n',
    )
  })

  test('has the message and the other fields where there is no SQL', () => {
    const tasks = [
      { key: 'a', outcome: 'done', runMs: 1.5 },
      { key: 'b', outcome: 'failed', runMs: 2, code: 'not_found' },
    ]
    const line = terminalLine({ ...parts, message: 'gather ended', fields: { ms: 2, overlap: 1.7, tasks } }, false)
    expect(line.trimEnd()).toMatch(/2\.00 ms +gather ended overlap=1\.7 tasks=a done 1\.5 ms, b failed 2 ms not_found$/)
  })
})
