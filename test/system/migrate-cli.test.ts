/** The `rivulet` command as a process: exit codes, one JSON object, messages on standard error, interrupts. */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CliProject, config, ended, makeProject, schema } from '../support/cli-project.ts'
import { rowsOf } from '../support/migrations.ts'

// Each command is a process: half a second of work, many times that on a busy machine.
describe('a project from its first migration on', { timeout: 180_000 }, () => {
  let project: CliProject
  beforeAll(async () => {
    project = await makeProject()
  })
  afterAll(() => project[Symbol.asyncDispose]())

  test('generate, status, migrate and verify follow each other', async () => {
    const generated = await project.rivulet('generate', '--name', 'init')
    expect(generated).toMatchObject({
      exitCode: 0,
      stdout: 'Wrote migrations/0000_init.sql, which runs in a scratch database. Read it, then run: rivulet migrate\n',
    })
    expect(await project.rivulet('status')).toMatchObject({ exitCode: 2, stdout: 'pending  0000_init\n\n1 pending.\n' })
    const plan = await project.rivulet('migrate', '--dry-run')
    expect(plan.stdout).toMatch(/^-- 0000_init\.sql\nbegin;\nCREATE TABLE "people"[^]*commit;\n$/)
    const migrated = await project.rivulet('migrate')
    expect(migrated).toMatchObject({ exitCode: 0, stdout: 'Applied 1 migration.\n' })
    expect(migrated.stderr).toMatch(/0000_init\.sql: applied in \d+ ms/)
    expect(await project.rivulet('verify')).toMatchObject({ exitCode: 0 })
  })

  test('generate answers a rename by flag, never waits for an answer, and lints what it wrote', async () => {
    await project.write({ 'schema.ts': schema('name: text()') })
    expect(await project.rivulet('generate')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringMatching(
        /Is name column in people table created or renamed .*\n.*--rename people\.nmae:name\. With --created/,
      ),
    })
    // What a killed run has left behind goes with the next.
    const left = await mkdtemp(join(tmpdir(), 'rivulet-verify-'))
    await utimes(left, 0, 0)
    expect(await project.rivulet('verify', '--code-only')).toMatchObject({ exitCode: 1 })
    expect(existsSync(left)).toBe(false)
    const generated = await project.rivulet('generate', '--rename', 'people.nmae:name', '--name', 'spelling', '--json')
    expect(JSON.parse(generated.stdout)).toMatchObject({
      command: 'generate',
      exitCode: 0,
      files: ['migrations/0001_spelling.sql'],
      findings: [{ rule: 'rename-column' }],
    })
    expect(await project.rivulet('lint', 'migrations/0001_spelling.sql')).toMatchObject({ exitCode: 1 })
  })

  test('generate fails when drizzle-kit swallows an error, and when snapshots collide', async () => {
    // Node prints what an error carries after its message: here more than anybody would read.
    await project.write({
      'schema.ts': `const more = Object.fromEntries([...'abcdefghijklmnopqrstuvwxyz'].map((key) => [key, key]))
        throw Object.assign(new Error('no schema today'), more)`,
    })
    expect(await project.rivulet('generate')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/wrote no migration; its output:\n {2}Error: no schema today\n/),
    })
    await project.write({
      'schema.ts': schema('name: text()'),
      'migrations/meta/0007_snapshot.json': '{"id":"7","prevId":"00000000-0000-0000-0000-000000000000"}',
    })
    expect(await project.rivulet('generate')).toMatchObject({
      exitCode: 3,
      stderr: expect.stringMatching(/have the same parent/),
    })
    await rm(join(project.directory, 'migrations/meta/0007_snapshot.json'))
  })

  test('revert needs its file, and --yes without a terminal', async () => {
    expect(await project.rivulet('revert')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/0000_init\.down\.sql is missing/),
    })
    await project.write({ 'migrations/0000_init.down.sql': 'drop table people;' })
    expect(await project.rivulet('revert')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringMatching(/0000_init\.down\.sql:1: drops table people\n.*confirm with --yes/),
    })
    expect(await project.rivulet('revert', '--yes')).toMatchObject({ exitCode: 0, stdout: 'Reverted 1 migration.\n' })
  })

  test('reset --seed empties, migrates, and hands an engine to the seed module', async () => {
    await project.write({
      'package.json': '{"type":"module","rivulet":{"seed":"seed.ts"}}',
      'seed.ts': `import { people } from './schema.ts'
        export default async (engine: { session: Function }) => {
          await engine.session(({ db }: { db: any }) => db.insert(people).values({ id: 1, name: 'Lynn' }))
          if ((await engine.session(({ db }: { db: any }) => db.query.people.findMany())).length !== 1) throw new Error('no')
        }`,
    })
    expect(await project.rivulet('reset', '--seed')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringMatching(/--yes/),
    })
    const reset = await project.rivulet('reset', '--yes', '--seed')
    expect(reset).toMatchObject({ exitCode: 0, stdout: 'Applied 2 migrations to the empty database and seeded.\n' })
    expect(await rowsOf(project.database.url, 'select name from people')).toEqual([['Lynn']])
    const sound = await readFile(join(project.directory, 'migrations/0001_spelling.sql'), 'utf8')
    await project.write({ 'migrations/0001_spelling.sql': '-- nothing yet' })
    expect(await project.rivulet('reset', '--yes')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/0001_spelling\.sql has no statement/),
    })
    await project.write({ 'migrations/0001_spelling.sql': sound })
    expect(await rowsOf(project.database.url, 'select name from people')).toEqual([['Lynn']])
  })
})

describe('what cannot run, or is not what the code declares', { timeout: 180_000 }, () => {
  const declared = `import { sql } from 'drizzle-orm'
    import { check, index, integer, pgTable } from 'drizzle-orm/pg-core'
    export const t = pgTable('t', { id: integer().primaryKey(), n: integer().notNull() }, (t) =>
      [index('t_n').on(t.n), check('t_pos', sql\`n > 0\`)])`

  test('verify tells code, migrations and database apart, in words and with the SQL that mends it', async () => {
    await using project = await makeProject()
    await project.write({ 'schema.ts': declared })
    await project.rivulet('generate', '--name', 'init')
    const edited =
      'CREATE TABLE "t" ("id" integer PRIMARY KEY NOT NULL, "n" integer);\nCREATE TABLE by_hand (id integer);'
    await project.write({ 'migrations/0000_init.sql': edited })
    await project.rivulet('migrate')
    await rowsOf(project.database.url, 'alter table by_hand alter id set statistics 9')
    expect(await project.rivulet('verify')).toEqual({
      exitCode: 1,
      stderr: '',
      stdout: `The schema in code declares what the migrations do not make (- as declared, + as the migrations make it):
  - column public.t.n: integer not null
  + column public.t.n: integer
  - constraint public.t_pos on t: CHECK ((n > 0))
  - index public.t_n: CREATE INDEX t_n ON public.t USING btree (n)
\`rivulet generate\` does not see this: drizzle-kit compares the code with its snapshots, never with the SQL. Change the code, or write SQL of your own with rivulet generate --custom, such as:
  ALTER TABLE public.t ALTER COLUMN n SET NOT NULL;
  ALTER TABLE public.t ADD CONSTRAINT t_pos CHECK ((n > 0));
  CREATE INDEX t_n ON public.t USING btree (n);
Only in the migrations, which is not drift:
  table public.by_hand
The live database differs from the migrations (- as the migrations make it, + as it is):
  - column public.by_hand.id: integer
  + column public.by_hand.id: integer statistics 9
Change the database back, or write its state into a migration: rivulet generate --custom
`,
    })
    const { exitCode, stdout } = await project.rivulet('verify', '--code-only', '--json')
    const found = { exitCode, ...(JSON.parse(stdout) as object) }
    expect(found).toMatchObject({ exitCode: 1, code: null, declared: { differences: [{}, {}, {}], refused: [] } })
  })

  test('generate tries what it wrote, on the server of the database URL, and lint does with --try', async () => {
    await using project = await makeProject()
    await project.write({
      'schema.ts': `import { gte } from 'drizzle-orm'
        import { check, integer, pgTable } from 'drizzle-orm/pg-core'
        export const t = pgTable('t', { n: integer().notNull() }, (t) => [check('t_pos', gte(t.n, 0))])`,
    })
    const generated = await project.rivulet('generate', '--name', 'init')
    expect(generated).toMatchObject({
      exitCode: 1,
      stdout: 'Wrote migrations/0000_init.sql, which cannot run. Correct it, then run: rivulet lint --try\n',
      stderr: expect.stringMatching(/^migrations\/0000_init\.sql:1: cannot-run: there is no parameter \$1 \[42P02\]\n/),
    })
    expect(await project.rivulet('lint')).toMatchObject({ exitCode: 0 })
    expect(await project.rivulet('lint', '--try')).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(/^migrations\/0000_init\.sql:1: cannot-run: [^]*write the value itself/),
    })
    expect(await project.rivulet('verify')).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(
        /0000_init\.sql \(line 1\) is pending and cannot be applied: there is no parameter/,
      ),
    })
    await project.write({
      'migrations/0000_init.sql': 'CREATE TABLE t (n integer NOT NULL CONSTRAINT t_pos CHECK (n >= 0));',
    })
    expect(await project.rivulet('lint', '--try')).toMatchObject({
      exitCode: 0,
      stdout: 'Nothing unsafe found.\nThe files run in a scratch database.\n',
    })
    // The schema in code is still what drizzle-kit cannot write down.
    expect(await project.rivulet('verify', '--code-only')).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(
        /^PostgreSQL refuses what drizzle-kit writes for the schema in code; [^]*there is no parameter/,
      ),
    })
    await project.write({ 'elsewhere.sql': 'select 1' })
    expect(await project.rivulet('lint', '--try', 'elsewhere.sql')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringMatching(/elsewhere\.sql is not a migration of this project/),
    })
  })

  test('generate says why it could not try, and does not fail for it', async () => {
    await using project = await makeProject()
    await project.write({
      'drizzle.config.ts': config.replace(' })', ", dbCredentials: { url: 'postgres://127.0.0.1:1/nowhere' } })"),
      'schema.ts': `import { pgTable, vector } from 'drizzle-orm/pg-core'
        export const t = pgTable('t', { v: vector({ dimensions: 3 }) })`,
    })
    const reason =
      /^not tried: 0000_init\.sql:1: type "vector" does not exist \[42704\]\n.*was used instead of that of the database/
    expect(await project.rivulet('generate', '--name', 'init')).toEqual({
      exitCode: 0,
      stdout: 'Wrote migrations/0000_init.sql. Read it, then run: rivulet migrate\n',
      stderr: expect.stringMatching(reason),
    })
    expect(await project.rivulet('lint', '--try')).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(
        /^Nothing unsafe found\.\nNot tried: 0000_init\.sql:1: type "vector" does not exist/,
      ),
    })
    // The snapshots are all that can be compared, and no more is said.
    expect(await project.rivulet('verify', '--code-only')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(
        /^The schema in code and drizzle-kit's snapshots agree\.\nThe code was not compared with what the SQL .*"vector" does not/,
      ),
    })
  })
})

describe('every end', { timeout: 180_000 }, () => {
  test('has its exit code, a message on standard error, and with --json one object', async () => {
    await using project = await makeProject()
    const cases: [string[], number, RegExp][] = [
      [['nonsense'], 64, /unknown command "nonsense"/],
      [['migrate', '--nonsense'], 64, /rivulet migrate has no option --nonsense\n[^]*rivulet migrate --help/],
      [['lint', '--rule', 'x'], 64, /rivulet lint has no option --rule\n/],
      [['lint', 'nofile.sql'], 64, /nofile\.sql cannot be read: there is no such file/],
      [['lint', '.'], 64, /cannot be read: it is a folder, not a file/],
      [['baseline'], 64, /baseline needs --to NAME/],
      [['seed'], 64, /no seed module is configured: give --file FILE/],
      [['status', '--config', 'nowhere.ts'], 64, /there is no config file at .*nowhere\.ts/],
      [['migrate'], 3, /there is no migrations folder at/],
    ]
    await Promise.all(
      cases.map(async ([args, code, message]) => {
        const { exitCode, stdout, stderr } = await project.rivulet(...args, '--json')
        expect([args, exitCode, stderr]).toEqual([args, code, expect.stringMatching(message)])
        expect(JSON.parse(stdout)).toMatchObject({ exitCode: code, error: { message: expect.stringMatching(message) } })
        // No terminal, no colours.
        expect(stderr).not.toContain('\u001B')
      }),
    )
  })

  test('has one object on standard output, whatever the config prints there; .env is read, --version answers', async () => {
    await using project = await makeProject()
    await project.write({
      'drizzle.config.ts': `console.log('chatty ' + process.env.FROM_DOTENV)\n${config}`,
      '.env': 'FROM_DOTENV=here\nDATABASE_URL=postgres://nowhere.invalid/x',
      'seed.ts': "export default () => { throw new Error('no apples') }",
    })
    await project.rivulet('generate', '--name', 'init')
    await project.write({ 'schema.ts': schema('name: text(), note: text()') })
    await project.rivulet('generate', '--name', 'note', '--created')
    const status = await project.rivulet('status', '--json')
    expect(JSON.parse(status.stdout)).toMatchObject({ state: 'pending' })
    expect(status.stderr).toMatch(/^chatty here$/m)
    expect(await project.rivulet('--version')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^\d+\.\d+/),
    })
    await project.rivulet('migrate')
    expect((await project.rivulet('migrate', '--to', '0')).stdout).toMatch(/past 0, at 0001_note: use `rivulet revert`/)
    const { exitCode, stderr } = await project.rivulet('seed', '--file', 'seed.ts')
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringMatching(/rivulet: seed\.ts failed: no apples\n {4}at .*seed\.ts/),
    ])
    expect(stderr).not.toContain('src/cli')
  })

  test('SIGINT rolls the running file back and exits 130; a rerun completes', async () => {
    await using project = await makeProject()
    await project.rivulet('generate', '--custom', '--name', 'slow')
    await project.write({
      'migrations/0000_slow.sql':
        'create table t (id int); select pg_sleep(case when exists (select from pg_tables where tablename = $$go$$) then 0 else 60 end);',
    })
    const child = project.start(['migrate'])
    const end = ended(child)
    const sleeping = "select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
    await expect.poll(() => rowsOf(project.database.url, sleeping), { interval: 20, timeout: 60_000 }).toHaveLength(1)
    child.kill('SIGINT')
    expect(await end).toMatchObject({
      exitCode: 130,
      stderr: expect.stringMatching(/interrupted: 0000_slow\.sql was rolled back/),
    })
    expect(await rowsOf(project.database.url, "select to_regclass('t')::text")).toEqual([[null]])
    await rowsOf(project.database.url, 'create table go ()')
    expect(await project.rivulet('migrate')).toMatchObject({ exitCode: 0 })
  })
})
