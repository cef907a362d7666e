/**
 * The doctor, on databases that ail: each of its rules finds the ailment and nothing beside it, and the SQL that it gives
 * mends it. What a role may not see, and statistics that are too young, are said.
 */
import { describe, expect, test } from 'vitest'
import { Cancelled, UsageError } from '../../src/errors.ts'
import { withConnection } from '../../src/migrate/connect.ts'
import {
  type Examination,
  examineDatabase,
  type ExamineOptions,
  type HealthFinding,
  type HealthLimits,
  healthRules,
} from '../../src/migrate/index.ts'
import type { Connection } from '../../src/pool/connection.ts'
import { Admin } from '../support/admin.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'
import { openEmptyDatabase } from '../support/migrations.ts'
import { asKnown } from '../support/server-version.ts'

/** All that is counted counts at once. */
const limits: Partial<HealthLimits> = {
  unusedDays: 0,
  unusedReads: 5,
  unusedBytes: 0,
  bloatBytes: 100_000,
  deadRows: 100,
  transactionMs: 0,
  idleTransactionMs: 0,
  slotBytes: 0,
}

async function run(url: string, ...scripts: string[]): Promise<void> {
  await withConnection(url, async (connection) => {
    for (const script of scripts) await connection.script(script)
  })
}

/** The mending SQL as a person would run it: statement by statement, as CONCURRENTLY has to be. */
async function mend(url: string, findings: readonly HealthFinding[]): Promise<void> {
  const statements = findings.flatMap(({ sql }) => sql.split(/(?<=;)[^\n]*\n/))
  await run(url, ...statements.map((text) => text.replace(/;[^\n]*$/, '')))
}

async function look(url: string, rule: string, options: ExamineOptions = {}): Promise<Examination> {
  return examineDatabase(url, { rules: [rule], limits, ...options })
}

async function objects(url: string, rule: string): Promise<readonly string[]> {
  return (await look(url, rule)).findings.map(({ object }) => object)
}

interface Case {
  readonly rule: string
  readonly ails: string
  /** Beside it, what is fine. */
  readonly setup: readonly string[]
  readonly finds: readonly string[]
}

const cases: readonly Case[] = [
  {
    rule: 'foreign-key-without-index',
    ails: 'a key whose columns begin no whole index of its table',
    setup: [
      `create table p (id int primary key, other int, unique (id, other));
       create table fine (a int references p, b int, c int, foreign key (b, c) references p (id, other));
       create index on fine (a) where a is not null;
       create index on fine (c, b, a);
       create table ails (a int references p, b int references p, c int references p, d int references p);
       create index on ails (b) where a > 1;
       create index on ails (d, c);
       create index on ails using gist (int4range(c, c));
       create table same (a int references p, foreign key (a) references p (id))`,
    ],
    finds: ['public.ails.ails_a_fkey', 'public.ails.ails_b_fkey', 'public.ails.ails_c_fkey', 'public.same.same_a_fkey'],
  },
  {
    rule: 'foreign-key-without-index',
    ails: 'a key of a partitioned table of which one partition has no index',
    setup: [
      `create table p (id int primary key) partition by range (id);
       create table p1 partition of p for values from (1) to (9);
       create table whole (a int references p, at int) partition by range (at);
       create table whole_1 partition of whole for values from (1) to (9);
       create index on whole_1 (a);
       create table ails (a int references p, at int) partition by range (at);
       create table ails_1 partition of ails for values from (1) to (5);
       create table ails_2 partition of ails for values from (5) to (9) partition by list (at);
       create table ails_2_6 partition of ails_2 for values in (6);
       create index on ails_1 (a)`,
    ],
    finds: ['public.ails.ails_a_fkey'],
  },
  {
    rule: 'duplicate-index',
    ails: 'one on the same columns as another, which enforces as much',
    setup: [
      `create table t (id int primary key, a int, b text, c int, unique (a));
       create index t_a on t (a);
       create unique index t_id on t (id);
       create index one on t (b); create index two on t (b);
       create index pattern on t (b text_pattern_ops); create index down on t (b desc);
       create index part on t (b) where a > 1; create index hashed on t using hash (b);
       create index expression on t (lower(b)); create index again on t (lower(b));
       create unique index c_1 on t (c); alter table t add constraint c_2 unique (c);
       create table r (c int references t (c))`,
    ],
    finds: ['public.again', 'public.c_2', 'public.t_a', 'public.t_id', 'public.two'],
  },
  {
    rule: 'redundant-index',
    ails: 'one that is the beginning of another',
    setup: [
      `create table t (id int, a int, b int, c int);
       create index short on t (a); create index long on t (a, b); create index longest on t (a, b, c);
       create unique index kept on t (b); create index on t (b, c);
       create index including on t (c) include (a); create index on t (c, b);
       create index fits on t (id) include (a); create index on t (id, a)`,
      `create table q (a int, b int) partition by list (a);
       create table q_1 partition of q for values in (1);
       create index q_a on q (a); create index q_ab on q (a, b)`,
    ],
    finds: ['public.q_a', 'public.fits', 'public.long', 'public.short'],
  },
  {
    rule: 'unused-index',
    ails: 'one that no read of its table used, and nothing needs',
    setup: [
      `create table p (id int primary key);
       create table t (id int primary key, a int references p, b int, c int unique);
       create index on t (a); create index ails on t (b); create index used on t (c, b);
       create table unread (a int); create index on unread (a);
       set enable_seqscan = off; select from t where c = 1 and b = 1; set enable_seqscan = on;
       ${'select count(*) from t;'.repeat(9)}`,
    ],
    finds: ['public.ails'],
  },
  {
    rule: 'table-without-key',
    ails: 'a table without a key, partitioned or not',
    setup: [
      asKnown(`create table fine (id int primary key);
       create table also (a int not null unique);
       create table ails (id int, a int unique);
       create table sometimes (a int not null); create unique index on sometimes (a) where a > 1;
       create table later (a int not null unique deferrable);
       create table parted (at int not null, "Quoted" int) partition by range (at, "Quoted");
       create table parted_1 partition of parted for values from (1, 1) to (2, 1);
       create table computed (at int) partition by range ((at + 1))`),
    ],
    finds: ['public.ails', 'public.later', 'public.parted', 'public.sometimes'],
  },
  {
    rule: 'sequence-near-end',
    ails: 'one near its own end, or near that of the column it feeds',
    setup: [
      `create table t (id int generated always as identity primary key, s smallserial, b bigserial);
       create table r (t_id int references t, far smallint references t);
       create sequence wide; create table fed (id int default nextval('wide'));
       create sequence round maxvalue 10 cycle; create sequence ten maxvalue 10; create sequence unused maxvalue 2;
       create sequence falling as smallint increment -1; create sequence fine maxvalue 10;
       select setval('t_id_seq', 2000000000), setval('t_s_seq', 30000), setval('t_b_seq', 3000000000),
         setval('wide', 2000000000), setval('round', 9), setval('ten', 8), setval('fine', 7), setval('falling', -30000)`,
    ],
    finds: ['public.falling', 'public.t_id_seq', 'public.t_s_seq', 'public.ten', 'public.wide'],
  },
  {
    rule: 'table-bloat',
    ails: 'a table that is mostly empty',
    setup: [
      `create table ails as select g as id, repeat('x', 100) as a from generate_series(1, 5000) g;
       create table fine as select g as id, g % 3 = 0 as b, null::int as c from generate_series(1, 20000) g;
       create table loose (id int) with (fillfactor = 30); insert into loose select generate_series(1, 20000);
       delete from ails where id % 9 <> 0`,
      'vacuum analyze ails, fine, loose',
    ],
    finds: ['public.ails'],
  },
  {
    rule: 'index-bloat',
    ails: 'a B-tree that is mostly empty',
    setup: [
      `create table t as select g as id, g as a, g as b from generate_series(1, 20000) g;
       create index ails on t (id); create index on t ((a + b)); create index on t (id, a) where id % 9 = 0;
       create index fine on t (b) where id < 0`,
      'delete from t where id % 9 <> 0',
      'vacuum (index_cleanup on) t',
      'reindex index t_expr_idx; analyze t',
    ],
    finds: ['public.ails'],
  },
  {
    rule: 'dead-rows',
    ails: 'a table with many rows that VACUUM has not taken away',
    setup: [
      `create table ails (a int) with (autovacuum_enabled = off); create table fine (a int);
       insert into ails select generate_series(1, 900); insert into fine select generate_series(1, 900);
       delete from ails where a < 400; delete from fine where a < 90`,
    ],
    finds: ['public.ails'],
  },
]

describe('a database that ails', () => {
  test.each(cases)('$rule finds $ails, and nothing once it is mended', async ({ rule, setup, finds }) => {
    await using database = await openEmptyDatabase()
    await run(database.url, ...setup)
    // A server before 15 counts a moment later.
    await expect.poll(() => objects(database.url, rule)).toEqual(finds)
    await mend(database.url, (await look(database.url, rule)).findings)
    await expect.poll(() => objects(database.url, rule)).toEqual([])
  })

  test('invalid-index finds what an interrupted build has left', async () => {
    await using database = await openEmptyDatabase()
    await run(database.url, 'create table t (a int); insert into t values (1), (1)')
    await run(database.url, 'create unique index concurrently t_a on t (a)').catch(() => undefined)
    expect(await objects(database.url, 'invalid-index')).toEqual(['public.t_a'])
    // So is what REINDEX CONCURRENTLY leaves, beside the index that is still in use.
    await run(database.url, 'create unique index concurrently t_a_ccnew on t (a)').catch(() => undefined)
    await run(database.url, 'truncate t')
    const { findings } = await look(database.url, 'invalid-index')
    expect(findings.map(({ sql }) => sql)).toEqual([
      'REINDEX INDEX CONCURRENTLY public.t_a;',
      'DROP INDEX CONCURRENTLY public.t_a_ccnew;',
    ])
    await mend(database.url, findings)
    expect(await objects(database.url, 'invalid-index')).toEqual([])
  })

  test('names with quotes, spaces and 63 characters are written as SQL writes them', async () => {
    await using database = await openEmptyDatabase()
    const long = `"${'ø'.repeat(31)}"`
    await run(
      database.url,
      `create schema "a ""b"; create table "a ""b"."select" ("Key %s" int primary key);
       create table "a ""b".${long} (${long} int references "a ""b"."select", "1" int unique, b int generated by default as identity);
       create index ${long.replace('ø', 'å')} on "a ""b".${long} ("1");
       select setval(pg_get_serial_sequence('"a ""b".${long}', 'b'), 2000000000)`,
    )
    const { findings, failed } = await examineDatabase(database.url, { limits: { unusedDays: 3650 } })
    expect(failed).toEqual([])
    const found = findings.filter(({ rule }) => !/transaction|slot/.test(rule))
    expect(found.map(({ rule }) => rule)).toEqual([
      'foreign-key-without-index',
      'duplicate-index',
      'table-without-key',
      'sequence-near-end',
    ])
    expect(found[0]?.object).toBe(`"a ""b".${long}."${'ø'.repeat(14)}_${'ø'.repeat(14)}_fkey"`)
    await mend(database.url, found)
    const again = await examineDatabase(database.url, { schemas: ['a "b'], limits: { unusedDays: 3650 } })
    expect(again.findings.filter(({ rule }) => !/transaction|slot/.test(rule))).toEqual([])
    await run(database.url, 'drop schema "a ""b" cascade')
  })
})

describe('what holds VACUUM back', () => {
  const withTransaction = async (url: string, begin: string, work: (connection: Connection) => Promise<void>) => {
    await withConnection(url, async (connection) => {
      await connection.script(begin)
      await work(connection)
    })
  }

  test('idle-in-transaction finds a session that waits for its client, and ends it', async () => {
    await using database = await openEmptyDatabase()
    await withTransaction(database.url, 'begin; select 1', async (connection) => {
      const { findings } = await look(database.url, 'idle-in-transaction')
      expect(findings).toMatchObject([{ object: String(connection.backendPid), sql: expect.any(String) }])
      expect(findings[0]?.message).toContain('application "rivulet migrate"')
      expect(await objects(database.url, 'long-transaction')).toEqual([])
      expect(await look(database.url, 'idle-in-transaction', { limits: {} })).toMatchObject({ findings: [] })
      await mend(database.url, findings)
      await connection.closed
    }).catch(() => undefined)
    expect(await objects(database.url, 'idle-in-transaction')).toEqual([])
  })

  test('long-transaction finds one that works, and shows nothing of what it runs', async () => {
    await using database = await openEmptyDatabase()
    await withTransaction(database.url, 'select', async (connection) => {
      const works = connection.script("begin; select pg_sleep(600), 'secret'").catch((error: unknown) => error)
      await expect.poll(() => objects(database.url, 'long-transaction')).toEqual([String(connection.backendPid)])
      const { findings } = await look(database.url, 'long-transaction')
      expect(JSON.stringify(findings)).not.toContain('secret')
      expect((await look(database.url, 'long-transaction', { limits: {} })).findings).toEqual([])
      await mend(database.url, findings)
      expect(await works).toBeInstanceOf(Error)
    })
    await expect.poll(() => objects(database.url, 'long-transaction')).toEqual([])
  })

  test('prepared-transaction finds one that nobody has ended', async () => {
    await using database = await openEmptyDatabase()
    await run(database.url, "create table t (a int); begin; insert into t values (1); prepare transaction 'it''s'")
    expect((await look(database.url, 'prepared-transaction', { limits: {} })).findings).toEqual([])
    const { findings } = await look(database.url, 'prepared-transaction')
    expect(findings).toMatchObject([{ object: "it's" }])
    await mend(database.url, findings)
    expect(await objects(database.url, 'prepared-transaction')).toEqual([])
  })

  test('replication-slot finds one that nobody reads', async () => {
    await using database = await openEmptyDatabase()
    const name = `doctor_${database.name.replaceAll(/\W/g, '')}`
    await run(database.url, `select pg_create_physical_replication_slot('${name}', true)`)
    const ours = async (given: Partial<HealthLimits>) => {
      const { findings } = await look(database.url, 'replication-slot', { limits: given })
      return findings.filter(({ object }) => object === name)
    }
    try {
      expect(await ours({})).toEqual([])
      expect(await ours({ slotBytes: 0 })).toMatchObject([{ object: name }])
      await mend(database.url, await ours({ slotBytes: 0 }))
      expect(await ours({ slotBytes: 0 })).toEqual([])
    } finally {
      await run(database.url, `select pg_drop_replication_slot('${name}')`).catch(() => undefined)
    }
  })
})

describe('what cannot be seen', () => {
  test('is said: which indexes are unused, as long as the statistics are young', async () => {
    await using database = await openEmptyDatabase()
    await run(database.url, `create table t (a int); create index on t (a); ${'select count(*) from t;'.repeat(9)}`)
    await expect.poll(() => objects(database.url, 'unused-index')).toEqual(['public.t_a_idx'])
    const { findings, unseen } = await look(database.url, 'unused-index', { limits: { ...limits, unusedDays: 7 } })
    expect(findings).toEqual([])
    expect(unseen).toEqual([
      {
        rule: 'unused-index',
        what: expect.stringMatching(/^which indexes are unused: .* UTC\), and 7 days are needed$/),
      },
    ])
  })

  test('is said: what a role without rights is not shown', async () => {
    await using database = await openEmptyDatabase()
    await using admin = new Admin(database.url)
    const role = `doctor_${database.name.replaceAll(/\W/g, '')}`
    await run(
      database.url,
      `create role ${role} login password 'p'; create schema closed; create table closed.t as
         select g as id, repeat('x', 100) as a from generate_series(1, 5000) g;
       create sequence closed.s maxvalue 10; select setval('closed.s', 10); create index on closed.t (id)`,
      'vacuum analyze closed.t',
    )
    try {
      const url = new URL(database.url.replace(/^postgres:\/\/[^@]*@/, `postgres://${role}:p@`).replace('@/', '@x/'))
      const given = url.href.replace('@x/', '@/')
      await withConnection(database.url, async (connection) => {
        await connection.script('begin; select 1')
        const { findings, unseen, failed } = await examineDatabase(given, { limits: { ...limits, unusedDays: 9 } })
        expect(failed).toEqual([])
        expect(findings.filter(({ rule }) => rule !== 'replication-slot').map(({ rule }) => rule)).toEqual([
          'table-without-key',
        ])
        const said = (rule: string) => unseen.filter((each) => each.rule === rule).map(({ what }) => what)
        expect(said('sequence-near-end')).toEqual([expect.stringMatching(/^1 sequence that this role may not read/)])
        expect(said('table-bloat')).toEqual([expect.stringMatching(/^the bloat of 1 table whose column statistics/)])
        expect(said('index-bloat')).toEqual([expect.stringMatching(/^the bloat of 1 index whose column statistics/)])
        expect(said('idle-in-transaction')).toEqual([expect.stringMatching(/^what \d+ sessions? of other roles do/)])
      })
    } finally {
      await admin.sql.unsafe(`drop schema closed cascade; drop role ${role}`)
    }
  })

  test('is said: a rule that waits for a lock or takes too long, while the others look', async () => {
    await using database = await openEmptyDatabase()
    await run(database.url, 'create sequence s; select nextval($$s$$); create table t (a int)')
    await withConnection(database.url, async (connection) => {
      await connection.script('begin; lock table t; alter sequence s maxvalue 10')
      const { findings, failed } = await examineDatabase(database.url, {
        rules: ['sequence-near-end', 'table-without-key'],
        limits,
      })
      expect(failed).toMatchObject([{ rule: 'sequence-near-end', reason: expect.stringContaining('lock timeout') }])
      expect(findings).toMatchObject([{ rule: 'table-without-key', object: 'public.t' }])
    })
  })
})

describe('what is looked at', () => {
  const ailing = 'create table a (x int); create table b (x int); create schema other; create table other.c (x int)'
  const rules = ['table-without-key']
  const named = ({ findings }: Pick<Examination, 'findings'>) => findings.map(({ object }) => object)

  async function ailingDatabase(): Promise<TestDatabase> {
    const database = await openEmptyDatabase()
    await run(database.url, ailing)
    return database
  }

  test('are the schemas asked for, and a misspelt one is refused', async () => {
    await using database = await ailingDatabase()
    expect(named(await examineDatabase(database.url, { rules }))).toEqual(['other.c', 'public.a', 'public.b'])
    expect(named(await examineDatabase(database.url, { rules, schemas: ['other'] }))).toEqual(['other.c'])
    const wrong = examineDatabase(database.url, { schemas: ['ohter'] })
    await expect(wrong).rejects.toThrow(new UsageError('the database has no schema "ohter"'))
  })

  test('is not what extensions own', async () => {
    await using database = await openEmptyDatabase()
    await withConnection(database.url, async (connection) => {
      await connection.script(
        `create table owned (a int); create sequence owned_s maxvalue 2; select setval('owned_s', 2)`,
      )
      await connection.script(
        `insert into pg_depend select 'pg_class'::regclass, c.oid, 0, 'pg_extension'::regclass, e.oid, 0, 'e'
         from pg_class c, pg_extension e where e.extname = 'plpgsql' and c.relname in ('owned', 'owned_s')`,
      )
    })
    const { findings } = await examineDatabase(database.url, { rules: ['table-without-key', 'sequence-near-end'] })
    expect(findings).toEqual([])
    await run(database.url, "delete from pg_depend where deptype = 'e' and objid = 'owned'::regclass")
    expect(await objects(database.url, 'table-without-key')).toEqual(['public.owned'])
    await run(database.url, "delete from pg_depend where deptype = 'e' and objid = 'owned_s'::regclass")
  })

  test('leaves out what was accepted, by object, by table or everywhere, and says what is not there any more', async () => {
    await using database = await ailingDatabase()
    const accepted = { rule: 'table-without-key', object: 'public.a', reason: 'filled anew each night' }
    const gone = { rule: 'table-without-key', object: 'public.gone', reason: 'once' }
    const result = await examineDatabase(database.url, { rules, ignore: [accepted, gone] })
    expect(named(result)).toEqual(['other.c', 'public.b'])
    expect(result.ignored).toMatchObject([{ object: 'public.a', reason: 'filled anew each night' }])
    expect(result.needlessIgnores).toEqual([gone])
    const all = [{ rule: 'table-without-key', reason: 'a log' }]
    expect(named(await examineDatabase(database.url, { rules, ignore: all }))).toEqual([])
    await run(database.url, 'create table k (id int primary key); create index i on k (id)')
    const byTable = [{ rule: 'duplicate-index', object: 'public.k', reason: 'soon' }]
    const ofTable = await examineDatabase(database.url, { rules: ['duplicate-index'], ignore: byTable })
    expect(ofTable).toMatchObject({ findings: [], ignored: [{ object: 'public.i' }] })
  })

  test('is not changed, and nobody waits for it', async () => {
    await using database = await ailingDatabase()
    await run(database.url, 'insert into a values (1)')
    await withConnection(database.url, async (connection) => {
      await connection.script('begin; lock table a, b, other.c in access exclusive mode')
      const { failed } = await examineDatabase(database.url, { limits })
      expect(failed).toEqual([])
    })
  })

  test('stops when the signal says so', async () => {
    await using database = await openEmptyDatabase()
    const reason = new Cancelled('enough')
    const signal = AbortSignal.abort(reason)
    await expect(examineDatabase(database.url, { signal })).rejects.toBe(reason)
  })

  test('is the shop, and nothing ails it', async () => {
    await using database = await openTestDatabase()
    const { findings, failed } = await examineDatabase(database.url)
    expect(findings.filter(({ rule }) => rule !== 'replication-slot')).toEqual([])
    expect(failed).toEqual([])
  })
})

test('each rule has a case here', () => {
  const here = new Set(cases.map(({ rule }) => rule))
  const others = [
    'invalid-index',
    'long-transaction',
    'idle-in-transaction',
    'prepared-transaction',
    'replication-slot',
  ]
  expect([...here, ...others].toSorted()).toEqual(healthRules.map(({ name }) => name).toSorted())
})
