/** Columns of types of the user's own can be filtered, ordered and paged by, and be keys, as any other. */
import { relations, sql } from 'drizzle-orm'
import { customType, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import { ownTables } from '../support/own-tables.ts'

const own = (type: string) => customType<{ data: string }>({ dataType: () => type })

interface Type {
  readonly name: string
  readonly type: string
  /** In ascending order. */
  readonly values: readonly [string, string, string, string]
}

const types: readonly Type[] = [
  { name: 'a composite', type: 'pair_t', values: ['(1,a)', '(1,"b c")', '(2,)', '(10,a)'] },
  { name: 'a composite of another schema', type: 'hidden_t', values: ['(1)', '(2)', '(3)', '(10)'] },
  { name: 'a domain of a composite', type: 'pair_domain_t', values: ['(1,a)', '(1,b)', '(2,a)', '(10,a)'] },
  { name: 'an enum', type: 'mood', values: ['sad', 'ok', 'a,b', String.raw`c:\temp`] },
  { name: 'a domain of numbers', type: 'amount_t', values: ['1.5', '2', '3.25', '10'] },
  { name: 'citext', type: 'citext', values: ['a', 'B', 'c', 'D'] },
  { name: 'a range', type: 'int4range', values: ['[1,2)', '[1,5)', '[2,3)', '[10,20)'] },
  { name: 'bytes', type: 'bytea', values: ['\\x01', '\\x0102', '\\x02', '\\xff'] },
]

const shapes = types.map((type, index) => {
  const rows = pgTable(`rows_${index}`, {
    id: integer('id').primaryKey(),
    value: own(type.type)('value').notNull(),
    maybe: own(type.type)('maybe'),
  })
  const keyed = pgTable(`keyed_${index}`, { value: own(type.type)('value').primaryKey(), note: text('note') })
  const related = relations(rows, ({ one }) => ({
    keyed: one(keyed, { fields: [rows.value], references: [keyed.value] }),
  }))
  const onServer = type.type === 'hidden_t' ? 'elsewhere.hidden_t' : type.type
  const ddl = `
    create table rows_${index} (id integer primary key, value ${onServer} not null, maybe ${onServer});
    create table keyed_${index} (value ${onServer} primary key, note text);`
  return {
    type,
    rows,
    keyed,
    ddl,
    schema: { [`rows${index}`]: rows, [`keyed${index}`]: keyed, [`related${index}`]: related },
  }
})

/** Types without an order, or, as hstore, with one that no `<` tells. */
const unordered = ['hstore', 'point', 'json', 'xml'].map((type, index) => {
  const table = pgTable(`unordered_${index}`, { id: integer('id').primaryKey(), value: own(type)('value') })
  return { type, table, ddl: `create table unordered_${index} (id integer primary key, value ${type});` }
})

const ddl = String.raw`
create schema elsewhere;
create type pair_t as (a integer, b text);
create type elsewhere.hidden_t as (a integer);
create domain pair_domain_t as pair_t;
create type mood as enum ('sad', 'ok', 'a,b', 'c:\temp');
create domain amount_t as numeric;
create extension citext;
create extension hstore;
${[...shapes, ...unordered].map(({ ddl }) => ddl).join('')}`

const schema: Record<string, unknown> = Object.assign(
  {},
  ...shapes.map((shape) => shape.schema),
  ...unordered.map(({ type, table }) => ({ [type]: table })),
)
const { undone } = ownTables('own_types', ddl, schema)

/** Bytes are bytes for their type, and for the rows that are read. */
const given = (type: string, value: string): unknown => (type === 'bytea' ? Buffer.from(value.slice(2), 'hex') : value)

describe.each(shapes.map((shape) => [shape.type.name, shape] as const))('%s', (_, { type, rows }) => {
  const values = type.values.map((value) => given(type.type, value)) as [never, never, never, never]
  const [first, second, third, last] = values

  test('can be filtered by', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(rows)
      for (const [index, value] of values.entries()) await repo.insert({ id: index + 1, value })
      const ids = async (where: object) => (await repo.list({ where: where as never })).rows.map(({ id }) => id)
      expect(await ids({ value: { eq: second } })).toEqual([2])
      expect(await ids({ value: { ne: second } })).toEqual([1, 3, 4])
      expect(await ids({ value: { in: [first, last] } })).toEqual([1, 4])
      expect(await ids({ value: { notIn: [first, last] } })).toEqual([2, 3])
      expect(await ids({ value: { gt: first, lt: last } })).toEqual([2, 3])
      expect(await ids({ not: { value: { gte: second, lte: third } } })).toEqual([1, 4])
      await repo.updateWhere({ value: { eq: first } } as never, { maybe: second })
      expect(await ids({ maybe: { eq: second } })).toEqual([1])
      await repo.updateWhere({ value: { eq: second } } as never, { maybe: third })
      expect(await ids({ maybe: { isNull: true } })).toEqual([3, 4])
      expect(await ids({ maybe: { isNull: false } })).toEqual([1, 2])
    })
  })

  test('can be ordered and paged by, in both directions, with NULLs among the values', async () => {
    await undone(async ({ repository }) => {
      const repo = repository(rows)
      const maybe = [first, null, third, null]
      for (const [index, value] of values.entries()) {
        await repo.insert({ id: index + 1, value, maybe: maybe[index] as never })
      }
      for (const orderBy of [
        { value: 'asc' },
        { value: 'desc' },
        { maybe: 'asc' },
        { maybe: 'desc' },
        [{ maybe: 'asc' }, { value: 'desc' }],
      ] as const) {
        const whole = (await repo.list({ orderBy } as never)).rows
        const paged: unknown[] = []
        let page = await repo.list({ orderBy, limit: 1 } as never)
        for (;;) {
          paged.push(...page.rows)
          if (page.next === undefined) break
          page = await repo.list({ orderBy, limit: 1, after: page.next } as never)
        }
        expect(paged).toEqual(whole)
        expect((await repo.list({ orderBy, limit: 1, before: page.previous } as never)).rows).toEqual(
          whole.slice(-2, -1),
        )
      }
      const ordered = (await repo.list({ orderBy: { value: 'desc' } } as never)).rows.map(({ id }) => id)
      expect(ordered).toEqual([4, 3, 2, 1])
    })
  })
})

// Keys travel as JSON in the types that the schema names, which the search path must show.
const shown = shapes.filter(({ type }) => type.type !== 'hidden_t')

describe.each(shown.map((shape) => [shape.type.name, shape] as const))('%s', (_, { type, rows, keyed }) => {
  const values = type.values.map((value) => given(type.type, value)) as [never, never, never, never]
  const [first, second, , last] = values

  test('can be a key, of a relation as well', async () => {
    await undone(async ({ repository, db }) => {
      const repo = repository(keyed)
      await repo.insertMany(values.map((value) => ({ value, note: 'new' })))
      expect(await repo.get(second)).toEqual({ value: second, note: 'new' })
      expect((await repo.getMany([last, first])).rows.map(({ value }) => value)).toEqual([last, first])
      expect(await repo.update(second, { note: 'updated' })).toMatchObject({ note: 'updated' })
      const changed = [last, first].map((value, n) => ({ value, note: `changed ${n}` }))
      expect(await repo.updateMany(changed)).toEqual(changed)
      expect(await repo.upsert({ value: second, note: 'upserted' })).toMatchObject({ note: 'upserted' })
      await repository(rows).insert({ id: 1, value: second })
      const related = await repository(rows).list({ with: { keyed: true } } as never)
      expect(related.rows).toMatchObject([{ keyed: { value: second, note: 'upserted' } }])
      const own = [{ id: 1, value: first, maybe: last }]
      expect(await repository(rows).updateMany(own)).toEqual(own)
      await repo.remove(second)
      expect(await repo.exists(second)).toBe(false)
      expect(await db.select({ n: sql`count(*)::int` }).from(keyed)).toEqual([{ n: 3 }])
    })
  })
})

test('an index on a composite column serves a filter and the next page', async () => {
  await undone(async ({ repository, sql: plain }) => {
    const [{ rows }] = shapes as [(typeof shapes)[number]]
    await plain`create index on rows_0 (value, id)`
    await plain`insert into rows_0 select n, row (n, 'x')::pair_t from generate_series(1, 5000) n`
    await plain`analyze rows_0`
    const { next } = await repository(rows).list({ orderBy: { value: 'asc' }, limit: 1 })
    await repository(rows).list({ orderBy: { value: 'asc' }, limit: 1, after: next })
    await plain`set local enable_seqscan = on`
    const [statement] = await plain<{ text: string }>`
      select statement as text from pg_prepared_statements where statement like '%rows_0%case when false%' limit 1`
    expect(statement?.text).toContain('"rows_0"')
    const plan = await plain<{ 'QUERY PLAN': string }>`
      explain (costs off) select * from rows_0 where value = case when false then value else '(77,x)' end`
    expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toMatch(/Index/)
  })
})

test.each(unordered)('an order by $type is refused at the first page', async ({ type, table }) => {
  for (const count of [false, true]) {
    await undone(async ({ repository }) => {
      const listed = repository(table).list({ orderBy: { value: 'desc' }, limit: 1, count } as never)
      await expect(listed).rejects.toThrow(UsageError)
      await expect(listed).rejects.toThrow(`in the order of value, id: values of the type ${type} cannot be compared`)
    })
  }
})
