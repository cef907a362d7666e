import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describe, expect, test } from 'vitest'
import { wrongArguments } from '../../src/cli/arguments.ts'
import { table } from '../../src/cli/console.ts'
import { terminated } from '../../src/cli/migrate.ts'
import { loadProject } from '../../src/cli/project.ts'
import { schemaFiles } from '../../src/cli/schema-files.ts'

async function withDirectory<T>(
  files: Readonly<Record<string, string>>,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'rivulet-config-')))
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(directory, name, '..'), { recursive: true })
      await writeFile(join(directory, name), content)
    }
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** The URL that a config's credentials make. */
async function urlFor(config: object): Promise<string | undefined> {
  const content = JSON.stringify({ dialect: 'postgresql', ...config })
  return withDirectory({ 'drizzle.config.json': content }, async (directory) => {
    return (await loadProject(join(directory, 'drizzle.config.json'))).databaseUrl()
  })
}

test.each<[string[], boolean, string]>([
  [['--rule', 'x'], true, 'rivulet lint has no option --rule'],
  [['--rule=x'], true, 'rivulet lint has no option --rule'],
  [['-z'], true, 'rivulet lint has no option -z'],
  [['--since'], true, '--since needs a value; one that begins with a hyphen is given as --since=VALUE'],
  [['--since', '-x'], true, '--since needs a value; one that begins with a hyphen is given as --since=VALUE'],
  [['--yes=no'], true, '--yes takes no value'],
  [['a file'], false, 'rivulet lint takes options only, not "a file"'],
])('of %j the command says what is wrong, in its own words', (args, allowPositionals, message) => {
  const options = { since: { type: 'string' }, yes: { type: 'boolean', short: 'y' } } as const
  const fault = wrongArguments(
    'lint',
    caughtFrom(() => parseArgs({ args, options, allowPositionals })),
  )
  expect(fault.message).toBe(`${message}\n\`rivulet lint --help\` lists its options`)
})

function caughtFrom(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

describe('the Drizzle config', () => {
  test('names folder, ledger and schema, relative to itself', async () => {
    const config = `export default { dialect: 'postgresql', schema: ['./a.ts', 'b'], out: 'sql', casing: 'snake_case',
      migrations: { schema: 'public', table: 'done' }, schemaFilter: 'app', tablesFilter: ['!pg_*'], dbCredentials: { url: 'postgres://localhost/x' } } as const`
    await withDirectory({ 'drizzle.config.ts': config }, async (directory) => {
      const { databaseUrl, ...project } = await loadProject(join(directory, 'drizzle.config.ts'))
      expect(databaseUrl()).toBe('postgres://localhost/x')
      expect(project).toEqual({
        configPath: join(directory, 'drizzle.config.ts'),
        directory,
        source: { folder: join(directory, 'sql'), ledger: { schema: 'public', table: 'done' } },
        schema: ['./a.ts', 'b'],
        casing: 'snake_case',
        filters: { schemas: ['app'], tables: ['!pg_*'] },
      })
    })
  })

  test('may give the credentials in parts', async () => {
    const parts = { host: 'h', port: 5433, user: 'me', password: 'p@ss', database: 'd' }
    expect(await urlFor({ dbCredentials: parts })).toBe('postgres://me:p%40ss@h:5433/d')
    expect(await urlFor({ dbCredentials: { ...parts, ssl: 'require' } })).toMatch(/\?sslmode=require$/)
    expect(await urlFor({ dbCredentials: { ...parts, ssl: { rejectUnauthorized: false } } })).toMatch(
      /sslmode=require$/,
    )
    expect(await urlFor({ dbCredentials: { ...parts, ssl: true } })).toMatch(/sslmode=verify-full$/)
  })

  test.each([
    [{ dialect: 'mysql' }, /has the dialect mysql, but Rivulet needs/],
    [{ driver: 'pglite' }, /the driver pglite is not supported/],
    [{ dbCredentials: { host: 'h' } }, /needs a url, or a host and a database/],
  ])('is refused when it is %j', async (config, message) => {
    await expect(urlFor(config)).rejects.toThrow(message)
  })

  test('that does not load says why', async () => {
    await withDirectory({ 'drizzle.config.ts': 'import "nowhere-to-be-found"' }, async (directory) => {
      await expect(loadProject(join(directory, 'drizzle.config.ts'))).rejects.toThrow(
        /cannot be loaded: .*nowhere-to-be-found/,
      )
    })
  })
})

test('schemaFiles takes files, folders and patterns', async () => {
  const files = {
    'db/a.ts': '',
    'db/b.d.ts': '',
    'db/deep/c.schema.ts': '',
    'db/node_modules/x.ts': '',
    'other.js': '',
  }
  await withDirectory(files, async (directory) => {
    const found = async (...schema: string[]) =>
      (await schemaFiles({ directory, schema })).map((path) => path.slice(directory.length + 1))
    expect(await found('./db')).toEqual(['db/a.ts', 'db/deep/c.schema.ts'])
    expect(await found('db/a.ts', './other.js')).toEqual(['db/a.ts', 'other.js'])
    expect(await found('./db/*.ts')).toEqual(['db/a.ts'])
    expect(await found('./db/**/*.schema.ts')).toEqual(['db/deep/c.schema.ts'])
    await expect(found('./nowhere/*.ts')).rejects.toThrow(/nowhere\/\*\.ts matches no file/)
  })
})

test('terminated puts no semicolon behind a comment', () => {
  expect(terminated('select 1')).toBe('select 1;')
  expect(terminated('select 1 -- one')).toBe('select 1 -- one\n;')
})

test('table aligns columns and leaves no trailing spaces', () => {
  expect(
    table([
      ['a', 'bb', ''],
      ['ccc', 'd', 'e'],
    ]),
  ).toBe('a    bb\nccc  d   e')
})
