/** Bugs of a task that must stay its own: one typed error, nothing lost, nobody else harmed, the process alive. */
import { sql as fragment } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Engine, openEngine, optional, type Session, UsageError } from '../../src/index.ts'
import * as schema from '../../schema/index.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let engine: Engine<typeof schema>
beforeAll(async () => {
  database = await openTestDatabase()
  engine = await openEngine({ schema, url: database.url, pool: { max: 4 } })
})
afterAll(async () => {
  await engine.close()
  await database[Symbol.asyncDispose]()
})

const unhandled: unknown[] = []
const remember = (error: unknown) => void unhandled.push(error)
beforeEach(() => void process.on('unhandledRejection', remember))
afterEach(async () => {
  await expect.poll(() => engine.stats().leased).toBe(0)
  // Unhandled rejections come up once the microtasks have run.
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', remember)
  expect(unhandled.splice(0)).toEqual([])
})

describe('a task that does not wait for its statements gets one error, and no rejection goes unhandled', () => {
  test('when the statement fails', async () => {
    const session = engine.session(({ sql }) => void sql`select 1/0`)
    await expect(session).rejects.toThrow(UsageError)
  })

  test('when a sibling fails meanwhile', async () => {
    const gathered = engine.gather({
      floating: ({ sql }) => void sql`select pg_sleep(60)`,
      failing: async ({ sql }) => {
        await sql`select 1`
        throw new RangeError('failed')
      },
    })
    await expect(gathered).rejects.toThrow('failed')
  })

  test('when its deadline passes', async () => {
    const session = engine.session(({ sql }) => void sql`select pg_sleep(60)`, { timeoutMs: 100 })
    await expect(session).rejects.toThrow(UsageError)
  })

  test('when it is a whole transaction, of which nothing is kept', async () => {
    const session = engine.session((outer) => {
      void outer.transaction(async (inner) => inner.sql`insert into customers (name) values ('floating')`)
    })
    await expect(session).rejects.toThrow(UsageError)
    expect(await engine.session(({ sql }) => sql`select from customers where name = 'floating'`)).toHaveLength(0)
  })
})

describe('a transaction cannot be ended from inside', () => {
  test.each([';rollback', '; ;commit', '-- so\n commit', '/* a /* nested */ comment */ rollback', ';/**/;end'])(
    'by %j',
    async (text) => {
      const transaction = engine.transaction(async ({ db, sql }) => {
        await sql`insert into customers (name) values ('inside')`
        await db.execute(fragment.raw(text))
      })
      await expect(transaction).rejects.toThrow('belong to session.transaction')
      expect(await engine.session(({ sql }) => sql`select from customers where name = 'inside'`)).toHaveLength(0)
    },
  )
})

test('thousands of comments before a statement are read in one pass', async () => {
  const text = `${'/*c*/'.repeat(20_000)} select 1 as one`
  expect(await engine.session(({ db }) => db.execute(fragment.raw(text)))).toEqual([{ one: 1 }])
})

test.each(['copy customers from stdin', '/* x */ COPY (select 1) TO STDOUT'])('%s is refused', async (text) => {
  await expect(engine.session(({ db }) => db.execute(fragment.raw(text)))).rejects.toThrow('COPY')
  expect(engine.stats().lost).toBe(0)
})

describe('settings of the server change no value', () => {
  test.each(['-c datestyle=German', '-c datestyle=SQL,DMY', '-c bytea_output=escape'])('%s', async (options) => {
    const separator = database.url.includes('?') ? '&' : '?'
    const url = `${database.url}${separator}options=${encodeURIComponent(options)}`
    await using other = await openEngine({ schema, url })
    const bytes = Buffer.from([0, 1, 92, 127, 128, 255])
    const [row] = await other.session(
      ({ sql }) => sql`select '2024-02-01 10:00:00+00'::timestamptz as instant, ${bytes}::bytea as bytes`,
    )
    expect(row).toEqual({ instant: new Date('2024-02-01T10:00:00Z'), bytes })
  })

  test('a stricter statement_timeout of the server stays in force under a deadline', async () => {
    const separator = database.url.includes('?') ? '&' : '?'
    const url = `${database.url}${separator}options=${encodeURIComponent('-c statement_timeout=50')}`
    await using other = await openEngine({ schema, url })
    const sleeping = other.session(({ sql }) => sql`select pg_sleep(60)`, { timeoutMs: 30_000 })
    await expect(sleeping).rejects.toThrow('statement timeout')
  })
})

describe('no message repeats a value', () => {
  const secret = 's3cr3t&("quoted"'
  test.each([
    ['to_tsquery', (value: string) => fragment`select to_tsquery('simple', ${value})`],
    ['::regclass', (value: string) => fragment`select ${value}::regclass`],
    ['current_setting', (value: string) => fragment`select current_setting(${value})`],
    ['::int', (value: string) => fragment`select ${value}::int`],
    ['::date', (value: string) => fragment`select ${value}::date`],
  ])('of %s', async (_, statement) => {
    const error = await engine.session(({ db }) => db.execute(statement(secret))).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(Error)
    const { inspect } = await import('node:util')
    expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/s3cr3t|quoted/)
  })

  test('but names that stand in the statement stay', async () => {
    await expect(engine.session(({ sql }) => sql`select nowhere from customers`)).rejects.toThrow('"nowhere"')
  })
})

test.each([
  ['a promise', Promise.resolve(1)],
  ['a Map', new Map()],
  ['a Float32Array', new Float32Array(1)],
])('%s is no parameter', async (_, value) => {
  await expect(engine.session(({ sql }) => sql`select ${value}::jsonb`)).rejects.toThrow(UsageError)
})

test('of columns with one name the last is decoded, and none is decoded twice', async () => {
  const rows = await engine.session(
    ({ sql }) => sql`select '{"a":1}'::jsonb as meta, 'Author' as meta, 'x' as other, '"5"'::jsonb as other`,
  )
  expect(rows).toEqual([{ meta: 'Author', other: '5' }])
})

test('misspelt options, and what is no option at all, are refused', async () => {
  const task = () => 1
  await expect(engine.session(task, { timeout: 1 } as never)).rejects.toThrow('session has no option timeout')
  await expect(engine.transaction(task, { readonly: true } as never)).rejects.toThrow('no option readonly')
  await expect(engine.session(task, { signal: {} as AbortSignal })).rejects.toThrow('signal must be an AbortSignal')
  await expect(engine.gather(new Map() as never)).rejects.toThrow('plain object or an array')
  await expect(engine.session('select 1' as never)).rejects.toThrow('session takes a function')
  for (const config of [
    { pool: null },
    { casing: 'x' },
    { idleSessionMs: -1 },
    { traceSessions: 'yes' },
    { migrations: 'apply', migrationsFolder: 7 },
    { observe: 5 },
    { url: new URL('http://x') },
  ]) {
    await expect(openEngine({ schema, url: database.url, ...config } as never)).rejects.toThrow(/^config\./)
  }
})

test('a transaction in a session refuses them as well, before anything is written', async () => {
  const write = ({ sql }: Session) => sql`insert into customers (name) values ('misspelt')`
  await engine.session(async ({ transaction, sql }) => {
    for (const [unitOfWork, options, message] of [
      [write, { readonly: true }, 'transaction has no option readonly'],
      [write, { timeoutMS: 50 }, 'transaction has no option timeoutMS'],
      [write, { readOnly: 'yes' }, 'readOnly must be true or false'],
      [write, { readOnly: 0 }, 'readOnly must be true or false'],
      [write, { deferrable: 'no' }, 'deferrable must be true or false'],
      [write, { retries: 3 }, 'attempts is the number of runs'],
      [write, { label: 7 }, 'label must be a text'],
      [write, { signal: {} }, 'signal must be an AbortSignal'],
      [write, 50, 'the options of transaction are an object'],
      ['insert', {}, 'transaction takes a function'],
    ] as const) {
      const refused = transaction(unitOfWork as never, options as never)
      await expect(refused).rejects.toThrow(UsageError)
      await expect(refused).rejects.toThrow(message)
    }
    expect(await sql`select from customers where name = 'misspelt'`).toHaveLength(0)
    // Nothing of the refused ones is left in the way.
    expect(await transaction(() => 1, { readOnly: true })).toBe(1)
  })
})

describe('each method of an engine refuses in our own words', () => {
  const methods = ['session', 'transaction', 'gather', 'gatherSettled', 'map', 'as', 'close'] as const
  const call = async (method: (typeof methods)[number], ...given: readonly unknown[]) => {
    const returned = (engine[method] as (...given: readonly unknown[]) => unknown)(...given)
    if (method === 'map') for await (const _ of returned as AsyncIterable<unknown>);
    return await (returned as Promise<unknown>)
  }

  test.each(methods.filter((method) => method !== 'close'))(
    'nothing, null, and what %s does not take',
    async (method) => {
      await expect(call(method)).rejects.toThrow(UsageError)
      for (const given of [null, 7, 'select 1', Promise.resolve(1)]) {
        await expect(call(method, given)).rejects.toThrow(UsageError)
      }
    },
  )

  test.each<[(typeof methods)[number], readonly unknown[], Record<string, unknown>]>([
    ['session', [() => 1], { timeoutMs: 'soon' }],
    ['transaction', [() => 1], { readOnly: 'yes' }],
    ['gather', [[]], { snapshot: 'yes' }],
    ['gatherSettled', [[]], { onTimings: true }],
    ['map', [[], () => 1], { ordered: 'no' }],
    ['close', [], { timeoutMs: -1 }],
  ])('options of %s that are misspelt or of the wrong type', async (method, given, wrong) => {
    const known = method === 'gatherSettled' ? 'gather' : method
    await expect(call(method, ...given, { misspelt: 1 })).rejects.toThrow(`${known} has no option misspelt; it takes `)
    await expect(call(method, ...given, wrong)).rejects.toThrow(`${known}: ${Object.keys(wrong)[0]} must be `)
    for (const options of [null, 7, 'x', []]) await expect(call(method, ...given, options)).rejects.toThrow(UsageError)
  })

  test('and so does each of a session', async () => {
    await engine.session(async ({ repository, stream, transaction, sql, explain }) => {
      for (const nothing of [undefined, null, 7, {}] as never[]) {
        expect(() => repository(nothing)).toThrow(UsageError)
        await expect(transaction(nothing)).rejects.toThrow(UsageError)
        await expect(stream(nothing).next()).rejects.toThrow(UsageError)
        await expect(explain(nothing)).rejects.toThrow(UsageError)
        await expect((async () => sql(nothing))()).rejects.toThrow(UsageError)
      }
      const operations = repository(schema.customers)
      await expect(operations.list({ count: 'yes' } as never)).rejects.toThrow('count must be true or false')
      await expect(operations.list({ were: {} } as never)).rejects.toThrow('has no option were; it takes ')
      await expect(explain(fragment`select 1`, null as never)).rejects.toThrow('the options of explain are an object')
      const misspelt = stream(fragment`select 1`, { batch: 1 } as never)
      await expect(misspelt.next()).rejects.toThrow('stream has no option batch; it takes batchSize')
    })
  })
})

test('optional refuses a misspelt option: its task would not be bounded', () => {
  expect(() => optional(() => 1, 2, { timeoutMS: 50 } as never)).toThrow('optional has no option timeoutMS')
})
