/** `rivulet doctor` as a process: exit codes, what is printed, what is accepted, and wrong arguments. */
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withConnection } from '../../src/migrate/connect.ts'
import { type CliProject, makeProject } from '../support/cli-project.ts'
import { rowsOf } from '../support/migrations.ts'

describe('rivulet doctor', { timeout: 180_000 }, () => {
  let project: CliProject
  beforeAll(async () => {
    project = await makeProject()
    await rowsOf(project.database.url, 'create table people (id int primary key)')
    await rowsOf(project.database.url, 'create table visits (person_id int references people, at date)')
  })
  afterAll(() => project[Symbol.asyncDispose]())
  // Other tests of the run may have slots, which belong to the whole server.
  const rules = ['--rule', 'foreign-key-without-index', '--rule', 'table-without-key', '--rule', 'unused-index']

  test('ends with 1 when it finds something, explains it once, and says what was not seen', async () => {
    const { exitCode, stdout, stderr } = await project.rivulet('doctor', ...rules)
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: '' })
    expect(stdout).toContain(
      '  public.visits (person_id) refers to public.people and has no index\n' +
        '    CREATE INDEX CONCURRENTLY ON public.visits (person_id);\n',
    )
    expect(stdout).toMatch(/\n\nNot seen: which indexes are unused: [^\n]*\.\n\n2 findings\.\n$/)
  })

  test('prints one object with --json', async () => {
    const { exitCode, stdout } = await project.rivulet('doctor', '--json', ...rules)
    expect(exitCode).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      command: 'doctor',
      exitCode: 1,
      findings: [
        { rule: 'foreign-key-without-index', object: 'public.visits.visits_person_id_fkey', table: 'public.visits' },
        { rule: 'table-without-key', object: 'public.visits', sql: expect.stringContaining('ALTER TABLE') },
      ],
      ignored: [],
      failed: [],
    })
  })

  test('ends with 0 when all was accepted, on the command line or in package.json', async () => {
    const ignore = ['table-without-key public.visits: a log']
    await project.write({ 'package.json': JSON.stringify({ type: 'module', rivulet: { doctor: { ignore } } }) })
    const given = [
      '--ignore',
      'foreign-key-without-index public.visits: nobody leaves',
      '--ignore',
      'unused-index x: old',
    ]
    const { exitCode, stdout } = await project.rivulet('doctor', ...rules, ...given)
    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout: expect.stringMatching(/Nothing to ignore any more: unused-index x\.\n\nNothing found, 2 ignored\.\n$/),
    })
    await project.write({ 'package.json': '{"type":"module","rivulet":{"doctor":{"ignore":"all"}}}' })
    expect(await project.rivulet('doctor')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining('must be a list of texts'),
    })
    await project.write({ 'package.json': '{"type":"module"}' })
  })

  test('ends with 1 when a rule could not look', async () => {
    await rowsOf(project.database.url, 'create sequence held')
    await withConnection(project.database.url, async (connection) => {
      await connection.script('begin; alter sequence held maxvalue 10')
      const { exitCode, stdout } = await project.rivulet('doctor', '--rule', 'sequence-near-end')
      expect({ exitCode, stdout }).toEqual({
        exitCode: 1,
        stdout: expect.stringMatching(
          /^Could not look by sequence-near-end: [^\n]*lock timeout\n\nNothing found by the rules that could look\.\n$/,
        ),
      })
    })
  })

  test.each([
    [['--limit', 'unusedDays'], '--limit takes NAME=NUMBER, not unusedDays; the names are unusedDays, '],
    [['--limit', 'toString=1'], '--limit takes NAME=NUMBER, not toString=1'],
    [['--limit', 'bloatPercent=101'], 'the limit bloatPercent must be a number from 0 to 100'],
    [['--rule', 'nonsense'], 'the doctor has no rule nonsense; it has foreign-key-without-index, '],
    [['--ignore', 'dead-rows'], '"dead-rows" ignores nothing: write \'RULE: REASON\''],
    [['--in', 'nowhere'], 'the database has no schema "nowhere"'],
    [['--timeout', '0'], 'timeoutMs must be a whole number of milliseconds from 1 to 3600000'],
    [['--timeout', 'x'], '--timeout takes a whole number of milliseconds, not x'],
  ])('ends with 64 for %j', async (args, message) => {
    const { exitCode, stdout, stderr } = await project.rivulet('doctor', ...args)
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 64, stdout: '', stderr: expect.stringContaining(message) })
  })

  test('lists its rules without a database', async () => {
    const { exitCode, stdout } = await project.rivulet('doctor', '--rules')
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^foreign-key-without-index\n {2}each DELETE[^]*\nreplication-slot\n/)
  })

  test('does not mind a reader that has read enough', async () => {
    const child = project.start(['doctor', ...rules])
    child.stdout.destroy()
    const [exitCode] = (await once(child, 'close')) as [number]
    expect(exitCode).toBe(1)
  })

  test('needs no config where DATABASE_URL names the database', async () => {
    await project.write({ 'package.json': '{"type":"module"}' })
    await rm(join(project.directory, 'drizzle.config.ts'))
    const { exitCode, stdout } = await project.rivulet('doctor', '--rule', 'table-without-key')
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: expect.stringContaining('public.visits') })
    const plan = await project.piped('select 1', 'explain')
    expect(plan).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('Result') })
    // What is about migrations needs one.
    const status = await project.rivulet('status')
    expect(status).toMatchObject({ exitCode: 64, stderr: expect.stringContaining('there is no drizzle.config.ts') })
  })
})
