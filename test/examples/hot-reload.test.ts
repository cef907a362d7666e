/**
 * docs/hot-reload-and-serverless.md is true: its modules are written into a project, evaluated again and again as a
 * development server does it, and the server is asked how many connections there are.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { openConnection } from '../../src/pool/open-connection.ts'
import { compiledPackage } from '../support/compiled-package.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'

vi.setConfig({ testTimeout: 120_000 })

const repository = new URL('../..', import.meta.url).pathname
let project: string
let database: TestDatabase

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'rivulet-reload-'))
  await mkdir(join(project, 'node_modules'))
  await symlink(compiledPackage, join(project, 'node_modules', 'rivulet'))
  await symlink(join(repository, 'schema'), join(project, 'schema'))
  for (const name of ['drizzle-orm', 'tsx']) {
    await symlink(join(repository, 'node_modules', name), join(project, 'node_modules', name))
  }
  const page = await readFile(join(repository, 'docs/hot-reload-and-serverless.md'), 'utf8')
  const files: Record<string, string> = {
    'package.json': '{ "private": true, "type": "module" }',
    'schema.ts': "export * from './schema/index.ts'",
    ...Object.fromEntries(
      Array.from(page.matchAll(/^```ts\n\/\/ (\S+)\n([^]*?)^```$/gm), ([, name = '', text = '']) => [name, text]),
    ),
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(project, name), text)
})
afterAll(() => rm(project, { recursive: true, force: true }))
beforeEach(async () => {
  database = await openTestDatabase()
  return () => database[Symbol.asyncDispose]()
})

/** Three tasks at the same time: as many connections. */
const threeTasks = 'const task = ({ sql }) => sql`select pg_sleep(0.05)`; await engine.gather([task, task, task])'

async function openConnections(): Promise<number> {
  const connection = await openConnection({ address: parseDatabaseUrl(database.url), connectTimeoutMs: 10_000 })
  try {
    const [row] = (await connection.query(
      'select count(*)::int as n from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()',
      [database.name],
    )) as { n: number }[]
    return row?.n ?? 0
  } finally {
    await connection.close()
  }
}

interface Program {
  readonly process: ChildProcess
  readonly output: () => string
}

async function start(text: string, ...options: string[]): Promise<Program> {
  await writeFile(join(project, 'program.js'), text)
  const child = spawn(process.execPath, [...options, '--import', 'tsx', 'program.js'], {
    cwd: project,
    env: { ...process.env, DATABASE_URL: database.url },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (output += String(chunk)))
  return { process: child, output: () => output }
}

test.each(['database.ts', 'shared-database.ts'])(
  'after twenty evaluations of %s there are the connections of one engine',
  async (module) => {
    const program = await start(`
      let engine
      for (let round = 0; round < 20; round += 1) {
        ;({ engine } = await import('./${module}?evaluation=' + round))
        ${threeTasks}
      }
      console.log('reloaded')
      process.stdin.once('end', () => void engine.close()).resume()`)
    const closed = once(program.process, 'close')
    await expect.poll(program.output, { timeout: 60_000 }).toBe('reloaded\n')
    await expect.poll(openConnections).toBe(3)
    program.process.stdin?.end()
    expect(await closed).toEqual([0, null])
    expect(await openConnections()).toBe(0)
  },
)

test('what runs on an engine when its module is evaluated again runs to its end', async () => {
  const program = await start(`
    const { engine: old } = await import('./database.ts?evaluation=1')
    const long = old.session(({ sql }) => sql\`select pg_sleep(0.5), 'kept' as word\`)
    const { engine } = await import('./database.ts?evaluation=2')
    console.log((await long)[0].word, engine === old)
    await engine.close()`)
  expect(await once(program.process, 'close')).toEqual([0, null])
  expect(program.output()).toBe('kept false\n')
})

test('node --watch ends the connections with the process', async () => {
  const program = await start(
    `const { engine } = await import('./database.ts')
     ${threeTasks}
     console.log('serving')
     setInterval(() => {}, 1000)`,
    '--watch',
  )
  const servings = () => program.output().split('serving').length - 1
  for (const round of [1, 2, 3]) {
    await expect.poll(servings, { timeout: 30_000 }).toBe(round)
    await expect.poll(openConnections).toBe(3)
    await utimes(join(project, 'program.js'), new Date(), new Date())
  }
  await expect.poll(servings, { timeout: 30_000 }).toBe(4)
  const closed = once(program.process, 'close')
  program.process.kill('SIGTERM')
  await closed
  await expect.poll(openConnections).toBe(0)
})
