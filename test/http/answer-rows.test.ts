/** How many rows one answer may have: counted with their relations, refused before they are read, for all routes alike. */
import { relations } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { drizzleOf, type Engine, openEngine } from '../../src/engine.ts'
import { createApp } from '../../src/http/app.ts'
import { planOf } from '../../src/repository/query/table-plan.ts'
import { taskSessionOf } from '../../src/repository/session.ts'
import { TableRepository } from '../../src/repository/table-repository.ts'
import { AnswerBudget, TooManyRows } from '../../src/resource/answer-budget.ts'
import { resource } from '../../src/resource/resource.ts'
import { Admin } from '../support/admin.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'
import { type Send, sender } from '../support/http-client.ts'
import { expectQuiet } from '../support/invariants.ts'

const things = pgTable('things', { id: integer('id').primaryKey(), name: text('name').notNull() })
const notes = pgTable('notes', {
  id: integer('id').primaryKey(),
  thingId: integer('thing_id').references(() => things.id),
})
const thingRelations = relations(things, ({ many }) => ({ notes: many(notes) }))
const noteRelations = relations(notes, ({ one }) => ({
  thing: one(things, { fields: [notes.thingId], references: [things.id] }),
}))
const schema = { things, notes, thingRelations, noteRelations }

// The first has 1,000 notes, the next two 3 each, the last none; a note has no thing.
const ddl = `
create table things (id integer primary key, name text not null);
create table notes (id integer primary key, thing_id integer references things);
insert into things select n, 'thing ' || n from generate_series(1, 4) n;
insert into notes select n, 1 from generate_series(1, 1000) n;
insert into notes select 1000 + n, 2 + n % 2 from generate_series(1, 6) n;
insert into notes values (2000, null);
`

let database: TestDatabase
let engine: Engine<typeof schema>
let admin: Admin

beforeAll(async () => {
  database = await openTestDatabase(scriptTemplate('answer-rows', ddl))
  engine = await openEngine({ schema, url: database.url, pool: { max: 4 } })
  admin = new Admin(database.url)
})
afterAll(async () => {
  await engine.close()
  await admin[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const asker = (maxRows?: number): Send =>
  sender(createApp(engine, { resources: [resource(things), resource(notes)], maxRows }))

/** Rows of an answer: the objects with an id. */
function rowsIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return Object.values(value).reduce((sum: number, member) => sum + rowsIn(member), 'id' in value ? 1 : 0)
}

const wayBack = 'with=notes(with:thing(with:notes(with:thing)))'

describe('an answer', () => {
  test.each([
    '/things',
    '/things?limit=2',
    '/things/2?with=notes',
    '/things/4?with=notes',
    '/notes/2000?with=thing',
    '/notes/1001?with=thing(with:notes)',
    '/notes?sort=-id&limit=8&with=thing',
    `/things/3?${wayBack}`,
    `/things?id[in]=2,3,4&${wayBack}`,
    '/things?id[gte]=2&with=notes(limit:2;with:thing(select:id))&count=true',
  ])('has as many rows as it may, and not one more: %s', async (path) => {
    const { status, json } = await asker()('GET', path)
    expect(status).toBe(200)
    const rows = rowsIn(json)
    expect((await asker(rows)('GET', path)).json).toEqual(json)
    const refused = await asker(rows - 1)('GET', path)
    // The row of a path alone is always answered.
    expect([refused.status, refused.json.code]).toEqual([422, 'too_many_rows'])
    expect(refused.json.detail).toMatch(`more than ${rows - 1} rows`)
  })

  test('of a relation and back is refused before what it comes to is read', async () => {
    const send = asker()
    for (const path of [`/things/1?${wayBack}`, `/things?${wayBack}`, `/notes?limit=500&with=thing(with:notes)`]) {
      const { status, json } = await send('GET', path)
      expect([status, json.code]).toEqual([422, 'too_many_rows'])
      expect(json.detail).toBe(
        'the answer would have more than 10000 rows, related ones included: ask for fewer relations, or give the list and its relations a smaller limit',
      )
    }
    expect((await send('GET', '/things/1?with=notes(limit:20;with:thing(with:notes(limit:20)))')).status).toBe(200)
    await expectQuiet(engine, admin)
  })

  test('that is refused has read one row more than it may have, of each relation', async () => {
    await engine.session(async (session) => {
      const task = taskSessionOf(session)
      const run = vi.spyOn(task, 'run')
      const repository = new TableRepository(task, planOf(drizzleOf(engine), things), new AnswerBudget(100))
      const read = repository.list({ limit: 10, with: { notes: { limit: 1000, with: { thing: true } } } })
      await expect(read).rejects.toThrow(TooManyRows)
      const answered = (await Promise.all(run.mock.results.map(({ value }) => value))) as readonly unknown[][]
      expect(answered.map((rows) => rows.length)).toEqual([4, 97])
    })
  })
})

describe('a gather', () => {
  test('has as many rows as one answer, and what is beyond is refused', async () => {
    const queries = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`q${index}`, '/things/2?with=notes']))
    const { status, json } = await asker(40)('POST', '/gather', { queries, concurrency: 1 })
    expect(status).toBe(200)
    const answers = Object.values(json as Record<string, { status: number; body: { code?: string } }>)
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(10)
    const refused = answers.filter((answer) => answer.status !== 200)
    expect(new Set(refused.map((answer) => `${answer.status} ${answer.body.code}`))).toEqual(
      new Set(['422 too_many_rows']),
    )
  })

  test.each([{}, { snapshot: true }])(
    'of the longest ways back is an answer, not the end of the process (%j)',
    async (more) => {
      const queries = Object.fromEntries(
        Array.from({ length: 20 }, (_, index) => [`q${index}`, index === 7 ? '/things/2' : `/things/1?${wayBack}`]),
      )
      const { status, json } = await asker()('POST', '/gather', { queries, ...more })
      expect(status).toBe(200)
      for (const [name, answer] of Object.entries(json as Record<string, { status: number }>))
        expect(answer.status).toBe(name === 'q7' ? 200 : 422)
      await expectQuiet(engine, admin)
    },
  )
})
