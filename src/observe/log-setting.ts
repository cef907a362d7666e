/**
 * What `log` of the config and RIVULET_LOG may say, and their check: a slip must not leave a service without its log, or
 * with one that nobody asked for.
 */
import { ConfigInvalid } from '../errors.ts'
import { checkSettings, optionNames } from '../option-names.ts'

/**
 * What is written: `'statements'` and the ends of their transactions, `'sessions'` with their connections and gathers, and
 * `'slow'`, the statements and COMMITs that take `slowMs` or longer.
 */
export type LogTopic = 'statements' | 'sessions' | 'slow'

/** The levels of a log, from the least. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Where a log is written: what pino, `console` and many others have. */
export interface Logger {
  /** What runs. */
  debug(fields: object, message: string): unknown
  /** What is rarer than that, and in order. */
  info(fields: object, message: string): unknown
  /** What somebody should look at. */
  warn(fields: object, message: string): unknown
  /** What is wrong now. */
  error(fields: object, message: string): unknown
  /** Asked before an entry is made, where there is one. */
  isLevelEnabled?(level: LogLevel): boolean
}

/** How a log is written. */
export interface LogOptions {
  /** Default: standard error, in columns on a terminal and as one line of JSON an entry elsewhere. */
  readonly to?: Logger | undefined
  /** Default `['statements', 'slow']`. */
  readonly what?: LogTopic | readonly LogTopic[] | undefined
  /** Milliseconds from which on a statement or a COMMIT is slow. Default 100. */
  readonly slowMs?: number | undefined
}

/** What `log` of the config may be; with `true`, a logger or a topic the other options have their defaults. */
export type LogSetting = boolean | LogTopic | readonly LogTopic[] | Logger | LogOptions

const topics = { statements: true, sessions: true, slow: true } as const satisfies Record<LogTopic, true>
const known = Object.keys(topics)
const methods = ['debug', 'info', 'warn', 'error'] as const satisfies readonly LogLevel[]
const logNames = optionNames<LogOptions>({ to: true, what: true, slowMs: 'number' })

/** The options that a setting stands for; undefined where nothing is to be written. @throws ConfigInvalid */
export function logOptions(setting: LogSetting): LogOptions | undefined {
  if (typeof setting === 'boolean') return setting ? {} : undefined
  if (areTopics(setting)) return { what: setting }
  if (typeof setting !== 'object' || setting === null || Array.isArray(setting)) {
    throw wrongTopics('config.log', setting, 'true, false, a logger, { to, what, slowMs }, or ')
  }
  if (methods.some((method) => method in setting)) return { to: checkLogger('config.log', setting) }
  checkSettings('config.log', logNames, setting)
  const { to, what } = setting as LogOptions
  if (to !== undefined) checkLogger('config.log.to', to)
  if (what !== undefined && !areTopics(what)) throw wrongTopics('config.log.what', what)
  return setting as LogOptions
}

/** The options that RIVULET_LOG stands for: topics, separated by commas. @throws ConfigInvalid */
export function logOptionsIn(text: string): LogOptions {
  const what = text.split(',').map((topic) => topic.trim())
  if (areTopics(what)) return { what }
  const message = `RIVULET_LOG must be one or several of ${known.join(', ')}, separated by commas`
  throw new ConfigInvalid(`${message}, not ${JSON.stringify(text)}`)
}

function areTopics(value: unknown): value is LogTopic | readonly LogTopic[] {
  const list: unknown[] = [value].flat()
  return list.length > 0 && list.every(isTopic)
}

function isTopic(value: unknown): value is LogTopic {
  return typeof value === 'string' && Object.hasOwn(topics, value)
}

function checkLogger(name: string, given: unknown): Logger {
  const has = (method: string) => typeof (given as Readonly<Record<string, unknown>> | null)?.[method] === 'function'
  if (methods.every(has)) return given as Logger
  throw new ConfigInvalid(`${name} must be a logger: an object with the methods ${methods.join(', ')}`)
}

function wrongTopics(name: string, given: unknown, or = ''): ConfigInvalid {
  const wrong = [given].flat().find((each) => !isTopic(each))
  const isEmpty = Array.isArray(given) && given.length === 0
  const said = isEmpty ? 'an empty list' : typeof wrong === 'string' ? JSON.stringify(wrong) : typeof wrong
  const topics = known.map((topic) => `'${topic}'`).join(', ')
  return new ConfigInvalid(`${name} must be ${or}one or several of ${topics}, not ${said}`)
}
