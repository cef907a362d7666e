import { describe, expect, test } from 'vitest'
import { lint, lintRules } from '../../src/migrate/lint/lint.ts'

/** What was before: tables with rows in them. */
const before = `
create table t (id int primary key, name varchar(10), price numeric(8, 2), u_id int, note text);
create table u (id int primary key);
create table parts (id int, at timestamp) partition by list (id);
create type mood as enum ('fine');
create domain d as int;
create materialized view v as select 1`

async function rules(text: string): Promise<string[]> {
  const findings = await lint([
    { file: 'before', text: before, report: false },
    { file: 'file', text },
  ])
  return [...new Set(findings.map(({ rule }) => rule))]
}

/** Rule -> SQL that it finds, SQL that it does not. */
const cases: Record<string, { found: string[]; fine: string[] }> = {
  'add-not-null-column': {
    found: ['alter table t add column c int not null', 'alter table t add c int, add d int not null'],
    fine: ['alter table t add column c int not null default 0', 'alter table t add column c int'],
  },
  'volatile-default': {
    found: [
      'alter table t add column c uuid default gen_random_uuid()',
      'alter table t add column c timestamptz default clock_timestamp()',
      'alter table t add column c int default (random() * 6)::int',
      'alter table t add column c int default my.own()',
    ],
    fine: [
      'alter table t add column c timestamptz default now()',
      'alter table t add column c timestamptz default current_timestamp not null',
      "alter table t add column c text default lower('A')",
      "alter table t add column c text default encode(sha256('a'), 'hex'), add d point default point(1, 2)",
      'alter table t alter column u_id set default random()',
    ],
  },
  'add-generated-column': {
    found: [
      'alter table t add column c serial',
      'alter table t add column c bigint generated always as identity',
      'alter table t add column c int generated always as (id * 2) stored',
    ],
    fine: ['alter table t add column c int generated always as (id * 2) virtual'],
  },
  'change-column-type': {
    found: [
      'alter table t alter column id type bigint',
      'alter table t alter column name type varchar(5)',
      'alter table t alter column price type numeric(9, 3)',
      'alter table t alter column note type int using note::int',
      'alter table t alter column unheard_of type text',
    ],
    fine: [
      'alter table t alter column name type varchar(20)',
      'alter table t alter column name type text',
      'alter table t alter column price type numeric(10, 2)',
      'alter table t alter column id type int4',
      'alter table parts alter column at type timestamp(6)',
    ],
  },
  'set-not-null': {
    found: [
      'alter table t alter column name set not null',
      'alter table t add constraint c check (name is not null) not valid; alter table t alter column name set not null',
      'alter table t add constraint c check (note is not null); alter table t alter column name set not null',
    ],
    fine: ['alter table t add constraint c check (name is not null); alter table t alter column name set not null'],
  },
  'drop-column': { found: ['alter table t drop column note'], fine: ['alter table t alter column note drop default'] },
  'rename-column': {
    found: ['alter table t rename column note to notes'],
    fine: ['alter index t_pkey rename to t_id'],
  },
  'foreign-key-validates': {
    found: [
      'alter table t add constraint f foreign key (u_id) references u (id)',
      'alter table t add column v_id int references u (id)',
    ],
    fine: ['alter table t add constraint f foreign key (u_id) references u (id) not valid'],
  },
  'check-validates': {
    found: ['alter table t add constraint c check (id > 0)', 'alter table t add column c int check (c > 0)'],
    fine: ['alter table t add constraint c check (id > 0) not valid', 'alter table t validate constraint c'],
  },
  'unique-builds-index': {
    found: [
      'alter table t add constraint c unique (name)',
      'alter table t add primary key (id)',
      'alter table t add column c int unique',
    ],
    fine: ['alter table t add constraint c unique using index i'],
  },
  'exclusion-builds-index': {
    found: ['alter table t add constraint c exclude using gist (name with =)'],
    fine: ['create table n (r int4range, exclude using gist (r with &&))'],
  },
  'validate-in-same-file': {
    found: ['alter table t add constraint c check (id > 0) not valid; alter table t validate constraint c'],
    fine: [
      '-- rivulet:no-transaction\nalter table t add constraint c check (id > 0) not valid; alter table t validate constraint c',
    ],
  },
  'index-not-concurrent': {
    found: ['create index i on t (name)', 'create unique index i on public.t (name)'],
    fine: ['create index concurrently i on t (name)', 'create table n (a int); create index i on n (a)'],
  },
  'drop-index-not-concurrent': {
    found: ['drop index i'],
    fine: ['drop index concurrently i', 'create index i on t (id); drop index i'],
  },
  'reindex-not-concurrent': { found: ['reindex table t'], fine: ['reindex table concurrently t'] },
  'concurrently-with-others': {
    found: ['create index concurrently i on t (name); select 1'],
    fine: ['create index concurrently i on t (name); create index concurrently j on t (id)'],
  },
  'drop-table': {
    found: ['drop table t', 'create table if not exists t (id int); drop table t'],
    fine: ['select 1 as a into n; drop table n', 'create table n (a int); drop table n', 'drop view w'],
  },
  'drop-cascade': { found: ['drop view w cascade', 'alter table t drop column note cascade'], fine: ['drop view w'] },
  'drop-schema': { found: ['drop schema s'], fine: ['create schema s'] },
  'rename-table': {
    found: ['alter table t rename to t2'],
    fine: ['alter table t rename to t2; create view t as select * from t2'],
  },
  'drop-primary-key': {
    found: [
      'alter table t drop constraint t_pkey',
      'alter table t add constraint k primary key using index i; alter table t drop constraint k',
    ],
    fine: [
      'alter table t drop constraint other',
      'alter table t drop constraint t_pkey, add constraint t_pkey primary key using index i',
    ],
  },
  'domain-check-validates': {
    found: ['alter domain d add check (value > 0)', 'alter domain d set not null'],
    fine: ['alter domain d add check (value > 0) not valid', 'create domain e as int; alter domain e set not null'],
  },
  'attach-partition-validates': {
    found: ['alter table parts attach partition t for values in (1)'],
    fine: ['create table p1 (id int); alter table parts attach partition p1 for values in (1)'],
  },
  'detach-partition-not-concurrent': {
    found: ['alter table parts detach partition p1'],
    fine: ['alter table parts detach partition p1 concurrently'],
  },
  'drop-object': {
    found: [
      'drop view w',
      'drop materialized view v',
      'drop type mood',
      'drop function f(int)',
      'drop sequence s',
      'drop domain d',
    ],
    fine: ['drop view w; create view w as select 1', 'create type n as enum (); drop type n', 'drop index i'],
  },
  'rename-object': {
    found: [
      'alter view w rename to x',
      'alter type mood rename to moods',
      "alter type mood rename value 'fine' to 'good'",
      'alter schema s rename to z',
    ],
    fine: ["alter type mood add value 'bad'", 'alter view w rename to x; create view w as select * from x'],
  },
  'set-schema': {
    found: ['alter table t set schema s', 'alter type mood set schema s'],
    fine: [
      'alter table t set schema s; create view t as select * from s.t',
      'create table n (a int); alter table n set schema s',
    ],
  },
  'drop-wholesale': {
    found: ['drop owned by r', 'drop extension hstore', 'drop database d'],
    fine: ['create extension hstore', 'reassign owned by r to s'],
  },
  'truncate-table': { found: ['truncate t'], fine: ['create table n (a int); truncate n'] },
  'rewrite-table': {
    found: ['vacuum full t', 'cluster t', 'alter table t set unlogged', 'alter table t set tablespace s'],
    fine: ['vacuum t', 'alter table t set (fillfactor = 70)'],
  },
  'refresh-not-concurrent': {
    found: ['refresh materialized view v'],
    fine: ['refresh materialized view concurrently v'],
  },
  'row-security-without-policy': {
    found: ['alter table t enable row level security'],
    fine: ['alter table t enable row level security; create policy p on t using (true)'],
  },
  'exclusive-lock-with-data-change': {
    found: [
      'alter table t add column c int; update t set c = 1 where id < 5',
      'alter table t drop note; insert into u values (1)',
    ],
    fine: [
      'update t set name = null where id = 1',
      'create table n (a int); alter table t add c int; insert into n values (1)',
    ],
  },
  'many-exclusive-locks': {
    found: ['alter table t add column c int; alter table u add column c int'],
    fine: [
      'alter table t add column c int; alter table t add column d int',
      'alter table t rename to t2; create view t as select 1; alter table t2 add column d int',
    ],
  },
  'change-every-row': {
    found: [
      'update t set id = 1',
      'delete from t',
      'update t set id = 1 where true',
      'merge into t using u on t.id = u.id when matched then delete',
      'with gone as (delete from t returning id) select * from gone',
    ],
    fine: ['update t set id = 1 where id = 2'],
  },
  'lock-table': { found: ['lock table t'], fine: ['create table n (a int); lock table n'] },
  'transaction-control': { found: ['begin; select 1; commit'], fine: ['savepoint s'] },
  'commit-leaves-transaction': {
    found: ['alter table t add c int; commit; create index concurrently i on t (c)'],
    fine: ['begin; select 1; commit', 'create index concurrently i on t (name)'],
  },
  'enum-value-used-at-once': {
    found: ["alter type mood add value 'bad'; insert into m values ('bad')"],
    fine: ["alter type mood add value 'bad'", "alter type mood rename value 'fine' to 'good'; select 'good'"],
  },
}

describe('lint', () => {
  test('has a case here for every rule, each with a manual page and a safe way', () => {
    expect(Object.keys(cases).sort()).toEqual(lintRules.map(({ name }) => name).sort())
    for (const { why, instead, manual } of lintRules) {
      expect(why.length).toBeGreaterThan(30)
      expect(instead).not.toBe('')
      expect(manual).toMatch(/^https:\/\/www\.postgresql\.org\/docs\/current\/[\w-]+\.html/)
    }
  })

  for (const [rule, { found, fine }] of Object.entries(cases)) {
    test.each(found)(`${rule} finds: %s`, async (text) => {
      expect(await rules(text)).toContain(rule)
    })
    test.each(fine)(`${rule} lets pass: %s`, async (text) => {
      expect(await rules(text)).not.toContain(rule)
    })
  }

  test('knows that a table created in the same file is empty', async () => {
    const text = `create table n (a int);
      alter table n add column b int not null, add constraint f foreign key (a) references u (id);
      create index i on n (a); alter table n alter a type bigint; update n set a = 1; alter table n rename to m;
      alter table m drop column b; truncate m; drop table m`
    expect(await rules(text)).toEqual([])
  })

  test('takes a validated check of an earlier file as proof for SET NOT NULL', async () => {
    const findings = await lint([
      { file: '1', text: before, report: false },
      { file: '2', text: 'alter table t add constraint c check (name is not null) not valid' },
      { file: '3', text: 'alter table t validate constraint c' },
      { file: '4', text: 'alter table t alter column name set not null; alter table t drop constraint c' },
    ])
    expect(findings).toEqual([])
  })

  const narrower = 'alter table t alter column name type varchar(5)'
  test.each<[string, string, string, string?]>([
    ['table', 'alter table t rename to u2', 'alter table u2 alter column name type varchar(20)'],
    ['column', 'alter table t rename name to title', 'alter table t alter column title type varchar(20)'],
    [
      'table in a schema',
      'create schema s; create table s.t (name varchar(10)); alter table s.t rename to u2',
      'alter table s.u2 alter column name type varchar(20)',
    ],
    ['table to another schema', 'alter table t set schema s', 'alter table s.t alter column name type varchar(20)'],
    [
      'check and its column',
      'alter table t add constraint c check (name is not null);' +
        'alter table t rename constraint c to d; alter table t rename name to title',
      'alter table t alter column title set not null',
    ],
    [
      'primary key',
      'create table k (id int constraint mine primary key); alter table k rename constraint mine to yours',
      'alter table k drop constraint yours',
      'drop-primary-key',
    ],
  ])('knows a %s after RENAME', async (_, renaming, text, rule) => {
    const sources = [before, renaming].map((text, index) => ({ file: `${index}`, text, report: false }))
    const findings = await lint([...sources, { file: 'file', text }])
    expect(findings.map(({ rule }) => rule)).toEqual(rule === undefined ? [] : [rule])
  })

  test.each([
    ['a column that was dropped and made anew', 'alter table t drop name; alter table t add name varchar(2)'],
    ['a table that was dropped and made anew', 'drop table t; create table t (name varchar(2))'],
    ['another column that took its name', 'alter table t rename name to old; alter table t rename note to name'],
  ])('does not take %s for the one before', async (_, change) => {
    const sources = [before, change].map((text, index) => ({ file: `${index}`, text, report: false }))
    expect((await lint([...sources, { file: 'file', text: narrower }])).map(({ rule }) => rule)).toEqual(
      change.includes('(2)') ? [] : ['change-column-type'],
    )
  })

  test('names file, line, danger, safe way and manual', async () => {
    const [finding] = await lint([{ file: 'x.sql', text: '\n\ndrop table t' }])
    expect(finding).toEqual({
      rule: 'drop-table',
      file: 'x.sql',
      line: 3,
      message: 'table t is dropped',
      why: expect.any(String),
      instead: expect.any(String),
      manual: expect.any(String),
    })
  })

  test('believes no check that was dropped in between', async () => {
    const findings = await lint([
      { file: '1', text: before, report: false },
      { file: '2', text: 'alter table t add constraint c check (name is not null)', report: false },
      { file: '3', text: 'alter table t drop constraint c' },
      { file: '4', text: 'alter table t alter column name set not null' },
    ])
    expect(findings.map(({ rule, file }) => [rule, file])).toEqual([['set-not-null', '4']])
  })

  test.each(['', '-- Custom SQL migration file, put your code below! --'])(
    'reports a file that holds nothing: %j',
    async (text) => {
      expect(await rules(text)).toEqual(['empty-file'])
    },
  )

  test('reports text that the parser refuses', async () => {
    expect(await rules('selec 1')).toEqual(['syntax'])
  })
})

describe('a suppression', () => {
  test('silences its rule for the next statement, also from behind on the same line', async () => {
    const reason = 'nobody uses it'
    expect(await rules(`-- rivulet:ignore drop-table: ${reason}\ndrop table t;\ndrop table u`)).toEqual(['drop-table'])
    expect(await rules(`drop table t; -- rivulet:ignore drop-table: ${reason}\n`)).toEqual([])
    expect(await rules(`/* rivulet:ignore drop-table, drop-cascade: ${reason} */ drop table t cascade`)).toEqual([])
  })

  test('for the file stands above its first statement', async () => {
    expect(await rules('-- rivulet:ignore-file drop-table: old\ndrop table t;\ndrop table u')).toEqual([])
    expect(await rules('select 1;\n-- rivulet:ignore-file drop-table: old\ndrop table t')).toEqual(['drop-table'])
  })

  test('without a reason silences nothing and is reported', async () => {
    expect(await rules('-- rivulet:ignore drop-table\ndrop table t')).toEqual(['drop-table', 'ignore-comment'])
    expect(await rules('-- rivulet:ignore drop-table:\ndrop table t')).toEqual(['drop-table', 'ignore-comment'])
  })

  test('may be written carelessly; a directive that does not exist is reported', async () => {
    expect(await rules('--Rivulet: ignore drop-table: old\ndrop table t')).toEqual([])
    expect(await rules('-- rivulet:ingore drop-table: old\ndrop table t')).toEqual(['drop-table', 'ignore-comment'])
    expect(await rules('select 1; -- rivulet:no-transaction\n')).toEqual(['ignore-comment'])
    expect(await rules('-- rivulet: a small stream\nselect 1')).toEqual([])
  })

  test('of an unknown rule is reported', async () => {
    const [finding] = await lint([{ file: 'f', text: '-- rivulet:ignore drop-tabel: typo\nselect 1' }])
    expect(finding).toMatchObject({ rule: 'ignore-comment', message: 'there is no rule drop-tabel' })
  })

  test('inside a string is none', async () => {
    expect(await rules("select '-- rivulet:ignore drop-table: x'; drop table t")).toEqual(['drop-table'])
  })
})
