/**
 * Drizzle's own cache, which sessions refuse to read from. Its keys are a statement and its values, so one identity would get the
 * rows of another; it drops what a write makes old before the write is committed; and a read of uncommitted rows
 * would fill it for everybody. https://orm.drizzle.team/docs/cache
 */
import type { Query } from 'drizzle-orm'
import { PgPreparedQuery, type PreparedQueryConfig } from 'drizzle-orm/pg-core'
import { UsageError } from '../errors.ts'

/** The `$cache` of a session's database: nothing is kept, so there is nothing to drop. */
export const noCache = { invalidate: () => Promise.resolve() }

/** A query with `$withCache()`: fails however it is run. */
export class UncachedQuery<T extends PreparedQueryConfig> extends PgPreparedQuery<T> {
  constructor(query: Query) {
    super(query, undefined, undefined)
  }

  override execute(): Promise<T['execute']> {
    return this.refuse()
  }

  refuse(): Promise<never> {
    return Promise.reject(this.refusal())
  }

  refusal(): UsageError {
    return refusal()
  }
}

function refusal(): UsageError {
  return new UsageError(
    "session.db has no cache for $withCache: Drizzle's cache does not know identities or transactions; keep results of tasks in a cache of your own",
  )
}
