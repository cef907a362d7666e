/**
 * What the log says of an observation: a level, a message that is the same for all of its kind, and fields. A statement
 * that failed is no warning: its caller has the error, and may well expect it.
 */
import { DatabaseError, RivuletError } from '../errors.ts'
import type { LogLevel, LogTopic } from './log-setting.ts'
import type { Observation, TaskTiming } from './observation.ts'

/** The fields of an entry: `type`, `label`, `backendPid`, `ms`, `rows`, `sql`, `error`, and what else its kind has. */
export type LogFields = Readonly<Record<string, unknown>>

/** How a kind of observation is written. */
interface LogEntry {
  /** Without a topic it is always written. */
  readonly topic?: LogTopic
  readonly level: LogLevel
  readonly message: string
}

/** SQL may be as long as an insert of thousands of rows; beyond this many characters its middle is left out. */
const longestSql = 10_000

const entries: { readonly [K in Observation['type']]: LogEntry } = {
  'connection.opened': { topic: 'sessions', level: 'debug', message: 'connection opened' },
  'connection.failed': { level: 'error', message: 'connecting failed' },
  'connection.lost': { level: 'warn', message: 'connection lost' },
  'connection.retired': { topic: 'sessions', level: 'debug', message: 'connection closed' },
  'session.acquired': { topic: 'sessions', level: 'debug', message: 'session began' },
  'session.released': { topic: 'sessions', level: 'debug', message: 'session ended' },
  'statement.finished': { topic: 'statements', level: 'debug', message: 'statement' },
  'statement.slow': { topic: 'slow', level: 'warn', message: 'plan of a slow statement' },
  'transaction.finished': { topic: 'statements', level: 'debug', message: 'transaction committed' },
  'transaction.retried': { level: 'info', message: 'transaction runs again' },
  'gather.finished': { topic: 'sessions', level: 'debug', message: 'gather ended' },
  'session.pipelined': { topic: 'sessions', level: 'info', message: 'statements sent together ran one after another' },
  'session.repeated': { topic: 'statements', level: 'warn', message: 'one statement many times: load, getMany?' },
  'session.held_idle': { level: 'warn', message: 'session holds an idle connection' },
  'deadlock.detected': { level: 'warn', message: 'tasks waited for connections of each other' },
  'overload.started': { level: 'warn', message: 'overloaded: calls are turned away' },
  'overload.ended': { level: 'info', message: 'no longer overloaded' },
  'migration.applied': { level: 'info', message: 'migration applied' },
}

const slowStatement: LogEntry = { level: 'warn', message: 'slow statement' }
const slowCommit: LogEntry = { level: 'warn', message: 'slow COMMIT' }
const rolledBack: LogEntry = { ...entries['transaction.finished'], message: 'transaction rolled back' }
/** Whatever is asked for, this has to be seen: nobody knows whether the work lasts. */
const unknownOutcome: LogEntry = { level: 'error', message: 'transaction may have been committed or not' }

/** How an observation is written; undefined when its topic is not among `topics` and it is not `slow`. */
export function logEntry(observation: Observation, topics: ReadonlySet<LogTopic>, slow: boolean): LogEntry | undefined {
  let entry = entries[observation.type]
  if (observation.type === 'transaction.finished') {
    if (observation.outcome === 'unknown') entry = unknownOutcome
    else if (slow) entry = slowCommit
    else if (observation.outcome === 'rolled_back') entry = rolledBack
  } else if (slow) entry = slowStatement
  return entry.topic === undefined || topics.has(entry.topic) ? entry : undefined
}

/** The fields of its entry. */
export function logFields(observation: Observation): LogFields {
  const fields: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(observation) as [string, unknown][]) {
    if (value === undefined || value === null || name === 'text' || name === 'error') continue
    if (typeof value === 'number') fields[isItsDuration(name) ? 'ms' : name] = rounded(value)
    else fields[name] = name === 'plan' ? (value as { readonly text: string }).text : value
  }
  if (observation.type === 'gather.finished') fields['tasks'] = observation.tasks.map(taskFields)
  // Last, as they may be long.
  if ('text' in observation) fields['sql'] = withoutMiddle(observation.text, longestSql)
  if ('error' in observation && observation.error !== undefined) fields['error'] = errorFields(observation.error)
  return fields
}

function isItsDuration(name: string): boolean {
  return name === 'durationMs' || name === 'heldMs'
}

/** What the server says may be a function's own words (RAISE), and so may the message of an error that is not ours. */
function errorFields(error: unknown): LogFields {
  if (error instanceof DatabaseError) return { code: error.code, sqlState: error.sqlState }
  if (error instanceof RivuletError) return { code: error.code, message: error.message }
  return { code: error instanceof Error ? error.name : typeof error }
}

/** The error of a task may be its own, with anything in its message: the code or the name will do. */
function taskFields({ key, outcome, waitMs, runMs, backendPid, error }: TaskTiming): LogFields {
  const code = error instanceof RivuletError ? error.code : error instanceof Error ? error.name : undefined
  return { key, outcome, waitMs: rounded(waitMs), runMs: rounded(runMs), backendPid, code }
}

/** `text` in about `most` characters at most: of a longer one, the first two thirds and the last third of them. */
export function withoutMiddle(text: string, most: number): string {
  const tail = Math.floor(most / 3)
  return text.length <= most ? text : `${text.slice(0, most - tail)} … ${text.slice(-tail)}`
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100
}
