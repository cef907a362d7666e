/**
 * Statements under way, or waiting in any queue, when their connection is lost: each fails then, in the order in which
 * they were sent, the connection is given back, and the engine goes on and closes.
 */
import { sql as fragment, type SQL } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConnectionLost } from '../../src/errors.ts'
import { type Bank, type BankEngine, type BankSession, openBank } from '../support/bank.ts'
import { expectClosed, expectHealthy } from '../support/invariants.ts'
import { long } from '../support/random.ts'

let bank: Bank
beforeAll(async () => void (bank = await openBank()))
afterAll(() => bank[Symbol.asyncDispose]())

/** A statement that its connection has not seen: it is described before it is run. */
const firstUse = (index: number): SQL => fragment`select ${index}::int as ${fragment.raw(`c${index}`)}`
const slow = ({ sql }: BankSession) => sql`select pg_sleep(${60}::float8)`
const parameterised = ({ sql }: BankSession, index: number) => {
  const parts = ['select ', `::int as c${index}`]
  return sql(Object.assign(parts, { raw: parts }) as unknown as TemplateStringsArray, index)
}
const known = ({ sql }: BankSession) => sql`select 1`

/** What is sent behind a slow statement, and so queues up somewhere. */
const queues: Readonly<Record<string, (session: BankSession, index: number) => Promise<unknown>>> = {
  'described first': ({ db }, index) => db.execute(firstUse(index)),
  'without parameters': known,
  'of both kinds': (session, index) => (index % 2 === 0 ? known(session) : parameterised(session, index)),
}

/** How the statements come to be on one connection. */
const places: Readonly<
  Record<string, (engine: BankEngine, send: (session: BankSession) => unknown) => Promise<unknown>>
> = {
  'a session': (engine, send) => engine.session(send),
  'a transaction': (engine, send) => engine.transaction(send),
  'a nested transaction': (engine, send) => engine.transaction((session) => session.transaction(send)),
  'an identity': (engine, send) => engine.as({ settings: { 'request.user_id': '7' } }).session(send),
  'a snapshot': (engine, send) => engine.gather([send], { snapshot: true }),
}

/** How the connection is lost. */
const losses: Readonly<Record<string, (pid: number) => Promise<unknown>>> = {
  'is terminated': (pid) => bank.admin.terminate(pid),
  'is terminated while it stands still': async (pid) => {
    process.kill(pid, 'SIGSTOP')
    await bank.admin.terminate(pid)
    process.kill(pid, 'SIGCONT')
  },
}

describe.each(Object.entries(places))('in %s', (_place, run) => {
  describe.each(Object.entries(queues))('statements %s', (_queue, send) => {
    test.each(Object.entries(losses))('fail in order when the backend %s', async (_loss, lose) => {
      await using engine = await bank.engine({ pool: { max: 1 } })
      for (const count of [3, 300]) {
        const settled: number[] = []
        const failures: unknown[] = []
        const running = run(engine, async (session) => {
          const statements = [slow(session), ...Array.from({ length: count }, (_, index) => send(session, index))]
          const watched = statements.map((statement, index) =>
            statement.then(
              () => settled.push(index),
              (error: unknown) => failures.push(error) && settled.push(index),
            ),
          )
          await lose(session.backendPid)
          await Promise.all(watched)
        })
        await running.catch((error: unknown) => expect(error).toBeInstanceOf(ConnectionLost))
        expect(settled).toEqual(Array.from({ length: count + 1 }, (_, index) => index))
        expect(failures.filter((error) => !(error instanceof ConnectionLost))).toEqual([])
        expect(failures).toHaveLength(count + 1)
        await expectHealthy(engine, bank.admin)
      }
      await engine.close()
      await expectClosed(engine, bank.admin)
    })
  })
})

test('a failover under full queues takes no connection with it', { timeout: 120_000 }, async () => {
  await using engine = await bank.engine({ pool: { max: 4 } })
  let pending = 0
  let settled = 0
  for (let killed = 0; killed < (long ? 200 : 8); killed += 4) {
    const pids: number[] = []
    const pages = Array.from({ length: 4 }, () =>
      engine.session((session) => {
        pids.push(session.backendPid)
        const statements = [
          slow(session),
          ...Array.from({ length: 120 }, (_, index) => session.db.execute(firstUse(index))),
        ]
        pending += statements.length
        return Promise.allSettled(statements.map((statement) => statement.finally(() => (settled += 1))))
      }),
    )
    await expect.poll(() => pids).toHaveLength(4)
    await bank.admin.sql`select pg_terminate_backend(pid) from unnest(${pids}::int[]) pid`
    await Promise.allSettled(pages)
    expect(engine.stats().leased).toBe(0)
  }
  expect(settled).toBe(pending)
  await expectHealthy(engine, bank.admin)
  console.log(`${settled} of ${pending} statements settled`)
})
