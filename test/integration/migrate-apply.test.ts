/** applyMigrations: the ledger shared with Drizzle, files that fail, files without a transaction, refusals. */
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate as drizzleMigrate } from 'drizzle-orm/postgres-js/migrator'
import postgres from 'postgres'
import { describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { Cancelled } from '../../src/errors.ts'
import {
  applyMigrations,
  checkMigrations,
  type MigrationProgress,
  migrationStatus,
  planMigrations,
} from '../../src/migrate/index.ts'
import {
  firstWhen,
  ledgerRows,
  makeFolder,
  openEmptyDatabase,
  rowsOf,
  thrownBy,
  writeJournal,
} from '../support/migrations.ts'

const three = {
  '0000_init': 'create table t (id int primary key);--> statement-breakpoint\ncreate table u (id int primary key);',
  '0001_name': 'alter table t add column name text;',
  '0002_mood': "create type mood as enum ('fine');",
}

async function withDrizzle(url: string, folder: string): Promise<void> {
  const { host, port, user, password, database } = parseDatabaseUrl(url)
  const client = postgres({ host, port, user, password, database, max: 1, onnotice: () => undefined })
  try {
    await drizzleMigrate(drizzle(client), { migrationsFolder: folder })
  } finally {
    await client.end()
  }
}

describe('the ledger', () => {
  test('after Rivulet is what Drizzle would have written, and Drizzle finds nothing to do', async () => {
    await using ours = await openEmptyDatabase()
    await using theirs = await openEmptyDatabase()
    await using project = await makeFolder(three)
    const { applied } = await applyMigrations(ours.url, project)
    await withDrizzle(theirs.url, project.folder)
    expect(applied.map(({ name }) => name)).toEqual(Object.keys(three))
    expect(await ledgerRows(ours.url)).toEqual(await ledgerRows(theirs.url))
    await withDrizzle(ours.url, project.folder)
    expect(await ledgerRows(ours.url)).toHaveLength(3)
  })

  test('that Drizzle wrote is taken over without a baseline', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(three)
    await withDrizzle(database.url, project.folder)
    expect(await applyMigrations(database.url, project)).toEqual({ applied: [], ahead: [] })
    await project.write({ '0003_more': 'create table w (id int);' })
    expect((await applyMigrations(database.url, project)).applied.map(({ name }) => name)).toEqual(['0003_more'])
    await withDrizzle(database.url, project.folder)
    expect((await migrationStatus(database.url, project)).state).toBe('up to date')
  })

  test('may have another schema and name, as in the Drizzle config', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(three)
    const source = { folder: project.folder, ledger: { schema: 'my "own', table: 'done' } }
    await applyMigrations(database.url, source)
    expect(await rowsOf(database.url, 'select count(*)::int from "my ""own".done')).toEqual([[3]])
    expect((await migrationStatus(database.url, source)).state).toBe('up to date')
  })

  test('of one project does not meddle with that of another in the same schema', async () => {
    await using database = await openEmptyDatabase()
    await using one = await makeFolder({
      '0000_init': '-- rivulet:no-transaction\ncreate table a (id int); select 1/0',
    })
    await using two = await makeFolder({ '0000_init': '-- rivulet:no-transaction\ncreate table b (id int)' })
    const ledger = (table: string) => ({ ledger: { schema: 'ledgers', table } })
    await thrownBy(applyMigrations(database.url, { ...one, ...ledger('one') }))
    expect((await applyMigrations(database.url, { ...two, ...ledger('two') })).applied).toHaveLength(1)
    await applyMigrations(database.url, { ...two, ...ledger('x'.repeat(63)) }).catch(() => undefined)
    expect(
      await rowsOf(database.url, "select tablename from pg_tables where tablename ~ '__rivulet' order by 1"),
    ).toEqual([[expect.stringMatching(/^__rivulet_[0-9a-f]{32}$/)], ['__rivulet_one'], ['__rivulet_two']])
  })

  test('is not needed to look: status, plan and check change nothing', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(three)
    expect((await migrationStatus(database.url, project)).state).toBe('pending')
    expect(await planMigrations(database.url, { ...project, to: '1' })).toMatchObject([
      { name: '0000_init', transactional: true, statements: [{ line: 1 }, { line: 2 }] },
      { name: '0001_name' },
    ])
    await expect(checkMigrations(database.url, project)).rejects.toMatchObject({ reason: 'pending' })
    expect(await rowsOf(database.url, "select from pg_namespace where nspname = 'drizzle'")).toEqual([])
  })
})

describe('a run', () => {
  test('stops after the migration named by `to`', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(three)
    await applyMigrations(database.url, { ...project, to: '0001_name' })
    const { migrations } = await migrationStatus(database.url, project)
    expect(migrations.map(({ state }) => state)).toEqual(['applied', 'applied', 'pending'])
    expect(migrations[0]).toMatchObject({ appliedAt: expect.any(Date), durationMs: expect.any(Number) })
  })

  test('that fails names file, statement, line and SQLSTATE, keeps the files before, and is finished by the next', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      ...three,
      '0003_wrong': 'create table w (id int);\n\ninsert into nowhere\n  values (1);\ncreate table x (id int);',
    })
    const error = await thrownBy(applyMigrations(database.url, project))
    expect(error).toMatchObject({ file: '0003_wrong.sql', statement: 2, line: 3, sqlState: '42P01' })
    expect(error.message).toMatch(/0003_wrong\.sql: statement 2 \(line 3\) failed: .*nowhere.* \[42P01\]/)
    expect(error.message).toMatch(/was rolled back; the next run starts with it/)
    expect(await ledgerRows(database.url)).toHaveLength(3)
    expect(await rowsOf(database.url, "select to_regclass('w')::text")).toEqual([[null]])
    await project.write({ '0003_wrong': 'create table w (id int);' })
    expect((await applyMigrations(database.url, project)).applied).toHaveLength(1)
  })

  test('reports a constraint that speaks up only at the commit', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_late': `create table t (id int primary key, t_id int references t deferrable initially deferred);
        insert into t values (1, 7);`,
    })
    const error = await thrownBy(applyMigrations(database.url, project))
    expect(error).toMatchObject({ file: '0000_late.sql', sqlState: '23503' })
    expect(await ledgerRows(database.url)).toEqual([])
  })

  test('begins every file with fresh settings', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_leaky': "set search_path = ''; set statement_timeout = 60000; create table public.t (id int)",
      '0001_next': `create table u (id int); do $$ begin assert current_setting('statement_timeout') = '0'; end $$`,
    })
    await applyMigrations(database.url, project)
    expect(await rowsOf(database.url, "select to_regclass('public.u')::text")).toEqual([['u']])
  })

  test('stopped by its signal rolls the file back and throws Cancelled', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_slow': 'create table t (id int); select pg_sleep(60);' })
    const interrupt = new AbortController()
    const onProgress = (progress: MigrationProgress) => {
      // The abort comes while the sleep runs, or just before it is sent: both must end the same way.
      if (progress.type === 'statement.started' && progress.statement === 2) setImmediate(() => interrupt.abort())
    }
    const run = applyMigrations(database.url, { ...project, signal: interrupt.signal, onProgress })
    await expect(run).rejects.toBeInstanceOf(Cancelled)
    expect(await rowsOf(database.url, "select to_regclass('t')::text")).toEqual([[null]])
  })

  test('whose connection is ended by the server says what became of the file, and a rerun completes', async () => {
    await using database = await openEmptyDatabase()
    const fatal = 'create table t (id int); select pg_terminate_backend(pg_backend_pid());'
    await using project = await makeFolder({ '0000_fatal': fatal })
    const error = await thrownBy(applyMigrations(database.url, project))
    expect(error.message).toMatch(/statement 2 \(line 1\): the connection was lost; 0000_fatal\.sql was rolled back/)
    await project.write({ '0000_fatal': 'create table t (id int);' })
    expect((await applyMigrations(database.url, project)).applied).toHaveLength(1)
  })

  test('without the right to create the ledger says which grant is missing', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(three)
    const role = `${database.name}_reader`
    await rowsOf(database.url, `create role ${role} login password 'x'`)
    const url = database.url.replace(/\/\/[^@]*@/, `//${role}:x@`)
    try {
      const error = await thrownBy(applyMigrations(url, project))
      expect(error).toMatchObject({
        reason: 'unsafe',
        message: expect.stringMatching(/grant it CREATE on the database/),
      })
    } finally {
      await rowsOf(database.url, `drop role ${role}`)
    }
  })
})

describe('a role without the rights it needs', () => {
  test('is told what to grant, by migrate and by status', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(three)
    await applyMigrations(database.url, { ...project, to: '0' })
    const role = `${database.name}_poor`
    const url = database.url.replace(/\/\/[^@]*@/, `//${role}:x@`)
    await rowsOf(database.url, `create role ${role} login password 'x'`)
    try {
      expect(await thrownBy(migrationStatus(url, project))).toMatchObject({
        message: expect.stringMatching(/grant it USAGE ON SCHEMA "drizzle" and SELECT ON ALL TABLES/),
      })
      await rowsOf(database.url, `grant usage on schema drizzle to ${role}`)
      await rowsOf(database.url, `grant select, insert, update on all tables in schema drizzle to ${role}`)
      expect((await thrownBy(applyMigrations(url, project))).message).toMatch(
        /must be owner of table t[^]*GRANT the owning role/,
      )
    } finally {
      await rowsOf(database.url, `drop owned by ${role}`)
      await rowsOf(database.url, `drop role ${role}`)
    }
  })
})

describe('files and ledger that contradict each other', () => {
  test('a file changed since it was applied is refused, by migrate and by the boot check', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(three)
    await applyMigrations(database.url, project)
    await project.write({ '0001_name': 'alter table t add column name varchar;', '0003_new': 'select 1' })
    for (const run of [applyMigrations, checkMigrations]) {
      expect(await thrownBy(run(database.url, project))).toMatchObject({
        reason: 'inconsistent',
        migrations: ['0001_name'],
      })
    }
  })

  test('an older file that was never applied is refused until it is allowed, and Drizzle still finds nothing to do', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_init': three['0000_init'], '0002_mood': three['0002_mood'] })
    await applyMigrations(database.url, project)
    await project.write({ '0001_late': 'create table late (id int);' })
    await writeJournal(project.folder, [
      { idx: 0, when: firstWhen, tag: '0000_init', breakpoints: true },
      { idx: 1, when: firstWhen + 500, tag: '0001_late', breakpoints: true },
      { idx: 2, when: firstWhen + 1000, tag: '0002_mood', breakpoints: true },
    ])
    expect((await migrationStatus(database.url, project)).state).toBe('inconsistent')
    expect(await thrownBy(applyMigrations(database.url, project))).toMatchObject({ migrations: ['0001_late'] })
    expect((await applyMigrations(database.url, { ...project, outOfOrder: true })).applied).toHaveLength(1)
    await withDrizzle(database.url, project.folder)
    expect((await migrationStatus(database.url, project)).state).toBe('up to date')
  })

  test('a database newer than the code may be served, but not migrated', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(three)
    await applyMigrations(database.url, project)
    await using old = await makeFolder({ '0000_init': three['0000_init'], '0001_name': three['0001_name'] })
    await checkMigrations(database.url, old)
    expect(await applyMigrations(database.url, old)).toEqual({ applied: [], ahead: ['0002_mood'] })
    expect((await migrationStatus(database.url, old)).problem).toMatch(/0002_mood.*newer than this code/)
    // A file of our own beside one that is missing: which came first, nobody can tell.
    await old.write({ '0002_other': 'select 1' })
    await writeJournal(old.folder, [
      { when: firstWhen, tag: '0000_init' },
      { when: firstWhen + 1000, tag: '0001_name' },
      { when: firstWhen + 9000, tag: '0002_other' },
    ])
    expect(await thrownBy(applyMigrations(database.url, old))).toMatchObject({
      reason: 'inconsistent',
      migrations: ['0002_mood'],
    })
  })
})

describe('a file that cannot be run as it is written', () => {
  test.each([
    ['holds nothing but comments', '-- to do', /has no statement/],
    ['holds nothing', '', /has no statement/],
    [
      'holds COMMIT',
      'create table x (id int); commit;',
      /statement 2 \(line 1\): the file already runs in a transaction of its own: remove BEGIN, COMMIT and ROLLBACK/,
    ],
    [
      'has a directive that does not exist',
      '-- rivulet:notransaction\nselect 1;',
      /unknown directive rivulet:notransaction/,
    ],
    ['is meant for psql', '\\connect shop\nselect 1;', /\\connect is a command of psql, not SQL/],
    ['carries the rows of a COPY', 'copy t from stdin;\n1\n\\.\n', /COPY FROM STDIN has no input in a migration/],
    ['reads from standard input', 'copy t from stdin;', /COPY FROM STDIN has no input in a migration/],
    [
      'makes a temporary table without a transaction',
      '-- rivulet:no-transaction\ncreate temp table x (id int);',
      /a new session, without the temporary objects/,
    ],
    [
      'calls set_config() without a transaction',
      "-- rivulet:no-transaction\nselect pg_catalog.set_config('search_path', '', false);",
      /use SET, .* instead of set_config/,
    ],
    [
      'sets something for the transaction it has not',
      "-- rivulet:no-transaction\nset local work_mem = '1GB';",
      /use SET without LOCAL/,
    ],
    ['builds an index without a name', 'create index concurrently on t (id);', /the index has no name/],
  ])('because it %s is refused before anything is begun', async (_, text, message) => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_fine': 'create table t (id int)', '0001_wrong': text })
    const error = await thrownBy(applyMigrations(database.url, project))
    expect(error).toMatchObject({ reason: 'unsafe', message: expect.stringMatching(message) })
    expect(await ledgerRows(database.url)).toEqual([])
  })
})
