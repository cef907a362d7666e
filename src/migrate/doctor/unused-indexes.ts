/**
 * Indexes that no query has used, as far back as the statistics go. Those say nothing of the time before they were reset,
 * lost in a crash or begun, and nothing of other servers: a standby counts the use of its own.
 */
import { manualPage } from '../lint/rule.ts'
import { shownCount, shownNumber, shownSize, shownTime } from './amounts.ts'
import { groupedBy } from './grouped-by.ts'
import type { Check, Look } from './health-rule.ts'
import { type DatabaseIndex, dropSql, readIndexes } from './index-catalog.ts'
import { needlessIndexes } from './needless-indexes.ts'

/** How far the statistics reach. */
interface StatisticsAge {
  /** Null: never reset, which says nothing of when the database was made. */
  readonly since: string | null
  readonly ageMs: number | null
  readonly isCounting: boolean
  readonly isStandby: boolean
  readonly standbys: number
}

// A crash loses them all, which only the cluster's own statistics tell: none of those is then older than the crash. A
// database cannot be older than its PG_VERSION, which only some roles may look at.
const mayReadFiles = `select has_function_privilege('pg_stat_file(text, boolean)', 'execute') as allowed`

const ageQuery = (madeAt: string) => `select to_char(since at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') as since,
    extract(epoch from clock_timestamp() - since)::float8 * 1000 as "ageMs",
    current_setting('track_counts')::bool as "isCounting", pg_is_in_recovery() as "isStandby",
    (select count(*) from pg_stat_replication where application_name is distinct from 'pg_basebackup')::int as standbys
  from (select greatest(d.stats_reset,
      (select least(b.stats_reset, a.stats_reset, w.stats_reset)
        from pg_stat_bgwriter b, pg_stat_archiver a, pg_stat_wal w),
      ${madeAt}) as since
    from pg_stat_database d where d.datname = current_database()) reached`

const databaseMadeAt = `(pg_stat_file('base/' || d.datid || '/PG_VERSION', true)).modification`

export const unusedIndex: Check = {
  name: 'unused-index',
  why: 'every INSERT, and most UPDATEs, write it; it takes room on disk and in memory, and serves nothing',
  mend: 'DROP INDEX CONCURRENTLY public.orders_status_idx;',
  manual: `${manualPage}monitoring-stats.html#MONITORING-PG-STAT-ALL-INDEXES-VIEW`,
  find: async (look) => {
    const { limits } = look
    const since = await reach(look)
    if (since === undefined) return []
    const all = await readIndexes(look)
    // Those are found already, and what does their work has to stay.
    const settled = new Set(needlessIndexes(all).flatMap(({ index, keeper }) => [index, keeper]))
    const readsOf = new Map(
      [...groupedBy(all, ({ tableId }) => tableId)].map(([table, indexes]) => [
        table,
        indexes.reduce((sum, { scans }) => sum + scans, indexes[0]?.tableScans ?? 0),
      ]),
    )
    return all
      .filter((index) => mayGo(index) && index.scans === 0 && !settled.has(index) && index.bytes >= limits.unusedBytes)
      .flatMap((index) => {
        const reads = readsOf.get(index.tableId) ?? 0
        if (reads < limits.unusedReads) return []
        return {
          object: index.name,
          table: index.table,
          message:
            `${index.name} (${index.columns.join(', ')}) takes ${shownSize(index.bytes)}, and none of the ` +
            `${shownNumber(reads)} reads of ${index.table} since ${since} has used it`,
          sql: dropSql(index),
        }
      })
  },
}

/** Since when use is counted; undefined where nothing can be said of it. */
async function reach({ rows, limits, unseen }: Look): Promise<string | undefined> {
  const [files] = await rows<{ readonly allowed: boolean }>(mayReadFiles)
  const [age] = await rows<StatisticsAge>(ageQuery(files?.allowed ? databaseMadeAt : 'null'))
  if (!age?.isCounting) {
    unseen('which indexes are unused: track_counts is off')
    return undefined
  }
  const { since, ageMs } = age
  if (since === null || ageMs === null) {
    unseen(
      'which indexes are unused: the statistics do not say how far back they go, until SELECT pg_stat_reset() begins anew',
    )
    return undefined
  }
  if (ageMs < limits.unusedDays * 86_400_000) {
    const days = shownCount(limits.unusedDays, 'day')
    unseen(`which indexes are unused: the statistics begin ${shownTime(ageMs)} ago (${since}), and ${days} are needed`)
    return undefined
  }
  if (age.isStandby) unseen('the use of indexes on the primary and on other standbys')
  else if (age.standbys > 0)
    unseen('the use of indexes on the standbys of this server: look there before one is dropped')
  return since
}

/** It enforces nothing, and nothing needs it but queries. */
function mayGo(index: DatabaseIndex): boolean {
  const { isUnique, isExclusion, isReplicaIdentity, isClustered, isPart, servesForeignKey } = index
  return !(isUnique || isExclusion || isReplicaIdentity || isClustered || isPart || servesForeignKey) && index.isValid
}
