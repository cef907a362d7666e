/** What the calls of an engine and of a session may be given; a bug of the caller's is a UsageError at the door. */
import { UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import type { RetryOptions } from '../task/retry.ts'
import type { TaskOptions } from '../task/scope.ts'
import type { TransactionSettings } from './transaction.ts'

/** The names of options that every call takes. */
export const taskOptionNames = { signal: 'signal', timeoutMs: 'number', label: 'string' } as const

/** The options of `engine.session`. */
export const sessionOptions = optionNames<TaskOptions>(taskOptionNames)

const transactionOptions = optionNames<TaskOptions & TransactionSettings & RetryOptions>({
  ...taskOptionNames,
  isolation: true,
  readOnly: 'boolean',
  deferrable: 'boolean',
  attempts: true,
})

/** Checks the options of `transaction`, of an engine and of a session. @throws UsageError */
export function checkTransactionOptions(options: object): void {
  if (Object.hasOwn(options ?? {}, 'retries')) {
    throw new UsageError('transaction has no option retries: attempts is the number of runs, the first included')
  }
  checkOptions('transaction', transactionOptions, options)
}

/** @throws UsageError when `given` is no function, which no call could run. */
export function checkTask(call: 'session' | 'transaction', given: unknown): void {
  if (typeof given === 'function') return
  throw new UsageError(`${call} takes a function of the session, such as ({ db }) => db.select()…`)
}
