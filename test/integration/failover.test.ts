/**
 * Connections to a server that takes no writes any more are replaced, they and their siblings, as soon as a fresh one
 * finds a server that does; and nothing is replaced in vain where everything is read-only on purpose.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DatabaseError, openEngine } from '../../src/index.ts'
import { Admin } from '../support/admin.ts'
import { type Bank, type BankEngine, type BankSession, bankSchema, gate, openBank, Recorder } from '../support/bank.ts'
import { eventually, expectQuiet } from '../support/invariants.ts'
import { openPrivateServer } from '../support/private-server.ts'

let bank: Bank
let recorder: Recorder
beforeEach(async () => {
  bank = await openBank()
  recorder = new Recorder()
})
afterEach(() => bank[Symbol.asyncDispose]())

const write = ({ sql, backendPid }: BankSession) =>
  sql`update accounts set balance = balance + 1 where id = 1`.then(() => backendPid)
const reasons = () => recorder.of('connection.retired').map(({ reason }) => reason)

/** From now on, for new connections: stands for a server that is a standby by now, or is none any more. */
async function closeForWriting(closed: boolean): Promise<void> {
  const value = closed ? 'on' : 'off'
  await bank.admin.sql.unsafe(
    `set default_transaction_read_only = off; alter database ${bank.name} set default_transaction_read_only = ${value}`,
  )
}

/** Opens `count` connections and answers their pids. */
async function fill(engine: BankEngine, count: number): Promise<number[]> {
  const pids: number[] = []
  const { opened, open } = gate()
  const task = async ({ sql, backendPid }: BankSession) => {
    await sql`select 1`
    if (pids.push(backendPid) === count) open()
    await opened
  }
  await Promise.all(Array.from({ length: count }, () => engine.session(task)))
  return pids
}

async function refusedWrite(engine: BankEngine): Promise<void> {
  const error = await engine.session(write).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(DatabaseError)
  expect((error as DatabaseError).sqlState).toBe('25006')
}

test('a refused write replaces its connection and, once a fresh one takes writes, its siblings, idle or in use', async () => {
  await closeForWriting(true)
  await using engine = await bank.engine({ pool: { max: 4 }, observe: recorder.observe })
  const old = await fill(engine, 4)
  const { opened, open } = gate()
  const holding = gate()
  const holder = engine.session(async ({ sql, backendPid }) => {
    await sql`select 1`
    holding.open()
    await opened
    return backendPid
  })
  await holding.opened
  await closeForWriting(false)
  await refusedWrite(engine)
  await eventually(() => expect(engine.stats()).toMatchObject({ retired: 3, leased: 1 }))
  open()
  await holder
  await eventually(() => expect(engine.stats()).toMatchObject({ retired: 4, leased: 0 }))
  expect(new Set(reasons())).toEqual(new Set(['server_changed']))
  const fresh = await fill(engine, 4)
  expect(fresh.filter((pid) => old.includes(pid))).toEqual([])
  for (let turn = 0; turn < 8; turn++) expect(old).not.toContain(await engine.session(write))
  expect(engine.stats().retired).toBe(4)
  await expectQuiet(engine, bank.admin)
})

test('a server that takes writes only later is found by the next refusals', async () => {
  await closeForWriting(true)
  await using engine = await bank.engine({ pool: { max: 2 }, observe: recorder.observe })
  const old = await fill(engine, 2)
  await refusedWrite(engine)
  await eventually(() => expect(engine.stats()).toMatchObject({ retired: 1, opened: 3 }))
  await closeForWriting(false)
  const pid = await eventually(() => engine.session(write), 15_000)
  expect(old).not.toContain(pid)
  await eventually(() => expect(engine.stats().retired).toBeGreaterThanOrEqual(3))
  for (let turn = 0; turn < 4; turn++) await engine.session(write)
})

test('also where server or pooler do not report what they are', async () => {
  const proxy = await bank.proxy()
  proxy.onLink = (link) => {
    link.tap = (chunk, from) => {
      if (from === 'client') return chunk
      const text = chunk.toString('latin1')
      return Buffer.from(
        text.replace('in_hot_standby', 'xx_hot_standby').replace('default_transaction_r', 'xxxxxxx_transaction_r'),
        'latin1',
      )
    }
  }
  await closeForWriting(true)
  await using engine = await bank.engine({ proxy, pool: { max: 3 } })
  const old = await fill(engine, 3)
  await closeForWriting(false)
  await refusedWrite(engine)
  await eventually(() => expect(engine.stats().retired).toBe(3))
  expect(old).not.toContain(await engine.session(write))
})

describe('nothing is replaced', () => {
  test('because a session asked for a read-only transaction itself', async () => {
    await using engine = await bank.engine({ pool: { max: 2 }, observe: recorder.observe })
    await fill(engine, 2)
    for (let turn = 0; turn < 5; turn++) {
      const call = engine.transaction(write, { readOnly: true })
      await expect(call).rejects.toMatchObject({ sqlState: '25006' })
    }
    expect(reasons()).toEqual([])
    expect(await engine.session(write)).toBeGreaterThan(0)
  })

  test('over and over where everything is read-only on purpose', async () => {
    await closeForWriting(true)
    await using engine = await bank.engine({ pool: { max: 3 }, observe: recorder.observe })
    await fill(engine, 3)
    const startedAt = performance.now()
    for (let turn = 0; turn < 100; turn++) await refusedWrite(engine)
    // At once for the first refusal, then once a second at most; never a sibling.
    expect(reasons().length).toBeLessThanOrEqual(1 + Math.floor((performance.now() - startedAt) / 1000))
    await expectQuiet(engine, bank.admin)
  })
})

test('a standby that is promoted is left by those who asked for a standby, once, and kept by all others', async () => {
  await using server = await openPrivateServer()
  await server.becomeStandby()
  const open = async (kind: string) => {
    const observer = new Recorder()
    const url = `${server.url}&target_session_attrs=${kind}`
    const engine = await openEngine({ schema: bankSchema, url, pool: { max: 1 }, observe: observer.observe })
    return {
      engine,
      retired: () => observer.of('connection.retired').map(({ reason }) => reason),
      [Symbol.asyncDispose]: () => engine.close(),
    }
  }
  await using preferring = await open('prefer-standby')
  await using any = await open('any')
  const ask = (engine: BankEngine) => engine.session(({ sql }) => sql`select 1`)
  for (const { engine } of [preferring, any]) await ask(engine)
  expect([...preferring.retired(), ...any.retired()]).toEqual([])
  await using admin = new Admin(server.url)
  await admin.sql`select pg_promote()`
  await eventually(async () => {
    await ask(preferring.engine)
    expect(preferring.retired()).toEqual(['server_changed'])
  })
  for (let turn = 0; turn < 5; turn++) for (const { engine } of [preferring, any]) await ask(engine)
  expect(preferring.retired()).toEqual(['server_changed'])
  expect(any.retired()).toEqual([])
})
