import { sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import { conventions } from '../../src/repository/types/conventions.ts'
import { readFilter } from '../../src/repository/query/filter.ts'
import {
  maxStatements,
  slot,
  CompiledStatement,
  StatementCache,
  Values,
} from '../../src/repository/query/compiled-statement.ts'
import { planOf } from '../../src/repository/query/table-plan.ts'
import { createDrizzle } from '../../src/drizzle/driver.ts'
import * as toy from '../support/toy-schema.ts'

const drizzle = createDrizzle(toy)
const statement = (text: string) => new CompiledStatement(drizzle, sql.raw(text))

describe('the cache of statements', () => {
  test('renders a shape once', () => {
    const cache = new StatementCache()
    let rendered = 0
    const create = () => {
      rendered += 1
      return statement('select 1')
    }
    expect(cache.of('a', create)).toBe(cache.of('a', create))
    expect(rendered).toBe(1)
  })

  test(`keeps ${maxStatements} at most, and forgets the least recently used first`, () => {
    const cache = new StatementCache()
    const shapes = Array.from({ length: maxStatements }, (_, index) => `shape ${index}`)
    for (const shape of shapes) cache.of(shape, () => statement(shape))
    cache.of('shape 0', () => statement('rendered again'))
    for (const shape of ['new 1', 'new 2']) cache.of(shape, () => statement(shape))
    expect(cache.size).toBe(maxStatements)
    expect(cache.of('shape 0', () => statement('rendered again')).text).toBe('shape 0')
    expect(cache.of('shape 1', () => statement('rendered again')).text).toBe('rendered again')
  })
})

describe('a statement', () => {
  test('puts values where they stand, also twice, beside fixed ones', () => {
    const mixed = new CompiledStatement(drizzle, sql`select ${slot(1)}, ${'fixed'}, ${slot(0)}, ${slot(1)}`)
    expect(mixed.text).toBe('select $1, $2, $3, $4')
    expect(mixed.parameters(['a', 'b'])).toEqual(['b', 'fixed', 'a', 'b'])
  })
})

describe('the shape of a filter', () => {
  const plan = planOf(drizzle, toy.exhibits)
  const read = (where: unknown) => {
    const values = new Values()
    return { shape: readFilter(plan, where, values).shape, values: values.all }
  }

  test('does not change with its values, nor with the length of a list', () => {
    expect(read({ rank: 1, title: { in: ['a'] } }).shape).toBe(read({ rank: 2, title: { in: ['b', 'c', 'd'] } }).shape)
    expect(read({ rank: { in: [] } }).values).toEqual([[]])
  })

  test('tells apart what means something else', () => {
    const filters = [
      {},
      { rank: 1 },
      { rank: null },
      { rank: { ne: 1 } },
      { title: 'a' },
      { rank: 1, title: 'a' },
      { title: 'a', rank: 1 },
      { or: [{ rank: 1 }, { title: 'a' }] },
      { and: [{ rank: 1 }, { title: 'a' }] },
      { not: { rank: 1, title: 'a' } },
      { not: { rank: 1 }, title: 'a' },
      { or: [{ rank: 1, title: 'a' }] },
      { or: [{ or: [{ rank: 1 }] }, { title: 'a' }] },
    ]
    const shapes = new Set(filters.map((where) => read(where).shape))
    expect(shapes.size).toBe(filters.length)
  })
})

describe('conventions', () => {
  test('stay with the table, which stays the same value', () => {
    const table = pgTable('t', { id: integer('id').primaryKey(), version: integer('version').notNull() })
    expect(conventions(table, { version: 'version' })).toBe(table)
    expect(planOf(drizzle, table).version?.property).toBe('version')
    expect(() => conventions(table, { version: 'version' })).toThrow(UsageError)
  })

  test('that do not exist are refused at once', () => {
    const table = pgTable('t', { id: integer('id').primaryKey(), version: integer('version').notNull() })
    expect(() => conventions(table, { verison: 'version' } as never)).toThrow('conventions has no option verison')
  })

  test('that the table cannot keep are refused when its first repository is made', () => {
    const table = () =>
      pgTable('t', { id: integer('id').primaryKey(), name: text('name'), at: integer('at').notNull() })
    for (const promises of [{ version: 'name' }, { removedAt: 'at' }, { updatedAt: 'name' }, { key: ['name'] }]) {
      expect(() => planOf(drizzle, conventions(table(), promises as never))).toThrow(UsageError)
    }
    expect(() => planOf(drizzle, conventions(table(), { key: ['gone' as 'id'] }))).toThrow('no column "gone"')
  })
})
