/** What is said about a COMMIT is true: done, undone, or unknown with the transaction id to ask about; never run twice. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CommitOutcomeUnknown, ConnectionLost } from '../../src/errors.ts'
import { type Bank, openBank, Recorder } from '../support/bank.ts'
import { type Link, losesTheAnswer, losesTheRequest, type Tap } from '../support/fault-proxy.ts'
import { eventually, expectHealthy, stopwatch } from '../support/invariants.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

async function lostCommit(tap: Tap, nonce: string) {
  const proxy = await bank.proxy()
  await using engine = await bank.engine({ proxy, pool: { max: 1 } })
  let runs = 0
  const error: unknown = await engine
    .transaction(async ({ sql }) => {
      runs += 1
      await sql`insert into entries (nonce, half) values (${nonce}, ${runs}::int)`
      for (const link of proxy.links) link.tap = tap
    })
    .catch((thrown: unknown) => thrown)
  for (const link of proxy.links) link.tap = undefined
  expect(runs).toBe(1)
  expect(error).toBeInstanceOf(CommitOutcomeUnknown)
  await expectHealthy(engine, bank.admin)
  return error as CommitOutcomeUnknown
}

const stored = async (nonce: string) => (await bank.admin.sql`select * from entries where nonce = ${nonce}`).length
const status = async ({ transactionId }: CommitOutcomeUnknown) => {
  const [row] = await bank.admin.sql`select pg_xact_status(${transactionId ?? null}::text::xid8) as status`
  return (row as { status: string }).status
}

describe('a connection lost during COMMIT', () => {
  test('whose answer is lost is unknown; pg_xact_status says that it was committed', async () => {
    const error = await lostCommit(losesTheAnswer, 'answer lost')
    expect(error.transactionId).toMatch(/^\d+$/)
    expect(await status(error)).toBe('committed')
    expect(await stored('answer lost')).toBe(1)
  })

  test('whose request is lost is unknown; pg_xact_status says that it was aborted', async () => {
    const error = await lostCommit(losesTheRequest, 'request lost')
    await eventually(async () => expect(await stored('request lost')).toBe(0))
    if (error.transactionId !== undefined) expect(await status(error)).toBe('aborted')
  })

  test('black-holed is unknown by its deadline and a fifth', async () => {
    const proxy = await bank.proxy()
    await using engine = await bank.engine({ proxy, pool: { max: 1 } })
    const watch = stopwatch()
    const call = engine.transaction(
      async ({ sql }) => {
        await sql`insert into entries (nonce, half) values ('black hole', 1)`
        for (const link of proxy.links) link.stall()
        proxy.opening = 'silence'
      },
      { timeoutMs: 500 },
    )
    await expect(call).rejects.toThrow(CommitOutcomeUnknown)
    expect(watch()).toBeLessThan(500 * 1.2 + 250)
    proxy.opening = 'pass'
    for (const link of proxy.openLinks) link.reset()
    await expectHealthy(engine, bank.admin)
  })

  test('before COMMIT was sent is no unknown outcome: nothing was committed', async () => {
    const recorder = new Recorder()
    await using engine = await bank.engine({ pool: { max: 1 }, observe: recorder.observe })
    const call = engine.transaction(async ({ sql, backendPid }) => {
      await sql`insert into entries (nonce, half) values ('lost before', 1)`
      await bank.admin.terminate(backendPid)
      await eventually(() => expect(recorder.of('connection.lost')).toHaveLength(1))
    })
    await expect(call).rejects.toThrow(ConnectionLost)
    expect(await stored('lost before')).toBe(0)
  })

  test('of a read-only transaction asks for no transaction id', async () => {
    const proxy = await bank.proxy()
    const sent: string[] = []
    proxy.onLink = (link: Link) => {
      link.tap = (chunk, from) => {
        if (from === 'client') sent.push(chunk.toString('latin1'))
        return chunk
      }
    }
    await using engine = await bank.engine({ proxy })
    await engine.transaction(({ sql }) => sql`select 1`, { readOnly: true })
    expect(sent.join('')).not.toContain('pg_current_xact_id')
    await engine.transaction(({ sql }) => sql`select 1`)
    expect(sent.join('')).toContain('pg_current_xact_id')
  })
})

test('a constraint that only COMMIT checks is the error of the call, and nothing is stored', async () => {
  await using engine = await bank.engine()
  await bank.admin.sql`create table deferred (id int unique deferrable initially deferred)`
  const call = engine.transaction(({ sql }) => sql`insert into deferred values (1), (1)`)
  await expect(call).rejects.toMatchObject({ code: 'unique_violation' })
  expect(await bank.admin.sql`select * from deferred`).toHaveLength(0)
  await expectHealthy(engine, bank.admin)
})
