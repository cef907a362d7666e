/** Files are tried in a scratch database, which is gone afterwards, whatever became of the run. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Project } from '../../src/cli/project.ts'
import { trialFinding, tryOnScratchServer } from '../../src/cli/try-on-scratch.ts'
import { Cancelled } from '../../src/errors.ts'
import {
  applyMigrations,
  baselineMigrations,
  type Trial,
  tryMigrations,
  verifyDatabase,
} from '../../src/migrate/index.ts'
import { makeFolder, openEmptyDatabase, rowsOf, thrownBy } from '../support/migrations.ts'

const table = 'create table t (id int primary key, n int);'

async function tryFiles(files: Readonly<Record<string, string>>, names?: readonly string[]): Promise<Trial> {
  await using database = await openEmptyDatabase()
  await using project = await makeFolder(files)
  return await tryMigrations(database.url, { ...project, names })
}

describe('tryMigrations', () => {
  test('answers that files run, and leaves nothing of them', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_t': table,
      '0001_i': 'create index concurrently t_n on t (n);',
      '0002_e': "create type e as enum ('a');",
      '0003_e': "alter type e add value 'b';",
      '0004_e': "alter table t add e e default 'b';",
    })
    expect(await tryMigrations(database.url, project)).toEqual({ outcome: 'runs' })
    expect(await rowsOf(database.url, "select relname from pg_class where relname = 't'")).toEqual([])
  })

  test.each([
    ['a parameter', 'alter table t add check (n > $1);', 1, /no parameter \$1 \[42P02\]\n.*write the value itself/],
    [
      'views in the wrong order',
      'create view a as select * from b;\n\ncreate view b as select * from t;',
      1,
      /"b" does not exist \[42P01\]\nThe statement on line 3 makes it: move that statement/,
    ],
    [
      'a type changed under a view',
      'create view v as select n from t;\nalter table t alter n type bigint;',
      2,
      /used by a view or rule \[0A000\]\nDrop what uses the column before this statement, and make it again after it/,
    ],
    [
      'a column dropped before its policy',
      'create policy p on t using (n = 1);\nalter table t drop column n;\ndrop policy p on t;',
      2,
      /depend on it \[2BP01\]\nDrop what depends on it in an earlier statement/,
    ],
    [
      'a transaction of its own',
      'select 1;\ncommit;',
      2,
      /statement 2 \(line 2\): .*remove BEGIN, COMMIT and ROLLBACK/,
    ],
    [
      'a comment of `drizzle-kit pull`',
      '/*\nCREATE TABLE "t" ("id" integer);\n*/',
      undefined,
      /Remove its \/\* and \*\/,/,
    ],
    ['a word that is none', '\nselekt 1;', 2, /syntax error/],
    ['a value of an enum at once', "create type e as enum ('a');\nselect 'b'::e;", 2, /invalid input value for enum/],
  ])('names the line of %s', async (_, text, line, reason) => {
    const trial = await tryFiles({ '0000_t': table, '0001_new': text, '0002_later': 'select nonsense;' })
    const file = '0001_new.sql'
    expect(trial).toMatchObject({
      outcome: 'fails',
      name: '0001_new',
      file,
      line,
      reason: expect.stringMatching(reason),
    })
    // Nothing of it was tried then, and nobody may say that it was.
    const refused = text.includes('commit') || text.startsWith('/*')
    expect('refused' in trial).toBe(refused)
    const { why } = trialFinding(trial, (name) => name)!
    expect(why).toMatch(refused ? /^it was not tried: / : /^it was tried in a scratch database/)
  })

  const twice = [
    ['a table', 'create table t (id int);', '42P07'],
    ['a column', 'alter table t add n int;', '42701'],
    ['a constraint', 'alter table t add constraint t_pkey check (n > 0);', '42710'],
  ] as const

  test.each(twice)('says that %s is made twice, not that somebody made it by hand', async (_, again, sqlState) => {
    const reason = expect.stringMatching(
      new RegExp(`^[^\n]* \\[${sqlState}\\]\nIt is made twice: an earlier migration, or an earlier [^\n]*$`),
    )
    expect(await tryFiles({ '0000_t': table, '0001_again': again })).toMatchObject({ outcome: 'fails', reason })
    // What verify replays, and what it makes of the code.
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_t': table })
    await applyMigrations(database.url, project)
    const { code } = await verifyDatabase(database.url, { ...project, code: { whole: `${table} ${again}` } })
    expect(code?.refused).toMatchObject([{ reason }])
    const { code: next } = await verifyDatabase(database.url, {
      ...project,
      code: { whole: table, ungenerated: again },
    })
    expect(next?.refused).toMatchObject([{ reason }])
    await project.write({ '0001_again': again })
    await baselineMigrations(database.url, { ...project, to: '1' })
    const failed = await thrownBy(verifyDatabase(database.url, project))
    expect(failed.message).toMatch(new RegExp(`\\[${sqlState}\\]\nIt is made twice: `))
    expect(failed.message).not.toMatch(/by hand|baseline/)
  })

  test('leaves a file untried when an older one cannot be replayed, and the file of no concern to it', async () => {
    const files = { '0000_bad': 'select nonsense;', '0001_new': table }
    expect(await tryFiles(files, ['0001_new'])).toEqual({
      outcome: 'untried',
      reason: expect.stringMatching(/^0000_bad\.sql:1: column "nonsense" does not exist \[42703\]\n.*it is older/),
    })
    expect(await tryFiles({ '0000_new': table, '0001_bad': 'select nonsense;' }, ['0'])).toEqual({ outcome: 'runs' })
  })

  test('uses the extensions and settings of the database, and minds neither SET ROLE nor rights', async () => {
    await using database = await openEmptyDatabase()
    await rowsOf(database.url, 'create extension hstore')
    await using project = await makeFolder({
      '0000_h': 'set role pg_monitor; create table t (h hstore); alter table t owner to nobody_known;',
    })
    expect(await tryMigrations(database.url, project)).toEqual({ outcome: 'runs' })
  })

  test('interrupted, stops at once and drops its database; one that was abandoned goes with the next run', async () => {
    await using database = await openEmptyDatabase()
    await using slow = await makeFolder({ '0000_slow': 'select pg_sleep(600)' })
    const interrupt = new AbortController()
    const run = tryMigrations(database.url, { ...slow, signal: interrupt.signal })
    const sleeping = "select datname from pg_stat_activity where query = 'select pg_sleep(600)'"
    await expect.poll(() => rowsOf(database.url, sleeping), { interval: 10, timeout: 20_000 }).toHaveLength(1)
    const [[name]] = (await rowsOf(database.url, sleeping)) as [[string]]
    interrupt.abort()
    await expect(run).rejects.toBeInstanceOf(Cancelled)
    const found = (names: readonly string[]) =>
      rowsOf(database.url, `select datname from pg_database where datname = any ('{${names.join()}}') order by 1`)
    expect(await found([name])).toEqual([])
    const abandoned = 'rivulet_scratch_1000000000000_0badcafe'
    const young = `rivulet_scratch_${Date.now() + 3_600_000}_0badcafe`
    for (const left of [abandoned, young]) await rowsOf(database.url, `create database ${left}`)
    try {
      await using project = await makeFolder({ '0000_t': table })
      expect(await tryMigrations(database.url, project)).toEqual({ outcome: 'runs' })
      expect(await found([abandoned, young])).toEqual([[young]])
    } finally {
      await rowsOf(database.url, `drop database ${young}`)
    }
  })
})

describe('a server to try on', () => {
  /** A project of which only folder and URL are looked at. */
  async function onServer(url: string | undefined, files: Readonly<Record<string, string>>, scratch?: string) {
    await using folder = await makeFolder(files)
    const directory = await mkdtemp(join(tmpdir(), 'rivulet-tried-'))
    try {
      const project = { directory, source: { folder: folder.folder }, databaseUrl: () => url }
      return await tryOnScratchServer(project as Project, undefined, scratch, new AbortController().signal)
    } finally {
      await rm(directory, { recursive: true })
    }
  }

  test('is a throw-away one without a database URL, and roles may be made there', { timeout: 60_000 }, async () => {
    const files = {
      '0000_r': `create role some_reader; ${table} grant select on t to some_reader, somebody_known;`,
      '0001_p': 'create policy p on t to somebody_else using (true);',
    }
    expect(await onServer(undefined, files)).toEqual({ outcome: 'runs' })
    expect(await onServer(undefined, { '0000_n': 'create table t (n nonsense);' })).toMatchObject({ outcome: 'fails' })
  })

  test('stands in for that of the database URL, when that one cannot be used', { timeout: 60_000 }, async () => {
    await using database = await openEmptyDatabase()
    const role = `${database.name}_plain`
    await rowsOf(database.url, `create role ${role} login password 'x'`)
    try {
      const plain = database.url.replace(/\/\/[^@]*@/, `//${role}:x@`)
      expect(await onServer(plain, { '0000_t': table })).toEqual({ outcome: 'runs' })
      // What it lacks, that one may have.
      const reason = expect.stringMatching(
        /0000_n\.sql:1: type "nonsense" does not exist \[42704\]\n.*was used instead of that of/,
      )
      expect(await onServer(plain, { '0000_n': 'create table t (n nonsense);' })).toEqual({
        outcome: 'untried',
        reason,
      })
      expect(await onServer(plain, { '0000_n': 'create extension nonsense;' })).toMatchObject({ outcome: 'untried' })
      expect(await onServer(plain, { '0000_n': 'select nonsense;' })).toMatchObject({ outcome: 'fails' })
      // A server that was named is the one that was meant.
      const refused = { outcome: 'untried', reason: expect.stringMatching(/may not create one: grant it CREATEDB/) }
      expect(await onServer(undefined, { '0000_t': table }, plain)).toEqual(refused)
    } finally {
      await rowsOf(database.url, `drop role ${role}`)
    }
  })

  test('that is in use gets no roles: a file that needs one is tried elsewhere', { timeout: 60_000 }, async () => {
    await using database = await openEmptyDatabase()
    const files = { '0000_r': `create role nobody_here; ${table} grant select on t to nobody_here;` }
    expect(await onServer(database.url, files)).toEqual({ outcome: 'runs' })
    const block = `do $$ begin if not exists (select from pg_roles where rolname = 'nobody_here')
      then create role nobody_here; end if; end $$;`
    expect(await onServer(database.url, { '0000_r': `${block} ${table} grant select on t to nobody_here;` })).toEqual({
      outcome: 'runs',
    })
    expect(await rowsOf(database.url, "select from pg_roles where rolname = 'nobody_here'")).toEqual([])
    expect(await onServer(undefined, files, database.url)).toMatchObject({ outcome: 'untried' })
  })
})
