/** `rivulet explain` as a process: plans of what is piped to it or in files, and nothing done that was not asked for. */
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CliProject, makeProject } from '../support/cli-project.ts'
import { rowsOf } from '../support/migrations.ts'

// Each command is a process: half a second of work, many times that on a busy machine.
describe('explain', { timeout: 180_000 }, () => {
  let project: CliProject
  beforeAll(async () => {
    project = await makeProject()
    await rowsOf(project.database.url, 'create table people (id int primary key, name text)')
    await rowsOf(project.database.url, "insert into people select n, 'name ' || n from generate_series(1, 5000) n")
    await rowsOf(project.database.url, 'analyze people')
  })
  afterAll(() => project[Symbol.asyncDispose]())

  test('shows the plan of a statement on standard input, for any value of its parameters', async () => {
    expect(await project.piped('select * from people where name = $1', 'explain')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(
        /^Seq Scan of public\.people: 1 row expected, cost [\d.]+\n {4}Filter: \(people\.name = \$1\)\n\nplanned without.*\n\n! sequential scan of about 5,000 rows/,
      ),
    })
  })

  test('shows the plans of all statements of the files, and one object with --json', async () => {
    await project.write({
      'a.sql': "select ';' from people where id = 1; -- a remark\n",
      'b.sql': 'delete from people',
    })
    const { exitCode, stdout } = await project.rivulet('explain', 'a.sql', 'b.sql', '--json')
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      command: 'explain',
      plans: [
        { root: { kind: 'Index Only Scan', index: 'people_pkey' }, warnings: [] },
        { root: { kind: 'ModifyTable' } },
      ],
    })
    expect((await project.rivulet('explain', 'a.sql', 'b.sql')).stdout).toContain('\n\ndelete from people\n\n')
  })

  test('shows the plans of the others where one statement has none, and says why', async () => {
    const mixed = 'select 1; vacuum people; select nothing from people; select 2'
    const shown = await project.piped(mixed, 'explain')
    expect(shown.exitCode).toBe(1)
    expect(shown.stdout).toMatch(/^select 1\n[^]*\n\nselect 2\n/)
    expect(shown.stderr).toMatch(/have a plan to explain, in\nvacuum people\n[^]*does not exist, in\nselect nothing/)
    const { exitCode, stdout } = await project.piped(mixed, 'explain', '--json')
    expect(exitCode).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      plans: [{ statement: 'select 1' }, { statement: 'select 2' }],
      failed: [
        { statement: 'vacuum people', code: 'usage' },
        { statement: 'select nothing from people', code: 'database_error' },
      ],
    })
  })

  test('runs a read with --analyze, a write only with --writes, and keeps nothing of it', async () => {
    const write = 'delete from people where id <= 10'
    const read = await project.piped('select count(*) from people', 'explain', '--analyze', '--buffers')
    expect(read.stdout).toMatch(/Aggregate: 1 row .*ms.*pages: \d+ hit[^]*run in/)
    expect(await project.piped(write, 'explain', '--analyze')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('Add --writes'),
    })
    const done = await project.piped(write, 'explain', '--analyze', '--writes')
    expect(done.stdout).toContain('10 rows')
    expect(await rowsOf(project.database.url, 'select count(*)::int as n from people')).toEqual([[5000]])
  })

  test('stops on the server what it runs when it is interrupted', async () => {
    await project.write({ 'slow.sql': 'select pg_sleep(600) as nap' })
    const napping = `select pid from pg_stat_activity where datname = current_database() and state = 'active'
      and query like 'explain %as nap'`
    const child = project.start(['explain', 'slow.sql', '--analyze'])
    await expect.poll(() => rowsOf(project.database.url, napping)).toHaveLength(1)
    child.kill('SIGINT')
    const [exitCode] = (await once(child, 'close')) as [number]
    expect(exitCode).toBe(130)
    expect(await rowsOf(project.database.url, napping)).toEqual([])
  })

  test('says what is wrong with what it was given', async () => {
    const wrong = [
      [64, 'there is no statement', await project.piped(' ; ', 'explain')],
      [64, 'no file at', await project.rivulet('explain', 'missing.sql')],
      [64, 'add --analyze', await project.piped('select 1', 'explain', '--buffers')],
      [1, 'write values in the place', await project.piped('select $1::int', 'explain', '--analyze')],
      [1, 'have a plan to explain', await project.piped('vacuum people', 'explain')],
      [1, 'does not exist', await project.piped('select nothing from people', 'explain')],
    ] as const
    for (const [exitCode, message, end] of wrong) {
      expect(end).toMatchObject({ exitCode, stderr: expect.stringContaining(message) })
    }
  })
})
