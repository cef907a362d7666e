import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { relations, sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { type Engine, openEngine } from '../../src/engine.ts'
import { type Session, taskSessionOf } from '../../src/repository/session.ts'
import {
  CheckViolation,
  InvalidInput,
  LockTimeout,
  NotFound,
  UniqueViolation,
  UsageError,
  VersionConflict,
} from '../../src/errors.ts'
import type { Observation } from '../../src/observe/observation.ts'
import { defineRepository } from '../../src/repository/define-repository.ts'
import { openToy, type Toy } from '../support/toy.ts'
import * as schema from '../support/toy-schema.ts'
import { exhibits, heavy, lines, Money, notes, rates, shelves, titles, totals, words } from '../support/toy-schema.ts'

let toy: Toy
let engine: Engine<typeof schema>

beforeAll(async () => {
  toy = await openToy()
  engine = toy.engine
})

afterAll(async () => {
  await toy[Symbol.asyncDispose]()
})

beforeEach(async () => {
  // Deleted, not truncated: a truncated table is a new file, which takes longer.
  await engine.session(async (session) => {
    const tables = ['notes', 'exhibits', 'yard."Odd ""shelves"""', 'words', 'rates', 'lines']
    await Promise.all(tables.map((table) => taskSessionOf(session).run(`delete from ${table}`, [], {})))
    await session.sql`select setval('exhibits_id_seq', 9007199254740993, false)`
  })
})

type ToySession = Session<typeof schema>
const run = <T>(task: (session: ToySession) => Promise<T>) => engine.session(task)
const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fulfilled',
    (error: unknown) => error,
  )

async function all<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const result: T[] = []
  for await (const row of rows) result.push(row)
  return result
}

/** The statements a task sends. */
async function statementsOf(task: (session: ToySession) => Promise<unknown>): Promise<number> {
  return run(async (session) => {
    const behind = taskSessionOf(session)
    const before = behind.run.bind(behind)
    let count = 0
    behind.run = (...args) => {
      count += 1
      return before(...args)
    }
    await task(session)
    return count
  })
}

describe('reads by key', () => {
  test('get throws NotFound and find answers undefined when no row has the key', async () => {
    await run(async ({ repository }) => {
      const error = await rejection(repository(words).get('none'))
      expect(error).toBeInstanceOf(NotFound)
      expect(error).toMatchObject({ table: 'words' })
      expect(String(error)).not.toContain('none')
      expect(await repository(words).find('none')).toBeUndefined()
      expect(await repository(words).exists('none')).toBe(false)
    })
  })

  test('a composite key is an object, in a schema with names that need quoting', async () => {
    await run(async ({ repository }) => {
      const repo = repository(shelves)
      const row = await repo.insert({ room: 'A"1', position: 1, label: 'x' })
      expect(row).toEqual({ room: 'A"1', position: 1, label: 'x', capacity: 10, area: 20 })
      expect(await repo.get({ position: 1, room: 'A"1' })).toEqual(row)
      expect(await repo.update({ room: 'A"1', position: 1 }, { capacity: 11 })).toMatchObject({ area: 22 })
      expect(await repo.remove({ room: 'A"1', position: 1 })).toMatchObject({ capacity: 11 })
      expect(await repo.find({ room: 'A"1', position: 1 })).toBeUndefined()
      for (const key of [{ room: 'A' }, { room: 'A', position: 1, more: 1 }, 'A', { room: 'A', position: null }]) {
        await expect(repo.get(key as never)).rejects.toThrow(UsageError)
      }
    })
  })

  test('a bigint key is exact beyond 2^53', async () => {
    await run(async ({ repository }) => {
      const repo = repository(exhibits)
      const [first, second] = await repo.insertMany([{ title: 'a' }, { title: 'b' }])
      expect(first?.id).toBe(9_007_199_254_740_993n)
      expect((await repo.get(9_007_199_254_740_994n)).title).toBe('b')
      expect(await repo.getMany([second?.id ?? 0n, first?.id ?? 0n])).toEqual({ rows: [second, first], missing: [] })
    })
  })

  test('getMany keeps the order, repeats what is asked for twice, and says which keys are missing', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      await repo.insertMany([{ word: 'a' }, { word: 'b' }, { word: 'c' }])
      const { rows, missing } = await repo.getMany(['c', 'x', 'a', 'c', 'y'])
      expect(rows.map(({ word }) => word)).toEqual(['c', 'a', 'c'])
      expect(missing).toEqual(['x', 'y'])
      expect(await repo.getMany([])).toEqual({ rows: [], missing: [] })
    })
  })

  test('keys that can be written in several ways are found in all of them', async () => {
    await run(async ({ repository }) => {
      const repo = repository(rates)
      await repo.insertMany([
        { day: '2026-01-01', factor: '1.50', mood: 'ok', amount: new Money(5n) },
        { day: '2026-01-02', factor: '2', mood: 'ok' },
      ])
      const { rows, missing } = await repo.getMany([
        { day: '2026-01-02', factor: '2.000' },
        { day: '2026-01-01', factor: '1.5' },
        { day: '2026-01-01', factor: '1.51' },
      ])
      expect(rows.map(({ factor }) => factor)).toEqual(['2', '1.50'])
      expect(missing).toEqual([{ day: '2026-01-01', factor: '1.51' }])
    })
  })

  test('select narrows the row', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      await repo.insert({ word: 'a', uses: 3 })
      expect(await repo.get('a', { select: ['uses'] })).toEqual({ uses: 3 })
      expect(await repo.find({ uses: 3 }, { select: ['word'] })).toEqual({ word: 'a' })
      expect((await repo.list({ select: ['uses'] })).rows).toEqual([{ uses: 3 }])
      expect((await repo.getMany(['a'], { select: ['uses'] })).rows).toEqual([{ uses: 3 }])
    })
  })
})

describe('load', () => {
  test('100 loads of one tick are one statement', async () => {
    const keys = Array.from({ length: 100 }, (_, index) => `w${index}`)
    await run(({ repository }) => repository(words).insertMany(keys.map((word) => ({ word }))))
    const count = await statementsOf(async (session) => {
      const rows = await Promise.all(keys.map((key) => session.repository(words).load(key)))
      expect(rows.map(({ word }) => word)).toEqual(keys)
    })
    expect(count).toBe(1)
  })

  test('a missing row and a bad key are the errors of their own callers', async () => {
    await run(async ({ repository }) => {
      await repository(words).insert({ word: 'a' })
      const loads = ['a', 'none', '\0', 'a'].map((key) => repository(words).load(key))
      const [found, missing, bad, again] = await Promise.allSettled(loads)
      expect(found).toMatchObject({ value: { word: 'a' } })
      expect(again).toEqual(found)
      expect(missing).toMatchObject({ reason: { code: 'not_found' } })
      expect(bad).toMatchObject({ reason: { code: 'invalid_input', path: ['word'] } })
    })
  })

  test('a later tick reads again', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      await repo.insert({ word: 'a' })
      expect((await repo.load('a')).uses).toBe(0)
      await repo.update('a', { uses: 7 })
      expect((await repo.load('a')).uses).toBe(7)
    })
  })

  test('works for composite keys and inside a transaction', async () => {
    await engine.transaction(async ({ repository }) => {
      const repo = repository(shelves)
      await repo.insertMany([
        { room: 'A', position: 1 },
        { room: 'B', position: 2 },
      ])
      const [b, a] = await Promise.all([repo.load({ room: 'B', position: 2 }), repo.load({ room: 'A', position: 1 })])
      expect([a.room, b.room]).toEqual(['A', 'B'])
    })
  })
})

describe('filters', () => {
  const rows = [
    { title: 'Axe', rank: 1, weight: '150.5', value: 2n ** 60n },
    { title: 'axle', rank: 2, weight: '1', value: null },
    { title: 'Bow_1', rank: null, weight: null, value: 1n },
    { title: 'Cup%', rank: 3, weight: '-2', value: -5n },
  ]
  const found = async (where: object) => {
    return run(async ({ repository }) => {
      const page = await repository(exhibits).list({ where: where as never, select: ['title'] })
      const count = await repository(exhibits).count(where as never)
      expect(count).toBe(page.rows.length)
      return page.rows.map(({ title }) => title)
    })
  }

  test.each([
    [{ title: 'Axe' }, ['Axe']],
    [{ title: { ne: 'Axe' } }, ['axle', 'Bow_1', 'Cup%']],
    [{ rank: null }, ['Bow_1']],
    [{ rank: { eq: null } }, ['Bow_1']],
    [{ rank: { ne: null } }, ['Axe', 'axle', 'Cup%']],
    [{ rank: { isNull: false } }, ['Axe', 'axle', 'Cup%']],
    [{ rank: { isNull: true } }, ['Bow_1']],
    [{ rank: { ne: 1 } }, ['axle', 'Cup%']],
    [{ not: { rank: 1 } }, ['axle', 'Cup%']],
    [{ rank: { gt: 1, lte: 3 } }, ['axle', 'Cup%']],
    [{ rank: { gte: 2 }, weight: { lt: '0' } }, ['Cup%']],
    [{ rank: { in: [1, 3, 9] } }, ['Axe', 'Cup%']],
    [{ rank: { in: [] } }, []],
    [{ rank: { notIn: [1] } }, ['axle', 'Cup%']],
    [{ rank: { notIn: [] } }, ['Axe', 'axle', 'Bow_1', 'Cup%']],
    [{ title: { like: 'A%' } }, ['Axe']],
    [{ title: { ilike: 'ax%' } }, ['Axe', 'axle']],
    [{ title: { like: String.raw`%\_1` } }, ['Bow_1']],
    [{ title: { like: String.raw`%\%` } }, ['Cup%']],
    [{ value: { gte: 2n ** 60n } }, ['Axe']],
    [{ value: { in: [1n, -5n] } }, ['Bow_1', 'Cup%']],
    [{ weight: '150.50' }, ['Axe']],
    [{ or: [{ rank: 1 }, { title: { like: 'B%' } }] }, ['Axe', 'Bow_1']],
    [{ or: [] }, []],
    [{ and: [] }, ['Axe', 'axle', 'Bow_1', 'Cup%']],
    [{ and: [{ rank: { gt: 0 } }, { or: [{ rank: 1 }, { not: { rank: { in: [1, 2] } } }] }] }, ['Axe', 'Cup%']],
    [{}, ['Axe', 'axle', 'Bow_1', 'Cup%']],
  ])('%o', async (where, expected) => {
    await run(({ repository }) => repository(exhibits).insertMany(rows))
    expect(await found(where)).toEqual(expected)
  })

  test('arrays, jsonb, ranges and custom types have their operators', async () => {
    await run(async ({ repository }) => {
      const repo = repository(schema.samples)
      const row = {
        integers: [1, 2, 3],
        texts: ['a', 'b'],
        aJsonb: { a: { b: 1 }, tags: ['x'] },
        aRange: '[1,10)',
        aMoney: new Money(150n),
        aMood: 'ok' as const,
        aBoolean: true,
        aBytea: new Uint8Array([1, 2]),
      }
      const { id } = await repo.insert(row)
      for (const where of [
        { integers: { contains: [3, 1] } },
        { integers: [1, 2, 3] },
        { texts: { overlaps: ['b', 'z'] } },
        { aJsonb: { contains: { a: { b: 1 } } } },
        { aJsonb: { eq: { tags: ['x'], a: { b: 1 } } } },
        { aRange: { contains: '[2,3)' } },
        { aRange: { overlaps: '[9,20)' } },
        { aMoney: { gte: new Money(150n), lt: new Money(151n) } },
        { aMood: { gt: 'sad' as const } },
        { aBoolean: true },
        { aBytea: new Uint8Array([1, 2]) },
      ]) {
        expect(await repo.exists({ ...where, id }), JSON.stringify(Object.keys(where))).toBe(true)
      }
      for (const where of [
        { integers: { contains: [4] } },
        { texts: { overlaps: [] } },
        { aJsonb: { contains: { a: 1 } } },
        { aMoney: { gt: new Money(150n) } },
        { aMood: { in: ['sad', 'happy'] as const } },
      ]) {
        expect(await repo.exists({ ...where, id }), JSON.stringify(Object.keys(where))).toBe(false)
      }
    })
  })

  test('an undefined, an unknown name or an empty filter where one is required is a UsageError, never all rows', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      await repo.insertMany([{ word: 'a' }, { word: 'b' }])
      const unsafe = [
        { uses: undefined },
        { uses: { gt: undefined } },
        { or: [{}] },
        { not: {} },
        { not: { uses: undefined } },
        { and: [{ uses: undefined }] },
        { uses: {} },
        { nothing: 1 },
        { uses: { near: 1 } },
        { uses: { constructor: 1 } },
        { and: {} },
        null,
        'a string',
        undefined,
      ] as never[]
      for (const where of unsafe) {
        await expect(repo.list({ where }), JSON.stringify(where)).rejects.toThrow(UsageError)
        await expect(repo.removeWhere(where), JSON.stringify(where)).rejects.toThrow(UsageError)
        await expect(repo.updateWhere(where, { uses: 1 }), JSON.stringify(where)).rejects.toThrow(UsageError)
      }
      for (const where of [{}, { and: [] }, { and: [{}] }]) {
        await expect(repo.removeWhere(where)).rejects.toThrow('empty')
        await expect(repo.updateWhere(where, { uses: 1 })).rejects.toThrow('empty')
        await expect(repo.find(where)).rejects.toThrow('empty')
      }
      for (const key of [undefined, null]) await expect(repo.find(key as never)).rejects.toThrow(UsageError)
      await expect(repo.update(undefined as never, { uses: 1 })).rejects.toThrow(UsageError)
      expect(await repo.count()).toBe(2)
    })
  })
})

describe('writes', () => {
  test('insert fills defaults in, by the server and by the schema', async () => {
    await run(async ({ repository }) => {
      const note = await repository(notes).insert({ slug: 's' })
      expect(note).toMatchObject({ slug: 's', body: '', version: 1, removedAt: null, exhibitId: null })
      expect(note.id).toMatch(/^[\da-f-]{36}$/)
      expect(await repository(words).insert({ word: 'w', uses: undefined as never })).toMatchObject({ uses: 0 })
    })
  })

  test('insertMany of nothing is nothing, and of 20,000 rows is more than parameters could carry', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      expect(await repo.insertMany([])).toEqual([])
      const rows = Array.from({ length: 20_000 }, (_, index) => ({ word: `w${index}`, uses: index }))
      const inserted = await repo.insertMany(rows)
      expect(inserted.map(({ word, uses }) => ({ word, uses }))).toEqual(rows)
      expect(await repo.count()).toBe(20_000)
    })
  })

  test('insertMany answers rows in the order given, whatever columns each has, with defaults where one is left out', async () => {
    await run(async ({ repository }) => {
      const rows = [
        { word: 'a' },
        { word: 'b', uses: 5 },
        { uses: 6, word: 'c' },
        { word: 'd', seen: 100 },
        { word: 'e' },
      ]
      const inserted = await repository(words).insertMany(rows)
      expect(inserted.map(({ word, uses }) => [word, uses])).toEqual([
        ['a', 0],
        ['b', 5],
        ['c', 6],
        ['d', 0],
        ['e', 0],
      ])
      expect(inserted[3]?.seen).toBe(100)
    })
  })

  test('insertMany writes all rows or none', async () => {
    await run(async ({ repository }) => {
      const rows = Array.from({ length: 6000 }, (_, index) => ({
        word: `w${index}`,
        ...(index % 2 ? { uses: 1 } : {}),
      }))
      await expect(repository(words).insertMany([...rows, { word: 'w0' }])).rejects.toThrow(UniqueViolation)
      expect(await repository(words).count()).toBe(0)
    })
  })

  test('new rows take SQL in place of values', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      expect(await repo.insert({ word: sql`lower('A')`, uses: sql`1 + ${1}` })).toMatchObject({ word: 'a', uses: 2 })
      const rows = [{ word: sql`lower('B')`, uses: 3 }, { word: 'c', uses: sql`2 + 2` }, { word: 'd' }]
      const inserted = await repo.insertMany(rows)
      expect(inserted.map(({ word, uses }) => [word, uses])).toEqual([
        ['b', 3],
        ['c', 4],
        ['d', 0],
      ])
      expect(await repo.upsert({ word: sql`lower('A')`, uses: sql`5` })).toMatchObject({ word: 'a', uses: 5 })
    })
  })

  test('update writes what is given, leaves what is undefined, and takes SQL', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      await repo.insert({ word: 'a', uses: 5 })
      expect(await repo.update('a', { uses: sql`${words.uses} + ${2}` })).toMatchObject({ uses: 7, stamp: 'touched' })
      expect(await repo.update('a', { uses: sql`${words.uses} + ${3}` })).toMatchObject({ uses: 10 })
      expect(await repo.update('a', { uses: sql`${words.uses} * 2` })).toMatchObject({ uses: 20 })
      expect(await repo.update('a', { uses: undefined as never, stamp: 'x' })).toMatchObject({ uses: 20, stamp: 'x' })
      expect(await repo.update('a', {})).toMatchObject({ uses: 20, stamp: 'x' })
      expect(await repo.update('a', { word: 'b' })).toMatchObject({ word: 'b' })
      await expect(repo.update('a', { uses: 1 })).rejects.toThrow(NotFound)
      await expect(repo.update('a', {})).rejects.toThrow(NotFound)
    })
  })

  test('a generated column, a column that does not exist and a view cannot be written', async () => {
    await run(async ({ repository }) => {
      await expect(repository(shelves).insert({ room: 'A', position: 1, area: 2 } as never)).rejects.toThrow(
        'generated',
      )
      await expect(repository(exhibits).insert({ id: 1n, title: 'x' } as never)).rejects.toThrow('generated')
      await expect(repository(words).insert({ word: 'a', typo: 1 } as never)).rejects.toThrow('no column "typo"')
      await expect(repository(words).update('a', { typo: 1 } as never)).rejects.toThrow('no column "typo"')
      await expect((repository(titles) as never as { insert(row: object): Promise<void> }).insert({})).rejects.toThrow(
        'view',
      )
      await expect((repository(lines) as never as { insert(row: object): Promise<void> }).insert({})).rejects.toThrow(
        'no key',
      )
      expect(() => repository({} as never)).toThrow(UsageError)
    })
  })

  test('updateWhere and removeWhere answer how many rows there were', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      await repo.insertMany([{ word: 'a' }, { word: 'b' }, { word: 'c', uses: 5 }])
      expect(await repo.updateWhere({ uses: 0 }, { uses: 1 })).toBe(2)
      expect(await repo.updateWhere({ uses: { in: [] } }, { uses: 9 })).toBe(0)
      await expect(repo.updateWhere({ uses: 1 }, {})).rejects.toThrow('empty')
      expect(await repo.removeWhere({ uses: { lt: 5 } })).toBe(2)
      expect((await repo.list()).rows.map(({ word }) => word)).toEqual(['c'])
    })
  })

  test('upsert inserts, or updates what is in the way', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      expect(await repo.upsert({ word: 'a', uses: 1 })).toMatchObject({ uses: 1, stamp: 'touched' })
      expect(await repo.upsert({ word: 'a', uses: 2, stamp: 'x' })).toMatchObject({ uses: 2, stamp: 'x' })
      expect(await repo.upsert({ word: 'a', uses: 9, stamp: 'y' }, { update: ['stamp'] })).toMatchObject({
        uses: 2,
        stamp: 'y',
      })
      expect(await repo.upsert({ word: 'a', uses: 9 }, { update: [] })).toMatchObject({ uses: 2 })
      expect(await repo.upsert({ word: 'z', uses: 9 }, { update: [] })).toMatchObject({ uses: 9 })
      const adding = { update: { uses: sql`${words.uses} + ${10}` } }
      expect(await repo.upsert({ word: 'a', uses: 1 }, adding)).toMatchObject({ uses: 12 })
      expect(await repo.upsert({ word: 'a' })).toMatchObject({ uses: 12 })
    })
  })

  test('upsertMany inserts and updates as upsert does, thousands in a statement, in the order given', async () => {
    const statements: string[] = []
    const observe = (observation: Observation) => {
      if (observation.type === 'statement.finished') statements.push(observation.text)
    }
    await using observed = await openEngine({ schema, url: toy.url, observe })
    await observed.transaction(async ({ repository }) => {
      const repo = repository(words)
      expect(await repo.upsertMany([])).toEqual([])
      await repo.insertMany([
        { word: 'w7', uses: 1 },
        { word: 'w4999', uses: 1, stamp: 'kept' },
      ])
      const rows = Array.from({ length: 10_000 }, (_, index) => ({ word: `w${index}`, uses: index }))
      statements.length = 0
      const written = await repo.upsertMany(rows)
      expect(statements.filter((text) => text.includes('on conflict'))).toHaveLength(1)
      expect(written.map(({ word, uses }) => ({ word, uses }))).toEqual(rows)
      expect(written[4999]).toMatchObject({ stamp: 'touched', uses: 4999 })
      expect(await repo.count()).toBe(10_000)
      const adding = { update: { uses: sql`${words.uses} + ${10}` } }
      const added = await repo.upsertMany([{ word: 'w1' }, { word: 'new', uses: 3 }, { word: 'w2' }], adding)
      expect(added.map(({ uses }) => uses)).toEqual([11, 3, 12])
      const left = await repo.upsertMany(
        [
          { word: 'w1', uses: 0 },
          { word: 'other', uses: 5 },
        ],
        { update: [] },
      )
      expect(left.map(({ uses }) => uses)).toEqual([11, 5])
    })
  })

  test('upsertMany writes all rows or none, and none twice', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      await repo.insertMany([{ word: 'a', uses: 1 }])
      const twice = [{ word: 'a', uses: 2 }, { word: 'b' }, { word: 'a', uses: 3 }]
      const apart = [
        { word: 'a', uses: 2 },
        { word: 'b', uses: 1, stamp: 'x' },
        { word: 'a', uses: 3 },
      ]
      for (const rows of [twice, apart]) {
        const refusal = repo.upsertMany(rows)
        await expect(refusal).rejects.toMatchObject({ code: 'invalid_input' })
        await expect(refusal).rejects.toThrow('the same row')
      }
      await expect(repo.upsertMany([{ word: 'c' }, { wrd: 'd' } as never])).rejects.toThrow('rows[1]')
      await expect(repo.upsertMany('rows' as never)).rejects.toThrow('upsertMany takes an array')
      await expect(repo.upsertMany([{ word: 'c' }], { onn: 'word' } as never)).rejects.toThrow(UsageError)
      expect((await repo.list()).rows).toMatchObject([{ word: 'a', uses: 1 }])
    })
  })

  test('updateMany writes thousands of rows in a statement, each with its own values, and returns them in order', async () => {
    const statements: string[] = []
    const observe = (observation: Observation) => {
      if (observation.type === 'statement.finished') statements.push(observation.text)
    }
    await using observed = await openEngine({ schema, url: toy.url, observe })
    await observed.transaction(async ({ repository }) => {
      const repo = repository(words)
      expect(await repo.updateMany([])).toEqual([])
      await repo.insertMany(Array.from({ length: 10_000 }, (_, index) => ({ word: `w${index}`, uses: 1 })))
      const rows = Array.from({ length: 10_000 }, (_, index) => ({ word: `w${9999 - index}`, uses: index }))
      statements.length = 0
      const written = await repo.updateMany(rows)
      expect(statements.filter((text) => text.startsWith('update'))).toHaveLength(1)
      expect(written.map(({ word, uses }) => ({ word, uses }))).toEqual(rows)
      expect(written[0]).toMatchObject({ stamp: 'touched' })
      const mixed = await repo.updateMany([
        { word: 'w1', uses: sql`${words.uses} + 1` },
        { word: 'w2' },
        { word: 'w3', uses: sql`${words.uses} + ${5}` },
        { word: 'w4', stamp: null },
        { word: 'w5', uses: undefined },
      ])
      expect(mixed.map(({ word, uses, stamp }) => [word, uses, stamp])).toEqual([
        ['w1', 9999, 'touched'],
        ['w2', 9997, 'touched'],
        ['w3', 10_001, 'touched'],
        ['w4', 9995, null],
        ['w5', 9994, 'touched'],
      ])
    })
  })

  test('updateMany writes all rows or none, none twice, and says which row is wrong', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      await repo.insertMany([
        { word: 'a', uses: 1 },
        { word: 'b', uses: 1 },
      ])
      const missing = repo.updateMany([
        { word: 'a', uses: 2 },
        { word: 'none', uses: 2 },
      ])
      await expect(missing).rejects.toMatchObject({ code: 'not_found', table: 'words' })
      await expect(missing).rejects.toThrow('rows[1]: no row of words has this key')
      const twice = repo.updateMany([
        { word: 'a', uses: 2 },
        { word: 'a', uses: 3 },
      ])
      await expect(twice).rejects.toThrow('two of the rows are the same row of words by word')
      await expect(
        repo.updateMany([
          { word: 'a', uses: 2 },
          { word: 'b', uses: 1.5 },
        ]),
      ).rejects.toMatchObject({
        code: 'invalid_input',
        path: [1, 'uses'],
      })
      await expect(repo.updateMany([{ uses: 2 } as never])).rejects.toThrow('rows[0]: the key of words is undefined')
      await expect(repo.updateMany([new Map() as never])).rejects.toThrow('rows[0]: a row of words must be an object')
      await expect(repo.updateMany([{ word: 'a', usse: 2 } as never])).rejects.toThrow('has no column "usse"')
      await expect(repo.updateMany('rows' as never)).rejects.toThrow('updateMany takes an array of rows of words')
      await expect(repo.updateMany([{ word: 'a', uses: -1 }])).rejects.toMatchObject({ code: 'check_violation' })
      expect((await repo.list()).rows).toMatchObject([
        { word: 'a', uses: 1 },
        { word: 'b', uses: 1 },
      ])
    })
  })

  test('updateMany of rows that have a version writes those of that version only', async () => {
    await run(async ({ repository }) => {
      const repo = repository(notes)
      const [one, two] = await repo.insertMany([{ slug: 'one' }, { slug: 'two' }])
      const changed = [one, two].map((note) => ({ id: note!.id, version: note!.version, body: `of ${note!.slug}` }))
      expect(await repo.updateMany(changed)).toMatchObject([
        { slug: 'one', body: 'of one', version: 2 },
        { slug: 'two', body: 'of two', version: 2 },
      ])
      const late = repo.updateMany([{ id: one!.id, version: 2, body: 'x' }, changed[1]!])
      await expect(late).rejects.toMatchObject({ code: 'version_conflict', table: 'notes' })
      await expect(late).rejects.toThrow('rows[1]: ')
      expect(
        await repo.updateMany([
          { id: one!.id, body: 'at any' },
          { id: two!.id, version: 2 },
        ]),
      ).toMatchObject([
        { body: 'at any', version: 3 },
        { body: 'of two', version: 2 },
      ])
      await repo.remove(one!.id)
      await expect(repo.updateMany([{ id: one!.id, body: 'x' }])).rejects.toThrow('no row of notes has this key')
    })
  })

  test('upsert decides on any unique columns, and refuses without a value for them', async () => {
    await run(async ({ repository }) => {
      const repo = repository(notes)
      const first = await repo.upsert({ slug: 's', body: 'one' }, { on: 'slug', update: ['body'] })
      const second = await repo.upsert({ slug: 's', body: 'two' }, { on: ['slug'], update: ['body'] })
      expect(second).toMatchObject({ id: first.id, body: 'two', version: 2 })
      await expect(repository(exhibits).upsert({ title: 'x' })).rejects.toThrow('needs a value for id')
      await expect(repo.upsert({ slug: 's' }, { on: 'slug', update: ['body'] })).rejects.toThrow('no value')
    })
  })

  test('a violation names constraint, table and columns, and no values', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      await repo.insert({ word: 'secret' })
      const twice = await rejection(repo.insert({ word: 'secret' }))
      expect(twice).toBeInstanceOf(UniqueViolation)
      expect(twice).toMatchObject({ table: 'words', columns: ['word'], constraint: 'words_pkey' })
      const negative = await rejection(repo.update('secret', { uses: -1 }))
      expect(negative).toBeInstanceOf(CheckViolation)
      expect(negative).toMatchObject({ table: 'words', constraint: 'words_uses_positive' })
      const orphan = await rejection(repository(notes).insert({ slug: 's', exhibitId: 1n }))
      expect(orphan).toMatchObject({ code: 'foreign_key_violation', columns: ['exhibit_id'] })
      const empty = await rejection(repo.insertMany([{ word: null as never }]))
      expect(empty).toMatchObject({ code: 'not_null_violation', columns: ['word'] })
      for (const error of [twice, negative, orphan]) {
        expect(`${String(error)} ${JSON.stringify(error)}`).not.toContain('secret')
      }
    })
  })
})

describe('conventions', () => {
  test('every write counts the version up, and ifVersion refuses a row that has moved', async () => {
    await run(async ({ repository }) => {
      const repo = repository(notes)
      const note = await repo.insert({ slug: 's' })
      expect(await repo.update(note.id, { body: 'a' }, { ifVersion: 1 })).toMatchObject({ body: 'a', version: 2 })
      const late = await rejection(repo.update(note.id, { body: 'b' }, { ifVersion: 1 }))
      expect(late).toBeInstanceOf(VersionConflict)
      expect(late).toMatchObject({ table: 'notes' })
      await expect(repo.update(note.id, {}, { ifVersion: 1 })).rejects.toThrow(VersionConflict)
      expect(await repo.update(note.id, {}, { ifVersion: 2 })).toMatchObject({ version: 2 })
      await expect(repo.remove(note.id, { ifVersion: 1 })).rejects.toThrow(VersionConflict)
      await expect(repo.update(crypto.randomUUID(), { body: 'b' }, { ifVersion: 1 })).rejects.toThrow(NotFound)
      expect(await repo.updateWhere({ slug: 's' }, { body: 'c' })).toBe(1)
      expect(await repo.get(note.id)).toMatchObject({ body: 'c', version: 3 })
      expect((await repo.remove(note.id, { ifVersion: 3 })).version).toBe(4)
      await expect(repository(words).update('a', { uses: 1 }, { ifVersion: 1 as never })).rejects.toThrow('no version')
      await expect(repo.update(note.id, { version: 9 } as never)).rejects.toThrow('conventions')
    })
  })

  test('updatedAt is the time of the transaction that wrote last', async () => {
    await run(async (session) => {
      const repo = session.repository(notes)
      const note = await repo.insert({ slug: 's' })
      const { updated, now } = await session.transaction(async ({ repository, sql }) => {
        const [row] = await sql<{ now: Date }>`select now()`
        return { updated: await repository(notes).update(note.id, { body: 'x' }), now: row?.now }
      })
      expect(updated.updatedAt).toEqual(now)
      expect(updated.updatedAt.getTime()).toBeGreaterThanOrEqual(note.updatedAt.getTime())
    })
  })

  test('a removed row is hidden from every read and write that does not ask for it', async () => {
    await run(async (session) => {
      const exhibit = await session.repository(exhibits).insert({ title: 'x' })
      const repo = session.repository(notes)
      const [gone, kept] = await repo.insertMany([
        { slug: 'gone', exhibitId: exhibit.id },
        { slug: 'kept', exhibitId: exhibit.id },
      ])
      const id = gone?.id ?? ''
      expect((await repo.remove(id)).removedAt).toBeInstanceOf(Date)
      await expect(repo.remove(id)).rejects.toThrow(NotFound)
      await expect(repo.get(id)).rejects.toThrow(NotFound)
      await expect(repo.load(id)).rejects.toThrow(NotFound)
      await expect(repo.update(id, { body: 'x' })).rejects.toThrow(NotFound)
      await expect(session.transaction((nested) => nested.repository(notes).lock(id, 'update'))).rejects.toThrow(
        NotFound,
      )
      expect(await repo.find({ slug: 'gone' })).toBeUndefined()
      expect(await repo.exists(id)).toBe(false)
      expect(await repo.count()).toBe(1)
      expect((await repo.list({ count: true })).count).toBe(1)
      expect((await repo.getMany([id])).missing).toEqual([id])
      expect(await all(repo.stream())).toEqual([kept])
      expect(await repo.updateWhere({ slug: 'gone' }, { body: 'x' })).toBe(0)
      expect(await repo.removeWhere({ slug: 'gone' })).toBe(0)
      const withNotes = await session.repository(exhibits).get(exhibit.id, { with: { notes: true } })
      expect(withNotes.notes).toEqual([kept])

      expect((await repo.get(id, { removed: 'include' })).slug).toBe('gone')
      expect((await repo.list({ removed: 'only' })).rows.map(({ slug }) => slug)).toEqual(['gone'])
      expect(await repo.count({}, { removed: 'include' })).toBe(2)
      expect(await repo.exists({ slug: 'gone' }, { removed: 'only' })).toBe(true)
      await expect(repo.upsert({ slug: 'gone' }, { on: 'slug', update: { body: 'x' } })).rejects.toThrow(
        UniqueViolation,
      )
      await expect(repo.upsert({ slug: 'gone' }, { on: 'slug', update: [] })).rejects.toThrow(UniqueViolation)

      expect(await repo.restore(id)).toMatchObject({ slug: 'gone', removedAt: null, version: 3 })
      await expect(repo.restore(id)).rejects.toThrow(NotFound)
      expect((await repo.get(id)).slug).toBe('gone')
      expect((await repo.purge(id)).slug).toBe('gone')
      expect(await repo.exists(id, { removed: 'include' })).toBe(false)
    })
  })
})

describe('relations', () => {
  const build = (session: ToySession) =>
    session.transaction(async ({ repository }) => {
      await repository(shelves).insertMany([
        { room: 'A', position: 1 },
        { room: 'A', position: 2 },
      ])
      const [whole] = await repository(exhibits).insertMany([
        { title: 'whole', room: 'A', position: 1, weight: '12345678901234567890.0123456789', value: 2n ** 62n + 1n },
      ])
      const parts = await repository(exhibits).insertMany(
        [3, 1, 2].map((rank) => ({ title: `part ${rank}`, rank, parentId: whole?.id ?? 0n })),
      )
      await repository(notes).insertMany([
        { slug: 'n1', exhibitId: whole?.id ?? 0n },
        { slug: 'n2', exhibitId: parts[0]?.id ?? 0n },
        { slug: 'n3' },
      ])
      return { whole: whole as NonNullable<typeof whole>, parts }
    })

  test('a relation given as false or undefined is not loaded, at any depth', async () => {
    await run(async (session) => {
      const { whole } = await build(session)
      const loaded = await session.repository(exhibits).get(whole.id, {
        with: { shelf: false, parent: undefined, parts: { with: { notes: false } } },
      })
      expect(Object.keys(loaded)).toEqual([...Object.keys(whole), 'parts'])
      expect(Object.keys(loaded.parts[0] ?? {})).toEqual(Object.keys(whole))
      const misspelt = session.repository(exhibits).get(whole.id, { with: { owner: false } as never })
      await expect(misspelt).rejects.toThrow('has no relation "owner"')
    })
  })

  test('one, many and nested relations are exact for bigint and numeric, each with where, orderBy and limit', async () => {
    await run(async (session) => {
      const { whole, parts } = await build(session)
      const repo = session.repository(exhibits)
      const loaded = await repo.get(whole.id, {
        with: { shelf: true, parent: true, parts: { orderBy: { rank: 'asc' }, with: { parent: true, notes: true } } },
      })
      expect(loaded.shelf).toMatchObject({ room: 'A', position: 1, area: 20 })
      expect(loaded.parent).toBeNull()
      expect(loaded.parts.map(({ rank }) => rank)).toEqual([1, 2, 3])
      expect(loaded.parts[2]?.parent).toEqual(whole)
      expect(loaded.parts[2]?.parent).toMatchObject({
        weight: '12345678901234567890.0123456789',
        value: 2n ** 62n + 1n,
      })
      expect(loaded.parts[2]?.notes.map(({ slug }) => slug)).toEqual(['n2'])

      const limited = await repo.list({
        orderBy: { id: 'asc' },
        with: { parts: { where: { rank: { ne: 3 } }, orderBy: { rank: 'desc' }, limit: 1, select: ['rank'] } },
      })
      expect(limited.rows.map((row) => row.parts)).toEqual([[{ rank: 2 }], [], [], []])

      const narrowed = await session.repository(notes).list({
        select: ['slug'],
        orderBy: { slug: 'asc' },
        with: { exhibit: { select: ['title'], where: { title: 'whole' } } },
      })
      expect(narrowed.rows).toEqual([
        { slug: 'n1', exhibit: { title: 'whole' } },
        { slug: 'n2', exhibit: null },
        { slug: 'n3', exhibit: null },
      ])
      const shelf = await session.repository(shelves).find({ position: { gt: 0 } }, { with: { exhibits: true } })
      expect(shelf?.exhibits.map(({ title }) => title)).toEqual(['whole'])
      expect(parts).toHaveLength(3)
    })
  })

  test('a relation is one statement, whatever the number of rows', async () => {
    await run((session) => build(session))
    const count = await statementsOf((session) =>
      session
        .repository(exhibits)
        .list({ with: { parts: { limit: 2 }, shelf: true, notes: { with: { exhibit: true } } } }),
    )
    expect(count).toBe(5)
  })

  test('a relation the schema does not declare is a UsageError that names those it does', async () => {
    await run(async ({ repository }) => {
      const unknown = repository(exhibits).list({ with: { owner: true } as never })
      await expect(unknown).rejects.toThrow('has no relation "owner" in the schema: it has shelf, parent, parts, notes')
      await expect(repository(exhibits).list({ with: { parts: { take: 1 } } as never })).rejects.toThrow(UsageError)
      await expect(repository(exhibits).list({ with: { parts: { limit: 0 } } })).rejects.toThrow(InvalidInput)
      // Also while there is no row to load anything for.
      const undefinedFilter = repository(exhibits).list({ with: { parts: { where: { rank: undefined as never } } } })
      await expect(undefinedFilter).rejects.toThrow(UsageError)
      await expect(repository(words).list({ with: { x: true } as never })).rejects.toThrow('it has none')
    })
  })
})

describe('views and tables without a key', () => {
  test('are read like tables', async () => {
    await run(async ({ repository, sql }) => {
      await repository(exhibits).insertMany([
        { title: 'light', weight: '1' },
        { title: 'heavy', weight: '150' },
        { title: 'heavier', weight: '200' },
      ])
      await sql`insert into lines values ('2026-01-01', 'a'), ('2026-01-02', 'b')`
      await sql`refresh materialized view totals`
      const heavies = await repository(heavy).list({ where: { doubled: { gt: '300' } }, orderBy: { title: 'asc' } })
      expect(heavies.rows).toMatchObject([{ title: 'heavier', doubled: '400.0000000000' }])
      expect(heavies).toMatchObject({ next: undefined, previous: undefined })
      expect(await repository(heavy).count()).toBe(2)
      expect(await repository(totals).find({ exhibits: 3 })).toEqual({ rooms: null, exhibits: 3 })
      expect(await repository(lines).list({ orderBy: { at: 'desc' }, limit: 1 })).toMatchObject({
        rows: [{ line: 'b' }],
      })
      expect((await all(repository(lines).stream({ where: { line: 'a' } }))).length).toBe(1)
      await expect(repository(lines).list({ after: 'x' })).rejects.toThrow('has no key')
      const page = await repository(titles).list({ limit: 2 })
      expect(page.rows.map(({ title }) => title)).toEqual(['light', 'heavy'])
      const rest = await repository(titles).list({ limit: 2, after: page.next })
      expect(rest.rows.map(({ title }) => title)).toEqual(['heavier'])
      expect(await repository(titles).get(page.rows[1]?.id ?? 0n)).toMatchObject({ title: 'heavy' })
      const keys = [rest.rows[0]?.id ?? 0n, 1n]
      expect(await repository(titles).getMany(keys)).toMatchObject({ rows: [{ title: 'heavier' }], missing: [1n] })
    })
  })
})

describe('stream', () => {
  test('yields every row in the order asked for, also with batches smaller than the result', async () => {
    await run(async (session) => {
      const rows = Array.from({ length: 2500 }, (_, uses) => ({ word: `w${uses}`, uses }))
      await session.repository(words).insertMany(rows)
      const seen: number[] = []
      const options = { where: { uses: { gte: 500 } }, orderBy: { uses: 'desc' }, batchSize: 300 } as const
      for await (const { uses } of session.repository(words).stream({ ...options, select: ['uses'] })) seen.push(uses)
      expect(seen).toEqual(Array.from({ length: 2000 }, (_, index) => 2499 - index))
      for await (const _ of session.repository(words).stream()) break
      expect(await session.repository(words).count()).toBe(2500)
    })
  })

  test('of wrong options fails where its rows are awaited, like every operation', async () => {
    await run(async ({ repository }) => {
      const { stream } = repository(words)
      const streams = [
        stream({ where: { uses: undefined as never } }),
        stream({ lmit: 1 } as never),
        stream(null as never),
      ]
      for (const rows of streams) await expect(all(rows)).rejects.toThrow(UsageError)
      for (const batchSize of [0, 1.5, '5' as never]) {
        await expect(all(stream({ batchSize }))).rejects.toMatchObject({ code: 'invalid_input', path: ['batchSize'] })
      }
      await expect(all(stream({ where: { uses: 0.5 } }))).rejects.toThrow(InvalidInput)
    })
  })
})

describe('concurrently', () => {
  test('40 upserts of one key make one row, and each is answered with it', async () => {
    await using ten = await openToy(10)
    const upsert = () =>
      ten.engine.session(({ repository }) => repository(words).upsert({ word: 'x', uses: 1 }, { update: [] }))
    const rows = await Promise.all(Array.from({ length: 40 }, upsert))
    expect(new Set(rows.map(({ seen }) => seen)).size).toBe(1)
  })

  test('statements of one session are pipelined and answered to their own callers', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      await repo.insertMany([{ word: 'a' }, { word: 'b' }])
      const answers = [repo.get('a'), repo.list(), repo.count(), repo.update('b', { uses: 4 }), repo.load('b')] as const
      const [a, page, count, updated, loaded] = await Promise.all(answers)
      expect([a.word, page.rows.length, count, updated.uses, loaded.uses]).toEqual(['a', 2, 2, 4, 4])
    })
  })

  test('a repository of a session that has ended refuses to work', async () => {
    const repo = await run(async ({ repository }) => repository(words))
    for (const late of [repo.get('a'), repo.list(), repo.load('a'), repo.insert({ word: 'a' })]) {
      await expect(late).rejects.toMatchObject({ code: 'session_ended' })
    }
  })
})

describe('names of an object that are no columns', () => {
  test('are refused, wherever they come from', async () => {
    await run(async ({ repository }) => {
      const repo = repository(words)
      const polluted = JSON.parse('{"word":"p","__proto__":{"uses":3}}') as { word: string }
      await expect(repo.insert(polluted)).rejects.toThrow(UsageError)
      await expect(repo.find(polluted)).rejects.toThrow(UsageError)
      await expect(repo.find({ constructor: 1 } as never)).rejects.toThrow(UsageError)
      await expect(repo.list({ orderBy: { toString: 'asc' } as never })).rejects.toThrow(UsageError)
      await expect(repo.list({ with: { constructor: true } as never })).rejects.toThrow(UsageError)
    })
  })
})

describe('behind a transaction pooler', () => {
  test('everything works without named statements', async () => {
    await using pooled = await openEngine({ schema, url: toy.url, pooler: 'transaction', pool: { max: 1 } })
    await pooled.session(async ({ repository }) => {
      const repo = repository(schema.samples)
      const values = { aBoolean: true, aDate: new Date(0), integers: [1], aJsonb: { a: 1 } }
      const row = await repo.insert(values)
      expect(await repo.get(row.id)).toEqual(row)
      expect(await repo.list({ where: { aBoolean: true, id: { in: [row.id] } }, count: true })).toMatchObject({
        count: 1,
      })
      expect(await repo.insertMany([values, values])).toMatchObject([values, values])
      expect(await repo.getMany([row.id, -1])).toEqual({ rows: [row], missing: [-1] })
    })
  })
})

describe('lock', () => {
  test('works in a transaction only, holds others off, and answers the row', async () => {
    await using two = await openToy(2)
    await two.engine.session(({ repository }) => repository(words).insert({ word: 'a' }))
    await two.engine.session(async ({ repository }) => {
      await expect(repository(words).lock('a', 'update')).rejects.toThrow('lock needs a transaction')
    })
    await two.engine.transaction(async ({ repository }) => {
      expect((await repository(words).lock('a', 'update')).word).toBe('a')
      await expect(repository(words).lock('none', 'share')).rejects.toThrow(NotFound)
      await two.engine.transaction(async (other) => {
        expect(await other.repository(words).lock('a', 'no key update', { skipLocked: true })).toBeUndefined()
        await expect(
          other.transaction((nested) => nested.repository(words).lock('a', 'share', { nowait: true })),
        ).rejects.toThrow(LockTimeout)
        expect((await other.repository(words).get('a')).word).toBe('a')
      })
      await expect(repository(words).lock('a', 'table' as never)).rejects.toThrow(UsageError)
    })
  })
})

describe('names', () => {
  test('follow the casing of the engine where the schema leaves them out', async () => {
    const things = pgTable('cased_things', {
      thingId: integer().primaryKey().generatedAlwaysAsIdentity(),
      theName: text().notNull(),
      parentThing: integer(),
    })
    const thingsRelations = relations(things, ({ one }) => ({
      parent: one(things, { fields: [things.parentThing], references: [things.thingId] }),
    }))
    await using cased = await openEngine({ schema: { things, thingsRelations }, url: toy.url, casing: 'snake_case' })
    await cased.session(async ({ sql, repository }) => {
      await sql`create table if not exists cased_things
        (thing_id integer primary key generated always as identity, the_name text not null, parent_thing integer)`
      const [first, second] = await repository(things).insertMany([{ theName: 'a' }, { theName: 'b' }])
      await repository(things).update(second?.thingId ?? 0, { parentThing: first?.thingId ?? 0 })
      const page = await repository(things).list({
        where: { theName: 'b' },
        orderBy: { theName: 'desc' },
        with: { parent: true },
      })
      expect(page.rows).toEqual([{ thingId: 2, theName: 'b', parentThing: 1, parent: first }])
      expect(
        await repository(things)
          .upsert({ theName: 'c' }, { on: 'theName' })
          .catch((error) => error.code),
      ).toBe('usage')
    })
  })

  test('of operations can be taken off their repository, in a domain repository too', async () => {
    const wordsOf = defineRepository(words, (base) => ({ find: (word: string) => base.get(word) }))
    await run(async (session) => {
      const { insert, list, count } = session.repository(words)
      await insert({ word: 'a' })
      expect((await list()).rows).toHaveLength(await count())
      const { get, find } = wordsOf(session)
      expect(await get('a')).toEqual(await find('a'))
      await expect(find('none')).rejects.toThrow(NotFound)
    })
  })
})

describe('sessions', () => {
  test('every operation works in a session, a transaction and a gather, on a pool of one', async () => {
    const task = async ({ repository }: ToySession, name: string) => {
      const repo = repository(words)
      await repo.insert({ word: name })
      await repo.upsert({ word: name, uses: 1 })
      await repo.update(name, { uses: 2 })
      await repo.insertMany([{ word: `${name}1` }, { word: `${name}2`, uses: 9 }])
      const [loaded, page] = [
        await repo.load(name),
        await repo.list({ where: { word: { like: `${name}%` } }, count: true }),
      ]
      expect(loaded.uses).toBe(2)
      expect(page.count).toBe(3)
      expect(await all(repo.stream({ where: { word: name } }))).toHaveLength(1)
      await repo.remove(name)
      await repo.removeWhere({ word: { like: `${name}%` } })
      return repo.count()
    }
    expect(await engine.session((session) => task(session, 's'))).toBe(0)
    expect(await engine.transaction((session) => task(session, 't'))).toBe(0)
    const { a, b } = await engine.gather({ a: (session) => task(session, 'a'), b: (session) => task(session, 'b') })
    expect([a, b]).toEqual([0, 0])
    expect(engine.stats()).toMatchObject({ open: 1, leased: 0 })
  })
})
