/** What the calls of an engine and of a session may be given; a bug of the caller's is a UsageError at the door. */
import { UsageError } from '../errors.ts'
import { optionNames, unknownOption } from '../option-names.ts'
import type { RetryOptions } from '../task/retry.ts'
import type { TaskOptions } from '../task/scope.ts'
import type { TransactionSettings } from './transaction.ts'

/** The names of options that every call takes. */
export const taskOptionNames = { signal: true, timeoutMs: true, label: true } as const

/** The options of `engine.session`. */
export const sessionOptions = optionNames<TaskOptions>(taskOptionNames)

/** The options of `transaction`, of an engine and of a session. */
export const transactionOptions = optionNames<TaskOptions & TransactionSettings & RetryOptions>({
  ...taskOptionNames,
  isolation: true,
  readOnly: true,
  deferrable: true,
  attempts: true,
})

/** Checks the options that a call was given against the names it knows. @throws UsageError */
export function checkOptions(call: string, names: readonly string[], options: object): void {
  if (typeof options !== 'object' || options === null) {
    throw new UsageError(`the options of ${call} are an object of ${names.join(', ')}`)
  }
  const unknown = unknownOption(options, names)
  if (unknown === 'retries' && call === 'transaction') {
    throw new UsageError('transaction has no option retries: attempts is the number of runs, the first included')
  }
  if (unknown !== undefined) throw new UsageError(`${call} has no option ${unknown}; it takes ${names.join(', ')}`)
  const { signal, label } = options as { readonly signal?: unknown; readonly label?: unknown }
  if (label !== undefined && typeof label !== 'string') throw new UsageError('label must be a text')
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new UsageError('signal must be an AbortSignal')
}

/** @throws UsageError when `given` is no function, which no call could run. */
export function checkTask(call: 'session' | 'transaction', given: unknown): void {
  if (typeof given === 'function') return
  throw new UsageError(`${call} takes a function of the session, such as ({ db }) => db.select()…`)
}
