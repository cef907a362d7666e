/**
 * Empty space in tables and B-trees, estimated from statistics, and dead rows as the server counts them. The estimate
 * takes the average width of the columns and the count of rows that ANALYZE found, and asks how many pages those need; it
 * is off by a fifth easily, so only much counts. The method is that of https://github.com/ioguix/pgsql-bloat-estimation
 */
import { manualPage } from '../lint/rule.ts'
import { notOfExtension, notOfServer } from '../schema/catalog.ts'
import { shownCount, shownNumber, shownSize } from './amounts.ts'
import type { Ailment, Check, Look } from './health-rule.ts'

interface Estimate {
  readonly name: string
  readonly table: string
  readonly bytes: number
  /** Null where the widths of columns are not known. */
  readonly needed: number | null
  readonly isAnalyzed: boolean
}

const aligned = (bytes: string) => `8 * ceil((${bytes}) / 8.0)`

const fillFactor = (fallback: number) =>
  `coalesce((select option_value::int from pg_options_to_table(c.reloptions) where option_name = 'fillfactor'), ${fallback})`

// Pages have a header of 24 bytes, and a pointer of 4 bytes for each row; a row has a header of 23.
const tables = (least: number) => `select q.schema, q.name, q.name as "table", q.bytes, q.rows >= 0 as "isAnalyzed",
    case when q.known then q.block * ceil(greatest(q.rows, 0) / greatest(1, floor((q.block - 24) * q.fill / 100.0
      / (4 + ${aligned('23 + q.bitmap')} + ${aligned('q.width')})))) end as needed
  from (select n.nspname as schema, format('%I.%I', n.nspname, c.relname) as name, c.reltuples::float8 as rows,
      c.relpages::float8 * b.block as bytes, b.block, ${fillFactor(100)} as fill, w.width,
      case when w.nulls then (w.columns + 7) / 8 else 0 end as bitmap, w.columns = w.known as known
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    cross join (select current_setting('block_size')::float8 as block) b
    cross join lateral (select count(*)::int as columns, count(s.attname)::int as known,
        coalesce(bool_or(s.null_frac > 0), false) as nulls, coalesce(sum((1 - s.null_frac) * s.avg_width), 0) as width
      from pg_attribute a left join pg_stats s
        on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname and not s.inherited
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        and coalesce(to_jsonb(a) ->> 'attgenerated', '') <> 'v') w
    where c.relkind in ('r', 'm') and c.relpages * b.block >= ${least} and ${notOfServer}
      and ${notOfExtension('pg_class', 'c.oid')}) q
  order by q.bytes desc, q.name`

// An entry has a pointer of 4 bytes and a header of 8; a page 24 at its head and 16 at its end. The first is no leaf.
const indexes = (least: number) => `select q.schema, q.name, q."table", q.bytes, q.rows >= 0 as "isAnalyzed",
    case when q.known then q.block * (1 + ceil(greatest(q.rows, 0) / greatest(1, floor((q.block - 40) * q.fill / 100.0
      / (4 + ${aligned('q.header')} + ${aligned('q.width')}))))) end as needed
  from (select n.nspname as schema, format('%I.%I', n.nspname, c.relname) as name,
      format('%I.%I', tn.nspname, t.relname) as "table", c.reltuples::float8 as rows,
      c.relpages::float8 * b.block as bytes, b.block, ${fillFactor(90)} as fill, w.width,
      case when w.nulls then 12 else 8 end as header, w.columns = w.known as known
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
    join pg_class t on t.oid = i.indrelid join pg_namespace tn on tn.oid = t.relnamespace
    join pg_am m on m.oid = c.relam and m.amname = 'btree'
    cross join (select current_setting('block_size')::float8 as block) b
    cross join lateral (select count(*)::int as columns, count(s.attname)::int as known,
        coalesce(bool_or(s.null_frac > 0), false) as nulls, coalesce(sum((1 - s.null_frac) * s.avg_width), 0) as width
      from unnest(i.indkey::int2[]) with ordinality u(num, at)
      left join pg_attribute a on a.attnum = case u.num when 0 then u.at else u.num end
        and a.attrelid = case u.num when 0 then i.indexrelid else i.indrelid end
      left join pg_stats s on s.attname = a.attname and not s.inherited
        and s.schemaname = case u.num when 0 then n.nspname else tn.nspname end
        and s.tablename = case u.num when 0 then c.relname else t.relname end) w
    where c.relkind = 'i' and t.relkind in ('r', 'm') and i.indisvalid and c.relpages * b.block >= ${least}
      and ${notOfServer} and ${notOfExtension('pg_class', 't.oid')}) q
  order by q.bytes desc, q.name`

async function bloated(
  look: Look,
  query: (least: number) => string,
  noun: string,
  mend: (name: string) => string,
): Promise<Ailment[]> {
  const { bloatBytes, bloatPercent } = look.limits
  // Small ones are left out by the server, as their statistics are many.
  const all = await look.rows<Estimate>(query(bloatBytes))
  const unread = all.filter(({ needed, isAnalyzed }) => isAnalyzed && needed === null)
  const never = all.filter(({ isAnalyzed }) => !isAnalyzed)
  if (never.length > 0) look.unseen(`the bloat of ${shownCount(never.length, noun)} without statistics: run ANALYZE`)
  if (unread.length > 0) {
    const what = `the bloat of ${shownCount(unread.length, noun)}`
    look.unseen(`${what} whose column statistics are missing, or not for this role: ANALYZE, GRANT pg_read_all_data`)
  }
  return all.flatMap(({ name, table, bytes, needed }) => {
    const empty = bytes - (needed ?? bytes)
    const percent = Math.floor((100 * empty) / Math.max(1, bytes))
    if (empty <= 0 || empty < bloatBytes || percent < bloatPercent) return []
    const message = `about ${percent} % of the ${shownSize(bytes)} of ${name} is empty (${shownSize(empty)})`
    return [{ object: name, ...(table === name ? {} : { table }), message, sql: mend(name) }]
  })
}

const packed = (table: string) =>
  '-- rewrites the table and blocks all use of it meanwhile; pg_repack does it beside the traffic\n' +
  `VACUUM (FULL, ANALYZE) ${table};`

export const tableBloat: Check = {
  name: 'table-bloat',
  why: 'a table of which much is empty takes as long to read, and as much memory, as if it were full',
  mend: packed('public.events'),
  manual: `${manualPage}routine-vacuuming.html#VACUUM-FOR-SPACE-RECOVERY`,
  find: (look) => bloated(look, tables, 'table', packed),
}

export const indexBloat: Check = {
  name: 'index-bloat',
  why: 'an index of which much is empty takes more memory and more reads than it needs',
  mend: 'REINDEX INDEX CONCURRENTLY public.events_created_at_idx;',
  manual: `${manualPage}routine-reindex.html`,
  find: (look) => bloated(look, indexes, 'index', (name) => `REINDEX INDEX CONCURRENTLY ${name};`),
}

interface DeadRows {
  readonly name: string
  readonly dead: number
  readonly percent: number
  readonly isVacuumedByItself: boolean
}

const deadQuery = `select n.nspname as schema, format('%I.%I', n.nspname, c.relname) as name, s.dead,
    floor(100 * s.dead / greatest(1, s.dead + s.live)) as percent,
    coalesce((select option_value::bool from pg_options_to_table(c.reloptions)
      where option_name = 'autovacuum_enabled'), true) as "isVacuumedByItself"
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  cross join lateral (select pg_stat_get_dead_tuples(c.oid)::float8 as dead, pg_stat_get_live_tuples(c.oid)::float8 as live) s
  where c.relkind in ('r', 'm') and s.dead > 0 and ${notOfServer} and ${notOfExtension('pg_class', 'c.oid')}
  order by s.dead desc, 2`

export const deadRows: Check = {
  name: 'dead-rows',
  why: 'each read passes over the rows that were changed or removed, until VACUUM takes them away',
  mend: 'VACUUM (ANALYZE) public.events;',
  manual: `${manualPage}routine-vacuuming.html`,
  find: async ({ rows, limits }) =>
    (await rows<DeadRows>(deadQuery))
      .filter(({ dead, percent }) => dead >= limits.deadRows && percent >= limits.deadPercent)
      .map(({ name, dead, percent, isVacuumedByItself }) => {
        const off = isVacuumedByItself ? '' : ', and autovacuum is off for it'
        const on = isVacuumedByItself ? '' : `ALTER TABLE ${name} RESET (autovacuum_enabled);\n`
        return {
          object: name,
          message: `${shownNumber(dead)} rows of ${name} are dead, ${percent} % of all${off}`,
          sql: `${on}VACUUM (ANALYZE) ${name};`,
        }
      }),
}
