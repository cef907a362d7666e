/**
 * Projects with an embedded server, for the tests of it: temporary directories, child processes that use the server in
 * them, and the certainty that neither outlives the test.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import postgres from 'postgres'
import { parseDatabaseUrl } from '../../src/config.ts'
import { lookUp } from '../../src/embedded/process-identity.ts'
import { openEmbeddedServer, type EmbeddedServerOptions } from '../../src/embedded/server.ts'
import { compiledProgram } from './compiled-package.ts'

/** What a child process says when it has opened the server, or could not. */
interface Opened {
  readonly url: string
  readonly owned: boolean
  readonly socketDirectory: string
  readonly error?: string
  readonly message?: string
}

/** A process that holds the embedded server; `stop` makes it give the server up and waits for its end. */
export interface Child {
  readonly process: ChildProcess
  readonly opened: Promise<Opened>
  readonly exited: Promise<number | null>
  stop(): Promise<number | null>
  kill(): Promise<void>
}

export interface ChildOptions {
  afterwards?: 'hold' | 'leave'
  env?: Record<string, string>
  /** The current directory. Default the root of the file system. */
  cwd?: string
  user?: { uid: number; gid: number } | undefined
  /** The program of another checkout. */
  program?: string
}

const directories: string[] = []
const children: Child[] = []

/** A new temporary directory, removed by `cleanUp` with whatever server still runs in it. */
export async function makeDirectory(mode = 0o755, parent: string = tmpdir()): Promise<string> {
  const directory = await realpath(await mkdtemp(join(parent, 'rivulet-project-')))
  await chmod(directory, mode)
  directories.push(directory)
  return directory
}

let template: Promise<string> | undefined

/** A project whose server has run before and stopped: a copy of one, which is quicker than to initialise another. */
export async function makeProject(parent?: string): Promise<string> {
  template ??= initialise()
  const directory = join(parent ?? (await makeDirectory()), '.rivulet')
  execFileSync('cp', ['-a', await template, directory])
  // What a start makes is not there yet.
  for (const name of ['server.log', 'keeper', 'socket']) {
    await rm(join(directory, name), { recursive: true, force: true })
  }
  return directory
}

async function initialise(): Promise<string> {
  const directory = join(await mkdtemp(join(tmpdir(), 'rivulet-template-')), '.rivulet')
  await chmod(dirname(directory), 0o755)
  const server = await openEmbeddedServer({ directory, settings: { fsync: 'off' } })
  await server.stop()
  return directory
}

/** Removes what `makeProject` copies from. For `afterAll`. */
export async function forgetTemplate(): Promise<void> {
  if (template !== undefined) await rm(dirname(await template), { recursive: true, force: true })
  template = undefined
}

/** The user a process runs as. */
export function userOf(pid: number | undefined): number {
  return Number(execFileSync('ps', ['-o', 'uid=', '-p', String(pid)], { encoding: 'utf8' }))
}

/** Starts a process that opens the server with these options. */
export function startChild(options: EmbeddedServerOptions, settings: ChildOptions = {}): Child {
  const program = settings.program ?? compiledProgram('test/support/child-embedded-server.ts')
  const args = [program, JSON.stringify(options), settings.afterwards ?? 'hold']
  const child = spawn(process.execPath, args, {
    cwd: settings.cwd ?? '/',
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...settings.env },
    ...settings.user,
  })
  const exited = once(child, 'close').then(([code]) => code as number | null)
  const opened = firstLine(child.stdout).then((line) => JSON.parse(line) as Opened)
  opened.catch(() => {})
  const result: Child = {
    process: child,
    opened,
    exited,
    stop: () => {
      child.stdin.write('stop\n')
      return exited
    },
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
  children.push(result)
  return result
}

async function firstLine(stream: Readable): Promise<string> {
  for await (const line of createInterface(stream)) return line
  throw new Error('the process ended without a word')
}

/** Kills what the test left running and removes its directories. For `afterEach`. */
export async function cleanUp(): Promise<void> {
  await Promise.all(children.splice(0).map((child) => child.kill()))
  for (const directory of directories.splice(0)) {
    for (const project of [directory, join(directory, '.rivulet'), join(directory, 'checkout', '.rivulet')]) {
      const home = await readFile(join(project, 'home'), 'utf8').catch(() => project)
      const pid = await serverPid(home)
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
      if (home !== project) await rm(home, { recursive: true, force: true })
    }
    // Backends of a server killed just now may still write a file or two.
    await rm(directory, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** The number of the server process in a home, undefined when none runs. */
export async function serverPid(home: string): Promise<number | undefined> {
  const text = await readFile(join(home, 'data', 'postmaster.pid'), 'utf8').catch(() => '')
  const pid = Number(text.split('\n')[0])
  return pid > 0 && isRunning(pid) ? pid : undefined
}

/** The number of the server process in a home where one runs. */
export async function runningPid(home: string): Promise<number> {
  const pid = await serverPid(home)
  if (pid === undefined) throw new Error(`no server runs in ${home}`)
  return pid
}

/** Programs of PostgreSQL that work in a directory, as `ps` shows them. */
export function processesIn(directory: string): string[] {
  const list = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
  return list.split('\n').filter((line) => line.includes(`${directory}/`) && /initdb|postgres/.test(line))
}

/** The parent of a process. */
export function parentOf(pid: number): number {
  return Number(execFileSync('ps', ['-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8' }))
}

/** Whether a process of this number runs; one that ended and was not yet waited for does not. */
export function isRunning(pid: number): boolean {
  return lookUp(pid) !== undefined
}

/** Polls until the condition holds; fails after ten seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 10_000
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error(`never came true: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Runs statements on the server of a URL, one connection, and returns the rows of the last. */
export async function query(url: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const { host, port, user, password, database } = parseDatabaseUrl(url)
  const client = postgres({ host, port, user, password, database, max: 1, onnotice: () => {} })
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = [...(await client.unsafe(statement))]
    return rows
  } finally {
    await client.end({ timeout: 1 })
  }
}
