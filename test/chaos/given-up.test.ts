/**
 * Calls given up at any moment and in every way: not awaited, aborted, out of time, with a failing sibling, cancelled by
 * an operator, stopped by the role's own statement_timeout. Nothing is kept of a call that failed, unless it says that
 * the outcome of COMMIT is unknown, and nothing is ever written by another role than the call's.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { sql as fragment } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine.ts'
import type { Session } from '../../src/repository/session.ts'
import { Cancelled, CommitOutcomeUnknown } from '../../src/errors.ts'
import { openBank } from '../support/bank.ts'
import { eventually, expectQuiet, Ledger } from '../support/invariants.ts'
import { createRandom, long, type Random } from '../support/random.ts'

const calls = long ? 20_000 : 1500

const kept = pgTable('kept', {
  id: integer('id').primaryKey().generatedAlwaysAsIdentity(),
  nonce: text('nonce').notNull(),
  who: text('who')
    .notNull()
    .default(fragment`current_user`),
})
const schema = { kept }
type KeptEngine = Engine<typeof schema>
type KeptSession = Session<typeof schema>

const tenant = 'rivulet_test_tenant'
/** Its statements may take a millisecond: some do, some do not. */
const hurried = { name: 'rivulet_test_hurried', password: 'in a hurry' }

/** Writes a row under `nonce` by one of the ways into a transaction; rejects when the transaction was not committed. */
type Write = (engine: KeptEngine, nonce: string, options: CallOptions, awaited: boolean) => Promise<unknown>
interface CallOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
}

const insert = async ({ sql }: KeptSession, nonce: string, awaited: boolean) => {
  const written = sql`insert into kept (nonce) values (${nonce})`
  if (awaited) await written
}

/** The name of each begins with the role that it writes as. */
const ways: Readonly<Record<string, Write>> = {
  'login, transaction': (engine, nonce, options, awaited) =>
    engine.transaction((session) => insert(session, nonce, awaited), options),
  'login, serializable': (engine, nonce, options, awaited) =>
    engine.transaction((session) => insert(session, nonce, awaited), { ...options, isolation: 'serializable' }),
  'login, pipelined': (engine, nonce, options) =>
    engine.transaction(
      (session) => Promise.all([insert(session, nonce, true), session.sql`select 1`, insert(session, nonce, true)]),
      options,
    ),
  'login, nested': (engine, nonce, options, awaited) =>
    engine.transaction((session) => session.transaction((inner) => insert(inner, nonce, awaited)), options),
  'login, in a session': (engine, nonce, options, awaited) =>
    engine.session((session) => session.transaction((inner) => insert(inner, nonce, awaited)), options),
  'login, insertMany': (engine, nonce, options) =>
    engine.session(({ repository }) => repository(kept).insertMany([{ nonce }, { nonce }]), options),
  'tenant, session': (engine, nonce, options, awaited) =>
    engine.as({ role: tenant }).session((session) => insert(session, nonce, awaited), options),
  'tenant, transaction': (engine, nonce, options, awaited) =>
    engine.as({ role: tenant }).transaction((session) => insert(session, nonce, awaited), options),
  'tenant, nested': (engine, nonce, options, awaited) =>
    engine
      .as({ role: tenant })
      .session((session) => session.transaction((inner) => insert(inner, nonce, awaited)), options),
}

/** Ways to give a call up. */
const endings: Readonly<
  Record<string, (write: Write, engine: KeptEngine, nonce: string, random: Random) => Promise<unknown>>
> = {
  'let be': (write, engine, nonce) => write(engine, nonce, {}, true),
  'not awaited': (write, engine, nonce) => write(engine, nonce, {}, false),
  'out of time': (write, engine, nonce, random) => write(engine, nonce, { timeoutMs: 1 + random.next() * 4 }, true),
  async aborted(write, engine, nonce, random) {
    const abort = new AbortController()
    const written = write(engine, nonce, { signal: abort.signal }, true)
    // It may fail before it is aborted; awaited in the end.
    written.catch(() => undefined)
    const turns = random.between(0, 12)
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
    abort.abort()
    return written
  },
  async 'failing sibling'(write, engine, nonce, random) {
    const turns = random.between(0, 12)
    // The fate is that of the call in the task, not of the gather, which fails in any case.
    let written: Promise<unknown> = Promise.reject(new Cancelled('the gather was over before the call began'))
    written.catch(() => undefined)
    await engine
      .gather([
        () => {
          written = write(engine, nonce, {}, true)
          return written
        },
        async () => {
          for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
          throw new Error('the sibling fails')
        },
      ])
      .catch(() => undefined)
    return written
  },
}

test('nothing is kept of a call that failed, and nothing written by another role', { timeout: 600_000 }, async () => {
  const random = createRandom('calls given up')
  const ledger = new Ledger()
  await using bank = await openBank()
  await bank.admin.sql.unsafe(`
    do $$ begin create role ${tenant}; exception when others then null; end $$;
    do $$ begin create role ${hurried.name} login password '${hurried.password}'; exception when others then null; end $$;
    alter role ${hurried.name} set statement_timeout = '1ms';
    grant ${tenant} to ${hurried.name};
    create table kept (id int primary key generated always as identity, nonce text not null, who text not null default current_user);
    grant select, insert on kept to ${tenant}, ${hurried.name}`)
  const proxy = await bank.proxy()
  // Half of the connections are slow, so that what gives a call up meets it everywhere.
  proxy.onLink = (link) => void (link.delayMs = link.number % 2)
  const url = new URL(proxy.url)
  const login = decodeURIComponent(url.username)
  const engine = await openEngine({ schema, url: url.href, pool: { max: 6 } })
  url.username = hurried.name
  url.password = hurried.password
  const inHurry = await openEngine({ schema, url: url.href, pool: { max: 3 } })

  const fates = new Map<string, 'kept' | 'failed' | 'unknown'>()
  const reasons = new Map<string, unknown>()
  let left = calls
  const worker = async (number: number) => {
    for (let call = 0; left-- > 0; call++) {
      const way = random.pick(Object.keys(ways))
      const ending = random.pick(Object.keys(endings))
      const late = random.next() < 0.25
      const as = way.startsWith('tenant') ? tenant : late ? hurried.name : login
      const nonce = `${number}.${call} ${way}, ${ending}, as ${as}`
      const outcome = await ledger.watch(60_000, async () => {
        await endings[ending]?.(ways[way] as Write, late ? inHurry : engine, nonce, random)
      })
      if ('value' in outcome) fates.set(nonce, 'kept')
      else fates.set(nonce, outcome.error instanceof CommitOutcomeUnknown ? 'unknown' : 'failed')
      if ('error' in outcome) reasons.set(nonce, outcome.error)
    }
  }
  let over = false
  let cancels = 0
  const operator = async () => {
    while (!over) {
      const backends = await bank.admin.backends()
      if (backends.length > 0) await bank.admin.sql`select pg_cancel_backend(${random.pick(backends).pid})`
      cancels += 1
      await sleep(random.between(1, 4))
    }
  }
  const operating = operator()
  await Promise.all(Array.from({ length: 14 }, (_, number) => worker(number)))
  over = true
  await operating

  const rows = await bank.admin.sql<{ nonce: string; who: string }[]>`select nonce, who from kept`
  const stored = new Set(rows.map(({ nonce }) => nonce))
  const leftBehind = [...fates].filter(([nonce, fate]) => fate === 'failed' && stored.has(nonce))
  expect(leftBehind.map(([nonce]) => `${nonce}: ${String(reasons.get(nonce))}`)).toEqual([])
  expect([...fates].filter(([nonce, fate]) => fate === 'kept' && !stored.has(nonce))).toEqual([])
  expect(rows.filter(({ nonce, who }) => !nonce.endsWith(`as ${who}`))).toEqual([])
  const count = (fate: string) => [...fates.values()].filter((other) => other === fate).length
  expect(count('failed')).toBeGreaterThan(calls / 10)
  expect(count('kept')).toBeGreaterThan(calls / 10)
  await eventually(() => expect(inHurry.stats()).toMatchObject({ leased: 0, waiting: 0, opening: 0 }))
  await inHurry.close()
  await expectQuiet(engine, bank.admin)
  await engine.close()
  await ledger.expectClean()
  console.log(`${ledger.summary('calls given up', cancels)}; 0 rows left behind, ${count('unknown')} COMMITs unknown`)
})
