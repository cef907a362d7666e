#!/usr/bin/env node
/**
 * The `rivulet` command: finds the command, parses its arguments, prints its result, and is the only place that ends
 * the process. Results go to standard output, everything else to standard error; with --json standard output gets
 * exactly one object, also when a command fails.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Cancelled, ConfigInvalid, MigrationRefused, PackageMissing, RivuletError, UsageError } from '../errors.ts'
import { layoutKind, strayFiles } from '../migrate/files/layout.ts'
import { wrongArguments } from './arguments.ts'
import { type Command, exitCodes, type CommandResult } from './command.ts'
import { commands, help } from './commands.ts'
import { Console } from './console.ts'
import { takeOutput } from './output.ts'
import { loadProject, type Project } from './project.ts'
import { SeedFailed } from './seed.ts'

/** Only the result goes to standard output: what a config or a seed prints there goes to standard error. */
const output = takeOutput()

const commonOptions = {
  config: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  const json = args.includes('--json')
  const console = new Console()
  const interrupt = new AbortController()
  const command = commands.find((command) => command.name === name)
  const stopped = command?.serves ? () => undefined : listen(interrupt)
  let announced = false
  try {
    if (name === undefined || ['help', '--help', '-h'].includes(name)) {
      const exitCode = name === undefined ? exitCodes.usage : exitCodes.done
      print({ exitCode, text: help, json: { help } }, '', json)
      return exitCode
    }
    if (['version', '--version', '-V'].includes(name)) {
      const version = await ownVersion()
      print({ exitCode: exitCodes.done, text: version, json: { version } }, 'version', json)
      return exitCodes.done
    }
    if (!command) throw new UsageError(`unknown command ${JSON.stringify(name)}: \`rivulet --help\` lists all commands`)
    const { values, positionals } = parsed(command, rest)
    if (values.help === true) {
      const text = `rivulet ${command.name}: ${command.summary}\n\n${command.help}`
      print({ exitCode: exitCodes.done, text, json: { help: text } }, command.name, json)
      return exitCodes.done
    }
    const project = once(async () => {
      loadEnvironment()
      const schema = 'schema' in values && Array.isArray(values.schema) ? values.schema.map(String) : undefined
      const config = typeof values.config === 'string' ? values.config : undefined
      const found = await loadProject(config, schema, command.needsDatabaseOnly)
      await noteStrays(found, console)
      return found
    })
    const announce = (result: CommandResult) => {
      announced = true
      print(result, command.name, json)
    }
    const outcome = await command.run({ values, positionals, console, signal: interrupt.signal, project, announce })
    if (!announced) print(outcome, command.name, json)
    return outcome.exitCode
  } catch (error) {
    const exitCode = stopped() ?? exitCodeFor(error)
    if (!announced) print({ exitCode, text: '', json: { error: errorJson(error) } }, name ?? '', json)
    console.note(`${console.style('red', 'rivulet:')} ${messageOf(error)}`)
    return exitCode
  }
}

/** Names files that Drizzle ignores silently, so that they are not overlooked. */
async function noteStrays({ source }: Project, console: Console): Promise<void> {
  const strays = await strayFiles(source.folder)
  if (strays.length === 0) return
  const journal = (await layoutKind(source.folder)) === 'journal'
  const why = journal ? "it is not in drizzle-kit's journal" : 'in the layout of drizzle-kit 1.0 migrations are folders'
  for (const file of strays) {
    console.note(
      console.style('yellow', `${file} is ignored: ${why}. `) +
        `Move its SQL into a migration made with \`${journal ? 'rivulet' : 'drizzle-kit'} generate --custom\`, or move ` +
        'the file elsewhere',
    )
  }
}

function parsed(command: Command, args: readonly string[]) {
  try {
    const options = { ...command.options, ...commonOptions }
    return parseArgs({ args: [...args], options, allowPositionals: command.takesFiles === true, strict: true })
  } catch (cause) {
    throw wrongArguments(command.name, cause)
  }
}

function print({ exitCode, text, json }: CommandResult, command: string, asJson: boolean): void {
  if (asJson) output.write(`${JSON.stringify({ command, exitCode, ...json }, undefined, 2)}\n`)
  else if (text !== '') output.write(`${text}\n`)
}

const refusalCodes = {
  pending: exitCodes.pending,
  inconsistent: exitCodes.inconsistent,
  locked: exitCodes.locked,
  unsafe: exitCodes.failed,
} as const

function exitCodeFor(error: unknown): number {
  if (error instanceof MigrationRefused) return refusalCodes[error.reason]
  const wrongCall = [UsageError, ConfigInvalid, PackageMissing, Cancelled]
  if (wrongCall.some((kind) => error instanceof kind)) return exitCodes.usage
  return exitCodes.failed
}

function messageOf(error: unknown): string {
  if (error instanceof RivuletError || error instanceof SeedFailed) return error.message
  // Not an error of Rivulet: its stack shows where it came from.
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function errorJson(error: unknown): Record<string, unknown> {
  if (error instanceof SeedFailed) return { code: error.code, message: error.message }
  if (!(error instanceof RivuletError)) return { code: 'unexpected', message: messageOf(error) }
  const { code, message, ...rest } = error
  return { ...rest, code, message, cause: undefined }
}

/**
 * The first signal asks the command to stop; a second one ends the process at once. Returns the exit code of the
 * signal, if any.
 */
function listen(interrupt: AbortController): () => number | undefined {
  let code: number | undefined
  const on = (signal: NodeJS.Signals, exitCode: number) =>
    process.on(signal, () => {
      if (code !== undefined) {
        process.stderr.write(
          'stopped without cleaning up: the next `rivulet verify` drops a scratch database that was left\n',
        )
        process.exit(exitCode)
      }
      code = exitCode
      process.stderr.write('\nstopping …\n')
      interrupt.abort(new Cancelled('interrupted'))
    })
  on('SIGINT', exitCodes.interrupted)
  on('SIGTERM', exitCodes.terminated)
  return () => code
}

/** drizzle-kit reads .env, so the config may rely on it; variables that are already set take precedence. */
function loadEnvironment(): void {
  if (existsSync('.env')) process.loadEnvFile('.env')
}

/** The version in the package's own package.json. */
async function ownVersion(): Promise<string> {
  const path = fileURLToPath(import.meta.resolve('rivulet/package.json'))
  return (JSON.parse(await readFile(path, 'utf8')) as { version: string }).version
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}

const exitCode = await main(process.argv.slice(2))
// Output may still be in flight, and handles that a config or a seed left open must not keep the process alive.
const failure = await output.written()
if (failure !== undefined) process.stderr.write(`rivulet: the result could not be written: ${failure.message}\n`)
process.exit(failure === undefined ? exitCode : exitCode || exitCodes.failed)
