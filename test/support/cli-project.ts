/** A small Drizzle project in a directory of its own with an empty database, and the `rivulet` command run in it. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { compiledProgram } from './compiled-package.ts'
import type { TestDatabase } from './database.ts'
import { openEmptyDatabase } from './migrations.ts'

const root = new URL('../../', import.meta.url).pathname

/** How the command ended. */
export interface End {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

type Child = ChildProcessByStdio<Writable | null, Readable, Readable>

/** The project. */
export interface CliProject extends AsyncDisposable {
  readonly directory: string
  readonly database: TestDatabase
  write(files: Readonly<Record<string, string>>): Promise<void>
  rivulet(...args: string[]): Promise<End>
  /** The same with a text on standard input. */
  piped(input: string, ...args: string[]): Promise<End>
  start(args: readonly string[]): Child
}

/** Its drizzle.config.ts. */
export const config = `import { defineConfig } from 'drizzle-kit'
export default defineConfig({ dialect: 'postgresql', schema: './schema.ts', out: './migrations' })`

/** Its schema.ts, with these columns beside `id`. */
export function schema(columns: string): string {
  return `import { integer, pgTable, text } from 'drizzle-orm/pg-core'
export const people = pgTable('people', { id: integer().primaryKey(), ${columns} })`
}

/** Makes one. */
export async function makeProject(): Promise<CliProject> {
  const directory = await mkdtemp(join(tmpdir(), 'rivulet-cli-'))
  const database = await openEmptyDatabase()
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
  const write = async (files: Readonly<Record<string, string>>) => {
    for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content)
  }
  await write({ 'package.json': '{"type":"module"}', 'drizzle.config.ts': config, 'schema.ts': schema('nmae: text()') })
  // Nothing passes signals on to the command here, as npm does.
  const command = (args: readonly string[]) => {
    const { npm_lifecycle_event: _, ...inherited } = process.env
    const options = { cwd: directory, env: { ...inherited, DATABASE_URL: database.url } }
    return [process.execPath, [compiledProgram('src/cli/main.ts'), ...args], options] as const
  }
  const start = (args: readonly string[]) => {
    const [program, given, options] = command(args)
    return spawn(program, given, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  }
  return {
    directory,
    database,
    write,
    start,
    rivulet: (...args) => ended(start(args)),
    piped: (input, ...args) => {
      const [program, given, options] = command(args)
      const child = spawn(program, given, { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
      child.stdin.end(input)
      return ended(child)
    },
    [Symbol.asyncDispose]: async () => {
      await database[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Waits for the end of a command that was started. */
export async function ended(child: Child): Promise<End> {
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number]>,
  ])
  return { exitCode, stdout, stderr }
}
