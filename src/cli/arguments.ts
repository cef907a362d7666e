/** Reads option values that have a shape, and the options that several commands share. */
import { UsageError } from '../errors.ts'
import type { OptionValues } from './command.ts'

/** What is wrong with a command's arguments, from what Node's `parseArgs` throws; its own words take names for files. */
export function wrongArguments(command: string, cause: unknown): UsageError {
  const { code, message = String(cause) } = cause as { readonly code?: unknown; readonly message?: string }
  const [, given = ''] = /'([^']*?)(?: <[^']*)?'/s.exec(message) ?? []
  const option = given.replace(/^-\w, /, '')
  const kinds: Readonly<Record<string, string>> = {
    ERR_PARSE_ARGS_UNKNOWN_OPTION: `rivulet ${command} has no option ${option}`,
    ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL: `rivulet ${command} takes options only, not ${JSON.stringify(given)}`,
    ERR_PARSE_ARGS_INVALID_OPTION_VALUE: message.includes('does not take')
      ? `${option} takes no value`
      : `${option} needs a value; one that begins with a hyphen is given as ${option}=VALUE`,
  }
  const fault = kinds[String(code)] ?? message
  return new UsageError(`${fault}\n\`rivulet ${command} --help\` lists its options`, { cause })
}

/** The text given for an option; undefined when it was not given. */
export function textOption(values: OptionValues, name: string): string | undefined {
  const value = values[name]
  if (value === '') throw new UsageError(`--${name} needs a value`)
  return typeof value === 'string' ? value : undefined
}

/** Whole milliseconds. @throws UsageError for anything else. */
function millisecondsOption(values: OptionValues, name: string): number | undefined {
  const text = textOption(values, name)
  if (text === undefined) return undefined
  if (!/^\d{1,10}$/.test(text)) throw new UsageError(`--${name} takes a whole number of milliseconds, not ${text}`)
  return Number(text)
}

/** The options of commands that wait for locks. */
export const waitOptions = { 'lock-timeout': { type: 'string' }, 'max-wait': { type: 'string' } } as const

export const waitHelp = `\
      --lock-timeout MS   how long a statement may wait for a table lock; then the file is rolled back and
                          tried again later, so that readers never wait longer than this. Default 1000
      --max-wait MS       how long to wait for another migrator, and in each file for table locks and, with
                          CONCURRENTLY, for other transactions. Default 600000`

/** Their values. */
export function waitValues(values: OptionValues) {
  return {
    lockTimeoutMs: millisecondsOption(values, 'lock-timeout'),
    maxWaitMs: millisecondsOption(values, 'max-wait'),
  }
}
