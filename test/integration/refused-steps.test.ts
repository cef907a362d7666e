/**
 * What opens a transaction, or puts on a right or a view, may be refused: BEGIN, a savepoint, a role, a snapshot, a time
 * limit. Whatever is refused, and however the transaction came about, the statement behind it must not run. Each case
 * runs a statement that leaves a trace even when its transaction is rolled back: the value of a sequence.
 */
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine.ts'
import type { Session } from '../../src/repository/session.ts'
import { type Bank, meeting, openBank } from '../support/bank.ts'
import { expectQuiet } from '../support/invariants.ts'
import type { FaultProxy } from '../support/fault-proxy.ts'
import { RefusedSteps } from '../support/refused-steps.ts'

const traces = pgTable('traces', {
  id: integer('id')
    .primaryKey()
    .default(fragment`nextval('trace')`),
  who: text('who').default(fragment`current_user`),
  nonce: text('nonce').notNull(),
})
const schema = { traces }
type TraceSession = Session<typeof schema>

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
  await bank.admin.sql.unsafe(`
    do $$ begin create role rivulet_test_tracer; exception when others then null; end $$;
    create sequence trace;
    create table traces (id int primary key default nextval('trace'), who text default current_user, nonce text not null);
    grant usage on sequence trace to rivulet_test_tracer;
    grant select, insert on traces to rivulet_test_tracer;
  `)
})
afterAll(() => bank[Symbol.asyncDispose]())

// Without looks at the catalog, behind which a helper's batch would wait while its sibling fails.
const openTraced = (proxy: FaultProxy) => openEngine({ schema, url: proxy.url, pool: { max: 2, catalogCheckMs: 0 } })
type Traced = Awaited<ReturnType<typeof openTraced>>

const tracer = { role: 'rivulet_test_tracer', settings: { 'request.user_id': '7' } }
const write = ({ sql }: TraceSession) => sql`insert into traces (nonce) values (${'trace'})`
const rows = [{ nonce: 'a' }, { nonce: 'b' }]
/** Not allowed in a read-only transaction: outside of one it leaves its trace. */
const peek = ({ db }: TraceSession) => db.execute(fragment`select nextval('trace')`)

/** The same, some turns of the event loop after its task has begun. */
const peekLate = async (session: TraceSession) => {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
  return peek(session)
}

interface Way {
  readonly run: (engine: Traced) => Promise<unknown>
  /** The statements of ours that guard it, each refused in turn. */
  readonly steps: readonly RegExp[]
  /** Read-only: what it runs is refused in any case. */
  readonly readOnly?: true
}

const begin = /^begin/
const identity = /set_config/
const savepoint = /^savepoint/

const ways: Readonly<Record<string, Way>> = {
  transaction: { run: (engine) => engine.transaction(write), steps: [begin] },
  'transaction, serializable': {
    run: (engine) => engine.transaction(write, { isolation: 'serializable' }),
    steps: [begin],
  },
  'transaction, read only': {
    run: (engine) => engine.transaction(write, { readOnly: true }),
    steps: [begin],
    readOnly: true,
  },
  'transaction with a deadline': {
    run: (engine) => engine.transaction(write, { timeoutMs: 20_000 }),
    steps: [begin, /^set local statement_timeout/],
  },
  'transaction, three statements at once': {
    run: (engine) => engine.transaction((session) => Promise.all([write(session), write(session), write(session)])),
    steps: [begin],
  },
  'transaction in a session': {
    run: (engine) => engine.session((session) => session.transaction(write)),
    steps: [begin],
  },
  "Drizzle's transaction": {
    run: (engine) => engine.session(({ db }) => db.transaction((tx) => tx.insert(traces).values({ nonce: 'trace' }))),
    steps: [begin],
  },
  'nested transaction': {
    run: (engine) => engine.transaction((session) => session.transaction(write)),
    steps: [begin, savepoint],
  },
  'nested transaction, the outer begun': {
    run: (engine) =>
      engine.transaction(async (session) => {
        await session.sql`select 1`
        await session.transaction((inner) => Promise.all([write(inner), write(inner)]))
      }),
    steps: [savepoint],
  },
  'transaction behind a statement that nobody awaited yet': {
    run: (engine) =>
      engine.session(async ({ sql, transaction }) => {
        const before = sql`select pg_sleep(0.01)`
        await transaction(write).finally(() => before)
      }),
    steps: [begin],
  },
  insertMany: {
    run: (engine) => engine.session(({ repository }) => repository(traces).insertMany(rows)),
    steps: [begin],
  },
  'insertMany in a transaction': {
    run: (engine) => engine.transaction(({ repository }) => repository(traces).insertMany(rows)),
    steps: [begin, savepoint],
  },
  stream: {
    run: (engine) =>
      engine.session(async ({ stream }) => {
        for await (const row of stream(fragment`select nextval('trace')`)) void row
      }),
    steps: [begin, /^declare/],
  },
  'identity, session': { run: (engine) => engine.as(tracer).session(write), steps: [begin, identity] },
  'identity, session with a deadline': {
    run: (engine) => engine.as(tracer).session(write, { timeoutMs: 20_000 }),
    steps: [begin, identity, /^set local statement_timeout/],
  },
  'identity, transaction': { run: (engine) => engine.as(tracer).transaction(write), steps: [begin, identity] },
  'identity, transaction in a session': {
    run: (engine) => engine.as(tracer).session((session) => session.transaction(write)),
    steps: [begin, identity, savepoint],
  },
  'identity, gather': {
    run: (engine) => engine.as(tracer).gather({ one: write }),
    steps: [begin, identity],
  },
  'identity, map': {
    run: async (engine) => {
      for await (const done of engine.as(tracer).map([1], write)) void done
    },
    steps: [begin, identity],
  },
  'identity, stream': {
    run: (engine) =>
      engine.as(tracer).session(async ({ stream }) => {
        for await (const row of stream(fragment`select nextval('trace')`)) void row
      }),
    steps: [begin, identity, /^declare/],
  },
  'snapshot gather': {
    run: (engine) => engine.gather([peek, peek], { snapshot: true }),
    steps: [begin, /pg_export_snapshot/, /^set transaction snapshot/, savepoint],
    readOnly: true,
  },
  'snapshot gather whose tasks send nothing at first': {
    run: (engine) => engine.as(tracer).gather([peekLate, peekLate], { snapshot: true }),
    steps: [begin, /pg_export_snapshot/, /^set transaction snapshot/, savepoint, identity],
    readOnly: true,
  },
  'snapshot gather under an identity': {
    run: (engine) => engine.as(tracer).gather([peek, peek], { snapshot: true }),
    steps: [begin, /pg_export_snapshot/, /^set transaction snapshot/, savepoint, identity],
    readOnly: true,
  },
}

const traced = async () => {
  const [row] = await bank.admin.sql`select (select last_value from trace) as last, count(*)::int as rows from traces`
  return row
}

describe.each(Object.entries(ways))('%s', (_name, { run, steps, readOnly }) => {
  test('does what it should when nothing is refused', async () => {
    await using proxy = await bank.proxy()
    await using engine = await openTraced(proxy)
    const before = await traced()
    if (readOnly) await expect(run(engine)).rejects.toThrow('read-only transaction')
    else await run(engine)
    const after = await traced()
    if (readOnly) expect(after).toEqual(before)
    else expect(after).not.toEqual(before)
  })

  test.each(steps)('runs nothing when %s is refused', async (step) => {
    await using proxy = await bank.proxy()
    await using engine = await openTraced(proxy)
    const refused = new RefusedSteps(proxy)
    const before = await traced()
    // The second time, what can be prepared is.
    for (const time of [1, 2]) {
      // Both connections are there, so that a gather has its helper.
      const meet = meeting(engine, 2)
      await Promise.all([meet(() => undefined), meet(() => undefined)])
      refused.arm(step)
      // Of two tasks that fail in a gather, either may be the first.
      await expect(run(engine)).rejects.toThrow(readOnly ? /./ : /canceling|syntax error/)
      expect(refused.count).toBe(time)
    }
    expect(await traced()).toEqual(before)
    await expectQuiet(engine, bank.admin)
  })
})
