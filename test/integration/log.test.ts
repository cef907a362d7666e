/** `log` of the config: a real logger, on a real database, and one that harms no query. */
import pino from 'pino'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { ConfigInvalid } from '../../src/errors.ts'
import { type Bank, type BankSession, openBank } from '../support/bank.ts'
import { eventually, expectHealthy, secret } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())
afterEach(() => void vi.unstubAllEnvs())

const read = ({ sql }: BankSession) => sql`select ${secret}::text as value`

/** pino with what it has written. */
function openLogger() {
  const lines: string[] = []
  const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) })
  return { logger, lines, entries: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
}

test('pino gets the statements and what came of their transactions, without values', async () => {
  const { logger, lines, entries } = openLogger()
  await using engine = await bank.engine({ log: logger })
  await engine.transaction(read, { label: 'page' })
  await engine.session(({ sql }) => sql`select ${secret}::int`, { label: 'wrong' }).catch(() => undefined)
  expect(entries()).toMatchObject([
    { level: 20, msg: 'statement', label: 'page', sql: 'select $1::text as value', rows: 1, ms: expect.any(Number) },
    { level: 20, msg: 'transaction committed', label: 'page', commitMs: expect.any(Number) },
    { level: 20, msg: 'statement', label: 'wrong', error: { code: 'invalid_input' } },
  ])
  expect(lines.join()).not.toContain(secret)
})

test('what a function raises is in the error of its caller, and not in the log', async () => {
  await bank.admin.sql.unsafe(`create function raises(words text, state text) returns text language plpgsql as $$
    begin raise exception using message = 'bad ' || words, errcode = state, constraint = words, table = words; end $$`)
  const { logger, lines, entries } = openLogger()
  await using engine = await bank.engine({ log: logger })
  const states = ['P0001', '22012', '42P01', '23505', '40001', 'XX000']
  for (const state of states) {
    const raised = engine.transaction(({ sql }) => sql`select raises(${secret}, ${state})`, { attempts: 2 })
    await expect(raised).rejects.toMatchObject({ sqlState: state })
  }
  const wrapped = engine.transaction(async ({ sql }) => {
    await sql`select raises(${secret}, '40001')`.catch((cause: unknown) => {
      throw new Error(`about ${secret}`, { cause })
    })
  })
  await expect(wrapped).rejects.toThrow('about')
  expect(lines.join()).not.toContain(secret)
  expect(entries()).toEqual(
    expect.arrayContaining([expect.objectContaining({ error: { code: 'database_error', sqlState: 'P0001' } })]),
  )
})

test('the sink beside a log sees the same', async () => {
  const { logger, entries } = openLogger()
  const seen: string[] = []
  await using engine = await bank.engine({
    log: { to: logger, what: 'sessions' },
    observe: ({ type }) => void seen.push(type),
  })
  await engine.session(read)
  expect(seen).toContain('statement.finished')
  expect(entries().map(({ msg }) => msg)).toEqual(expect.arrayContaining(['session began', 'session ended']))
  expect(entries().map(({ msg }) => msg)).not.toContain('statement')
})

test.each([
  [
    'throws',
    () => {
      throw new Error('the logger is broken')
    },
  ],
  ['returns a promise that is rejected', () => Promise.reject(new Error('the logger is broken'))],
])('a logger that %s harms no session, and is warned about once', async (_, broken) => {
  const warnings: string[] = []
  const onWarning = (warning: Error) => void warnings.push(warning.message)
  process.on('warning', onWarning)
  await using engine = await bank.engine({ log: { debug: broken, info: broken, warn: broken, error: broken } })
  for (let count = 0; count < 3; count++) expect(await engine.session(read)).toMatchObject([{ value: secret }])
  await expectHealthy(engine, bank.admin)
  await eventually(() => expect(warnings).toEqual([expect.stringContaining('the logger is broken')]))
  process.off('warning', onWarning)
})

test('RIVULET_LOG that names no topic is ConfigInvalid, and log: false does not read it', async () => {
  vi.stubEnv('RIVULET_LOG', 'queries')
  await expect(bank.engine()).rejects.toThrow(ConfigInvalid)
  await expect(bank.engine()).rejects.toThrow(/^RIVULET_LOG must be one or several of statements, sessions, slow/)
  await using engine = await bank.engine({ log: false })
  expect(await engine.session(read)).toHaveLength(1)
})
