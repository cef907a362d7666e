/** Files without a transaction: how they go on after a failure, and what broken-off statements leave behind. */
import { describe, expect, test } from 'vitest'
import { applyMigrations, type MigrationProgress, migrationStatus } from '../../src/migrate/index.ts'
import { makeFolder, openEmptyDatabase, rowsOf, thrownBy } from '../support/migrations.ts'

describe('a file without a transaction', () => {
  const filled = 'create table t (id int, a int); insert into t values (1, 1), (2, 1);'

  test('goes on, after a failure, with the statement that failed', async () => {
    await using database = await openEmptyDatabase()
    const head = '-- rivulet:no-transaction\ncreate table a (id int);\n'
    await using project = await makeFolder({
      '0000_steps': `${head}create table b (id nonsense);\ncreate table c (id int);`,
    })
    const error = await thrownBy(applyMigrations(database.url, project))
    expect(error).toMatchObject({ statement: 2, line: 3, sqlState: '42704' })
    expect(error.message).toMatch(/what it has done stays, and the next run resumes at this statement/)
    expect((await migrationStatus(database.url, project)).migrations).toMatchObject([
      { state: 'pending', statementsDone: 1 },
    ])
    await project.write({ '0000_steps': `${head}create table b (id int);\ncreate table c (id int);` })
    const seen: MigrationProgress[] = []
    await applyMigrations(database.url, { ...project, onProgress: (progress) => seen.push(progress) })
    expect(seen).toContainEqual({ type: 'file.resumed', file: '0000_steps.sql', statement: 2 })
    expect(await rowsOf(database.url, "select to_regclass('c')::text")).toEqual([['c']])
  })

  test('goes on with the settings that its completed statements made', async () => {
    await using database = await openEmptyDatabase()
    const steps = '-- rivulet:no-transaction\ncreate schema s;\nset search_path = s;\n'
    await using project = await makeFolder({ '0000_steps': `${steps}select nonsense;` })
    await thrownBy(applyMigrations(database.url, project))
    await project.write({ '0000_steps': `${steps}create table here (id int);` })
    await applyMigrations(database.url, project)
    expect(await rowsOf(database.url, "select to_regclass('s.here')::text")).toEqual([['s.here']])
  })

  test('commits a DO block together with the entry that it is done', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_steps':
        '-- rivulet:no-transaction\ncreate table t (id int);\ndo $$ begin insert into t values (1); end $$;\nselect 1/0;',
    })
    await thrownBy(applyMigrations(database.url, project))
    const together = 'select t.xmin = d.xmin, done from t, drizzle.__rivulet_migrations d'
    expect(await rowsOf(database.url, together)).toEqual([[true, 2]])
  })

  test('lets its procedures commit by themselves', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_batches':
        '-- rivulet:no-transaction\ncreate table t (id int);\n' +
        'do $$ begin for i in 1..3 loop insert into t values (i); commit; end loop; end $$;',
    })
    await applyMigrations(database.url, project)
    expect(await rowsOf(database.url, 'select count(distinct xmin::text)::int from t')).toEqual([[3]])
  })

  const leaving =
    'alter table t add b int;--> statement-breakpoint\ncomment on column t.b is $$new$$;--> statement-breakpoint\n' +
    'COMMIT;--> statement-breakpoint\nset work_mem = $$5MB$$;--> statement-breakpoint\n'
  const look =
    "select (select count(*)::int from pg_attribute where attrelid = 't'::regclass and attname = 'b')," +
    " (select indisvalid from pg_index where indexrelid = to_regclass('t_a'))"

  test('leaves the transaction at COMMIT, as Drizzle’s projects write it, and goes on behind it', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_fill': filled,
      '0001_leaves': `${leaving}create unique index concurrently t_a on t (a);`,
    })
    expect(await thrownBy(applyMigrations(database.url, project))).toMatchObject({ statement: 5, sqlState: '23505' })
    // What stands before COMMIT is done and committed; the rest is told from it.
    expect(await rowsOf(database.url, look)).toEqual([[1, false]])
    expect((await migrationStatus(database.url, project)).migrations[1]).toMatchObject({ statementsDone: 4 })
    await rowsOf(database.url, 'delete from t where id = 2')
    await applyMigrations(database.url, project)
    expect(await rowsOf(database.url, look)).toEqual([[1, true]])
    expect((await migrationStatus(database.url, project)).state).toBe('up to date')
  })

  test('takes back what stands before COMMIT as a whole when it fails', async () => {
    await using database = await openEmptyDatabase()
    const files = { '0000_fill': filled, '0001_leaves': leaving.replace('comment', 'select 1/0; comment') }
    await using project = await makeFolder(files)
    await project.write({ '0001_leaves': `${files['0001_leaves']}create index concurrently t_a on t (a);` })
    expect(await thrownBy(applyMigrations(database.url, project))).toMatchObject({ statement: 2, sqlState: '22012' })
    expect(await rowsOf(database.url, look)).toEqual([[0, null]])
    await project.write({ '0001_leaves': `${leaving}create index concurrently t_a on t (a); begin; drop index t_a;` })
    await applyMigrations(database.url, project)
    expect(await rowsOf(database.url, look)).toEqual([[1, null]])
  })

  test('is refused when the part that was done has been edited since', async () => {
    await using database = await openEmptyDatabase()
    const head = '-- rivulet:no-transaction\n'
    await using project = await makeFolder({ '0000_steps': `${head}create table a (id int); select 1/0;` })
    await thrownBy(applyMigrations(database.url, project))
    await project.write({ '0000_steps': `${head}create table a (id bigint); select 1;` })
    expect(await thrownBy(applyMigrations(database.url, project))).toMatchObject({ reason: 'inconsistent' })
  })

  test('replaces the invalid index that its failed CREATE INDEX CONCURRENTLY left behind, and status names it', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_fill': filled,
      '0001_unique': 'create unique index concurrently t_a on t (a);',
    })
    expect(await thrownBy(applyMigrations(database.url, project))).toMatchObject({ sqlState: '23505' })
    expect((await migrationStatus(database.url, project)).invalidIndexes).toEqual(['public.t_a'])
    await rowsOf(database.url, 'delete from t where id = 2')
    const seen: MigrationProgress[] = []
    await applyMigrations(database.url, { ...project, onProgress: (progress) => seen.push(progress) })
    expect(seen).toContainEqual({ type: 'index.dropped', file: '0001_unique.sql', index: 'public.t_a' })
    expect(await rowsOf(database.url, 'select indisvalid from pg_index where indrelid = $$t$$::regclass')).toEqual([
      [true],
    ])
  })

  test('drops what a broken-off REINDEX CONCURRENTLY left behind', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_fill': `${filled} create index t_a on t (a);`,
      '0001_again': 'reindex index concurrently t_a;',
    })
    await applyMigrations(database.url, { ...project, to: '0' })
    await rowsOf(database.url, 'create index t_a_ccnew on t (a)')
    await rowsOf(database.url, "update pg_index set indisvalid = false where indexrelid = 't_a_ccnew'::regclass")
    await rowsOf(
      database.url,
      "insert into drizzle.__rivulet_migrations (name, hash, running) values ('0001_again', '', true)",
    )
    await applyMigrations(database.url, project)
    expect(
      await rowsOf(database.url, "select indexrelid::regclass::text from pg_index where indrelid = 't'::regclass"),
    ).toEqual([['t_a']])
  })

  test('finds an index complete that was built before the migrator was killed', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_fill': filled,
      '0001_index': 'create index concurrently t_a on t (a);',
    })
    await applyMigrations(database.url, { ...project, to: '0' })
    // What a kill between the build and its entry leaves: the index, and the note that it was begun.
    await rowsOf(database.url, 'create index t_a on t (a)')
    await rowsOf(
      database.url,
      "insert into drizzle.__rivulet_migrations (name, hash, running) values ('0001_index', '', true)",
    )
    expect((await applyMigrations(database.url, project)).applied).toHaveLength(1)
  })

  test('finishes a DETACH CONCURRENTLY that was broken off', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_parts': 'create table p (id int) partition by list (id); create table p1 partition of p for values in (1);',
      '0001_detach': 'alter table p detach partition p1 concurrently;',
    })
    await applyMigrations(database.url, project)
    await rowsOf(database.url, 'delete from drizzle.__drizzle_migrations where id = 2')
    await rowsOf(
      database.url,
      "update drizzle.__rivulet_migrations set done = 0, running = true where name = '0001_detach'",
    )
    expect((await applyMigrations(database.url, project)).applied).toHaveLength(1)
  })
})
