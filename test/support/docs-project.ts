/**
 * A project as the reader of a page has it: its files are written, its commands run in the order in which they stand, on
 * a database of its own. Installing is left to the test of the package: here what is imported is this checkout.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { format, promisify } from 'node:util'
import { vi } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { applyMigrations } from '../../src/migrate/commands/apply.ts'
import { openConnection } from '../../src/pool/open-connection.ts'
import { compiledPackage, compiledProgram } from './compiled-package.ts'
import { openTestDatabase, scriptTemplate } from './database.ts'
import { openFaultProxy } from './fault-proxy.ts'
import type { Page } from './markdown.ts'

const run = promisify(execFile)
const root = new URL('../..', import.meta.url).pathname

/** What a block of output says, and what its commands printed. */
export interface Printed {
  readonly expected: string
  readonly actual: string
}

export class DocsProjects {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async make(): Promise<DocsProjects> {
    const folder = await mkdtemp(join(tmpdir(), 'rivulet-docs-'))
    await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
    const packages = join(folder, 'node_modules')
    await mkdir(packages)
    for (const name of await readdir(join(root, 'node_modules'))) {
      await symlink(join(root, 'node_modules', name), join(packages, name))
    }
    await symlink(compiledPackage, join(packages, 'rivulet'))
    return new DocsProjects(folder)
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true })
  }

  /** Where the project of a page is. */
  folderOf({ path }: Page): string {
    return join(this.folder, path.replaceAll(/\W/g, '-'))
  }

  /** Writes the files of a page. */
  async write(page: Page): Promise<void> {
    await mkdir(this.folderOf(page))
    for (const { file, text } of page.blocks) {
      if (file !== undefined) await writeFile(join(this.folderOf(page), file), text)
    }
  }

  /** Does what the page says, from what the project of `base` has, if any; returns what it says that comes out of it. */
  async follow(page: Page, base?: Page): Promise<Printed[]> {
    const folder = this.folderOf(page)
    await mkdir(folder)
    await using database = await openTestDatabase(scriptTemplate('empty', ''))
    if (base) {
      for (const part of ['schema.ts', 'drizzle.config.ts', 'migrations']) {
        await cp(join(this.folderOf(base), part), join(folder, part), { recursive: true })
      }
      await applyMigrations(database.url, { folder: join(folder, 'migrations') })
    }
    await using server = new Background(folder, database.url)
    const printed: Printed[] = []
    let output: string | undefined
    for (const { language, text, file } of page.blocks) {
      if (file !== undefined) await writeFile(join(folder, file), text)
      if (language === 'text' && output !== undefined) printed.push({ expected: text, actual: output })
      output = undefined
      for (const line of language === 'sh' ? commandLines(text) : []) {
        output = (output ?? '') + ((await server.run(line)) ?? (await runLine(line, folder, database.url)))
      }
    }
    return printed
  }
}

/** The lines of a block that are run here: what is installed with npm, or run in a checkout, is not. */
function commandLines(text: string): string[] {
  return text.split('\n').filter((line) => /^(?:npx|psql|curl) /.test(line))
}

/**
 * The server that a page leaves running (`npx tsx serve.ts &`, `npx rivulet serve &`), and the requests that curl sends to it
 * afterwards.
 */
class Background implements AsyncDisposable {
  readonly #folder: string
  readonly #databaseUrl: string
  #child: ChildProcess | undefined
  #url = ''

  constructor(folder: string, databaseUrl: string) {
    this.#folder = folder
    this.#databaseUrl = databaseUrl
  }

  /** What a line prints; undefined for one that is neither. */
  async run(line: string): Promise<string | undefined> {
    const [, program, args = ''] = /^npx (tsx|rivulet) (.+) &$/.exec(line) ?? []
    const tsx = ['--import', import.meta.resolve('tsx')]
    const main = program === 'tsx' ? tsx : [compiledProgram('src/cli/main.ts')]
    if (program !== undefined) return this.#start([...main, ...args.split(' ')])
    if (!line.startsWith('curl ')) return undefined
    const { stdout } = await run('sh', ['-c', line.replace('http://localhost:3000', this.#url)])
    return `${stdout}\n`
  }

  /** Starts a program on any free port, and waits for it to say which. */
  async #start(argv: readonly string[]): Promise<string> {
    const env = { ...process.env, DATABASE_URL: this.#databaseUrl, PORT: '0' }
    this.#child = spawn(process.execPath, argv, { cwd: this.#folder, env, stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    for await (const chunk of this.#child.stdout ?? []) {
      said += String(chunk)
      this.#url = /http:\/\/[^\s;]+/.exec(said)?.[0] ?? ''
      if (this.#url !== '') break
    }
    if (this.#url === '') throw new Error(`${argv.join(' ')} ended before it said where it listens: ${said}`)
    // The pages say the usual port.
    return said.replaceAll(new URL(this.#url).port, '3000')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#child || this.#child.exitCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }
}

async function runLine(line: string, cwd: string, databaseUrl: string): Promise<string> {
  const [, program = '', ...args] = line.replace(/ (?:# |\|\| true).*$/, '').split(' ')
  const file = join(cwd, args.at(-1) ?? '')
  if (line.startsWith('psql')) return runScript(databaseUrl, await readFile(file, 'utf8'))
  if (program === 'vitest' || args[0] === '--test') return runTests(program, args, cwd, databaseUrl)
  if (program === 'tsx') return runProgram(file, databaseUrl)
  if (program === 'drizzle-kit') return runKit(args, cwd, databaseUrl)
  const env = { ...process.env, DATABASE_URL: databaseUrl }
  const mayFail = line.endsWith('|| true')
  const { stdout } = await run(process.execPath, [compiledProgram('src/cli/main.ts'), ...args], { cwd, env }).catch(
    (error: Error & { stdout: string; stderr: string }) => {
      if (mayFail) return error
      throw new Error(`${line}\n${error.stdout}${error.stderr}`, { cause: error })
    },
  )
  return stdout
}

/** Runs drizzle-kit, whose driver takes no URL of a socket: it gets that of a port before it. What it prints is its own. */
async function runKit(args: readonly string[], cwd: string, databaseUrl: string): Promise<string> {
  await using proxy = await openFaultProxy(databaseUrl)
  const given = args.map((argument) => argument.replace('"$DATABASE_URL"', proxy.url))
  await run(process.execPath, [join(root, 'node_modules/drizzle-kit/bin.cjs'), ...given], { cwd })
  return ''
}

/** Runs the page's own tests, which are a run of their own and no part of ours. @throws what they print when they fail. */
async function runTests(program: string, args: readonly string[], cwd: string, databaseUrl: string): Promise<string> {
  const own = Object.entries(process.env).filter(([name]) => !/^VITEST|^NODE_TEST|^FORCE_COLOR/.test(name))
  const env = { ...Object.fromEntries(own), NO_COLOR: '1', DATABASE_URL: databaseUrl }
  const main =
    program === 'vitest' ? [join(root, 'node_modules/vitest/vitest.mjs')] : ['--import', import.meta.resolve('tsx')]
  const { stdout } = await run(process.execPath, [...main, ...args], { cwd, env }).catch((error: unknown) => {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${program} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error })
  })
  return stdout
}

/** Runs a program in this process, as a process for each would take longer to load than all of them to run. */
async function runProgram(file: string, databaseUrl: string): Promise<string> {
  const before = process.cwd()
  const printed: string[] = []
  const log = vi.spyOn(console, 'log').mockImplementation((...values) => void printed.push(`${format(...values)}\n`))
  vi.stubEnv('DATABASE_URL', databaseUrl)
  process.chdir(dirname(file))
  try {
    await import(file)
    return printed.join('')
  } finally {
    process.chdir(before)
    vi.unstubAllEnvs()
    log.mockRestore()
  }
}

/** What psql would do with a file: the tests have none. */
async function runScript(url: string, script: string): Promise<string> {
  const connection = await openConnection({ address: parseDatabaseUrl(url), connectTimeoutMs: 10_000 })
  try {
    await connection.script(script)
    return ''
  } finally {
    await connection.close()
  }
}
