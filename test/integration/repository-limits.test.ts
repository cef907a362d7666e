/** Filters and relations that go round in circles, or on and on: refused with what to do, before anything is sent. */
import { relations } from 'drizzle-orm'
import { customType, integer, pgTable } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import type { Where } from '../../src/repository/types/table-types.ts'
import { planOf } from '../../src/repository/query/table-plan.ts'
import { taskSessionOf } from '../../src/repository/session.ts'
import { ownTables } from '../support/own-tables.ts'

const ddl = `create table nodes (id integer primary key, parent_id integer);
  insert into nodes select n, n - 1 from generate_series(1, 10) n`

const nodes = pgTable('nodes', { id: integer('id').primaryKey(), parentId: integer('parent_id') })
const nodesRelations = relations(nodes, ({ one, many }) => ({
  parent: one(nodes, { fields: [nodes.parentId], references: [nodes.id], relationName: 'tree' }),
  children: many(nodes, { relationName: 'tree' }),
}))

const { undone } = ownTables('limits', ddl, { nodes, nodesRelations })

type Filter = Where<typeof nodes>

/** A filter in others, `depth` of them, in each of the ways that filters stand in filters. */
function nested(depth: number): Filter {
  let filter: Filter = { id: { lte: 3 } }
  for (let level = 0; level < depth; level++) {
    const ways: Filter[] = [{ or: [{ id: 9 }, filter] }, { and: [filter, { id: { gt: 0 } }] }]
    filter = ways[level % 2] as Filter
  }
  return filter
}

function circle(): Filter {
  const filter: { or: Filter[] } = { or: [{ id: 1 }] }
  filter.or.push({ not: filter })
  return filter
}

describe('a filter', () => {
  test('may stand a hundred deep in others', async () => {
    await undone(async ({ repository }) => {
      expect(await repository(nodes).count(nested(100))).toBe(4)
    })
  })

  test.each([
    ['deeper', () => nested(101)],
    ['ten thousand deep', () => nested(10_000)],
    ['in itself', circle],
  ])('%s is a UsageError of every operation that takes one', async (_case, filter) => {
    await undone(async ({ repository }) => {
      const rows = repository(nodes)
      const where = filter()
      const calls: (() => Promise<unknown>)[] = [
        () => rows.count(where),
        () => rows.find(where),
        () => rows.exists(where),
        () => rows.list({ where }),
        () => rows.list({ with: { children: { where } } }),
        () => rows.updateWhere(where, { parentId: null }),
        () => rows.removeWhere(where),
        () => rows.stream({ where }).next(),
      ]
      for (const call of calls) {
        const failed: unknown = await Promise.resolve()
          .then(call)
          .catch((error: unknown) => error)
        expect(failed).toBeInstanceOf(UsageError)
        expect((failed as Error).message).toMatch(/deep.*side by side/)
      }
      expect(await rows.count({})).toBe(10)
    })
  })

  test('may have thousands of alternatives, and is then neither kept nor prepared', async () => {
    await undone(async (session) => {
      const { repository, sql } = session
      const { drizzle } = taskSessionOf(session)
      const prepared = async () => {
        const rows = await sql<{ statement: string }>`select statement from pg_prepared_statements`
        return rows.filter(({ statement }) => statement.includes('from "nodes"')).length
      }
      const preparedBefore = await prepared()
      const { statements } = planOf(drizzle, nodes)
      const before = statements.size
      const wide = Array.from({ length: 3000 }, (_, id) => ({ id, parentId: { ne: 5 } }))
      expect(await repository(nodes).count({ or: wide })).toBe(9)
      expect(statements.size).toBe(before)
      expect(await prepared()).toBe(preparedBefore)
      expect(await repository(nodes).count({ or: wide.slice(0, 4) })).toBe(3)
      expect(statements.size).toBe(before + 1)
      expect(await prepared()).toBe(preparedBefore + 1)
    })
  })

  test('with more values than a statement takes says how to write it', async () => {
    await undone(async ({ repository }) => {
      const wide = Array.from({ length: 100_000 }, (_, id) => ({ id }))
      await expect(repository(nodes).count({ or: wide })).rejects.toThrow(/65533 values.*in: \[/)
      expect(await repository(nodes).count({ id: { in: wide.map(({ id }) => id) } })).toBe(10)
    })
  })

  test('with more values than a statement takes is refused before any of them is read', async () => {
    let read = 0
    const counting = customType<{ data: number; driverData: string }>({
      dataType: () => 'integer',
      toDriver: (value) => {
        read += 1
        return String(value)
      },
    })
    const counted = pgTable('nodes', { id: counting('id').primaryKey() })
    await undone(async ({ repository }) => {
      const { count } = repository(counted)
      const wide = Array.from({ length: 70_000 }, (_, id) => ({ id }))
      const half = wide.slice(0, 35_000)
      for (const where of [
        { or: wide },
        { and: [{ or: half }, { not: { or: half } }] },
        { or: [{ or: wide }, { id: 1 }] },
      ]) {
        await expect(count(where as never)).rejects.toThrow(/65533 values/)
      }
      expect(read).toBe(0)
      expect(await count({ or: wide.slice(0, 5) } as never)).toBe(4)
      expect(read).toBe(5)
    })
  })

  test('that stands in itself twice is a UsageError at once', async () => {
    const filter: { or: Filter[] } = { or: [] }
    filter.or.push(filter, filter)
    await undone(async ({ repository }) => {
      await expect(repository(nodes).count(filter)).rejects.toThrow(UsageError)
    })
  })
})

test('relations that are loaded in themselves are a UsageError', async () => {
  await undone(async ({ repository }) => {
    const tree: { children?: { with: object } } = {}
    tree.children = { with: tree }
    const failed: unknown = await repository(nodes)
      .list({ with: tree as never })
      .catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(UsageError)
    expect((failed as Error).message).toMatch(/with of nodes .*deep/)
  })
})
