/** Indexes that are written and never read, because building them was interrupted. */
import { manualPage } from '../lint/rule.ts'
import type { Check } from './health-rule.ts'
import { readIndexes } from './index-catalog.ts'

interface Build {
  /** Null where this role may not see what another one builds. */
  readonly index: number | null
}

const builds = `select index_relid as index from pg_stat_progress_create_index where datname = current_database()`

/** What a REINDEX CONCURRENTLY leaves: the new index, or the old one. */
const leftover = /_cc(?:new|old)\d*"?$/

export const invalidIndex: Check = {
  name: 'invalid-index',
  why: 'every INSERT writes it and no query uses it: its CREATE INDEX or REINDEX CONCURRENTLY did not finish',
  mend: 'REINDEX INDEX CONCURRENTLY public.orders_placed_at_idx;',
  manual: `${manualPage}sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY`,
  find: async (look) => {
    const running = new Set((await look.rows<Build>(builds)).map(({ index }) => index))
    if (running.has(null)) {
      look.unseen('which index another role builds just now, so that invalid ones are not reported: GRANT pg_monitor')
      return []
    }
    return (await readIndexes(look))
      .filter(({ id, isValid, isPartitioned }) => !isValid && !isPartitioned && !running.has(id))
      .map(({ name, table }) => ({
        object: name,
        table,
        message: `${name} on ${table} is invalid`,
        sql: leftover.test(name) ? `DROP INDEX CONCURRENTLY ${name};` : `REINDEX INDEX CONCURRENTLY ${name};`,
      }))
  },
}
