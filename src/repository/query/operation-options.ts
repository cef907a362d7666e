/**
 * Checks the options of operations. A misspelt option is refused, because an option that is ignored may mean all rows.
 */
import { UsageError } from '../../errors.ts'
import { checkOptions, optionNames } from '../../option-names.ts'
import type { NoWait, SkipLocked } from '../types/lock-mode.ts'
import type { ListOptions, ReadOptions, StreamOptions, UpsertOptions } from '../types/operations.ts'
import { isPlain } from '../../values/plain-object.ts'

const read = { select: true, with: true, removed: true } as const
const order = { where: true, orderBy: true } as const

/** The options each operation knows. */
const known = {
  read: optionNames<ReadOptions<never, never, never, never>>(read),
  removed: optionNames<Pick<ReadOptions<never, never, never, never>, 'removed'>>({ removed: true }),
  list: optionNames<ListOptions<never, never, never, never> & { readonly count: boolean }>({
    ...read,
    ...order,
    limit: true,
    after: true,
    before: true,
    count: 'boolean',
  }),
  stream: optionNames<StreamOptions<never, never, never>>({ ...order, select: true, removed: true, batchSize: true }),
  version: optionNames<{ ifVersion: unknown }>({ ifVersion: true }),
  upsert: optionNames<UpsertOptions<never, never>>({ on: true, update: true }),
  lock: optionNames<NoWait & SkipLocked<boolean>>({ nowait: 'boolean', skipLocked: 'boolean' }),
} as const

/** @throws UsageError for anything but an object, and for an option that the operation does not have. */
export function checkOperationOptions(kind: keyof typeof known, options: unknown): void {
  if (options === undefined) return
  const names = known[kind]
  if (!isPlain(options)) throw new UsageError(`options must be an object with ${[...names.keys()].join(', ')}`)
  const { removed } = options
  if (removed !== undefined && !['exclude', 'include', 'only'].includes(removed as string)) {
    throw new UsageError("removed must be 'exclude', 'include' or 'only'")
  }
  checkOptions('this operation of a repository', names, options)
}
