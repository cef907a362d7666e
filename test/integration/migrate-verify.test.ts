/** verifyDatabase, revertMigrations, baselineMigrations, emptyDatabase. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine.ts'
import { Cancelled, InsufficientPrivilege, UsageError } from '../../src/errors.ts'
import { createIdempotencyTable } from '../../src/idempotency/kept-answers.ts'
import { withConnection } from '../../src/migrate/connect.ts'
import {
  applyMigrations,
  baselineMigrations,
  emptyDatabase,
  migrationStatus,
  planRevert,
  revertMigrations,
  verifyDatabase,
} from '../../src/migrate/index.ts'
import { ledgerRows, makeFolder, openEmptyDatabase, rowsOf, writeJournal } from '../support/migrations.ts'

const files = {
  '0000_init': `create table t (id int generated always as identity primary key, a int default 1, check (a > 0));
    create type mood as enum ('fine', 'bad');`,
  '0001_more': 'create index concurrently t_a on t (a);',
}

const scratchNames = "select datname from pg_database where datname like 'rivulet\\_scratch\\_%'"
const scratches = async (url: string) => (await rowsOf(url, scratchNames)).map(([name]) => name)

describe('verifyDatabase', () => {
  test('finds nothing when the database is what the migrations make', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    await applyMigrations(database.url, { ...project, to: '0' })
    expect(await verifyDatabase(database.url, project)).toMatchObject({ differences: [], pending: ['0001_more'] })
    await applyMigrations(database.url, project)
    expect(await verifyDatabase(database.url, project)).toMatchObject({ differences: [], pending: [] })
  })

  test('finds nothing of the table of idempotency keys, whatever schemas are compared', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    await applyMigrations(database.url, project)
    await using engine = await openEngine({ schema: { t: pgTable('t', { a: integer() }) }, url: database.url })
    await engine.session(createIdempotencyTable)
    expect(await verifyDatabase(database.url, project)).toMatchObject({ differences: [] })
    const schemas = ['public', 'rivulet']
    expect(await verifyDatabase(database.url, { ...project, schemas })).toMatchObject({ differences: [] })
    await engine.session(({ sql }) => sql`create table rivulet.other (a int)`)
    const { differences } = await verifyDatabase(database.url, { ...project, schemas })
    expect(differences.map(({ object }) => object)).toEqual(['table rivulet.other'])
  })

  test.each([
    ['alter table t add column b int', 'column public.t.b', undefined, 'integer'],
    ['alter table t alter column a set default 2', 'column public.t.a', 'integer default 1', 'integer default 2'],
    [
      'alter table t alter column a set not null',
      'column public.t.a',
      'integer default 1',
      'integer not null default 1',
    ],
    ['drop index t_a', 'index public.t_a', 'CREATE INDEX t_a ON public.t USING btree (a)', undefined],
    ['alter table t drop constraint t_a_check', 'constraint public.t_a_check on t', 'CHECK ((a > 0))', undefined],
    ["alter type mood add value 'late'", 'type public.mood', "enum 'fine', 'bad'", "enum 'fine', 'bad', 'late'"],
    ['create table w (id int)', 'table public.w', undefined, ''],
    ['create view w as select 1 as one', 'view public.w', undefined, ' SELECT 1 AS one;'],
    ['create sequence s', 'sequence public.s', undefined, expect.stringContaining('bigint start 1')],
    ['alter table t enable row level security', 'row security on public.t', undefined, 'enabled'],
    [
      'create policy p on t using (a > 1)',
      'policy p on public.t',
      undefined,
      'permissive for * to public using ((a > 1))',
    ],
    ['alter table t replica identity full', 'table public.t', '', 'replica identity full'],
    [
      'create statistics s on id, a from t',
      'statistics public.s',
      undefined,
      'CREATE STATISTICS public.s ON id, a FROM public.t',
    ],
    [
      'create rule r as on delete to t do instead nothing',
      'rule r on public.t',
      undefined,
      expect.stringContaining('DO INSTEAD NOTHING'),
    ],
    [
      'create function f() returns int language sql as $$ select 1 $$',
      'function public.f()',
      undefined,
      expect.stringContaining('FUNCTION public.f()'),
    ],
  ])('finds: %s', async (drift, object, expected, actual) => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    await applyMigrations(database.url, project)
    await rowsOf(database.url, drift)
    expect((await verifyDatabase(database.url, project)).differences).toEqual([{ object, expected, actual }])
  })

  test.each(['public', 'my "own'])(
    'leaves the ledger out, and nothing else, when it is in the schema %s',
    async (schema) => {
      await using database = await openEmptyDatabase()
      await using project = await makeFolder(files)
      const name = `"${schema.replace('"', '""')}"`
      await project.write({ '0002_own': `create schema if not exists ${name}; create table ${name}.v (id int)` })
      const source = { folder: project.folder, ledger: { schema, table: 'Done' } }
      await applyMigrations(database.url, source)
      expect((await verifyDatabase(database.url, source)).differences).toEqual([])
      await rowsOf(database.url, `create table ${name}.w (id int)`)
      expect((await verifyDatabase(database.url, source)).differences).toHaveLength(1)
    },
  )

  test('minds neither the schema of another project nor its ledger', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    await using other = await makeFolder({ '0000_other': 'create schema other; create table other.t (id int)' })
    await applyMigrations(database.url, project)
    await applyMigrations(database.url, { ...other, ledger: { table: 'others' } })
    expect((await verifyDatabase(database.url, project)).differences).toEqual([])
    const { differences } = await verifyDatabase(database.url, { ...project, schemas: ['public', 'other'] })
    expect(differences.map(({ object }) => object)).toEqual(['schema other', 'table other.t'])
  })

  test('leaves out tables that are not to be compared, with all that is theirs', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    await applyMigrations(database.url, project)
    await rowsOf(database.url, 'create table "old.w" (id serial primary key, a int unique)')
    await rowsOf(database.url, 'create index on "old.w" (a)')
    await rowsOf(database.url, 'create rule r as on delete to "old.w" do nothing')
    await rowsOf(database.url, 'alter table "old.w" enable row level security, replica identity full')
    await rowsOf(database.url, 'create index w_odd on "old.w" ((a + 1)) include (id)')
    await rowsOf(database.url, 'alter index w_odd alter column 1 set statistics 7')
    const keepsTable = (table: string) => !table.startsWith('old.')
    expect((await verifyDatabase(database.url, { ...project, keepsTable })).differences).toEqual([])
  })

  test('replays with the settings and the extensions that an administrator gave the database', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_app': 'create schema app; create table t (id int, at timestamptz)',
      '0001_use': "create table u (h public.hstore default 'a=>1'::public.hstore)",
    })
    await rowsOf(database.url, `alter database ${database.name} set search_path = "app", public`)
    await rowsOf(database.url, 'create extension hstore')
    await applyMigrations(database.url, project)
    await rowsOf(database.url, `alter database ${database.name} set default_transaction_read_only = on`)
    expect(await rowsOf(database.url, "select to_regclass('app.t') is not null")).toEqual([[true]])
    expect((await verifyDatabase(database.url, project)).differences).toEqual([])
    await withConnection(database.url, async (connection) => {
      await connection.script('set default_transaction_read_only = off')
      await connection.script(`alter database ${database.name} reset all`)
    })
  })

  test('leaves no scratch database behind, also when a replay fails or is interrupted', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_odd': "select 1/position('test' in current_database())" })
    await applyMigrations(database.url, project)
    await expect(verifyDatabase(database.url, project)).rejects.toThrow(/cannot be replayed .* division by zero/)
    await using slow = await makeFolder({
      '0000_slow': "select case when current_database() like 'rivulet\\_scratch%' then pg_sleep(60) end",
    })
    await using other = await openEmptyDatabase()
    await applyMigrations(other.url, slow)
    const interrupt = new AbortController()
    const run = verifyDatabase(other.url, { ...slow, signal: interrupt.signal })
    const sleeping = "select from pg_stat_activity where wait_event = 'PgSleep' and datname like 'rivulet\\_scratch%'"
    await expect.poll(() => rowsOf(other.url, sleeping), { interval: 10, timeout: 20_000 }).toHaveLength(1)
    interrupt.abort()
    await expect(run).rejects.toBeInstanceOf(Cancelled)
    // Other tests verify at the same time: theirs go away too, one that was left behind would stay.
    const there = await scratches(database.url)
    const left = async () => (await scratches(database.url)).filter((name) => there.includes(name))
    await expect.poll(left, { timeout: 20_000 }).toEqual([])
  })

  test('does not replay what reaches beyond the database', async () => {
    await using database = await openEmptyDatabase()
    const role = `${database.name}_role`
    await using project = await makeFolder({
      '0000_role': `create role ${role}; create table t (id int); grant select on t to ${role};`,
    })
    await applyMigrations(database.url, project)
    try {
      expect((await verifyDatabase(database.url, project)).differences).toEqual([])
    } finally {
      await rowsOf(database.url, 'drop table t')
      await rowsOf(database.url, `drop role ${role}`)
    }
  })

  test('says which right it lacks', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    const role = `${database.name}_plain`
    await rowsOf(database.url, `create role ${role} login password 'x'`)
    try {
      const run = verifyDatabase(database.url.replace(/\/\/[^@]*@/, `//${role}:x@`), project)
      await expect(run).rejects.toBeInstanceOf(InsufficientPrivilege)
      await expect(run).rejects.toThrow(/grant it CREATEDB, or name a server .* --scratch/)
    } finally {
      await rowsOf(database.url, `drop role ${role}`)
    }
  })
})

describe('revertMigrations', () => {
  const down = { '0000_init.down': 'drop table t; drop type mood;', '0001_more.down': 'drop index concurrently t_a;' }

  test('takes back the newest, or all after `to`, with their files, and they can be applied again', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ ...files, ...down })
    const before = await readdir(project.folder)
    await applyMigrations(database.url, project)
    const plan = await planRevert(database.url, project)
    expect(plan).toEqual([
      { name: '0001_more', file: '0001_more.down.sql', destructive: [], statements: ['drop index concurrently t_a'] },
    ])
    await revertMigrations(database.url, ['0001_more'], project)
    expect((await migrationStatus(database.url, project)).migrations.map(({ state }) => state)).toEqual([
      'applied',
      'pending',
    ])
    await applyMigrations(database.url, project)
    expect(await ledgerRows(database.url)).toHaveLength(2)
    expect(await planRevert(database.url, { ...project, to: '0' })).toHaveLength(1)
    expect(await readdir(project.folder)).toEqual(before)
  })

  test('takes back one migration alone, although another has the same text', async () => {
    await using database = await openEmptyDatabase()
    const touch = 'insert into t (a) values (1)'
    await using project = await makeFolder({ '0000_t': 'create table t (a int)', '0001_a': touch, '0002_b': touch })
    await project.write({ '0002_b.down': 'select 1' })
    await applyMigrations(database.url, project)
    await revertMigrations(database.url, ['0002_b'], project)
    const { migrations } = await migrationStatus(database.url, project)
    expect(migrations.map(({ state }) => state)).toEqual(['applied', 'applied', 'pending'])
  })

  test('names the steps that lose data', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ ...files, ...down })
    await applyMigrations(database.url, { ...project, to: '0' })
    expect(await planRevert(database.url, project)).toMatchObject([
      {
        destructive: [
          { line: 1, step: 'drops table t' },
          { line: 1, step: 'drops type mood' },
        ],
      },
    ])
  })

  test('refuses when a file is missing, and when the plan has changed in between', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    await applyMigrations(database.url, project)
    await expect(planRevert(database.url, project)).rejects.toThrow(/0001_more\.down\.sql is missing. Write the SQL/)
    await project.write(down)
    await expect(revertMigrations(database.url, ['0000_init'], project)).rejects.toThrow(
      /another session migrated the database meanwhile/,
    )
  })

  test('rolls a failing file back and leaves its migration applied', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ ...files, '0001_more.down': 'drop index t_a; select 1/0;' })
    await applyMigrations(database.url, project)
    await expect(revertMigrations(database.url, ['0001_more'], project)).rejects.toMatchObject({
      file: '0001_more.down.sql',
      statement: 2,
    })
    expect((await verifyDatabase(database.url, project)).differences).toEqual([])
  })
})

describe('baselineMigrations', () => {
  test('adopts a database that has the tables already, and runs nothing', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    for (const text of Object.values(files)) await pushed(database.url, text)
    await expect(applyMigrations(database.url, project)).rejects.toThrow(/\[42P07\]\n.*rivulet baseline --to NAME/)
    expect(await baselineMigrations(database.url, { ...project, to: '1' })).toEqual({
      adopted: ['0000_init', '0001_more'],
      accepted: [],
    })
    expect(await applyMigrations(database.url, project)).toEqual({ applied: [], ahead: [] })
    expect((await verifyDatabase(database.url, project)).differences).toEqual([])
  })

  test('takes over the text of one file alone, although another has the same time', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    const entries = Object.keys(files).map((tag) => ({ tag, when: 1 }))
    await writeJournal(project.folder, entries)
    await applyMigrations(database.url, project)
    await writeFile(join(project.folder, '0001_more.sql'), '-- changed')
    await baselineMigrations(database.url, { ...project, to: '1', acceptChanged: true })
    expect((await migrationStatus(database.url, project)).state).toBe('up to date')
  })

  test('takes over a changed text only when told', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    await applyMigrations(database.url, project)
    await project.write({ '0001_more': `-- better explained\n${files['0001_more']}` })
    await expect(baselineMigrations(database.url, { ...project, to: '1' })).rejects.toMatchObject({
      reason: 'inconsistent',
    })
    const result = await baselineMigrations(database.url, { ...project, to: '1', acceptChanged: true })
    expect(result).toEqual({ adopted: [], accepted: ['0001_more'] })
    expect((await migrationStatus(database.url, project)).state).toBe('up to date')
  })
})

describe('emptyDatabase', () => {
  test('drops every schema, the ledger too, so that migrating begins anew', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      ...files,
      '0002_other': 'create schema other; create table other.t (id int);',
    })
    await applyMigrations(database.url, project)
    const { dropped } = await emptyDatabase(database.url, { database: database.name })
    expect(dropped).toEqual(['drizzle', 'other', 'public'])
    expect((await applyMigrations(database.url, project)).applied).toHaveLength(3)
  })

  test('refuses a server that is not this machine, and a name that is not the database’s', async () => {
    const far = 'postgres://someone:secret@db.example.com/app'
    await expect(emptyDatabase(far, {})).rejects.toThrow(/db\.example\.com is another machine, so nothing was dropped/)
    await expect(emptyDatabase('postgres://127.example.invalid/app', {})).rejects.toThrow(/is another machine/)
    await expect(emptyDatabase(far, { database: 'other' })).rejects.toBeInstanceOf(UsageError)
    await expect(emptyDatabase(far, { database: 'other' })).rejects.not.toThrow(/secret/)
  })
})

/** What `drizzle-kit push` would have done. */
async function pushed(url: string, text: string): Promise<void> {
  for (const statement of text.split(';').filter((part) => part.trim() !== '')) await rowsOf(url, statement)
}
