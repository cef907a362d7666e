/**
 * The example project beside this file, as a user has it: copied, with the package as it is published, and tested by a
 * Vitest of its own, on its embedded server and on DATABASE_URL's.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { compiledPackage } from '../support/compiled-package.ts'
import { rowsOf } from '../support/migrations.ts'

const run = promisify(execFile)
const repository = new URL('../..', import.meta.url).pathname
let project: string

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'rivulet-example-'))
  await cp(join(repository, 'test/examples/project'), project, { recursive: true })
  const packages = join(project, 'node_modules')
  await mkdir(packages)
  for (const name of await readdir(join(repository, 'node_modules'))) {
    if (!name.startsWith('.')) await symlink(join(repository, 'node_modules', name), join(packages, name))
  }
  await symlink(compiledPackage, join(packages, 'rivulet'))
})
afterAll(() => rm(project, { recursive: true, force: true }))

interface Report {
  readonly success: boolean
  readonly numPassedTests: number
  readonly testResults: readonly { readonly name: string; readonly status: string; readonly message: string }[]
}

/** Runs Vitest in the project; returns its report and what the tests printed. */
async function vitest(files: readonly string[], databaseUrl?: string): Promise<Report & { readonly output: string }> {
  // It is a run of its own, not a part of ours.
  const own = Object.entries(process.env).filter(([name]) => !/^VITEST|^DATABASE_URL$|^PG[A-Z]+$/.test(name))
  const env = { ...Object.fromEntries(own), ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }) }
  const report = join(project, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const main = join(repository, 'node_modules/vitest/vitest.mjs')
  const args = [main, 'run', ...reporters, ...files]
  const { stdout } = await run(process.execPath, args, { cwd: project, env }).catch(
    (error: unknown) => error as { stdout: string },
  )
  return { ...(JSON.parse(await readFile(report, 'utf8')) as Report), output: stdout }
}

const databaseOf = (output: string, file: string) => new RegExp(`${file} used (\\w+)`).exec(output)?.[1]

test.each(['its embedded server', 'the server of DATABASE_URL'])(
  'its two test files pass at once, each on a database of its own: on %s',
  { timeout: 120_000 },
  async (where) => {
    const url = where === 'its embedded server' ? undefined : inject('serverUrl')
    const { success, numPassedTests, output } = await vitest(['authors', 'posts'], url)
    expect({ success, output: success ? '' : output }).toEqual({ success: true, output: '' })
    expect(numPassedTests).toBe(7)
    const names = ['authors.test.ts', 'posts.test.ts'].map((file) => databaseOf(output, file))
    expect(new Set(names).size).toBe(2)
    expect(names).toEqual([expect.stringMatching(/^rivulet_test_/), expect.stringMatching(/^rivulet_test_/)])
    if (url === undefined) return
    const left = await rowsOf(url, `select datname from pg_database where datname in ('${names.join("', '")}')`)
    expect(left).toEqual([])
  },
)

/** A test that runs into its time limit while its work waits on the server, in each of the fixtures. */
const hanging = `
  import { test } from './blog.ts'
  test('begins', async ({ engine, sandbox }) => {
    for (const each of [engine, sandbox]) await each.session(({ sql }) => sql\`select 1\`)
  })
  const hang = (name, engine) =>
    engine.session(({ sql }) => sql\`select pg_sleep(60)\`).catch((error) => console.log(name + ': ' + error.message))
  test('in the engine', { timeout: 2000 }, ({ engine }) => hang('engine', engine))
  test('in the sandbox', { timeout: 2000 }, ({ sandbox }) => hang('sandbox', sandbox))`

test('a test that hangs costs its time limit, and its work is not waited for', { timeout: 120_000 }, async () => {
  await writeFile(join(project, 'test/hanging.test.ts'), hanging)
  const { success, numPassedTests, output } = await vitest(['hanging'], inject('serverUrl'))
  expect({ success, numPassedTests }).toEqual({ success: false, numPassedTests: 1 })
  for (const name of ['engine', 'sandbox']) {
    expect(output).toContain(`${name}: the engine was closed and this work did not finish within 0 ms`)
  }
})

/** A test that writes what the other file's writes too, and looks around only when both have. */
const meeting = (own: string, other: string) => `
  import { existsSync, writeFileSync } from 'node:fs'
  import { expect } from 'vitest'
  import { authors as table } from '../schema.ts'
  import { authors, test } from './blog.ts'
  test('meets the other one', async ({ engine }) => {
    await engine.session((session) => authors.create(session, { email: 'same@example.org', name: '${own}' }))
    writeFileSync(new URL('${own}.met', import.meta.url), '')
    await expect.poll(() => existsSync(new URL('${other}.met', import.meta.url)), { timeout: 60_000 }).toBe(true)
    const rows = await engine.session(({ db }) => db.select().from(table))
    expect(rows.map(({ name }) => name)).toEqual(['The editor', '${own}'])
  }, 90_000)`

test('two test files that run at the same time never see each other', { timeout: 120_000 }, async () => {
  await writeFile(join(project, 'test/one.test.ts'), meeting('one', 'other'))
  await writeFile(join(project, 'test/other.test.ts'), meeting('other', 'one'))
  const { success, numPassedTests, output } = await vitest(['one', 'other'], inject('serverUrl'))
  expect({ success, output: success ? '' : output }).toEqual({ success: true, output: '' })
  expect(numPassedTests).toBe(2)
})
