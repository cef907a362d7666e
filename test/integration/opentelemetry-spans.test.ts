/** The spans of an engine, as OpenTelemetry's own SDK exports them: their trees, and what they say and do not say. */
import { context, trace } from '@opentelemetry/api'
import {
  type ReadableSpan,
  type SpanProcessor,
  BasicTracerProvider,
  BatchSpanProcessor,
  type Sampler,
  SamplingDecision,
} from '@opentelemetry/sdk-trace-base'
import { eq, sql as fragment } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CommitOutcomeUnknown, PoolTimeout } from '../../src/errors.ts'
import { createApp } from '../../src/http/app.ts'
import { openTelemetry, type OpenTelemetryOptions } from '../../src/opentelemetry/open-telemetry.ts'
import { resource } from '../../src/resource/resource.ts'
import { accounts, type Bank, type BankEngine, type BankSession, gate, meetingOf, openBank } from '../support/bank.ts'
import { losesTheAnswer } from '../support/fault-proxy.ts'
import { eventually, expectQuiet, secret } from '../support/invariants.ts'
import { isCall, keptSpans, micros, passContext } from '../support/opentelemetry.ts'

const kept = keptSpans()
const tracer = kept.provider.getTracer('test')
let bank: Bank
let stopPassing: () => void

beforeAll(async () => {
  stopPassing = passContext()
  bank = await openBank()
})
afterAll(async () => {
  await bank[Symbol.asyncDispose]()
  stopPassing()
})
beforeEach(() => kept.forget())

function traced(config: Parameters<Bank['engine']>[0] = {}, options: OpenTelemetryOptions = {}) {
  const telemetry = openTelemetry({ tracerProvider: kept.provider, metrics: false, ...options })
  return bank.engine({ telemetry, ...config })
}

/** Opens `count` connections, so that nobody waits for one afterwards. */
async function warm(engine: BankEngine, count: number) {
  const meet = meetingOf(count)
  await Promise.all(Array.from({ length: count }, () => engine.session(meet)))
  kept.forget()
}

/** Resolves when one of the engine's backends runs what has `text` in it. */
const running = (text: string) =>
  eventually(async () => {
    const backends = await bank.admin.backends()
    expect(backends.some(({ state, query }) => state === 'active' && query.includes(text))).toBe(true)
  })

const ask = ({ sql }: BankSession) => sql`select id from accounts where owner = ${secret}`

describe('the tree', () => {
  test('of a gather whose second task fails has its cancelled sibling, which points to it', async () => {
    await using engine = await traced({ pool: { max: 3 } })
    await warm(engine, 3)
    const first = gate()
    const gathered = engine.gather(
      {
        done: async ({ db }) => {
          await db.select().from(accounts).where(eq(accounts.id, 1))
          first.open()
        },
        failed: async ({ sql }) => {
          await Promise.all([first.opened, running('pg_sleep')])
          await sql`select 1 / 0 from entries`
        },
        slow: ({ sql }) => sql`select pg_sleep(60) from accounts limit 1`,
      },
      { label: 'page' },
    )
    await expect(gathered).rejects.toThrow('division by zero')
    expect(kept.trees()).toEqual([
      {
        name: 'gather page',
        error: '22012',
        spans: [
          { name: 'task page.done', spans: [{ name: 'select accounts' }] },
          { name: 'task page.failed', error: '22012', spans: [{ name: 'select entries', error: '22012' }] },
          {
            name: 'task page.slow',
            error: 'cancelled',
            links: ['task page.failed'],
            spans: [{ name: 'select accounts', error: '57014' }],
          },
        ],
      },
    ])
  })

  test('says of what a function raised only what kind of error it was', async () => {
    await using engine = await traced()
    const raised = engine.session(({ sql }) => sql`do $$ begin raise exception 'bad SECRET'; end $$`, {
      label: 'raises',
    })
    await expect(raised).rejects.toThrow('bad SECRET')
    const failed = kept.all.filter(({ status }) => status.code !== 0)
    expect(failed.map(({ status }) => status.message)).toEqual(failed.map(() => 'database_error (P0001)'))
    expect(failed.length).toBeGreaterThan(1)
  })

  test('of a session under an identity is one transaction, as of a transaction under one', async () => {
    await using engine = await traced()
    await warm(engine, 1)
    const own = engine.as({ settings: { 'app.user': 'lynn' } })
    await own.session(({ sql }) => sql`select 1 from accounts`, { label: 'read' })
    await own.transaction(({ sql }) => sql`select 1 from accounts`, { label: 'write' })
    const transaction = { name: 'transaction', spans: [{ name: 'select accounts' }, { name: 'COMMIT' }] }
    expect(kept.trees()).toEqual([
      { name: 'task read', spans: [transaction] },
      { name: 'task write', spans: [transaction] },
    ])
  })

  test('of a transaction has its statements, its savepoints and its COMMIT', async () => {
    await using engine = await traced()
    await warm(engine, 1)
    await engine.transaction(
      async ({ sql, transaction, repository }) => {
        await sql`update accounts set balance = balance + 1 where id = ${1}`
        await transaction(async (inner) => {
          await inner.sql`insert into entries (nonce, half) values (${'traced'}, 1)`
        })
        await repository(accounts).get(1)
      },
      { label: 'deposit' },
    )
    const spans = [
      { name: 'update accounts' },
      { name: 'savepoint', spans: [{ name: 'insert entries' }] },
      { name: 'select accounts' },
      { name: 'COMMIT' },
    ]
    expect(kept.trees()).toEqual([{ name: 'task deposit', spans: [{ name: 'transaction', spans }] }])
  })

  test('has no COMMIT where nothing was sent, or all was undone', async () => {
    await using engine = await traced()
    await warm(engine, 1)
    await engine.transaction(() => Promise.resolve(1))
    const undone = engine.transaction(async (session) => {
      await ask(session)
      throw new RangeError(secret)
    })
    await expect(undone).rejects.toThrow(RangeError)
    expect(kept.trees()).toEqual([
      { name: 'task', spans: [{ name: 'transaction' }] },
      {
        name: 'task',
        error: 'RangeError',
        spans: [{ name: 'transaction', error: 'RangeError', spans: [{ name: 'select accounts' }] }],
      },
    ])
  })

  test('has the wait for a connection, of those who had to wait, also in vain', async () => {
    await using engine = await traced({ pool: { max: 1, acquireTimeoutMs: 50 } })
    const held = gate()
    const first = engine.session(() => held.opened, { label: 'first' })
    await expect(engine.session(ask, { label: 'second' })).rejects.toThrow(PoolTimeout)
    const third = engine.session(ask, { label: 'third' })
    held.open()
    await Promise.all([first, third])
    expect(kept.trees()).toEqual([
      { name: 'task first' },
      {
        name: 'task second',
        error: 'pool_timeout',
        spans: [{ name: 'wait for a connection', error: 'pool_timeout' }],
      },
      { name: 'task third', spans: [{ name: 'wait for a connection' }, { name: 'select accounts' }] },
    ])
  })

  test('of a gather on a snapshot has its tasks', async () => {
    await using engine = await traced({ pool: { max: 1 } })
    await engine.gather([ask, ask], { snapshot: true })
    const spans = [{ name: 'select accounts' }]
    const tasks = [0, 1].map((key) => ({ name: `task gather.${key}`, spans }))
    expect(kept.trees()).toEqual([{ name: 'gather', spans: tasks }])
  })

  test('of a map has the tasks of its items', async () => {
    await using engine = await traced({ pool: { max: 1 } })
    for await (const rows of engine.map([1, 2], ask, { label: 'each' })) expect(rows).toEqual([])
    const task = { name: 'task each', spans: [{ name: 'select accounts' }] }
    expect(kept.trees()).toEqual([task, task])
  })

  test('has each span inside of the time of the one above', async () => {
    await using engine = await traced()
    await engine.gather([ask, (session) => session.transaction(ask)])
    const byId = new Map(kept.all.map((span) => [span.spanContext().spanId, span]))
    const outside = kept.all.filter((span) => {
      const above = byId.get(span.parentSpanContext?.spanId ?? '')
      return above && (micros(span.startTime) < micros(above.startTime) || micros(span.endTime) > micros(above.endTime))
    })
    expect(kept.all.length).toBeGreaterThan(6)
    expect(outside.map(({ name }) => name)).toEqual([])
  })

  test('tells of a unit of work that was run again', async () => {
    await using engine = await traced()
    let runs = 0
    await engine.transaction(async ({ sql }) => {
      runs += 1
      if (runs === 1) await sql`do $$ begin raise sqlstate '40001'; end $$`
    })
    expect(kept.named('transaction').map(({ events }) => events)).toMatchObject([
      [{ name: 'transaction.retried', attributes: { 'rivulet.attempt': 1, 'error.type': '40001' } }],
    ])
  })

  test('has a COMMIT that the server answered with ROLLBACK', async () => {
    await using engine = await traced()
    const caught = engine.transaction(({ sql }) => sql`select 1 / 0`.catch(() => undefined))
    await expect(caught).rejects.toThrow('rolled back, not committed')
    expect(kept.named('COMMIT').map(({ attributes }) => attributes['error.type'])).toEqual(['rolled_back'])
  })

  test('has a COMMIT whose outcome is unknown', async () => {
    const proxy = await bank.proxy()
    await using engine = await traced({ proxy, pool: { max: 1 } })
    const lost = engine.transaction(async ({ sql }) => {
      await sql`insert into entries (nonce, half) values ('unknown', 1)`
      for (const link of proxy.links) link.tap = losesTheAnswer
    })
    await expect(lost).rejects.toThrow(CommitOutcomeUnknown)
    for (const link of proxy.links) link.tap = undefined
    expect(kept.named('COMMIT').map(({ attributes }) => attributes['error.type'])).toEqual(['commit_outcome_unknown'])
  })
})

describe('context', () => {
  test('goes on into a task: spans made in it are its own', async () => {
    await using engine = await traced()
    await warm(engine, 1)
    await tracer.startActiveSpan('caller', async (caller) => {
      await engine.session(async (session) => {
        await tracer.startActiveSpan('mine', async (mine) => {
          await ask(session)
          mine.end()
        })
      })
      caller.end()
    })
    const spans = [{ name: 'task', spans: [{ name: 'mine', spans: [{ name: 'select accounts' }] }] }]
    expect(kept.trees()).toEqual([{ name: 'caller', spans }])
  })

  test('comes from the request that is answered', async () => {
    await using engine = await traced()
    const request = (name: string, next: () => Promise<void>) =>
      tracer.startActiveSpan(name, (span) => next().finally(() => span.end()))
    const app = createApp(engine, {
      resources: [resource(accounts)],
      middleware: [({ req }, next) => request(`${req.method} ${req.path}`, next)],
    })
    await warm(engine, 2)
    await Promise.all([app.request('/accounts/1'), app.request('/accounts?limit=1')])
    const spans = [{ name: 'task', spans: [{ name: 'select accounts' }] }]
    expect(kept.trees().map(({ name, ...rest }) => ({ name, ...rest, spans: unnamed(rest.spans) }))).toEqual([
      { name: 'GET /accounts/1', spans },
      { name: 'GET /accounts', spans },
    ])
  })
})

/** Without labels. */
function unnamed(spans: ReturnType<typeof kept.trees>[number]['spans']) {
  return spans?.map((span) => ({ ...span, name: span.name.split(' ')[0] ?? '' }))
}

describe('what is not sampled', () => {
  /** Decides, and notes about which spans it was asked. */
  function deciding(decision: SamplingDecision) {
    const asked: string[] = []
    const shouldSample: Sampler['shouldSample'] = (_context, _traceId, name) => {
      asked.push(name)
      return { decision }
    }
    return { asked, provider: new BasicTracerProvider({ sampler: { shouldSample, toString: () => 'ours' } }) }
  }
  const readTwice = (engine: BankEngine) => engine.gather([({ transaction }) => transaction(ask), ask])

  test('is asked about once, and nothing is made of what is in it', async () => {
    const { asked, provider } = deciding(SamplingDecision.NOT_RECORD)
    await using engine = await traced({}, { tracerProvider: provider })
    await readTwice(engine)
    expect(asked).toEqual(['gather'])
  })

  test('has its spans where it is recorded all the same', async () => {
    const { asked, provider } = deciding(SamplingDecision.RECORD)
    await using engine = await traced({}, { tracerProvider: provider })
    await warm(engine, 2)
    asked.length = 0
    await readTwice(engine)
    const tasks = ['task gather.0', 'task gather.1', 'transaction', 'COMMIT', 'select accounts', 'select accounts']
    expect(asked.toSorted()).toEqual(['gather', ...tasks].toSorted())
  })

  test('by the process that called may be sampled here', async () => {
    const { asked, provider } = deciding(SamplingDecision.RECORD_AND_SAMPLED)
    await using engine = await traced({}, { tracerProvider: provider })
    const caller = {
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      traceFlags: 0,
      isRemote: true,
    }
    await context.with(trace.setSpanContext(context.active(), caller), () => engine.session(ask))
    expect(asked).toContain('select accounts')
  })
})

describe('the attributes', () => {
  test('of a statement are those of the conventions for databases', async () => {
    const proxy = await bank.proxy()
    await using engine = await traced({ proxy })
    const { host, port } = { host: '127.0.0.1', port: Number(new URL(proxy.url).port) }
    const backendPid = await engine.session(async (session) => {
      await ask(session)
      return session.backendPid
    })
    expect(kept.named('select accounts')[0]?.attributes).toEqual({
      'db.system.name': 'postgresql',
      'db.namespace': bank.name,
      'db.operation.name': 'select',
      'db.collection.name': 'accounts',
      'db.query.summary': 'select accounts',
      'db.query.text': 'select id from accounts where owner = $1',
      'server.address': host,
      'server.port': port,
      'rivulet.backend_pid': backendPid,
      'rivulet.rows': 0,
    })
    expect(isCall(kept.named('select accounts')[0] as ReadableSpan)).toBe(true)
  })

  test('of a failure are its SQLSTATE, and no text that is not ours', async () => {
    await using engine = await traced()
    await engine.session(({ sql }) => sql`select ${'x'}::text::int from accounts`).catch(() => undefined)
    const [call] = kept.named('select accounts')
    expect(call?.attributes).toMatchObject({ 'error.type': '22P02', 'db.response.status_code': '22P02' })
    await engine.session(() => Promise.reject(new RangeError(secret))).catch(() => undefined)
    const [task] = kept.named('task').slice(-1)
    expect([task?.attributes, task?.status]).toEqual([{ 'error.type': 'RangeError' }, { code: 2 }])
  })

  test('hold no parameter and no literal', async () => {
    await using engine = await traced({ pool: { max: 2 } })
    const attempts: ((session: BankSession) => unknown)[] = [
      ({ sql }) => sql`select ${secret}::int`,
      ({ sql }) => sql`insert into accounts values (1, ${secret}, 1)`,
      ({ db }) => db.select().from(accounts).where(eq(accounts.owner, secret)),
      ({ db }) => db.execute(fragment.raw(`select '${secret}' /* ${secret} */ as value`)),
      ({ repository }) => repository(accounts).list({ where: { owner: secret } }),
      ({ repository }) => repository(accounts).get(secret as never),
      () => Promise.reject(new Error(secret)),
      ({ sql }) => sql`select pg_terminate_backend(pg_backend_pid()), ${secret}::text`,
    ]
    await engine.gatherSettled(attempts)
    for (const attempt of attempts) await engine.transaction(attempt).catch(() => undefined)
    const said = kept.all.map(({ name, attributes, status, events, links }) => {
      return JSON.stringify({ name, attributes, status, events, links })
    })
    expect(said.length).toBeGreaterThan(30)
    expect(said.filter((text) => text.includes(secret))).toEqual([])
  })
})

describe('an SDK that fails', () => {
  const throwing: SpanProcessor = {
    onStart: () => undefined,
    onEnd: () => {
      throw new Error('the processor is broken')
    },
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  }
  const refusing: SpanProcessor = {
    ...throwing,
    onStart: () => {
      throw new Error('the processor is broken')
    },
  }

  test.each([
    ['at the end of a span', throwing],
    ['at its beginning', refusing],
  ])('%s harms no session, and is warned about once', async (_, processor) => {
    const warnings: string[] = []
    const onWarning = ({ message }: Error) => void warnings.push(message)
    process.on('warning', onWarning)
    const tracerProvider = new BasicTracerProvider({ spanProcessors: [processor] })
    await using engine = await traced({}, { tracerProvider })
    let runs = 0
    const results = await engine.gather([ask, (session) => session.transaction((inner) => (runs++, ask(inner)))])
    expect([results, runs]).toEqual([[[], []], 1])
    await expect(engine.session(() => Promise.reject(new RangeError('mine')))).rejects.toThrow('mine')
    await expectQuiet(engine, bank.admin)
    await eventually(() => expect(warnings.filter((text) => text.includes('is broken'))).toHaveLength(2))
    process.off('warning', onWarning)
  })

  test('whose exporter never answers keeps nobody waiting', async () => {
    let asked = 0
    const exporter = { export: () => void (asked += 1), shutdown: () => Promise.resolve() }
    const batches = new BatchSpanProcessor(exporter, { maxQueueSize: 20, maxExportBatchSize: 10 })
    await using engine = await traced({}, { tracerProvider: new BasicTracerProvider({ spanProcessors: [batches] }) })
    for (let round = 0; round < 50; round += 1) await engine.gather([ask, ask])
    await eventually(() => expect(asked).toBeGreaterThan(0))
    await expectQuiet(engine, bank.admin)
    await engine.close()
  })
})

describe('the comments', () => {
  const own = 'select query from pg_stat_activity where pid = pg_backend_pid()'

  test('name the trace behind statements that are not prepared', async () => {
    await using engine = await traced({}, { sqlComments: true })
    const [plain, prepared, commented] = await engine.session(async ({ sql, db }) => {
      const [first] = await sql<{ query: string }>`select query from pg_stat_activity where pid = pg_backend_pid()`
      const [second] = await sql<{ query: string }>`
        select query from pg_stat_activity where pid = pg_backend_pid() and ${true}::bool`
      const [third] = await db.execute<{ query: string }>(fragment.raw(`${own} -- mine`))
      return [first?.query, second?.query, third?.query]
    })
    const { traceId, spanId } = kept.named('task')[0]?.spanContext() ?? {}
    expect(plain).toBe(`${own} /*traceparent='00-${traceId}-${spanId}-01'*/`)
    expect(prepared).not.toContain('traceparent')
    expect(commented).toBe(`${own} -- mine`)
    expect(kept.all.filter(isCall).map(({ attributes }) => attributes['db.query.text'])[0]).toBe(own)
  })

  test('are not there unless they are asked for, or outside of a trace', async () => {
    const query = async (engine: BankEngine) =>
      (
        await engine.session(
          ({ sql }) => sql<{ query: string }>`select query from pg_stat_activity where pid = pg_backend_pid()`,
        )
      )[0]?.query
    expect(await query(await traced())).toBe(own)
    expect(await query(await traced({}, { sqlComments: true, traces: false }))).toBe(own)
    expect(trace.getSpan(context.active())).toBeUndefined()
  })
})
