/** Properties of any name: a statement that is kept is never taken for that of other columns. */
import * as fc from 'fast-check'
import { integer, pgTable, primaryKey } from 'drizzle-orm/pg-core'
import { expect, test } from 'vitest'
import { conventions } from '../../src/repository/types/conventions.ts'
import { ownTables } from '../support/own-tables.ts'

/** What the names of statements put between those of columns, and columns that are named so. */
const names = [
  'a',
  'b',
  'a,b',
  'b,a',
  'a a',
  'a al,b',
  'a.eq&b',
  'a.eq|b',
  '"a"',
  'a=1,b',
  'a/b',
  'b//',
  'a:b',
  'é',
  '\\',
]

const ddl = `create table odd (${names.map((_, n) => `c${n} integer not null`).join(', ')}, primary key (c0, c1));
  insert into odd select n % 2, n / 2, ${names
    .slice(2)
    .map((_, n) => `(n / ${n + 1}) % 3`)
    .join(', ')}
    from generate_series(0, 23) n`

const odd = conventions(
  pgTable('odd', Object.fromEntries(names.map((name, n) => [name, integer(`c${n}`).notNull()])), (table) => [
    primaryKey({ columns: [table['a']!, table['b']!] }),
  ]),
  { key: ['a', 'b'] },
)

const tables = ownTables('property_names', ddl, { odd })

type OddRow = Readonly<Record<string, number>>

const some = fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 3 })

test('of any name are selected, filtered and ordered by as themselves', async () => {
  await tables.engine.session(async ({ repository }) => {
    const rows = repository(odd)
    const all = (await rows.list()).rows as OddRow[]
    const [, , , , fifth = {}] = all
    const key = { a: fifth['a'] as number, b: fifth['b'] as number }
    await fc.assert(
      fc.asyncProperty(some, async (chosen) => {
        const selected = Object.fromEntries(chosen.map((name) => [name, fifth[name]]))
        expect(await rows.get(key, { select: chosen })).toEqual(selected)
        const alike = all.filter((row) => chosen.every((name) => row[name] === fifth[name]))
        expect(await rows.count(selected as OddRow)).toBe(alike.length)
        expect(await rows.find({ or: chosen.map((name) => ({ [name]: fifth[name] as number })) })).toEqual(
          all.find((row) => chosen.some((name) => row[name] === fifth[name])),
        )
        const { rows: ordered } = await rows.list({ orderBy: chosen.map((name) => ({ [name]: 'asc' as const })) })
        const inOrder = all.toSorted((one, other) => {
          const first = [...chosen, 'a', 'b'].find((name) => one[name] !== other[name]) ?? 'a'
          return (one[first] as number) - (other[first] as number)
        })
        expect(ordered).toEqual(inOrder)
      }),
      // Whatever else, those that were taken for each other.
      { numRuns: 50, examples: [['a', 'b'], ['a,b'], ['a.eq&b'], ['a.eq|b'], ['a al,b']].map((chosen) => [chosen]) },
    )
  })
})
