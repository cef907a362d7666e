/**
 * The log: a sink of observations that writes what runs, to standard error or to a logger of the caller's. What has to be
 * seen, such as a lost connection, is always written; the rest by topic. A logger that throws harms nobody, as no sink
 * does (`Observers`).
 */
import { logEntry, logFields } from './log-entry.ts'
import { logOptions, logOptionsIn, type LogSetting } from './log-setting.ts'
import type { Observation, Observer } from './observation.ts'
import { standardError, type Variable } from './standard-error.ts'

/** Those that were asked for, by the config or else by RIVULET_LOG: one sink or none. @throws ConfigInvalid */
export function logObservers(setting: LogSetting | undefined, variable: Variable): Observer[] {
  const text = variable('RIVULET_LOG')
  const options = setting === undefined ? text !== undefined && logOptionsIn(text) : logOptions(setting)
  if (!options) return []
  const { to = standardError(variable), what = ['statements', 'slow'], slowMs = 100 } = options
  const topics = new Set([what].flat())
  const observe = (observation: Observation) => {
    const slow = topics.has('slow') && isSlow(observation, slowMs)
    const entry = logEntry(observation, topics, slow)
    if (!entry || to.isLevelEnabled?.(entry.level) === false) return undefined
    // What it returns may be a promise that is rejected.
    return to[entry.level](logFields(observation), entry.message)
  }
  return [observe]
}

function isSlow(observation: Observation, slowMs: number): boolean {
  if (observation.type === 'statement.finished') return observation.durationMs >= slowMs
  return observation.type === 'transaction.finished' && (observation.commitMs ?? 0) >= slowMs
}
