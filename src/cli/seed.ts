/** `rivulet seed`: runs the project's seed, a module that exports a function of an engine. */
import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { PackageMissing, UsageError } from '../errors.ts'
import { otherThanFile } from '../migrate/files/text-file.ts'
import { textOption } from './arguments.ts'
import { type Command, commonHelp, exitCodes } from './command.ts'
import { type Project, withDatabase } from './project.ts'
import { schemaFiles } from './schema-files.ts'
import { loadModules } from './user-modules.ts'

export const seedCommand: Command = {
  name: 'seed',
  summary: 'fill the database with the data of the seed module',
  help: `Usage: rivulet seed [options]

The seed is a module of yours. Its default export, or its export named seed, is an async function that takes an engine:
  export default async (engine: Engine) => { await engine.session(({ db }) => db.insert(customers).values(…)) }
Its path is given with --file, or in package.json: "rivulet": { "seed": "path/to/seed.ts" }.

Options:
      --file FILE         the seed module
${commonHelp}

Exit codes: 0 done, 1 failed, 64 there is no seed module

Examples:
  rivulet seed
  rivulet seed --file scripts/seed.ts`,
  options: { file: { type: 'string' } },
  run: async ({ values, project }) => {
    const found = await project()
    const file = await findSeed(found, textOption(values, 'file'))
    await withDatabase(found, (url) => runSeed(found, url, file))
    const shown = relative('', file)
    return { exitCode: exitCodes.done, text: `Ran ${shown}.`, json: { seed: shown } }
  },
}

/** The seed module's path. @throws UsageError when there is none, or no file: importing a FIFO waits for ever. */
export async function findSeed({ directory }: Project, given: string | undefined): Promise<string> {
  const path = given === undefined ? await configured(directory) : resolve(given)
  if (path === undefined) {
    throw new UsageError(
      'no seed module is configured: give --file FILE, or set "rivulet": { "seed": "FILE" } in package.json',
    )
  }
  if (!existsSync(path)) throw new UsageError(`there is no seed module at ${path}`)
  const other = otherThanFile(await stat(path))
  if (other !== undefined) throw new UsageError(`${path} cannot be the seed module: it is ${other}, not a file`)
  return path
}

async function configured(directory: string): Promise<string | undefined> {
  const text = await readFile(join(directory, 'package.json'), 'utf8').catch(() => '{}')
  const { rivulet } = JSON.parse(text) as { rivulet?: { seed?: unknown } }
  return typeof rivulet?.seed === 'string' ? resolve(directory, rivulet.seed) : undefined
}

/** Opens an engine on the database and hands it to the seed. */
export async function runSeed(project: Project, url: string, file: string): Promise<void> {
  const files = await schemaFiles(project)
  try {
    await seedDatabase(project, files, url, file)
  } catch (error) {
    const isOurs = error instanceof UsageError || error instanceof PackageMissing
    throw isOurs ? error : new SeedFailed(file, error)
  }
}

/** The seed module threw: its message, with the frames of the user's code. */
export class SeedFailed extends Error {
  readonly code = 'seed_failed'

  constructor(file: string, cause: unknown) {
    const message = cause instanceof Error ? cause.message : String(cause)
    const frames = (cause instanceof Error ? (cause.stack ?? '') : '')
      .split('\n')
      .filter((line) => /^\s+at /.test(line))
    const own = frames.filter((line) => !line.includes('node:') && !line.includes('/node_modules/'))
    const ours = own.findIndex((line) => line.includes(ourFolder))
    const shown = own.slice(0, ours < 0 ? undefined : ours)
    super([`${relative('', file)} failed: ${message}`, ...shown].join('\n'), { cause })
  }
}

/** The folder of this package's own code, whose frames tell the user nothing. */
const ourFolder = new URL('..', import.meta.url).pathname

async function seedDatabase(project: Project, files: readonly string[], url: string, file: string): Promise<void> {
  // One import for both, because the seed must use the very tables that the engine knows.
  const [seedModule, ...schemaModules] = await loadModules(project.directory, [file, ...files])
  const run = seedModule?.seed ?? seedModule?.default
  if (typeof run !== 'function') {
    throw new UsageError(`${file} exports no function, neither by default nor under the name seed`)
  }
  const schema = Object.assign({}, ...schemaModules) as Record<string, unknown>
  const casing = project.casing === undefined ? {} : { casing: project.casing }
  // Imported late, so that the other commands do not load the engine.
  const { openEngine } = await import('../engine.ts')
  const engine = await openEngine({ schema, url, ...casing })
  try {
    await (run as (given: typeof engine) => Promise<unknown>)(engine)
  } finally {
    await engine.close()
  }
}
