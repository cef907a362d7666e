/** What the calls of an engine and of a session may be given; a bug of the caller's is a UsageError at the door. */
import { UsageError } from '../errors.ts'

const task = ['signal', 'timeoutMs', 'label']

/** The options each call knows. */
const known = {
  session: task,
  transaction: [...task, 'isolation', 'readOnly', 'deferrable', 'attempts'],
  gather: [...task, 'concurrency', 'snapshot', 'onTimings'],
  map: [...task, 'concurrency', 'ordered'],
  optional: ['timeoutMs'],
}

/** A misspelt option must not be ignored: `readonly` would write. @throws UsageError */
export function checkOptions(call: keyof typeof known, options: object): void {
  const names = known[call]
  if (typeof options !== 'object' || options === null) {
    throw new UsageError(`the options of ${call} are an object of ${names.join(', ')}`)
  }
  for (const name in options) {
    if (name === 'retries' && call === 'transaction') {
      throw new UsageError('transaction has no option retries: attempts is the number of runs, the first included')
    }
    if (!names.includes(name)) throw new UsageError(`${call} has no option ${name}; it takes ${names.join(', ')}`)
  }
  const { signal, label } = options as { readonly signal?: unknown; readonly label?: unknown }
  if (label !== undefined && typeof label !== 'string') throw new UsageError('label must be a text')
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new UsageError('signal must be an AbortSignal')
}

/** @throws UsageError when `given` is no function, which no call could run. */
export function checkTask(call: 'session' | 'transaction', given: unknown): void {
  if (typeof given === 'function') return
  throw new UsageError(`${call} takes a function of the session, such as ({ db }) => db.select()…`)
}
