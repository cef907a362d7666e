import { describe, expect, test } from 'vitest'
import { lint } from '../../src/migrate/lint/lint.ts'
import { controlsTransaction, leavesTransaction, parseScript, commitGroups } from '../../src/migrate/files/script.ts'

const texts = async (source: string) => (await parseScript(source)).statements.map(({ text }) => text)

describe('a script', () => {
  test('is split at semicolons and at breakpoints, with the line of each statement', async () => {
    const { statements } = await parseScript(
      '-- é: two bytes\ncreate table a (id int); create table b (id int)\n--> statement-breakpoint\n\n/* why */ drop table a;\n',
    )
    expect(statements.map(({ text, line }) => [text, line])).toEqual([
      ['create table a (id int)', 2],
      ['create table b (id int)', 2],
      ['drop table a', 5],
    ])
  })

  test('keeps semicolons in strings, dollar quotes and comments', async () => {
    expect(await texts("select ';' -- ;\n; do $$ begin perform 1; end $$; select 1 /* ; */")).toEqual([
      "select ';' -- ;",
      'do $$ begin perform 1; end $$',
      'select 1 /* ; */',
    ])
  })

  test('of comments alone holds no statement', async () => {
    expect(await texts('-- Custom SQL migration file, put your code below! --')).toEqual([])
    expect(await texts('')).toEqual([])
  })

  test('that the parser does not know stays one piece, with the line of the complaint', async () => {
    const { statements } = await parseScript('select 1;--> statement-breakpoint\n-- odd\nselect 2;\nselec 3;')
    expect(statements).toHaveLength(2)
    expect(statements[1]).toMatchObject({ text: '-- odd\nselect 2;\nselec 3;', line: 3, tree: undefined })
    expect(statements[1]?.syntaxError).toMatchObject({ line: 4 })
  })

  test('of many statements is read and linted in one pass', async () => {
    /** Microseconds that this process computes for so many statements: others on the machine do not count. */
    const cost = async (count: number) => {
      const inserts = Array.from({ length: count }, (_, id) => `insert into t values (${id}, 'é'); -- ${id}\n`)
      const source = `create table t (id int, a text);\n${inserts.join('')}`
      const before = process.cpuUsage()
      const last = { line: count + 1, comments: [`-- ${count - 1}`] }
      expect((await parseScript(source)).statements.at(-1)).toMatchObject(last)
      expect(await lint([{ file: 'fill.sql', text: source }])).toEqual([])
      const { user, system } = process.cpuUsage(before)
      return user + system
    }
    await cost(1000)
    // Ten when each is looked at once, near a hundred when each looks at all the others.
    expect((await cost(10_000)) / (await cost(1000))).toBeLessThan(30)
  })

  test('may begin with a byte order mark', async () => {
    expect(await texts('\uFEFFselect 1')).toEqual(['select 1'])
  })

  test.each([
    'create index concurrently i on t (a)',
    'drop index concurrently i',
    'reindex table concurrently t',
    'vacuum t',
    'alter table t detach partition p concurrently',
    'create database d',
    "alter system set work_mem = '1MB'",
    '-- rivulet:no-transaction\nselect 1',
    '--rivulet:no-transaction\nselect 1',
    '-- Rivulet: no-transaction: each batch commits\nselect 1',
  ])('runs without a transaction when it holds: %s', async (source) => {
    expect((await parseScript(`${source};\nselect 2`)).transactional).toBe(false)
  })

  test.each([
    'create index i on t (a)',
    "select '-- rivulet:no-transaction'",
    'select 1;\n-- rivulet:no-transaction',
    '-- create index concurrently i on t (a)\nselect 1',
  ])('runs in a transaction when it holds no more than: %s', async (source) => {
    expect((await parseScript(source)).transactional).toBe(true)
  })

  test('BEGIN and COMMIT control the transaction, savepoints do not', async () => {
    const { statements } = await parseScript(
      'begin; savepoint s; rollback to s; release s; commit; rollback; start transaction',
    )
    expect(statements.map(({ tree }) => tree && controlsTransaction(tree))).toEqual([
      true,
      false,
      false,
      false,
      true,
      true,
      true,
    ])
  })
})

describe('a file that leaves Drizzle’s transaction with COMMIT', () => {
  const index = 'create index concurrently i on t (c);'
  const shape = async (source: string) =>
    commitGroups((await parseScript(source)).statements).map(({ from, to, together }) => (together ? [from, to] : from))

  test.each([
    ['goes on one by one behind it', `select 1; select 2; commit; ${index} select 3;`, [[0, 3], 3, 4]],
    ['holds together what a later BEGIN begins', `commit; ${index} begin; select 1; select 2;`, [[0, 1], 1, [2, 5]]],
    ['ends with the BEGIN that Drizzle wants', `select 1; commit; ${index} start transaction;`, [[0, 2], 2, [3, 4]]],
    ['does so twice', `commit; ${index} begin; select 1; commit; ${index}`, [[0, 1], 1, [2, 5], 5]],
  ])('%s', async (_, source, steps) => {
    const { statements, transactional } = await parseScript(source)
    expect([transactional, leavesTransaction(statements)]).toEqual([false, true])
    expect(await shape(source)).toEqual(steps)
  })

  test.each([
    ['nothing behind it needs it', 'select 1; commit; select 2'],
    ['it rolls back', `rollback; ${index}`],
    ['it begins first', `begin; select 1; commit; ${index}`],
    ['it commits twice', `commit; commit; ${index}`],
    ['what cannot run in a transaction stands before it', `${index} commit; ${index}`],
    ['it chains', `commit and chain; ${index}`],
    ['it begins in another mode', `commit; ${index} begin isolation level serializable; select 1`],
  ])('is none where %s', async (_, source) => {
    expect(leavesTransaction((await parseScript(source)).statements)).toBe(false)
  })
})
