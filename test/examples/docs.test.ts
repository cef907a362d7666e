/**
 * The README and the pages in docs/ are true: their files are written into empty projects, their commands run there in
 * the order in which they stand, what they print is what comes out, and every script, command, option, file and heading
 * they name exists.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { commands } from '../../src/cli/commands.ts'
import { DocsProjects, type Printed } from '../support/docs-project.ts'
import { type Page, pages } from '../support/markdown.ts'

const run = promisify(execFile)
const root = new URL('../..', import.meta.url).pathname
const started = pages.find(({ path }) => path === 'docs/getting-started.md')!

let projects: DocsProjects
beforeAll(async () => {
  projects = await DocsProjects.make()
})
afterAll(() => projects.remove())

const done = new Map<Page, Promise<Printed[]>>()

/** Follows a page, once: from nothing where it says how to begin, else from the project of getting started. */
function followed(page: Page): Promise<Printed[]> {
  const begins = page.blocks.some(({ file }) => file === 'drizzle.config.ts')
  const made =
    done.get(page) ?? (begins ? projects.follow(page) : followed(started).then(() => projects.follow(page, started)))
  done.set(page, made)
  return made
}

// What the README says is done by the test of the package, with what npm installs.
const [readme, ...others] = pages as readonly [Page, ...Page[]]
const withCode = others.filter(({ blocks }) => blocks.some(({ file }) => file !== undefined))

describe('what comes out is what is said', () => {
  test.each(withCode)('$path', { timeout: 120_000 }, async (page) => {
    for (const { expected, actual } of await followed(page)) expect(actual).toMatch(patternOf(expected))
  })
})

/** The text, with anything in place of `…`. */
function patternOf(text: string): RegExp {
  const parts = text.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  return new RegExp(`^${parts.join('[^]*')}$`)
}

test('the TypeScript type-checks under strict, and each file has a name', { timeout: 120_000 }, async () => {
  const nameless = pages.flatMap(({ path, blocks }) =>
    blocks
      .filter(({ language, file }) => language === 'ts' && file === undefined)
      .map(({ text }) => `${path}: ${text}`),
  )
  expect(nameless).toEqual([])
  await projects.write(readme)
  for (const page of withCode) await followed(page)
  const files = [readme, ...withCode].flatMap((page) =>
    page.blocks.flatMap(({ file }) => (file?.endsWith('.ts') ? [join(projects.folderOf(page), file)] : [])),
  )
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
    typeRoots: [join(root, 'node_modules/@types')],
    paths: { rivulet: [join(root, 'src/index.ts')], 'rivulet/*': [join(root, 'src/*/index.ts')] },
  }
  const config = join(projects.folder, 'tsconfig.json')
  await writeFile(config, JSON.stringify({ compilerOptions, files }))
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  const { stdout } = await run(tsc, ['--project', config]).catch((error: unknown) => error as { stdout: string })
  expect(stdout).toBe('')
})

describe('what is named exists', () => {
  const prose = pages.map(({ path, text }) => ({ path, text }))

  test('npm scripts', async () => {
    const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    const named = prose.flatMap(({ text }) =>
      Array.from(
        text.matchAll(/\bnpm (?:run (?:-s |--silent )?([\w:]+)|(start|test)\b)/g),
        (match) => match[1] ?? match[2],
      ),
    )
    expect(named.length).toBeGreaterThan(3)
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named))
  })

  test.each(prose)('commands and options in $path', ({ text }) => {
    const wrong = Array.from(text.matchAll(/(?:\bnpx|^| )rivulet (?:-- )?([a-z]+)([^\n`|]*)/gm)).filter(
      ([line, name, rest = '']) => {
        const command = commands.find((command) => command.name === name)
        if (!command) return line.startsWith('npx')
        const options = new Set([...Object.keys(command.options), 'config', 'json', 'help'])
        return Array.from(rest.matchAll(/ --([a-z-]+)/g)).some(([, option = '']) => !options.has(option))
      },
    )
    expect(wrong.map(([line]) => line)).toEqual([])
  })

  test.each(prose)('files and headings that $path links to', ({ path, text }) => {
    const links = Array.from(text.matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g))
    const broken = links.filter(([, file = '', anchor]) => {
      const target = file === '' ? path : normalize(join(dirname(path), file))
      if (!existsSync(join(root, target))) return true
      if (!anchor) return false
      const page = pages.find((page) => page.path === target)
      return page !== undefined && !page.anchors.includes(anchor)
    })
    expect(broken.map(([link]) => link)).toEqual([])
  })
})

test('the README is for five minutes, and no line is too long to read in a diff', () => {
  expect(readme.text.split('\n').length).toBeLessThanOrEqual(151)
  const long = pages.flatMap(({ path, text }) =>
    text
      .split('\n')
      .filter((line) => line.length > 160)
      .map((line) => `${path}: ${line}`),
  )
  expect(long).toEqual([])
})
