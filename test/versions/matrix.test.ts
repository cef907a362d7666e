/**
 * `npm run test:matrix`: the packed package in projects of its users, on each version of Node and TypeScript that is
 * supported. Node comes from its npm package, so the registry must be within reach. Beside what a user does, the unit
 * tests of the checkout run on each Node.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { consumerProgram } from '../support/consumer-program.ts'
import { pack } from '../support/packed.ts'

const run = promisify(execFile)
const repository = new URL('../..', import.meta.url).pathname
const platform = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`

/** The oldest that is supported, the oldest that loads TypeScript by itself, and the newest of each line. */
const nodes = ['20.19.0', '22.12.0', '22.23.3', '24.21.0']
const compilers = ['5.9', '7.0']

let folder: string
/** A project with the package, the binaries of the embedded server and drizzle-orm; and one with the optional peers. */
let bare: string
let full: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rivulet-matrix-'))
  bare = join(folder, 'bare')
  full = join(folder, 'full')
  const tarball = await pack(join(folder, 'checkout'))
  await install(bare, tarball)
  await cp(bare, full, { recursive: true, verbatimSymlinks: true })
  const peers = [
    'hono@4',
    '@hono/node-server@2',
    '@opentelemetry/api@1',
    'jose@6',
    'zod@4',
    'tsx@4',
    'drizzle-kit@0.31',
  ]
  await install(full, ...peers, '@types/node@20')
})
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }))

async function install(directory: string, ...packages: string[]): Promise<void> {
  await mkdir(directory, { recursive: true })
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', ...packages], {
    cwd: directory,
  })
}

const javascript = {
  'schema.js': `import { integer, pgTable } from 'drizzle-orm/pg-core'
    export const people = pgTable('people', { id: integer().primaryKey() })`,
  'drizzle.config.js': `export default { dialect: 'postgresql', schema: './schema.js', out: './migrations' }`,
  'seed.js': `import { people } from './schema.js'
    export const seed = (engine) => engine.session(({ db }) => db.insert(people).values({ id: 1 }))`,
  'program.js': `import { openEngine } from 'rivulet'
    import * as schema from './schema.js'
    openEngine({ schema }).then(async (engine) => {
      console.log((await engine.session(({ repository }) => repository(schema.people).get(1))).id)
      await engine.close()
    })`,
}

/** The same in TypeScript that Node can load; `enum` is what it cannot. */
const typescript = Object.fromEntries(
  Object.entries(javascript).map(([name, text]) => [
    name.replace(/js$/, 'ts'),
    text
      .replaceAll(".js'", ".ts'")
      .replace('(engine)', '(engine: { session: Function })')
      .replace('({ db })', '({ db }: { db: any })'),
  ]),
)
const beyondNode = {
  ...typescript,
  'schema.ts': `enum Names { people }\n${typescript['schema.ts']}`.replace("'people'", 'Names[0]'),
}

const migration = {
  'migrations/0000_people.sql': 'CREATE TABLE "people" ("id" integer PRIMARY KEY NOT NULL);',
  'migrations/meta/_journal.json': JSON.stringify({
    version: '7',
    dialect: 'postgresql',
    entries: [{ idx: 0, version: '7', when: 1767225600000, tag: '0000_people', breakpoints: true }],
  }),
}

/** A project of its own beside the installed packages. */
async function makeProject(packages: string, type: string | undefined, files: Readonly<Record<string, string>>) {
  const directory = await mkdtemp(join(folder, 'project-'))
  await symlink(join(packages, 'node_modules'), join(directory, 'node_modules'))
  const all = { 'package.json': JSON.stringify({ private: true, type }), ...migration, ...files }
  for (const [name, text] of Object.entries(all)) {
    await mkdir(dirname(join(directory, name)), { recursive: true })
    await writeFile(join(directory, name), text)
  }
  return directory
}

describe.each(nodes)('Node %s', (version) => {
  let node: string
  let stripsTypes: boolean
  beforeAll(async () => {
    const home = join(folder, `node-${version}`)
    await install(home, `node-${platform}@${version}`)
    node = join(home, 'node_modules', `node-${platform}`, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
    const { stdout } = await run(node, ['-p', 'process.version + " " + (process.features.typescript ?? false)'])
    expect(stdout).toContain(`v${version} `)
    stripsTypes = stdout.includes('strip')
  })

  /** Runs a script of Node's with only this Node in PATH; the embedded server is used, in the project itself. */
  async function execute(directory: string, ...args: string[]) {
    const { DATABASE_URL: _, ...inherited } = process.env
    const env = { ...inherited, PATH: `${dirname(node)}:${process.env.PATH}` }
    return run(node, args, { cwd: directory, env }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }),
    )
  }
  const rivulet = (directory: string, ...args: string[]) =>
    execute(directory, join(directory, 'node_modules/rivulet/dist/cli/main.js'), ...args)

  async function expectWork(directory: string, ending: string): Promise<void> {
    expect(await rivulet(directory, 'migrate')).toMatchObject({ code: 0 })
    expect(await rivulet(directory, 'seed', '--file', `seed.${ending}`)).toMatchObject({ code: 0 })
    const own = ending === 'js' || stripsTypes ? [] : ['--import', 'tsx']
    expect(await execute(directory, ...own, `program.${ending}`)).toMatchObject({ code: 0, stdout: '1\n' })
  }

  describe.each(['module', undefined])('"type": %j', (type) => {
    test('a project in JavaScript migrates, seeds and runs without tsx, and with it', async () => {
      await expectWork(await makeProject(bare, type, javascript), 'js')
      await expectWork(await makeProject(full, type, javascript), 'js')
    })

    test('a project in TypeScript does so with tsx, and without it where Node strips types', async () => {
      await expectWork(await makeProject(full, type, typescript), 'ts')
      const alone = await makeProject(bare, type, typescript)
      if (stripsTypes) return expectWork(alone, 'ts')
      const { code, stderr } = await rivulet(alone, 'migrate')
      expect(stderr).toMatch(
        /^rivulet: drizzle\.config\.ts, which Node .* cannot load by itself .*: npm install --save-dev tsx@4\n/,
      )
      expect(code).toBe(64)
    })

    test('TypeScript that only tsx can load says so', async () => {
      const alone = await makeProject(bare, type, beyondNode)
      if (stripsTypes) expect(await rivulet(alone, 'migrate')).toMatchObject({ code: 0 })
      const { code, stderr } = await rivulet(alone, 'seed', '--file', 'seed.ts')
      expect(stderr).toContain('npm install --save-dev tsx@4')
      expect(code).toBe(64)
      expect(await rivulet(await makeProject(full, type, beyondNode), 'migrate')).toMatchObject({ code: 0 })
    })
  })

  test('require loads every entry, where Node can require ES modules', async () => {
    const entries = ['rivulet', 'rivulet/http', 'rivulet/migrate', 'rivulet/schema', 'rivulet/shop']
    const program = `console.log(${JSON.stringify(entries)}.map((name) => Object.keys(require(name)).length > 5))`
    const directory = await makeProject(full, undefined, { 'entries.cjs': program })
    const { stdout } = await execute(directory, 'entries.cjs')
    expect(stdout).toBe('[ true, true, true, true, true ]\n')
  })

  test('the unit tests pass', async () => {
    const vitest = join(repository, 'node_modules/vitest/vitest.mjs')
    const { code, stdout } = await execute(repository, vitest, 'run', '--project', 'unit')
    expect(stdout).toMatch(/Tests .*passed/)
    expect(code).toBe(0)
  })
})

describe.each(compilers)('TypeScript %s', (version) => {
  let tsc: string
  beforeAll(async () => {
    const home = join(folder, `typescript-${version}`)
    await install(home, `typescript@~${version}`)
    tsc = join(home, 'node_modules', 'typescript', 'bin', 'tsc')
  })

  test.each([
    ['nodenext', 'module'],
    ['nodenext', 'commonjs'],
    ['bundler', 'module'],
  ])('the packed types compile in a strict project with %s and "type": %j', async (resolution, type) => {
    const directory = await makeProject(full, type, { 'consumer.mts': consumerProgram, 'consumer.ts': importingAll })
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      target: 'es2022',
      lib: ['es2022', 'esnext.disposable'],
      module: resolution === 'nodenext' ? 'nodenext' : 'esnext',
      moduleResolution: resolution,
      noEmit: true,
      declaration: true,
      // Drizzle's own declarations name drivers that are not installed.
      skipLibCheck: true,
      types: ['node'],
    }
    const files = ['consumer.mts', 'consumer.ts']
    await writeFile(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
    const { stdout } = await run(process.execPath, [tsc], { cwd: directory }).catch(
      (error: unknown) => error as { stdout: string },
    )
    expect(stdout).toBe('')
  })
})

/** Without top-level await, which a CommonJS project has not. */
const importingAll = `
import { type Engine, openEngine } from 'rivulet'
import { createApp } from 'rivulet/http'
import { applyMigrations } from 'rivulet/migrate'
import * as schema from 'rivulet/schema'
import { placeOrder } from 'rivulet/shop'

export const engine: Promise<Engine<typeof schema>> = openEngine({ schema })
export const used = [createApp, applyMigrations, placeOrder]
`
