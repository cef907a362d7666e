/**
 * The README is true: its files are written into an empty project, its commands run there in the order in which they
 * stand, its output is what comes out, and every npm script and command it names exists.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { poolSettings } from '../../src/config.ts'
import { openTestDatabase, scriptTemplate } from '../support/database.ts'

const run = promisify(execFile)
const repository = new URL('../..', import.meta.url).pathname
const readme = await readFile(join(repository, 'README.md'), 'utf8')

/** A fenced block of the README. */
interface Block {
  readonly language: string
  readonly text: string
  /** The file that the first line names, as in `// example.ts`: every block of TypeScript has one. */
  readonly file: string
}

const blocks: readonly Block[] = Array.from(readme.matchAll(/^```(\w+)\n([^]*?)^```$/gm), ([, language, text]) => ({
  language: language ?? '',
  text: text ?? '',
  file: /^\/\/ ([\w.-]+\.ts)\n/.exec(text ?? '')?.[1] ?? 'unnamed.ts',
}))

let project: string
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'rivulet-readme-'))
  await writeFile(join(project, 'package.json'), '{ "private": true, "type": "module" }')
  await linkPackages(join(project, 'node_modules'))
})
afterAll(() => rm(project, { recursive: true, force: true }))

/** Makes the packages of this checkout importable, and `rivulet` itself from its sources. */
async function linkPackages(folder: string): Promise<void> {
  const own = join(folder, 'rivulet')
  await mkdir(own, { recursive: true })
  for (const name of await readdir(join(repository, 'node_modules'))) {
    await symlink(join(repository, 'node_modules', name), join(folder, name))
  }
  const text = await readFile(join(repository, 'package.json'), 'utf8')
  // Where the build puts what it makes of a source: see .ci/build.js.
  const sources = text.replaceAll('./dist/schema/', './schema/').replaceAll('./dist/', './src/')
  await writeFile(join(own, 'package.json'), sources.replaceAll('.js"', '.ts"'))
  for (const part of ['src', 'schema']) await symlink(join(repository, part), join(own, part))
}

/** Runs a command line of the README in the project; answers what it printed. */
async function runLine(line: string, databaseUrl: string): Promise<string> {
  const [, program = '', ...args] = line.split(' ')
  const main = program === 'rivulet' ? [join(repository, 'src/cli/main.ts')] : []
  const options = { cwd: project, env: { ...process.env, DATABASE_URL: databaseUrl } }
  const { stdout } = await run(process.execPath, ['--import', import.meta.resolve('tsx'), ...main, ...args], options)
  return stdout
}

test('its TypeScript, in the files it names and with the commands it gives, prints what it says', async () => {
  await using database = await openTestDatabase(scriptTemplate('empty', ''))
  const output: string[] = []
  for (const { language, text, file } of blocks) {
    if (language === 'ts') await writeFile(join(project, file), text)
    if (language !== 'sh') continue
    const lines = text.split('\n').filter((line) => /^npx (rivulet|tsx) /.test(line))
    for (const line of lines) output.push(await runLine(line, database.url))
  }
  const printed = output.join('')
  const expected = blocks.filter(({ language }) => language === 'text').map(({ text }) => text)
  expect(expected.filter((text) => printed.includes(text)).length).toBeGreaterThan(0)
  expect(printed).toContain(expected.at(-1))
})

test('its TypeScript type-checks under strict', async () => {
  const files = blocks.filter(({ language }) => language === 'ts').map(({ file }) => file)
  expect(files).not.toContain('unnamed.ts')
  const compilerOptions = {
    strict: true,
    module: 'nodenext',
    target: 'es2023',
    // Those of this checkout: its sources are part of the program.
    lib: ['es2023', 'es2024.string', 'esnext.disposable'],
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    types: ['node'],
  }
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  const tsc = join(repository, 'node_modules', '.bin', 'tsc')
  const { stdout } = await run(tsc, [], { cwd: project }).catch((error: unknown) => error as { stdout: string })
  expect(stdout).toBe('')
})

describe('what it names exists', () => {
  test('npm scripts', async () => {
    const { scripts } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    const named = Array.from(
      readme.matchAll(/\bnpm (?:run (?:-s |--silent )?([\w:]+)|(start|test)\b)/g),
      (match) => match[1] ?? match[2],
    )
    expect(named.length).toBeGreaterThan(3)
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named))
  })

  test('commands of rivulet', async () => {
    const help = await runLine('npx rivulet --help', '')
    const named = Array.from(readme.matchAll(/\b(?:npx|npm run) rivulet (?:-- )?([a-z]+)/g), (match) => match[1] ?? '')
    for (const name of named) expect(help).toMatch(new RegExp(`^ {2}${name} `, 'm'))
  })

  test('files it links to', async () => {
    const links = Array.from(readme.matchAll(/\]\((?!https?:|#)([^)#]+)/g), (match) => match[1] ?? '')
    expect(links.filter((link) => !existsSync(join(repository, link)))).toEqual([])
  })
})

test('its table of pool settings has every setting with its default', () => {
  const defaults = Object.keys(poolSettings()).map((name) => {
    const row = new RegExp(`^\\| \`pool\\.${name}\` .* ([\\d,]+) +\\|$`, 'm').exec(readme)
    return [name, Number(row?.[1]?.replaceAll(',', ''))]
  })
  expect(Object.fromEntries(defaults)).toEqual(poolSettings())
})
