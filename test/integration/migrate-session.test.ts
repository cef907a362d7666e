/** What a file does to its session is its own affair: neither the ledger nor the next file ever feels it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { applyMigrations, revertMigrations } from '../../src/migrate/index.ts'
import type { TestDatabase } from '../support/database.ts'
import { ledgerRows, makeFolder, openEmptyDatabase, rowsOf, thrownBy } from '../support/migrations.ts'

let roles: TestDatabase
let owner: string
let migrator: string
beforeAll(async () => {
  roles = await openEmptyDatabase()
  owner = `${roles.name}_owner`
  migrator = `${roles.name}_migrator`
  await rowsOf(roles.url, `create role ${owner} nologin`)
  await rowsOf(roles.url, `create role ${migrator} login password 'x' in role ${owner}`)
})
afterAll(async () => {
  await rowsOf(roles.url, `drop role ${migrator}`)
  await rowsOf(roles.url, `drop role ${owner}`)
  await roles[Symbol.asyncDispose]()
})

/** A database where the role `owner`, who may not write the ledger, may make tables. */
async function openDatabase(): Promise<TestDatabase> {
  const database = await openEmptyDatabase()
  await rowsOf(database.url, `grant create, usage on schema public to ${owner}, ${migrator}`)
  await rowsOf(database.url, `grant create on database ${database.name} to ${migrator}`)
  return {
    ...database,
    [Symbol.asyncDispose]: async () => {
      await rowsOf(database.url, `drop owned by ${owner}, ${migrator} cascade`)
      await database[Symbol.asyncDispose]()
    },
  }
}

const ownersOf = (url: string) =>
  rowsOf(url, "select tablename, tableowner from pg_tables where schemaname = 'public' order by 1")
const byMigrator = (url: string) => url.replace(/\/\/[^@]*@/, `//${migrator}:x@`)
const noTransaction = '-- rivulet:no-transaction\n'
const shadow =
  'create schema evil;\n' +
  "create function evil.clock_timestamp() returns timestamptz language sql as 'select null::timestamptz';\n" +
  'create function evil.to_regclass(text) returns regclass language sql as $$ select null $$;\n'

describe('the ledger is written as the migrator', () => {
  test.each([
    ['SET ROLE', () => `set role ${owner};`, true],
    ['SET LOCAL ROLE', () => `set local role ${owner};`, true],
    ['set_config', () => `select set_config('role', '${owner}', false);`, true],
    ['SET SESSION AUTHORIZATION', () => `set session authorization ${owner};`, true],
    ['both', () => `set session authorization ${migrator}; set role ${owner};`, true],
    ['SET ROLE without a transaction', () => `${noTransaction}set role ${owner};`, true],
    ['SET SESSION AUTHORIZATION without one', () => `${noTransaction}set session authorization ${owner};`, true],
    ['a search_path that shadows the server', () => `${shadow}set search_path = evil, pg_catalog, public;`, false],
    [
      'such a path without a transaction',
      () => `${noTransaction}${shadow}set search_path = evil, pg_catalog, public;`,
      false,
    ],
    ['a time limit of a moment', () => "set statement_timeout = '1min'; set lock_timeout = '1ms';", false],
  ])('after %s, and the next file starts clean', async (_, set, asOwner) => {
    await using database = await openDatabase()
    await using project = await makeFolder({
      '0000_set': `${set()}\ncreate table public.a (id int);\ncreate table public.b (id int);`,
      '0001_next': 'create table c (id int);',
      '0002_last': `${noTransaction}create table d (id int); do $$ begin execute 'create table e (id int)'; end $$;`,
    })
    await applyMigrations(database.url, project)
    const [[me]] = (await rowsOf(database.url, 'select current_user')) as [[string]]
    const maker = asOwner ? owner : me
    expect(await ownersOf(database.url)).toEqual([
      ['a', maker],
      ['b', maker],
      ...['c', 'd', 'e'].map((table) => [table, me]),
    ])
    expect(await ledgerRows(database.url)).toHaveLength(3)
    const details = 'select applied_at is null from drizzle.__rivulet_migrations group by 1'
    expect(await rowsOf(database.url, details)).toEqual([[false]])
  })

  test('by a role that is no superuser, also in a file that takes a migration back', async () => {
    await using database = await openDatabase()
    await using project = await makeFolder({
      '0000_a': `set role ${owner}; create table a (id int);`,
      '0000_a.down': `set role ${owner}; drop table a;`,
    })
    await applyMigrations(byMigrator(database.url), project)
    expect(await ownersOf(database.url)).toEqual([['a', owner]])
    await revertMigrations(byMigrator(database.url), ['0000_a'], project)
    expect(await ledgerRows(database.url)).toEqual([])
  })

  test('and a broken-off file goes on as the role that it had set', async () => {
    await using database = await openDatabase()
    const steps = `${noTransaction}set role ${owner};\ncreate table a (id int);\n`
    await using project = await makeFolder({ '0000_steps': `${steps}select nonsense;` })
    await thrownBy(applyMigrations(database.url, project))
    await project.write({ '0000_steps': `${steps}create table b (id int);` })
    await applyMigrations(database.url, project)
    expect(await ownersOf(database.url)).toEqual([
      ['a', owner],
      ['b', owner],
    ])
  })

  test('while what the file deferred to its end still runs as the role of the file, with its settings', async () => {
    await using database = await openDatabase()
    await using project = await makeFolder({
      '0000_deferred': `create schema app; create table app.seen (who text, path text);
        grant usage on schema app to ${owner}; grant insert on app.seen to ${owner};
        create table t (id int); grant insert on t to ${owner};
        create function look() returns trigger language plpgsql as
          $$ begin insert into seen values (current_user, current_setting('search_path')); return null; end $$;
        create constraint trigger late after insert on t deferrable initially deferred
          for each row execute function look();
        set role ${owner}; set search_path = app, public; insert into t values (1);`,
    })
    await applyMigrations(database.url, project)
    expect(await rowsOf(database.url, 'select who, path from app.seen')).toEqual([[owner, 'app, public']])
  })
})

test('nothing of its session outlives a file', async () => {
  await using database = await openEmptyDatabase()
  const leave = `create temporary table left_over (id int); prepare "Left over" as select 1; listen left_over;
    declare left_cursor cursor with hold for select 1; set search_path = nowhere; set work_mem = '1MB';`
  await using project = await makeFolder({
    '0000_leave': leave,
    '0001_again': leave,
    '0002_look': `create table public.settings as select current_setting('search_path') as path;
      do $$ begin if exists (select from pg_listening_channels()) then raise 'still listening'; end if; end $$;`,
  })
  await applyMigrations(database.url, project)
  expect(await rowsOf(database.url, 'select path from settings')).toEqual([['"$user", public']])
})

describe('a right that is missing', () => {
  test('is said of the role that the file has set, and of that of the database URL elsewhere', async () => {
    await using database = await openDatabase()
    const lacking = async (text: string) => {
      await using project = await makeFolder({ '0000_a': text })
      return (await thrownBy(applyMigrations(byMigrator(database.url), project))).message
    }
    await rowsOf(database.url, 'create table theirs (id int)')
    expect(await lacking(`set role ${owner}; select from theirs;`)).toContain(
      `The role ${owner}, which the file has set, lacks this privilege: GRANT SELECT, `,
    )
    expect(await lacking('select from theirs;')).toMatch(
      /The role of the database URL lacks this privilege: GRANT SELECT/,
    )
    expect(await lacking(`set role ${owner}; reset role; select from theirs;`)).toMatch(/The role of the database URL/)
    expect(await lacking('set role pg_monitor;')).toMatch(/database URL lacks this privilege: GRANT pg_monitor TO it/)
    expect(await lacking(`set session authorization ${owner};`)).toMatch(/only a superuser may do that; SET ROLE does/)
  })
})

test.each([
  ['', 'set transaction read only;'],
  [noTransaction, 'set default_transaction_read_only = on;'],
])('%sa file that makes its transaction read only is told what to take out: %s', async (directive, set) => {
  await using database = await openEmptyDatabase()
  await using project = await makeFolder({ '0000_read': `${directive}${set} select 1;` })
  const failed = await thrownBy(applyMigrations(database.url, project))
  expect(failed.message).toMatch(
    /committing failed: .* \[25006\]\n.*cannot be recorded: remove SET TRANSACTION READ ONLY/,
  )
  expect(await ledgerRows(database.url)).toEqual([])
})
