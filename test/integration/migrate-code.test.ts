/**
 * The schema in code, the migrations and the live database: one of everything, missing in turn from the database and
 * from the migrations, is found, or is named as not compared.
 */
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCode } from '../../src/cli/code.ts'
import { remedy } from '../../src/cli/remedy.ts'
import type { Project } from '../../src/cli/project.ts'
import { verifyCommand } from '../../src/cli/verify.ts'
import { applyMigrations, verifyDatabase } from '../../src/migrate/index.ts'
import { compareDeclared, describeCode } from '../../src/migrate/schema/code-comparison.ts'
import { withConnection } from '../../src/migrate/connect.ts'
import { describeDatabase, differences, type SchemaDescription } from '../../src/migrate/schema/describe.ts'
import { Ledger } from '../../src/migrate/ledger/ledger.ts'
import type { Connection } from '../../src/pool/connection.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from '../support/database.ts'
import { makeFolder, openEmptyDatabase } from '../support/migrations.ts'
import { asKnown, hasNullsNotDistinct } from '../support/server-version.ts'

/** SQL that no Drizzle schema can say, as people write it into migrations. */
const byHand = `
  create function shout(text) returns text language sql immutable as 'select upper($1)';
  create function touch() returns trigger language plpgsql as 'begin return new; end';
  create procedure tidy() language sql as 'select 1';
  create function plus(integer, integer) returns integer language sql immutable as 'select $1 + $2';
  create aggregate sum_up(integer) (sfunc = plus, stype = integer, initcond = '0');
  create domain positive as integer default 1 constraint above check (value > 0);
  create type pair as (a integer, b text);
  create type span as range (subtype = integer);
  create trigger touched before update on people for each row execute function touch();
  create statistics people_related on tenant, state from people;
  alter statistics people_related set statistics 200;
  create index people_covering on people (tenant) include (name) with (fillfactor = 60);
  create index people_shout on people (shout(name));
  alter index people_shout alter column 1 set statistics 300;
  alter table people alter column name set statistics 500;
  alter table people alter column name set (n_distinct = 5);
  alter table people alter column data set storage external;
  alter table people alter column data set compression pglz;
  alter table people cluster on people_key;
  alter table people set (fillfactor = 90, toast.autovacuum_enabled = false);
  alter table people replica identity full;
  alter table people force row level security;
  alter table people alter constraint people_boss deferrable initially deferred;
  create table events (at date not null, note text) partition by range (at);
  create table events_1 partition of events for values from ('2020-01-01') to ('2021-01-01');
  create index events_note on events (note);
  create table parent (id integer);
  create table child () inherits (parent);
  create table loose (id integer primary key, during int4range, exclude using gist (during with &&),
    constraint sane check (id > 0) no inherit) with (fillfactor = 50);
  create unlogged table fleeting (id serial primary key with (fillfactor = 70));
  create view pairs as select id, name from people;
  alter view pairs alter column name set default 'x';
  create rule keep as on delete to loose do instead nothing;
  create table typed of pair;
`

/** What is lost, the SQL that loses it, and the entry that tells. */
const allDeclared: readonly (readonly [string, string, string])[] = [
  ['an index', 'drop index people_name', 'index public.people_name'],
  ['a unique index', 'drop index people_key', 'index public.people_key'],
  [
    'the uniqueness of an index',
    'drop index people_key; create index people_key on people (key)',
    'index public.people_key',
  ],
  ['a partial index', 'drop index people_active', 'index public.people_active'],
  [
    'the predicate of an index',
    'drop index people_active; create index people_active on people (at)',
    'index public.people_active',
  ],
  [
    'an expression index',
    'drop index people_lower; create index people_lower on people (upper(name))',
    'index public.people_lower',
  ],
  [
    'an operator class',
    'drop index people_like; create index people_like on people (name)',
    'index public.people_like',
  ],
  [
    'the order of an index',
    'drop index people_order; create index people_order on people (price, at)',
    'index public.people_order',
  ],
  ['an access method', 'drop index people_hash; create index people_hash on people (key)', 'index public.people_hash'],
  ['a GIN index', 'drop index people_data', 'index public.people_data'],
  ['a storage parameter of an index', 'alter index people_full reset (fillfactor)', 'index public.people_full'],
  [
    'the validity of an index',
    "update pg_index set indisvalid = false where indexrelid = 'people_name'::regclass",
    'index public.people_name',
  ],
  [
    'a unique constraint',
    'alter table people drop constraint people_number',
    'constraint public.people_number on people',
  ],
  [
    'NULLS NOT DISTINCT',
    'alter table groups drop constraint groups_label; alter table groups add constraint groups_label unique (tenant, label)',
    'constraint public.groups_label on groups',
  ],
  ['a CHECK', 'alter table people drop constraint people_price', 'constraint public.people_price on people'],
  [
    'the expression of a CHECK',
    'alter table people drop constraint people_price; alter table people add constraint people_price check (price >= 0)',
    'constraint public.people_price on people',
  ],
  ['a foreign key', 'alter table people drop constraint people_group', 'constraint public.people_group on people'],
  [
    'the actions of a foreign key',
    'alter table people drop constraint people_group; alter table people add constraint people_group foreign key (tenant, "group") references groups',
    'constraint public.people_group on people',
  ],
  [
    'the validity of a foreign key',
    'alter table people drop constraint people_boss; alter table people add constraint people_boss foreign key (boss) references people on delete set null deferrable initially deferred not valid',
    'constraint public.people_boss on people',
  ],
  [
    'the enforcement of foreign keys',
    'alter table people disable trigger all',
    'constraint public.people_group on people',
  ],
  ['a primary key', 'alter table app.secrets drop constraint secrets_pkey', 'constraint app.secrets_pkey on secrets'],
  [
    'the order of a primary key',
    'alter table people drop constraint people_group; alter table groups drop constraint groups_key; alter table groups add constraint groups_key primary key (id, tenant)',
    'constraint public.groups_key on groups',
  ],
  ['NOT NULL', 'alter table people alter column name drop not null', 'column public.people.name'],
  ['a nullable column', 'alter table people alter column "group" set not null', 'column public.people."group"'],
  ['a default that is a literal', 'alter table people alter column state drop default', 'column public.people.state'],
  ['the value of a default', 'alter table people alter column price set default 1', 'column public.people.price'],
  ['a default that is a function', 'alter table people alter column at drop default', 'column public.people.at'],
  ['a default of an array', 'alter table people alter column level drop default', 'column public.people.level'],
  ['identity', 'alter table people alter column id drop identity', 'column public.people.id'],
  ['identity ALWAYS', 'alter table people alter column id set generated by default', 'column public.people.id'],
  [
    'the options of an identity',
    'alter table people alter column id set increment by 1',
    'sequence public.people_id_seq',
  ],
  ['a generated column', 'alter table people alter column initial drop expression', 'column public.people.initial'],
  [
    'a generation expression',
    'alter table people drop column initial; alter table people add initial text generated always as (left(name, 2)) stored',
    'column public.people.initial',
  ],
  ['a serial column', 'drop sequence people_number_seq cascade', 'column public.people.number'],
  ['a label of an enum', "alter type mood rename value 'bad' to 'worse'", 'type public.mood'],
  [
    'the order of an enum',
    "alter type app.level rename value 'low' to 'x'; alter type app.level rename value 'high' to 'low'; alter type app.level rename value 'x' to 'high'",
    'type app.level',
  ],
  ['an enum without a stranger', "alter type mood add value 'new' before 'bad'", 'type public.mood'],
  ['the type of a column', 'alter table people alter column ratio type real', 'column public.people.ratio'],
  [
    'the precision of numbers',
    'drop view totals; alter table people alter column price type numeric(14, 2)',
    'column public.people.price',
  ],
  ['the length of text', 'alter table groups alter column label type varchar(50)', 'column public.groups.label'],
  ['the length of char', 'alter table people alter column code type char(4)', 'column public.people.code'],
  ['the precision of a timestamp', 'alter table people alter column at type timestamptz(6)', 'column public.people.at'],
  ['the precision of a time', 'alter table people alter column clock type time(3)', 'column public.people.clock'],
  ['the fields of an interval', 'alter table people alter column span type interval', 'column public.people.span'],
  ['an array', 'alter table people drop column tags; alter table people add tags text', 'column public.people.tags'],
  ['a collation that the code declares', 'alter table people alter column nick type text', 'column public.people.nick'],
  ['a column', 'alter table people drop column address', 'column public.people.address'],
  ['the name of a column', 'alter table people rename column address to location', 'column public.people.address'],
  ['a table', 'drop table app.secrets', 'table app.secrets'],
  ['a schema', 'drop schema app cascade', 'schema app'],
  ['a view', 'drop view active', 'view public.active'],
  [
    'the query of a view',
    'create or replace view active with (security_barrier) as select id, name from people',
    'view public.active',
  ],
  ['an option of a view', 'alter view active reset (security_barrier)', 'view public.active'],
  ['the check option of a view', 'alter view totals reset (check_option)', 'view public.totals'],
  ['a materialized view', 'drop materialized view a_top', 'materialized view public.a_top'],
  [
    'the query of a materialized view',
    'drop materialized view a_top; create materialized view a_top with (fillfactor = 80) as select min(many) as most from z_base',
    'materialized view public.a_top',
  ],
  [
    'a parameter of a materialized view',
    'alter materialized view a_top reset (fillfactor)',
    'materialized view public.a_top',
  ],
  ['a policy', 'drop policy own on people', 'policy own on public.people'],
  ['the expression of a policy', 'alter policy own on people using (true)', 'policy own on public.people'],
  ['the roles of a policy', 'alter policy own on people to current_user', 'policy own on public.people'],
  [
    'a restrictive policy',
    'drop policy own on people; create policy own on people for update using (tenant = 1) with check (active)',
    'policy own on public.people',
  ],
  ['row security', 'alter table people disable row level security', 'row security on public.people'],
  [
    'row security without policies',
    'alter table app.secrets disable row level security',
    'row security on app.secrets',
  ],
  ['a sequence', 'drop sequence numbers', 'sequence public.numbers'],
  ['the options of a sequence', 'alter sequence numbers increment 1', 'sequence public.numbers'],
]

/** The same for what only SQL written by hand makes: no drift of the code. */
const handMade: readonly (readonly [string, string, string])[] = [
  ['a procedure', 'drop procedure tidy', 'function public.tidy()'],
  [
    'the body of a procedure',
    "create or replace procedure tidy() language sql as 'select 2'",
    'function public.tidy()',
  ],
  ['the volatility of a function', 'alter function touch() stable', 'function public.touch()'],
  [
    'the initial value of an aggregate',
    "drop aggregate sum_up(integer); create aggregate sum_up(integer) (sfunc = plus, stype = integer, initcond = '1')",
    'aggregate public.sum_up(integer)',
  ],
  ['a constraint of a domain', 'alter domain positive drop constraint above', 'type public.positive'],
  ['the default of a domain', 'alter domain positive drop default', 'type public.positive'],
  ['an attribute of a composite type', 'alter type pair add attribute c integer cascade', 'column public.pair.c'],
  ['the subtype of a range', 'drop type span; create type span as range (subtype = bigint)', 'type public.span'],
  ['a trigger', 'drop trigger touched on people', 'trigger touched on public.people'],
  ['an enabled trigger', 'alter table people disable trigger touched', 'trigger touched on public.people'],
  ['extended statistics', 'drop statistics people_related', 'statistics public.people_related'],
  [
    'the target of extended statistics',
    'alter statistics people_related set statistics -1',
    'statistics public.people_related',
  ],
  [
    'INCLUDE',
    'drop index people_covering; create index people_covering on people (tenant) with (fillfactor = 60)',
    'index public.people_covering',
  ],
  [
    'the statistics target of an index',
    'alter index people_shout alter column 1 set statistics -1',
    'index column people_shout.shout on public.people',
  ],
  ['SET STATISTICS', 'alter table people alter column name set statistics -1', 'column public.people.name'],
  ['an option of a column', 'alter table people alter column name reset (n_distinct)', 'column public.people.name'],
  ['the storage of a column', 'alter table people alter column data set storage extended', 'column public.people.data'],
  [
    'the compression of a column',
    'alter table people alter column data set compression default',
    'column public.people.data',
  ],
  ['CLUSTER ON', 'alter table people set without cluster', 'table public.people'],
  ['a storage parameter', 'alter table people reset (fillfactor)', 'table public.people'],
  [
    'a storage parameter of its TOAST table',
    'alter table people reset (toast.autovacuum_enabled)',
    'table public.people',
  ],
  ['the replica identity', 'alter table people replica identity default', 'table public.people'],
  ['FORCE ROW LEVEL SECURITY', 'alter table people no force row level security', 'row security on public.people'],
  [
    'DEFERRABLE',
    'alter table people alter constraint people_boss not deferrable',
    'constraint public.people_boss on people',
  ],
  ['a partition', 'alter table events detach partition events_1', 'table public.events_1'],
  [
    'the bounds of a partition',
    "alter table events detach partition events_1; alter table events attach partition events_1 for values from ('2020-01-01') to ('2022-01-01')",
    'table public.events_1',
  ],
  ['inheritance', 'alter table child no inherit parent', 'table public.child'],
  [
    'an exclusion constraint',
    'alter table loose drop constraint loose_during_excl',
    'constraint public.loose_during_excl on loose',
  ],
  [
    'NO INHERIT',
    'alter table loose drop constraint sane; alter table loose add constraint sane check (id > 0)',
    'constraint public.sane on loose',
  ],
  ['UNLOGGED', 'alter table fleeting set logged', 'table public.fleeting'],
  [
    'a storage parameter of a primary key',
    'alter index fleeting_pkey reset (fillfactor)',
    'constraint public.fleeting_pkey on fleeting',
  ],
  [
    'the options of the sequence of a serial column',
    'alter sequence fleeting_id_seq cache 7',
    'sequence public.fleeting_id_seq',
  ],
  ['the owner column of a sequence', 'alter sequence fleeting_id_seq owned by none', 'sequence public.fleeting_id_seq'],
  ['a default of a view', 'alter view pairs alter column name drop default', 'column public.pairs.name'],
  ['a rule', 'drop rule keep on loose', 'rule keep on public.loose'],
  ['a table of a type', 'alter table typed not of', 'table public.typed'],
]

/** SQL that changes what is not compared, and the words of the help that say so. */
const notCompared: readonly (readonly [string, RegExp])[] = [
  ["comment on table people is 'x'", /comments/],
  ['grant select on people to public', /grants/],
  ['alter default privileges grant select on tables to public', /grants/],
  ['alter table people owner to pg_database_owner', /owners/],
  [
    'alter table loose drop column during; alter table loose add during int4range, add exclude using gist (during with &&)',
    /the order of columns/,
  ],
  [
    `do $$ begin if current_setting('server_version_num')::int >= 180000
       then alter table events rename constraint events_at_not_null to filled; end if; end $$`,
    /names of NOT NULL constraints/,
  ],
  ['alter table people drop column grid; alter table people add grid integer[]', /dimensions of arrays/],
  ['refresh materialized view z_base with no data', /whether a materialized view is filled/],
  ['insert into groups values (1, 1, $$x$$)', /the rows/],
  ["select setval('numbers', 50)", /the rows/],
  ['create publication everything for all tables', /publications/],
  [
    "create function watch() returns event_trigger language plpgsql as 'begin end'; create event trigger look on sql_drop execute function watch(); drop function watch() cascade; alter table people enable trigger user",
    /event triggers/,
  ],
  ['create cast (text as integer) with inout', /casts/],
  ['create operator === (leftarg = integer, rightarg = integer, function = plus)', /operators/],
  ['create operator family together using btree', /operators and their classes/],
  ['create collation german (locale = $$C$$, provider = libc)', /collations/],
  ['create text search configuration mine (copy = english)', /text search objects/],
  ["create conversion mine for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8", /conversions/],
  ['create foreign data wrapper far; create server there foreign data wrapper far', /foreign servers/],
]

const declared = allDeclared.filter(([what]) => hasNullsNotDistinct || what !== 'NULLS NOT DISTINCT')

let database: TestDatabase
let connection: Connection
let whole: SchemaDescription
let code: SchemaDescription
let sql: string
let release = () => {}
const ledger = new Ledger()

beforeAll(async () => {
  const directory = new URL('../..', import.meta.url).pathname
  const schema = [relative(directory, fileURLToPath(new URL('../support/everything-schema.ts', import.meta.url)))]
  const project: Pick<Project, 'directory' | 'schema' | 'source' | 'casing'> = {
    directory,
    schema,
    source: { folder: '/nowhere' },
    casing: undefined,
  }
  sql = asKnown((await readCode(project as Project, new AbortController().signal)).whole)
  database = await openTestDatabase(scriptTemplate('empty', 'select'))
  await using scratch = await openTestDatabase(scriptTemplate('empty', 'select'))
  const both = [database.url, scratch.url]
  const statements = sql.split('--> statement-breakpoint')
  // drizzle-kit puts views in the order of their names.
  const late = statements.findIndex((statement) => statement.includes('"a_top"'))
  statements.push(...statements.splice(late, 1))
  await Promise.all(
    both.map((url) =>
      withConnection(url, async (connection) => {
        for (const statement of [...statements, byHand]) await connection.script(statement)
      }),
    ),
  )
  const described = await withConnection(scratch.url, (connection) =>
    describeCode(connection, ledger, { whole: sql }, false),
  )
  expect(described.refused).toEqual([])
  code = described.declared
  // One connection for all cases: each is a transaction that is rolled back.
  await new Promise<void>((ready) => {
    void withConnection(database.url, (opened) => {
      connection = opened
      ready()
      return new Promise<void>((end) => (release = end))
    })
  })
  whole = await describeDatabase(connection, ledger)
})
afterAll(async () => {
  release()
  await database[Symbol.asyncDispose]()
})

async function after(change: string): Promise<SchemaDescription> {
  try {
    await connection.script(`begin; ${change}`)
    return await describeDatabase(connection, ledger)
  } finally {
    await connection.script('rollback')
  }
}

const objects = (found: readonly { object: string }[]) => found.map(({ object }) => object)

describe('what the code declares and the migrations make', () => {
  test('agrees, whatever SQL was written by hand beside it', () => {
    expect(compareDeclared(code, whole).differences).toEqual([])
  })

  test.each(declared)('%s, missing', async (_, change, object) => {
    const changed = await after(change)
    expect(objects(differences(whole, changed))).toContain(object)
    expect(objects(compareDeclared(code, changed).differences)).toContain(object)
  })

  test('is mended by the SQL that is proposed', { timeout: 120_000 }, async () => {
    const unproposed: string[] = []
    for (const [what, change] of declared) {
      const remedies = compareDeclared(code, await after(change)).differences.map(remedy)
      if (remedies.some((sql) => sql === undefined || sql.startsWith('--'))) unproposed.push(what)
      else {
        const mended = compareDeclared(code, await after(`${change}; ${remedies.join('\n')}`)).differences
        expect([what, objects(mended)]).toEqual([what, []])
      }
    }
    expect(unproposed).toMatchInlineSnapshot(`
      [
        "identity",
        "identity ALWAYS",
        "the options of an identity",
        "a generated column",
        "a generation expression",
        "a serial column",
        "a label of an enum",
        "the order of an enum",
        "an enum without a stranger",
        "an array",
        "a table",
        "a schema",
        "the query of a view",
        "an option of a view",
        "the check option of a view",
        "the query of a materialized view",
        "a parameter of a materialized view",
        "a policy",
        "the expression of a policy",
        "the roles of a policy",
        "a restrictive policy",
        "a sequence",
        "the options of a sequence",
      ]
    `)
  })
})

describe('what migrations make by hand', () => {
  test.each(handMade)('%s, missing from the database', async (_, change, object) => {
    const changed = await after(change)
    expect(objects(differences(whole, changed))).toContain(object)
    expect(compareDeclared(code, changed).differences).toEqual([])
  })

  test('is listed as theirs alone', () => {
    const more = objects(compareDeclared(code, whole).migrationsOnly)
    const changedOnly = new Set(['column public.pair.c', 'column public.pairs.name', 'rule keep on public.loose'])
    const inTables = /^(?:constraint|sequence|table|column) (?:public\.)(?:fleeting|loose|sane|child|typed)/
    for (const [, , object] of handMade) {
      if (!changedOnly.has(object) && !inTables.test(object)) expect(more).toContain(object)
    }
    expect(more.filter((object) => /people_(?:name|key|price)$/.test(object))).toEqual([])
  })
})

test.each(notCompared)('%s is not compared, and the help says so', async (change, words) => {
  const changed = await after(change)
  expect(differences(whole, changed)).toEqual([])
  expect(verifyCommand.help.replaceAll(/\s+/g, ' ').split('Not compared:')[1]).toMatch(words)
})

describe('verifyDatabase with the code', () => {
  const table = 'create table t (id integer primary key, n integer not null, constraint pos check (n > 0));'
  const index = 'create index t_n on t (n);'

  /** The code says `whole`; the files are applied, those whose names begin with 9 stay pending. */
  async function verified(files: Readonly<Record<string, string>>, whole: string, ungenerated = '') {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    const applied = Object.keys(files).findLast((name) => !name.startsWith('9'))
    if (applied !== undefined) await applyMigrations(database.url, { ...project, to: applied })
    return await verifyDatabase(database.url, { ...project, code: { whole, ungenerated } })
  }

  test('finds what a file was edited to leave out, and what generate would write is no part of it', async () => {
    const files = { '0000_t': 'create table t (id integer primary key, n integer);' }
    const { code, differences } = await verified(files, `${table} ${index}`, index)
    expect(differences).toEqual([])
    expect(code).toEqual({
      differences: [
        { object: 'column public.t.n', expected: 'integer not null', actual: 'integer' },
        { object: 'constraint public.pos on t', expected: 'CHECK ((n > 0))', actual: undefined },
      ],
      refused: [],
      migrationsOnly: [],
    })
  })

  test('counts pending migrations in, and says of one that cannot be applied which line is at fault', async () => {
    const pending = await verified({ '0000_t': table, '9000_i': index }, `${table} ${index}`)
    expect(pending).toMatchObject({ pending: ['9000_i'], pendingTrial: { outcome: 'runs' }, code: { differences: [] } })
    const broken = { '0000_t': table, '9000_i': `select 1;\n${index}\ncreate view v as select from u;` }
    expect(await verified(broken, table)).toMatchObject({
      pendingTrial: { outcome: 'fails', name: '9000_i', line: 3, reason: 'relation "u" does not exist [42P01]' },
      code: undefined,
    })
  })

  test('says which of the code’s statements PostgreSQL refuses, and compares the rest', async () => {
    const whole = `${table}--> statement-breakpoint
      create index t_bad on t (n) where n > $1--> statement-breakpoint
      create view a as select * from b--> statement-breakpoint
      create view b as select n from t`
    const { code } = await verified({ '0000_t': table }, whole)
    expect(code?.refused).toEqual([
      {
        ungenerated: false,
        statement: 'create index t_bad on t (n) where n > $1',
        reason: expect.stringMatching(/^there is no parameter \$1 \[42P02\]\n.*write the value itself/),
      },
    ])
    // Whatever their order.
    expect(objects(code?.differences ?? [])).toEqual(['view public.a', 'view public.b'])
  })

  test('does not take what goes with a table that does not parse for made by hand', async () => {
    const made = 'create table "t" ("n" integer); create index "t_n" on "t" ("n")'
    const whole = `CREATE TABLE "t" (\n\t"n" "Odd"d"\n);--> statement-breakpoint
      CREATE INDEX "t_n" ON "t" ("n")`
    const { code } = await verified({ '0000_t': made }, whole)
    expect(code?.refused.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/^syntax error/),
      expect.stringMatching(/^relation "t" does not exist \[42P01\]$/),
    ])
  })

  test('says which of the next migration’s statements PostgreSQL refuses', async () => {
    const { code } = await verified({ '0000_t': table }, table, 'drop index nowhere')
    const reason = expect.stringMatching(/does not exist \[42704\]/)
    expect(code).toMatchObject({
      differences: [],
      refused: [{ ungenerated: true, statement: 'drop index nowhere', reason }],
    })
  })

  test('does not mind names that PostgreSQL made up, nor those that people chose otherwise', async () => {
    const files = {
      '0000_old': `create table old (id serial primary key, n integer constraint mine unique, at integer references old);
        create index by_hand on old (n desc); alter table old rename to t;`,
    }
    const whole = `create table t (id serial primary key, n integer, at integer);
      alter table t add constraint t_n_unique unique (n);
      alter table t add constraint t_at_t_id_fk foreign key (at) references t (id);
      create index t_n on t (n desc);`
    const { code } = await verified(files, whole)
    expect(code?.differences).toEqual([])
    expect(code?.migrationsOnly.map(({ object, expected }) => [object, expected])).toEqual([
      ['constraint public.mine on t', 'constraint public.t_n_unique on t'],
      ['constraint public.old_at_fkey on t', 'constraint public.t_at_t_id_fk on t'],
      ['index public.by_hand', 'index public.t_n'],
    ])
  })

  test('does not take one of two equal indexes for both', async () => {
    const files = { '0000_t': `${table} create index mine on t (n);` }
    const { code } = await verified(files, `${table} ${index} create index t_again on t (n);`)
    expect(code?.differences).toHaveLength(1)
  })

  test('leaves to hand-written SQL what it adds: defaults, triggers, partitions, tables', async () => {
    const files = {
      '0000_t': `create table t (id integer primary key, n integer not null default 5, constraint pos check (n > 0))
          partition by range (id);
        create table t_1 partition of t for values from (1) to (9);
        create table other (id integer references t); ${index} create index other_i on t (n, id);`,
    }
    const { code } = await verified(files, `${table} ${index}`)
    expect(code?.differences).toEqual([])
    expect(objects(code?.migrationsOnly ?? [])).toEqual([
      'column public.t.n',
      'index public.other_i',
      'table public.other',
      'table public.t',
      'table public.t_1',
    ])
  })

  test('gives the code the functions, types and extensions that migrations made for it', async () => {
    const files = {
      '0000_base': `create extension citext; create domain positive as integer check (value > 0);
        create table t (id integer primary key, name citext, n positive);
        create function allowed(one t) returns boolean stable begin atomic select one.n > 1; end;
        create policy p on t using (allowed(t)); alter table t enable row level security;`,
    }
    const whole = `create table t (id integer primary key, name citext, n positive);
      alter table t enable row level security;--> statement-breakpoint
      create policy p on t using (allowed(t));`
    expect((await verified(files, whole)).code).toEqual({
      differences: [],
      refused: [],
      migrationsOnly: [
        { object: 'function public.allowed(public.t)', expected: undefined, actual: expect.any(String) },
        { object: 'type public.positive', expected: undefined, actual: expect.any(String) },
      ],
    })
  })

  test('gives the code the views that migrations made over its tables', async () => {
    const files = {
      '0000_t': table,
      '0001_hand': `create view hand ("an id", n) with (security_barrier) as select id, n from t;
        create function kept() returns trigger language plpgsql as 'begin return new; end';
        create trigger kept instead of insert on hand for each row execute function kept();
        create rule "no deletes" as on delete to hand do instead nothing;
        create schema app; create materialized view app.sums with (fillfactor = 70) as select sum(n) from hand;
        create unique index sums_one on app.sums (sum) include (sum);
        create view other as select 1 as one; create rule filled as on insert to other do instead delete from t;`,
      '0002_over': 'create view over as select "an id" from hand where n > (select min(sum) from app.sums);',
    }
    const over = (condition: string) => `${table}--> statement-breakpoint
      create view over as (select "an id" from hand where ${condition})`
    const { code } = await verified(files, over('n > (select min(sum) from app.sums)'))
    expect(code).toMatchObject({ differences: [], refused: [] })
    expect(objects(code?.migrationsOnly ?? [])).toEqual([
      'function public.kept()',
      'materialized view app.sums',
      'view public.hand',
      'view public.other',
    ])
    const other = await verified(files, over('n > 0'))
    expect(other.code?.refused).toEqual([])
    expect(objects(other.code?.differences ?? [])).toEqual(['view public.over'])
  })

  test('makes anew a view that the code declares over another, not as the migrations made it', async () => {
    const files = { '0000_t': `${table} create view b as select n from t; create view a as select n from b;` }
    const whole = `${table}--> statement-breakpoint
      create view a as select n from b--> statement-breakpoint
      create view b as select n from t where n > 1`
    const { code } = await verified(files, whole)
    expect(code?.refused).toEqual([])
    expect(objects(code?.differences ?? [])).toEqual(['view public.b'])
  })

  test('compares a policy that the code declares on a table that it does not make', async () => {
    const linked = (condition: string) => `create policy "the own" on auth."the users" using (${condition})`
    const files = {
      '0000_auth': `create schema auth; create table auth."the users" (id integer);
        alter table auth."the users" enable row level security; ${linked('id = 1')};`,
    }
    const { code } = await verified(files, `${linked('id = 1')};`)
    expect(code).toMatchObject({ differences: [], refused: [] })
    expect(objects(code?.migrationsOnly ?? [])).toEqual(['table auth."the users"'])
    const other = await verified(files, `${linked('id = 2')};`)
    expect(other.code?.refused).toEqual([])
    expect(objects(other.code?.differences ?? [])).toEqual(['policy "the own" on auth."the users"'])
    const nowhere = await verified({ '0000_t': table }, `${table}${linked('true')};`)
    expect(nowhere.code?.refused).toHaveLength(1)
  })

  test('takes the cast of an old type in a default for the same', async () => {
    const files = { '0000_t': "create table t (s text default 'a'); alter table t alter s type varchar(9);" }
    expect((await verified(files, "create table t (s varchar(9) default 'a')")).code?.differences).toEqual([])
    const other = await verified(files, "create table t (s varchar(9) default 'b')")
    expect(objects(other.code?.differences ?? [])).toEqual(['column public.t.s'])
  })

  test('names the role that the code declares and no migration has made, and tries no file that needs one', async () => {
    const whole = `create role nobody_at_all; ${table}`
    const { code } = await verified({ '0000_t': table }, whole)
    const reason = expect.stringMatching(/no such role/)
    expect(code?.refused).toEqual([{ ungenerated: false, statement: 'create role nobody_at_all', reason }])
    const files = { '0000_t': table, '9000_r': 'create role nobody_at_all; grant select on t to nobody_at_all;' }
    expect(await verified(files, whole)).toMatchObject({
      pendingTrial: {
        outcome: 'untried',
        reason: expect.stringMatching(/role "nobody_at_all" does not exist[^]*roles are not made/),
      },
      code: undefined,
    })
  })
})
