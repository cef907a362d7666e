/**
 * Checks the options of operations. A misspelt option is refused, because an option that is ignored may mean all rows.
 */
import { UsageError } from '../../errors.ts'
import { isPlain } from '../../values/plain-object.ts'

/** The names each operation knows. */
const known = {
  read: ['select', 'with', 'removed'],
  removed: ['removed'],
  list: ['select', 'with', 'removed', 'where', 'orderBy', 'limit', 'after', 'before', 'count'],
  stream: ['select', 'removed', 'where', 'orderBy', 'batchSize'],
  version: ['ifVersion'],
  upsert: ['on', 'update'],
  lock: ['nowait', 'skipLocked'],
} as const

/** @throws UsageError for anything but an object, and for an option that the operation does not have. */
export function checkOperationOptions(kind: keyof typeof known, options: unknown): void {
  if (options === undefined) return
  const names: readonly string[] = known[kind]
  if (!isPlain(options)) throw new UsageError(`options must be an object with ${names.join(', ')}`)
  const { removed } = options
  if (removed !== undefined && !['exclude', 'include', 'only'].includes(removed as string)) {
    throw new UsageError("removed must be 'exclude', 'include' or 'only'")
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown === undefined) return
  throw new UsageError(`unknown option ${JSON.stringify(unknown)}: there are ${names.join(', ')}`)
}
