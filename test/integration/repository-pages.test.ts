import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Engine } from '../../src/engine.ts'
import { InvalidInput, UsageError } from '../../src/errors.ts'
import type { Direction } from '../../src/repository/types/table-types.ts'
import { openToy, type Toy } from '../support/toy.ts'
import * as schema from '../support/toy-schema.ts'
import { exhibits, rates, samples, words } from '../support/toy-schema.ts'

let toy: Toy
let engine: Engine<typeof schema>

beforeAll(async () => {
  toy = await openToy()
  engine = toy.engine
})

afterAll(async () => {
  await toy[Symbol.asyncDispose]()
})

const directions: readonly Direction[] = [
  'asc',
  'desc',
  'asc nulls first',
  'asc nulls last',
  'desc nulls first',
  'desc nulls last',
]

interface Item {
  readonly title: string
  readonly rank: number | null
  readonly weight: string | null
}

const item: fc.Arbitrary<Item> = fc.record({
  title: fc.constantFrom('a', 'b', 'C'),
  rank: fc.option(fc.integer({ min: 0, max: 2 })),
  weight: fc.option(fc.constantFrom('1.0000000000', '2.5000000000', '-1.0000000000')),
})

const order = fc
  .uniqueArray(fc.tuple(fc.constantFrom('title', 'rank', 'weight', 'id'), fc.constantFrom(...directions)), {
    selector: ([column]) => column,
    maxLength: 4,
  })
  .map((terms) => terms.map(([column, direction]) => ({ [column]: direction })))

describe('pages', () => {
  test('in any order, forwards and backwards, are the whole list cut into pieces', async () => {
    await engine.session(({ sql }) => sql`truncate exhibits cascade`)
    await fc.assert(
      fc.asyncProperty(
        fc.array(item, { maxLength: 12 }),
        order,
        fc.integer({ min: 1, max: 5 }),
        async (items, orderBy, limit) => {
          await engine.session(async ({ repository, sql }) => {
            await sql`delete from exhibits`
            const repo = repository(exhibits)
            await repo.insertMany(items)
            const whole = await repo.list({ orderBy, count: true })
            expect(whole.count).toBe(items.length)
            expect(whole.next).toBeUndefined()

            const forwards = []
            let page = await repo.list({ orderBy, limit })
            expect(page.previous).toBeUndefined()
            forwards.push(...page.rows)
            while (page.next) {
              page = await repo.list({ orderBy, limit, after: page.next, count: true })
              expect(page.count).toBe(items.length)
              forwards.push(...page.rows)
            }
            expect(forwards).toEqual(whole.rows)

            const backwards = [...page.rows]
            while (page.previous) {
              page = await repo.list({ orderBy, limit, before: page.previous })
              expect(page.next).toBeDefined()
              backwards.unshift(...page.rows)
            }
            expect(backwards).toEqual(whole.rows)
          })
        },
      ),
      { numRuns: 60 },
    )
  }, 60_000)

  test('stay in place while rows are inserted and removed, also the row at the cursor', async () => {
    await engine.session(async ({ repository }) => {
      const repo = repository(words)
      await repo.insertMany(['b', 'd', 'f', 'h', 'j'].map((word) => ({ word })))
      const first = await repo.list({ limit: 2 })
      await repo.remove('d')
      await repo.insertMany([{ word: 'a' }, { word: 'e' }])
      const second = await repo.list({ limit: 2, after: first.next })
      expect(second.rows.map(({ word }) => word)).toEqual(['e', 'f'])
      const back = await repo.list({ limit: 2, before: second.previous })
      expect(back.rows.map(({ word }) => word)).toEqual(['a', 'b'])
      await repo.removeWhere({ word: { gt: 'f' } })
      const end = await repo.list({ limit: 2, after: second.next })
      expect(end.rows).toEqual([])
      expect(end.next).toBeUndefined()
      const again = await repo.list({ limit: 2, before: end.previous })
      expect(again.rows.map(({ word }) => word)).toEqual(['e', 'f'])
    })
  })

  test('hold exact values: microseconds, digits, infinity and NaN tie as the server says', async () => {
    await engine.session(async ({ repository, sql }) => {
      await sql`truncate samples`
      await sql`insert into samples (an_instant, a_double, a_numeric) select
        '2026-01-01 00:00:00+00'::timestamptz + (n % 7) * interval '1 microsecond',
        (array['NaN', 'Infinity', '-Infinity', '0.1', '0.30000000000000004'])[n % 5 + 1]::float8,
        (array['NaN', '1.0', '1.00', '1.0000000000000000000001'])[n % 4 + 1]::numeric
        from generate_series(1, 40) n`
      for (const column of ['anInstant', 'aDouble', 'aNumeric'] as const) {
        for (const direction of directions) {
          const orderBy = [{ [column]: direction }, { id: 'desc' as const }]
          const whole = (await repository(samples).list({ orderBy, select: ['id'] })).rows
          const pieces = []
          let after: string | undefined
          do {
            const page = await repository(samples).list({ orderBy, limit: 3, after, select: ['id'] })
            pieces.push(...page.rows)
            after = page.next
          } while (after)
          expect(pieces, `${column} ${direction}`).toEqual(whole)
        }
      }
    })
  })

  test('by an array, an enum, a boolean, bytes or a composite key work as well', async () => {
    await engine.session(async ({ repository, sql }) => {
      await sql`truncate samples`
      await repository(samples).insertMany(
        Array.from({ length: 12 }, (_, index) => ({
          integers: index % 5 === 0 ? null : [index % 3, 1],
          texts: [`"${index % 2}`, 'x,{}'],
          aMood: (['sad', 'ok', 'happy'] as const)[index % 3] ?? null,
          aBoolean: index % 4 === 0 ? null : index % 2 === 0,
          aBytea: new Uint8Array([index % 2, 255]),
          aDate: new Date(Date.UTC(2026, 0, index % 4)),
          aMoney: new schema.Money(BigInt(index % 3)),
        })),
      )
      for (const column of ['integers', 'texts', 'aMood', 'aBoolean', 'aBytea', 'aDate', 'aMoney'] as const) {
        const orderBy = { [column]: 'desc' as const }
        const whole = (await repository(samples).list({ orderBy })).rows
        const first = await repository(samples).list({ orderBy, limit: 5 })
        const rest = await repository(samples).list({ orderBy, after: first.next })
        expect([...first.rows, ...rest.rows], column).toEqual(whole)
      }
      await repository(rates).insertMany(
        [1, 2, 3, 4].map((day) => ({ day: `2026-01-0${day}`, factor: '1.10', mood: 'ok' as const })),
      )
      const first = await repository(rates).list({ limit: 3, orderBy: { factor: 'asc' } })
      const second = await repository(rates).list({ limit: 3, orderBy: { factor: 'asc' }, after: first.next })
      expect([...first.rows, ...second.rows].map(({ day }) => day.at(-1))).toEqual(['1', '2', '3', '4'])
    })
  })

  test('a cursor that is malformed, of another table or of another order is InvalidInput', async () => {
    await engine.session(async ({ repository }) => {
      await repository(exhibits).insertMany([{ title: 'a' }, { title: 'b' }])
      await repository(words).insertMany([{ word: 'p' }, { word: 'q' }])
      const { next } = await repository(exhibits).list({ limit: 1, orderBy: { title: 'asc' } })
      const other = await repository(words).list({ limit: 1, orderBy: { word: 'asc' } })
      const cursor = next ?? ''
      const broken = [
        '',
        'x',
        'null',
        cursor.slice(1),
        cursor.slice(0, -2),
        `${cursor}AAAA`,
        cursor.slice(0, 20) + (cursor[20] === 'A' ? 'B' : 'A') + cursor.slice(21),
        other.next ?? '',
        Buffer.from('[]').toString('base64url'),
      ]
      for (const after of broken) {
        const error = await repository(exhibits)
          .list({ orderBy: { title: 'asc' }, after })
          .catch((reason: unknown) => reason)
        expect(error, after).toBeInstanceOf(InvalidInput)
        expect(error).toMatchObject({ path: ['after'] })
      }
      for (const orderBy of [{ title: 'desc' }, { id: 'asc' }, { title: 'asc nulls first' }] as const) {
        await expect(repository(exhibits).list({ orderBy, after: cursor })).rejects.toThrow(InvalidInput)
        await expect(repository(exhibits).list({ orderBy, before: cursor })).rejects.toThrow(InvalidInput)
      }
      await expect(repository(exhibits).list({ after: 5 as never })).rejects.toThrow(InvalidInput)
      const both = repository(exhibits).list({ orderBy: { title: 'asc' }, after: cursor, before: cursor })
      await expect(both).rejects.toThrow(UsageError)
    })
  })

  test('an order of an unknown column or direction is a UsageError', async () => {
    await engine.session(async ({ repository }) => {
      for (const orderBy of [
        { nothing: 'asc' },
        { word: 'up' },
        { word: 'asc; drop' },
        [{ word: 'asc' }, { word: 'desc' }],
        'word',
      ]) {
        await expect(repository(words).list({ orderBy: orderBy as never })).rejects.toThrow(UsageError)
      }
    })
  })

  test('count and rows agree on an empty page too', async () => {
    await engine.session(async ({ repository }) => {
      const repo = repository(words)
      await repo.insert({ word: 'zz' })
      const total = await repo.count()
      const last = await repo.list({ orderBy: { word: 'desc' }, limit: 1 })
      await repo.removeWhere({ word: { lt: 'zz' } })
      const empty = await repo.list({ orderBy: { word: 'desc' }, after: last.next, count: true })
      expect(empty).toMatchObject({ rows: [], count: 1 })
      expect(total).toBeGreaterThan(1)
      expect(await repo.list({ where: { word: 'none' }, count: true })).toMatchObject({ rows: [], count: 0 })
    })
  })
})
