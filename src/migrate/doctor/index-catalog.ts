/** The indexes of a database as the rules about them need them, with what the server has counted. */
import { notOfExtension, notOfServer } from '../schema/catalog.ts'
import { type Look, storedBelow } from './health-rule.ts'

/** An index; one of a partitioned table has the numbers of all its parts. */
export interface DatabaseIndex {
  readonly id: number
  readonly name: string
  readonly table: string
  readonly tableId: number
  readonly method: string
  /** Each key column with all that orders it: expression, operator class, collation, direction. */
  readonly keys: readonly string[]
  /** The key columns and expressions alone. */
  readonly columns: readonly string[]
  /** Columns that are stored in it only (INCLUDE). */
  readonly included: readonly string[]
  /** The condition of a partial index; empty otherwise. */
  readonly predicate: string
  readonly isUnique: boolean
  readonly isPrimary: boolean
  readonly isExclusion: boolean
  /** What makes one unique index accept what another refuses: DEFERRABLE, NULLS NOT DISTINCT. */
  readonly strictness: string
  readonly isReplicaIdentity: boolean
  readonly isClustered: boolean
  readonly isValid: boolean
  /** The constraint that it belongs to. */
  readonly constraint: string | null
  /** A foreign key refers to what it makes unique. */
  readonly isReferenced: boolean
  /** A foreign key needs it to look for the rows that refer to something. */
  readonly servesForeignKey: boolean
  readonly isPartitioned: boolean
  /** Part of the index of a partitioned table: it comes and goes with that one. */
  readonly isPart: boolean
  readonly scans: number
  readonly bytes: number
  /** Reads of the whole table without an index. */
  readonly tableScans: number
}

// Constraints are read once, because the catalog has no index by which to find that of an index. Sizes are those of the last
// VACUUM or ANALYZE, which take no lock to read.
const query = `${storedBelow},
  counted as (select s.root, sum(pg_stat_get_numscans(s.part))::float8 as scans,
    sum(c.relpages::float8 * current_setting('block_size')::int) as bytes
    from stored s join pg_class c on c.oid = s.part group by s.root),
  held as (select k.conindid as index, bool_or(k.contype = 'f') as "isReferenced",
    min(quote_ident(k.conname)) filter (where k.contype in ('p', 'u', 'x')) as name
    from pg_constraint k where k.conindid <> 0 group by k.conindid)
  select n.nspname as schema, i.indexrelid as id, format('%I.%I', n.nspname, x.relname) as name,
    format('%I.%I', tn.nspname, c.relname) as "table", c.oid as "tableId", m.amname as method,
    array(select concat_ws(' ', pg_get_indexdef(i.indexrelid, k, false), i.indclass[k - 1], i.indcollation[k - 1],
      i.indoption[k - 1]) from generate_series(1, i.indnkeyatts) k) as keys,
    array(select pg_get_indexdef(i.indexrelid, k, false) from generate_series(1, i.indnkeyatts) k) as columns,
    array(select pg_get_indexdef(i.indexrelid, k, false) from generate_series(i.indnkeyatts + 1, i.indnatts) k) as included,
    coalesce(pg_get_expr(i.indpred, i.indrelid), '') as predicate,
    i.indisunique as "isUnique", i.indisprimary as "isPrimary", i.indisexclusion as "isExclusion",
    concat(i.indimmediate, to_jsonb(i) ->> 'indnullsnotdistinct') as strictness,
    i.indisreplident as "isReplicaIdentity", i.indisclustered as "isClustered", i.indisvalid as "isValid",
    held.name as constraint, coalesce(held."isReferenced", false) as "isReferenced",
    exists (select from pg_constraint k where k.contype = 'f' and k.conrelid = i.indrelid
      and i.indnkeyatts >= cardinality(k.conkey)
      and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey) as "servesForeignKey",
    x.relkind = 'I' as "isPartitioned", x.relispartition as "isPart",
    coalesce(own.scans, 0) as scans, coalesce(own.bytes, 0) as bytes, coalesce(whole.scans, 0) as "tableScans"
  from pg_index i join pg_class x on x.oid = i.indexrelid join pg_namespace n on n.oid = x.relnamespace
  join pg_class c on c.oid = i.indrelid join pg_namespace tn on tn.oid = c.relnamespace
  join pg_am m on m.oid = x.relam
  left join held on held.index = x.oid
  left join counted own on own.root = x.oid left join counted whole on whole.root = c.oid
  where c.relkind in ('r', 'p', 'm') and i.indislive
    and ${notOfServer} and ${notOfExtension('pg_class', 'c.oid')} and ${notOfExtension('pg_class', 'x.oid')}
  order by n.nspname, c.relname, x.relname`

/** Reads them all. */
export function readIndexes({ rows }: Look): Promise<readonly DatabaseIndex[]> {
  return rows<DatabaseIndex>(query)
}

/** The SQL that drops one. */
export function dropSql({ name, table, constraint, isPartitioned }: DatabaseIndex): string {
  const warning = '-- waits for all use of the table, and blocks it meanwhile: set a lock_timeout first\n'
  if (constraint !== null) return `${warning}ALTER TABLE ${table} DROP CONSTRAINT ${constraint};`
  return isPartitioned ? `${warning}DROP INDEX ${name};` : `DROP INDEX CONCURRENTLY ${name};`
}
