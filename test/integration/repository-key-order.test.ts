/** In which order a list comes that is given none or a part of one: the key's, as its index has it, and no row is lost. */
import { eq } from 'drizzle-orm'
import { integer, pgTable, pgView, primaryKey, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { conventions } from '../../src/repository/types/conventions.ts'
import { listRows, type PlainListOptions } from '../../src/repository/operations/list.ts'
import type { RepositoryRunner } from '../../src/repository/query/repository-runner.ts'
import { planOf } from '../../src/repository/query/table-plan.ts'
import { taskSessionOf } from '../../src/repository/session.ts'
import { ownTables } from '../support/own-tables.ts'

const ddl = `
  create table members (person int, community int, note text, primary key (community, person));
  insert into members select n % 100, n / 100, 'x' from generate_series(0, 9999) n;
  create table writers (id int primary key);
  create table works (id int primary key, writer_id int not null, title text not null);
  create view written as select writers.id, works.title from writers left join works on works.writer_id = writers.id;
  create view titled as select id, title from works;
  insert into writers select generate_series(1, 6);
  insert into works select n, n, 'work ' || n from generate_series(1, 3) n;
  create index on works (title, id);
  analyze members, writers, works`

// As drizzle-kit pulls it: the columns of a composite key are not said to be NOT NULL.
const members = pgTable(
  'members',
  { person: integer('person'), community: integer('community'), note: text('note') },
  (table) => [primaryKey({ columns: [table.community, table.person] })],
)
const writers = pgTable('writers', { id: integer('id').primaryKey() })
const works = pgTable('works', {
  id: integer('id').primaryKey(),
  writerId: integer('writer_id').notNull(),
  title: text('title').notNull(),
})
const written = conventions(
  pgView('written').as((query) =>
    query.select({ id: writers.id, title: works.title }).from(writers).leftJoin(works, eq(works.writerId, writers.id)),
  ),
  { key: ['id'] },
)
const titled = conventions(
  pgView('titled').as((query) => query.select({ id: works.id, title: works.title }).from(works)),
  { key: ['id'] },
)

const { undone } = ownTables('key_order', ddl, { members, writers, works, written, titled })

type Session = Parameters<Parameters<typeof undone>[0]>[0]

/** The plan of the page that `options` ask for, and what it answers. */
async function planned(session: Session, source: typeof members | typeof titled, options: PlainListOptions) {
  const plans: string[] = []
  const explaining = {
    drizzle: taskSessionOf(session).drizzle,
    run: async (text: string, parameters: readonly unknown[], options: object, read?: (rows: never) => unknown) => {
      // What an index could do is asked, not what is cheaper for a few pages of disk.
      await taskSessionOf(session).run('set local enable_seqscan = off', [])
      const rows = await taskSessionOf(session).run<{ 'QUERY PLAN': string }[]>(`explain ${text}`, parameters)
      plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'))
      return taskSessionOf(session).run(text, parameters, options, read as never)
    },
  }
  const page = await listRows(
    explaining as unknown as RepositoryRunner,
    planOf(taskSessionOf(session).drizzle, source),
    options,
  )
  return { page, plan: plans.join('\n') }
}

describe('a composite key', () => {
  test('orders a list as it is declared, not as the columns stand in the table', async () => {
    await undone(async ({ repository }) => {
      const { rows } = await repository(members).list({ limit: 3 })
      expect(rows.map(({ community, person }) => [community, person])).toEqual([
        [0, 0],
        [0, 1],
        [0, 2],
      ])
      expect(await repository(members).find({ community: { gt: 0 } })).toMatchObject({ community: 1, person: 0 })
    })
  })

  test.each(['after', 'before'] as const)('has a page %s a cursor read from its index', async (side) => {
    await undone(async (session) => {
      const first = await planned(session, members, { limit: 2 })
      const second = await planned(session, members, { limit: 2, after: first.page.next })
      expect(second.page.rows).toMatchObject([
        { community: 0, person: 2 },
        { community: 0, person: 3 },
      ])
      const cursor = side === 'after' ? second.page.next : second.page.previous
      const { plan } = await planned(session, members, { limit: 2, [side]: cursor })
      expect(plan).toMatch(/Index Scan (?:Backward )?using members_pkey/)
      expect(plan).toMatch(/Index Cond: \(ROW\(community, person\) [<>] ROW\(/)
      expect(plan).not.toContain('Sort')
    })
  })
})

describe('a view', () => {
  test('has every row on its pages where a join leaves columns of a table out', async () => {
    await undone(async ({ repository }) => {
      const ids: number[] = []
      let after: string | undefined
      do {
        const page = await repository(written).list({ orderBy: { title: 'asc' }, limit: 2, after })
        ids.push(...page.rows.map(({ id }) => id))
        after = page.next
      } while (after !== undefined)
      expect(ids).toEqual([1, 2, 3, 4, 5, 6])
    })
  })

  test('of one table has a page after a cursor read from its index', async () => {
    await undone(async (session) => {
      const first = await planned(session, titled, { orderBy: { title: 'asc' }, limit: 1 })
      const { plan } = await planned(session, titled, { orderBy: { title: 'asc' }, limit: 1, after: first.page.next })
      expect(plan).toMatch(/Index Cond: \(ROW\((?:works\.)?title, (?:works\.)?id\) > ROW\(/)
    })
  })
})
