/** `withTestDatabase`: its fixtures have the settings that are given for engines, and mistakes are told where it is called. */
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { afterAll, describe, expect, inject, test as base } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import type { Observation } from '../../src/observe/observation.ts'
import type { TestDatabaseOptions } from '../../src/testing/test-database.ts'
import { withTestDatabase } from '../../src/testing/with-test-database.ts'
import { makeFolder } from '../support/migrations.ts'

const notes = pgTable('notes', { id: integer().primaryKey(), firstLine: text().notNull() })
const schema = { notes }
const url = inject('serverUrl')
const migrations = await makeFolder({
  '0000_notes': 'create table notes (id int primary key, first_line text not null)',
})
afterAll(() => migrations[Symbol.asyncDispose]())

const observed: Observation[] = []
const test = withTestDatabase(base, {
  schema,
  url,
  migrations: migrations.folder,
  engine: {
    casing: 'snake_case',
    applicationName: 'notes of a test',
    pool: { max: 2 },
    observe: (observation) => observed.push(observation),
  },
  seed: {
    run: (engine) =>
      engine.session(({ db, repository }) =>
        Promise.all([
          repository(notes).insert({ id: 1, firstLine: 'by a repository' }),
          db.insert(notes).values({ id: 2, firstLine: 'by Drizzle' }),
        ]),
      ),
    files: [new URL(import.meta.url)],
  },
})

describe('the settings for engines hold', () => {
  test('for the seed and the engine', async ({ engine }) => {
    const rows = await engine.session(({ db }) => db.select().from(notes).orderBy(notes.id))
    expect(rows.map(({ firstLine }) => firstLine)).toEqual(['by a repository', 'by Drizzle'])
    const named = engine.session(({ sql }) => sql`select current_setting('application_name') as name`)
    expect(await named).toEqual([{ name: 'notes of a test' }])
    expect(engine.stats().max).toBe(2)
    expect(observed).toContainEqual(expect.objectContaining({ type: 'session.acquired' }))
  })

  test('for the sandbox', async ({ sandbox }) => {
    await sandbox.session(({ repository }) => repository(notes).insert({ id: 3, firstLine: 'third' }))
    const rows = await sandbox.session(({ db }) => db.query.notes.findMany({ orderBy: notes.id }))
    expect(rows.map(({ firstLine }) => firstLine)).toEqual(['by a repository', 'by Drizzle', 'third'])
    const named = sandbox.session(({ sql }) => sql`select current_setting('application_name') as name`)
    expect(await named).toEqual([{ name: 'notes of a test' }])
  })
})

describe('mistakes are told where it is called', () => {
  const given = { schema, url, migrations: migrations.folder }
  const call = withTestDatabase as (...given: readonly unknown[]) => unknown

  base.each<[string, readonly unknown[], new (...given: never) => Error]>([
    ["withTestDatabase takes the test function of 'vitest'", [], UsageError],
    ["withTestDatabase takes the test function of 'vitest'", [given], UsageError],
    ['withTestDatabase takes options: { migrations', [base], UsageError],
    ['migrations must be the folder', [base, { schema }], UsageError],
    ['withTestDatabase has no option casing', [base, { ...given, casing: 'snake_case' }], UsageError],
    ['withTestDatabase.engine has no option url', [base, { ...given, engine: { url } }], UsageError],
    ['the options of withTestDatabase.engine are an object', [base, { ...given, engine: 'snake_case' }], UsageError],
  ])('%s', (message, args, kind) => {
    expect(() => call(...args)).toThrow(message)
    expect(() => call(...args)).toThrow(kind)
  })

  base('a setting of engines that cannot be is one that the type refuses', () => {
    // @ts-expect-error The database is the file's own.
    const options: TestDatabaseOptions = { migrations: migrations.folder, engine: { url } }
    expect(() => call(base, options)).toThrow(UsageError)
  })
})
