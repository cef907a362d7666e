/**
 * What a command of `rivulet` is: its help, its options, and a function from parsed arguments to a result. Commands
 * neither print to standard output nor end the process; `main.ts` does both.
 */
import type { ParseArgsConfig } from 'node:util'
import type { Console } from './console.ts'
import type { Project } from './project.ts'

/** The exit codes of the process. */
export const exitCodes = {
  done: 0,
  failed: 1,
  pending: 2,
  inconsistent: 3,
  locked: 4,
  usage: 64,
  interrupted: 130,
  terminated: 143,
} as const

export type OptionValues = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

/** The input of a command. */
export interface Run {
  readonly values: OptionValues
  readonly positionals: readonly string[]
  readonly console: Console
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /** The project in the current directory, loaded at the first call. */
  readonly project: () => Promise<Project>
  /** Prints the result while the command goes on, for one that serves; what it returns in the end is not printed then. */
  readonly announce: (result: CommandResult) => void
}

/** How a command ended. */
export interface CommandResult {
  readonly exitCode: number
  /** The result for people, printed on standard output. */
  readonly text: string
  /** The result for machines: what `--json` prints, beside `command` and `exitCode`. */
  readonly json: Readonly<Record<string, unknown>>
}

export interface Command {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** What `--help` prints below the summary: usage, options, exit codes, examples. */
  readonly help: string
  readonly options: NonNullable<ParseArgsConfig['options']>
  /** True when file names may follow. */
  readonly takesFiles?: boolean
  /** True when all it needs is a database: where DATABASE_URL names one, there may be no config. */
  readonly needsDatabaseOnly?: boolean
  /** True when it ends by a signal: then it watches for them itself. */
  readonly serves?: boolean
  readonly run: (run: Run) => Promise<CommandResult>
}

/** The options that every command takes, as help shows them. */
export const commonHelp = `      --config FILE       the Drizzle config. Default: drizzle.config.ts, .js or .json here
      --json              print one JSON object on standard output
  -h, --help              this text`
