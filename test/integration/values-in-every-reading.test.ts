/**
 * The same value, however it is read: for every type that Drizzle declares, its array and its array of arrays, what was
 * written is what every way of reading answers.
 */
import { eq, relations, sql } from 'drizzle-orm'
import { type AnyPgColumn, integer, type PgColumnBuilderBase, type PgTable, pgTable } from 'drizzle-orm/pg-core'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine.ts'
import type { Database } from '../../src/drizzle/driver.ts'
import { defineQuery } from '../../src/repository/define-query.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'
import { mood, ownTypes, type ValueKind, valueKinds } from '../support/value-kinds.ts'

/** A row of a type's table; without arrays where the type has none. */
interface Row {
  readonly id: number
  readonly up: number
  readonly one: unknown
  readonly many?: unknown
  readonly grid?: unknown
}

interface Shape {
  readonly kind: ValueKind
  readonly key: string
  readonly ddl: string
  readonly schema: Record<string, unknown>
  readonly table: PgTable & Record<string, AnyPgColumn>
}

function shapeOf(kind: ValueKind, index: number): Shape {
  const key = `t${index}`
  // The type of a row does not matter here, and every type's is another.
  const column = kind.column as (
    name: string,
  ) => PgColumnBuilderBase & { array(): PgColumnBuilderBase & { array(): PgColumnBuilderBase } }
  const arrays = kind.arrays === false ? {} : { many: column('many').array(), grid: column('grid').array().array() }
  const table = pgTable(key, { id: integer('id').primaryKey(), up: integer('up'), one: column('one'), ...arrays })
  const { id, up } = table
  const related = relations(table, ({ one, many }) => ({
    parent: one(table, { fields: [up], references: [id], relationName: 'up' }),
    children: many(table, { relationName: 'up' }),
  }))
  const rest = kind.arrays === false ? '' : `, many ${kind.type}[], grid ${kind.type}[][]`
  return {
    kind,
    key,
    ddl: `create table ${key} (id integer primary key, up integer, one ${kind.type}${rest});`,
    schema: { [key]: table, [`${key}Relations`]: related },
    table: table as never,
  }
}

const shapes = valueKinds.map(shapeOf)
const schema: Record<string, unknown> = Object.assign({ mood }, ...shapes.map((shape) => shape.schema))

let database: TestDatabase
let engine: Engine<typeof schema>
beforeAll(async () => {
  const ddl = [ownTypes, ...shapes.map((shape) => shape.ddl)].join('\n')
  database = await openTestDatabase(scriptTemplate('same_value', ddl))
  engine = await openEngine({ schema, url: database.url, pool: { max: 1 } })
})
afterAll(async () => {
  await engine.close()
  await database[Symbol.asyncDispose]()
})

const rowsOf = ({ values, arrays }: ValueKind): fc.Arbitrary<Row> => {
  const element = fc.option(values, { freq: 4 })
  const many = fc.array(element, { maxLength: 4 })
  const grid = fc
    .integer({ min: 1, max: 3 })
    .chain((width) =>
      fc.array(fc.array(element, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 3 }),
    )
  const all =
    arrays === false ? { one: values } : { one: fc.option(values), many: fc.option(many), grid: fc.option(grid) }
  return fc.record(all).map((row) => ({ id: 1, up: 1, ...row }) as Row)
}

/** Calls `map` on every value of a row that is not NULL. */
function eachValue({ id, up, ...values }: Row, map: (value: unknown) => unknown): Row {
  const deep = (value: unknown, depth: number): unknown => {
    if (value === null) return null
    return depth > 0 ? (value as unknown[]).map((inner) => deep(inner, depth - 1)) : map(value)
  }
  const depths = { one: 0, many: 1, grid: 2 }
  const mapped = Object.entries(values).map(([name, value]) => [name, deep(value, depths[name as keyof typeof depths])])
  return { id, up, ...(Object.fromEntries(mapped) as Omit<Row, 'id' | 'up'>) }
}

type Session = Parameters<Parameters<Engine<typeof schema>['session']>[0]>[0]
type Related = Row & { readonly parent: Row; readonly children: readonly Row[] }

/** Every way of reading the one row of a table; `db` ways of it with the relation to itself. */
async function readings(session: Session, { table, key, kind }: Shape): Promise<Record<string, unknown>> {
  const { db, repository } = session
  const columns = kind.arrays === false ? ['id', 'up', 'one'] : ['id', 'up', 'one', 'many', 'grid']
  const repo = repository(table as never) as never as {
    get(key: number): Promise<Row>
    list(options: object): Promise<{ rows: readonly Related[] }>
    stream(): AsyncIterable<Row>
  }
  const query = (db.query as never as Record<string, Queries>)[key] as Queries
  const listed = (await repo.list({ with: { parent: true, children: true } })).rows[0] as Related
  const found = (await query.findFirst({ with: { parent: true, children: { with: { parent: true } } } })) as Related
  const chosen = (
    await query.findMany({ columns: { up: false }, with: { parent: { columns: { one: true } } } })
  )[0] as Related
  const extras = (await query.findFirst({
    columns: {},
    with: { parent: { extras: { two: sql<number>`2`.as('two'), same: sql`${table['one']}`.as('same') } } },
  })) as Related
  const [inJson] = await session.sql<{ json: string }>(template(`select to_json(one)::text as json from ${key}`))
  const plain = sql.join(
    columns.map((name) => sql.identifier(name)),
    sql`, `,
  )
  const all = sql<Row>`select ${plain} from ${table}`
  const expressions = Object.fromEntries(columns.map((name) => [name, sql`${table[name]}`]))
  const mapped = Object.fromEntries(
    columns.map((name) => [name, sql`${table[name]}`.mapWith(table[name] as AnyPgColumn)]),
  )
  const { fromPlain = (value: unknown) => value } = kind
  const ofPlain = (row: unknown) => eachValue(row as Row, fromPlain as (value: unknown) => unknown)
  const one = chosen.parent.one
  const { two, same, ...withExtra } = extras.parent as Row & { two: number; same: unknown }
  expect(two).toBe(2)
  expect(same).toEqual(expressionOf(inJson?.json ?? 'null'))
  return {
    repository: await repo.get(1),
    'repository.stream': (await collected(repo.stream()))[0],
    'repository with': listed.parent,
    'repository with many': listed.children[0],
    'db.select': (await db.select().from(table))[0],
    'db.select, joined': (
      (await db
        .select()
        .from(table)
        .leftJoin(sql`(select 1) other`, sql`true`)) as unknown as Record<string, unknown>[]
    )[0]?.[key],
    'db.query': rowOf(found, columns),
    'db.query with one': found.parent,
    'db.query with many': rowOf(found.children[0] as Related, columns),
    'db.query with many with one': (found.children[0] as Related).parent,
    'db.query with chosen columns': { ...rowOf({ ...chosen, up: 1 }, columns), one },
    'db.query with an extra': withExtra,
    'db.select of expressions': ofPlain((await db.select(expressions).from(table))[0]),
    'db.select of mapped expressions': (await db.select(mapped).from(table))[0],
    'db.execute': ofPlain((await db.execute(all))[0]),
    sql: ofPlain((await session.sql(template(`select ${columns.join(', ')} from ${key}`)))[0]),
    'stream of a select': (await collected(session.stream(db.select().from(table) as never)))[0],
    'stream of a relational query': rowOf(
      (await collected(session.stream(query.findMany({ with: { parent: true } }) as never)))[0] as Related,
      columns,
    ),
    'stream of a fragment': ofPlain((await collected(session.stream(all)))[0]),
    defineQuery: (await defined(key, table)(session as never))[0],
    'defineQuery with': (await definedWith(key)(session as never))?.parent,
  }
}

/** An expression in a related row is what JSON makes of it; only whole numbers that JavaScript would round are text. */
function expressionOf(json: string): unknown {
  return /^-?\d+$/.test(json) && !Number.isSafeInteger(Number(json)) ? json : (JSON.parse(json) as unknown)
}

interface Queries {
  findFirst(options: object): PromiseLike<unknown> & { prepare(name: string): unknown }
  findMany(options: object): PromiseLike<unknown[]> & { prepare(name: string): unknown }
}

function rowOf(related: Related, columns: readonly string[]): object {
  return Object.fromEntries(columns.map((name) => [name, related[name as keyof Row]]))
}

const selects = new Map<string, (session: never) => Promise<Row[]>>()
function defined(key: string, table: Shape['table']) {
  const known =
    selects.get(key) ??
    defineQuery(
      (db: Database) =>
        db
          .select()
          .from(table)
          .where(eq(table['id'] as never, 1)) as never,
    )
  selects.set(key, known as never)
  return known as unknown as (session: never) => Promise<Row[]>
}

const relationals = new Map<string, (session: never) => Promise<Related | undefined>>()
function definedWith(key: string) {
  const known =
    relationals.get(key) ??
    defineQuery(
      (db: Database) =>
        (db.query as never as Record<string, Queries>)[key]?.findFirst({ with: { parent: true } }) as never,
    )
  relationals.set(key, known as never)
  return known as unknown as (session: never) => Promise<Related | undefined>
}

async function collected<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const row of rows) all.push(row)
  return all
}

/** A text as the tag of a template gets it. */
function template(text: string): TemplateStringsArray {
  return Object.assign([text], { raw: [text] })
}

/** Runs a task whose writes are undone. */
async function undone(task: (session: Session) => Promise<void>): Promise<void> {
  const done = new Error('undone')
  await engine
    .transaction(async (session) => {
      await task(session as never)
      throw done
    })
    .catch((error: unknown) => {
      if (error !== done) throw error
    })
}

async function expectEverywhere(session: Session, shape: Shape, row: Row): Promise<void> {
  const read = await readings(session, shape)
  expect(read).toEqual(Object.fromEntries(Object.keys(read).map((way) => [way, row])))
}

/** Rows that every run tries first: one of each value, with all in arrays. */
const always = ({ always = [], arrays }: ValueKind): [Row][] =>
  always.map((one) => [{ id: 1, up: 1, one, ...(arrays === false ? {} : { many: always, grid: [always] }) }])

const runs = (kind: ValueKind, examples = always(kind)) => ({ numRuns: 8 + examples.length, examples })

describe.each(shapes.map((shape) => [shape.kind.name, shape] as const))('%s', (_, shape) => {
  const { kind, table } = shape

  test('written by a repository is read the same in every way', async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf(kind), (row) =>
        undone(async (session) => {
          const inserted = await (session.repository(table as never) as { insert(row: Row): Promise<Row> }).insert(row)
          expect(inserted).toEqual(row)
          await expectEverywhere(session, shape, row)
        }),
      ),
      runs(kind),
    )
  })

  test('written by Drizzle is read the same in every way', async () => {
    const { insert = () => true, insertArrays } = kind
    const written = rowsOf(kind)
      .map((row) => (insertArrays === false ? { ...row, many: null, grid: null } : row))
      .filter((row) => {
        let all = true
        eachValue(row, (value) => (all &&= insert(value)))
        return all
      })
    await fc.assert(
      fc.asyncProperty(written, (row) =>
        undone(async (session) => {
          const [inserted] = await session.db
            .insert(table)
            .values(row as never)
            .returning()
          expect(inserted).toEqual(row)
          await expectEverywhere(session, shape, row)
          // What was read is written back unchanged.
          const [read] = (await session.db.select().from(table)) as unknown as Row[]
          await session.db
            .update(table)
            .set(read as never)
            .where(eq(table['id'] as never, 1))
          await expectEverywhere(session, shape, row)
        }),
      ),
      runs(kind),
    )
  })
})

test.each([
  ['a numeric', 'n::numeric(12, 2)', ['2.00', '2.25', '10.50', '-0.00', '1e9']],
  ['an average', '(select avg(x) from (values (n::numeric), (n::numeric + 1)) v (x))', ['2', '2.5', '-1.25']],
  ['a value in jsonb', `jsonb_build_object('price', n::jsonb)->'price'`, ['1.10', '1', '2.0', '1e3']],
  ['a double', 'n::double precision', ['2', '1e25', '1e-7']],
])('%s in a related row has the same type, whatever its value', async (_, expression, texts) => {
  const { table, key } = shapes.find(({ kind }) => kind.name === 'text') as Shape
  await undone(async ({ db }) => {
    for (const text of texts) {
      await db.delete(table)
      await db.insert(table).values({ id: 1, up: 1, one: text } as never)
      const query = (db.query as never as Record<string, Queries>)[key] as Queries
      const [before = '', ...after] = expression.split('n::')
      const parts = after.map((part) => sql`${table['one']}::${sql.raw(part)}`)
      const value = sql<number>`${sql.raw(before)}${sql.join(parts, sql.raw(''))}`.mapWith(Number).as('value')
      const found = (await query.findFirst({ with: { parent: { extras: { value } } } })) as {
        parent: { value: unknown }
      }
      expect(found.parent.value).toBeTypeOf('number')
    }
  })
})
