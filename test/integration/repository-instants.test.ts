/** Filters by Date compare what rows show: a Date has milliseconds, PostgreSQL keeps microseconds. */
import * as fc from 'fast-check'
import { integer, pgTable, primaryKey, timestamp } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { conventions } from '../../src/repository/types/conventions.ts'
import { countRows } from '../../src/repository/operations/find.ts'
import { planOf } from '../../src/repository/query/table-plan.ts'
import { taskSessionOf } from '../../src/repository/session.ts'
import { ownTables } from '../support/own-tables.ts'

const ddl = `
  create table moments (id integer primary key, zoned timestamptz, plain timestamp, "some" timestamptz(4), few timestamptz(3));
  create index on moments (zoned);
  create table keyed (id integer, at timestamptz, primary key (id, at))`

const moments = pgTable('moments', {
  id: integer('id').primaryKey(),
  zoned: timestamp('zoned', { withTimezone: true }),
  plain: timestamp('plain'),
  some: timestamp('some', { withTimezone: true, precision: 4 }),
  few: timestamp('few', { withTimezone: true, precision: 3 }),
})
const keyed = conventions(
  pgTable('keyed', { id: integer('id').notNull(), at: timestamp('at', { withTimezone: true }).notNull() }, (table) => [
    primaryKey({ columns: [table.id, table.at] }),
  ]),
  { key: ['id', 'at'] },
)

const { undone } = ownTables('instants', ddl, { moments, keyed })

const columns = ['zoned', 'plain', 'some', 'few'] as const

/** A few milliseconds with all their microseconds, so that they meet: of today, of before 1970 and of before Christ. */
const instant = fc
  .tuple(
    fc.constantFrom('2026-02-28 23:59:59', '1969-12-31 23:59:59', '0044-03-15 00:00:00'),
    fc.constantFrom('998', '999'),
    fc.constantFrom('000', '001', '456', '999'),
  )
  .map(([second, ms, us]) => `${second}.${ms}${us}+00${second.startsWith('0') ? ' BC' : ''}`)

const operators: Readonly<Record<string, (shown: number, given: number) => boolean>> = {
  eq: (shown, given) => shown === given,
  ne: (shown, given) => shown !== given,
  gt: (shown, given) => shown > given,
  gte: (shown, given) => shown >= given,
  lt: (shown, given) => shown < given,
  lte: (shown, given) => shown <= given,
}

describe('a filter by the Date of a row', () => {
  test('finds the rows that show such a Date, whatever else the column holds', async () => {
    await undone(async ({ repository, sql }) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(instant, { minLength: 1, maxLength: 8 }),
          fc.constantFrom(...columns),
          fc.constantFrom(...Object.keys(operators)),
          async (instants, column, name) => {
            await sql`delete from moments`
            await sql`insert into moments select n, at, at at time zone 'UTC', at, at
              from unnest(${instants}::timestamptz[]) with ordinality given (at, n)`
            const { rows } = await repository(moments).list()
            const shown = rows.map((row) => (row[column] as Date).getTime())
            const ids = async (condition: object) => {
              const found = await repository(moments).list({ where: { [column]: condition } })
              return found.rows.map(({ id }) => id)
            }
            const expected = (holds: (at: number) => boolean) =>
              rows.filter((_, index) => holds(shown[index] as number)).map(({ id }) => id)
            const [given = 0] = shown
            const holds = operators[name] as (typeof operators)[string]
            expect(await ids({ [name]: new Date(given) })).toEqual(expected((at) => holds(at, given)))
            const several = shown.slice(0, 2).map((at) => new Date(at))
            const among = (at: number) => several.some((date) => date.getTime() === at)
            expect(await ids({ in: several })).toEqual(expected(among))
            expect(await ids({ notIn: several })).toEqual(expected((at) => !among(at)))
          },
        ),
      )
    })
  })

  test('is true of no NULL, and knows the last Date there is', async () => {
    await undone(async ({ repository, sql }) => {
      const last = new Date(8_640_000_000_000_000)
      await sql`insert into moments (id, zoned) values (1, ${last}), (2, null), (3, 'infinity')`
      const count = (zoned: object) => repository(moments).count({ zoned })
      expect(await count({ eq: last })).toBe(1)
      expect(await count({ in: [last] })).toBe(1)
      expect(await count({ ne: last })).toBe(1)
      expect(await count({ notIn: [last] })).toBe(1)
      expect(await count({ gt: last })).toBe(1)
      expect(await count({ in: [] })).toBe(0)
    })
  })

  test.each([{ eq: new Date(0) }, { in: [new Date(0), new Date(5)] }, { gt: new Date(0) }])(
    'is served by an index: %j',
    async (zoned) => {
      await undone(async (session) => {
        await session.sql`insert into moments (id, zoned) select n, to_timestamp(n) from generate_series(1, 1000) n`
        await session.sql`set local enable_seqscan = off`
        // The plan of the very statement, as a server that explains everything reports it.
        const explained: string[] = []
        const explaining = {
          drizzle: taskSessionOf(session).drizzle,
          run: async (text: string, parameters: readonly unknown[]) => {
            const rows = await taskSessionOf(session).run<{ 'QUERY PLAN': string }[]>(`explain ${text}`, parameters)
            explained.push(...rows.map((row) => row['QUERY PLAN']))
            return []
          },
        }
        await countRows(explaining as never, planOf(taskSessionOf(session).drizzle, moments), { zoned }, {})
        expect(explained.join('\n')).toMatch(/Index Cond: .*zoned/)
      })
    },
  )
})

test('a key with more digits than its Date is NotFound, which says why', async () => {
  await undone(async ({ repository, sql }) => {
    await sql`insert into keyed values (1, '2026-01-01 00:00:00.123456Z'), (1, '2026-01-01 00:00:00.5Z')`
    const { rows } = await repository(keyed).list()
    await expect(repository(keyed).get(rows[0] as never)).rejects.toThrow(/at .*microseconds.*precision: 3/)
    expect(await repository(keyed).get(rows[1] as never)).toEqual(rows[1])
  })
})
