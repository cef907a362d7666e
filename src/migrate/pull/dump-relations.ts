/**
 * Queries that return the statements which make tables, sequences and views, one row each: the object's key, its name,
 * the statement. Everything is written with its schema, so the session's search_path must be empty.
 * https://www.postgresql.org/docs/current/catalogs.html
 */
import { notOfExtension } from '../schema/catalog.ts'

/** `as bigint start with 1 …` of the sequence `s` in pg_sequence. */
const sequenceOptions = `format('increment by %s minvalue %s maxvalue %s start with %s cache %s%s',
  s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, case when s.seqcycle then ' cycle' else ' no cycle' end)`

const identity = `case when a.attidentity <> '' then (
  select format('generated %s as identity (sequence name %s %s)',
    case a.attidentity when 'a' then 'always' else 'by default' end, s.seqrelid::regclass, ${sequenceOptions})
  from pg_depend o join pg_sequence s on s.seqrelid = o.objid
  where o.classid = 'pg_class'::regclass and o.deptype = 'i' and o.refclassid = 'pg_class'::regclass
    and o.refobjid = c.oid and o.refobjsubid = a.attnum) end`

const column = `concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
  (select 'collate ' || l.oid::regcollation from pg_collation l join pg_type t on t.oid = a.atttypid
   where l.oid = a.attcollation and a.attcollation <> t.typcollation),
  case a.attgenerated when 's' then format('generated always as (%s) stored', pg_get_expr(d.adbin, d.adrelid))
    when 'v' then format('generated always as (%s) virtual', pg_get_expr(d.adbin, d.adrelid))
    else 'default ' || pg_get_expr(d.adbin, d.adrelid) end,
  ${identity}, case when a.attnotnull then 'not null' end)`

/** Of tables, in the order in which PostgreSQL's own names for them come out the same. */
const ownConstraints = `(select string_agg(format('  constraint %I %s', k.conname, pg_get_constraintdef(k.oid)), E',\\n'
    order by array_position('{p,u,x,c}'::text[], k.contype::text), k.conname)
  from pg_constraint k where k.conrelid = c.oid and k.contype in ('p', 'u', 'x', 'c') and k.convalidated)`

/** Tables; partitions are tables of their own, which are attached later. */
export const tables = (ours: string) => `
  select 'relation:' || c.oid, 'table ' || c.oid::regclass,
    format(E'create %stable %s (\\n%s\\n)%s%s', case c.relpersistence when 'u' then 'unlogged ' else '' end,
      c.oid::regclass,
      concat_ws(E',\\n',
        (select string_agg('  ' || ${column}, E',\\n' order by a.attnum) from pg_attribute a
         left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
        ${ownConstraints}),
      case c.relkind when 'p' then ' partition by ' || pg_get_partkeydef(c.oid) else '' end,
      coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', ''))
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and c.relpersistence <> 't' and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`

export const sequences = (ours: string) => `
  select 'relation:' || c.oid, 'sequence ' || c.oid::regclass,
    format('create %ssequence %s as %s %s', case c.relpersistence when 'u' then 'unlogged ' else '' end, c.oid::regclass, format_type(s.seqtypid, null), ${sequenceOptions})
  from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
  where ${ours} and ${notOfExtension('pg_class', 'c.oid')}
    and not exists (select from pg_depend o where o.classid = 'pg_class'::regclass and o.objid = c.oid and o.deptype = 'i')`

export const views = (ours: string) => `
  select 'relation:' || c.oid, case c.relkind when 'v' then 'view ' else 'materialized view ' end || c.oid::regclass,
    format(E'create %sview %s%s as\\n%s', case c.relkind when 'm' then 'materialized ' else '' end, c.oid::regclass,
      coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', ''),
      rtrim(pg_get_viewdef(c.oid), ';'))
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('v', 'm') and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`

/** What remains to be said about relations once all of them exist, in the order of the list. */
export const afterwards = (ours: string): readonly string[] => [
  `select '', 'sequence ' || s.oid::regclass,
     format('alter sequence %s owned by %s.%I', s.oid::regclass, c.oid::regclass, a.attname)
   from pg_depend o join pg_class s on s.oid = o.objid and s.relkind = 'S'
   join pg_class c on c.oid = o.refobjid join pg_attribute a on a.attrelid = c.oid and a.attnum = o.refobjsubid
   join pg_namespace n on n.oid = s.relnamespace
   where o.classid = 'pg_class'::regclass and o.refclassid = 'pg_class'::regclass and o.deptype = 'a' and ${ours}
     and ${notOfExtension('pg_class', 's.oid')}`,

  `select '', format('constraint %I on %s', k.conname, c.oid::regclass),
     format('alter table %s add constraint %I %s', c.oid::regclass, k.conname, pg_get_constraintdef(k.oid))
   from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
   where k.contype = 'c' and not k.convalidated and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select '', 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid)
   from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
   where i.indisvalid and c.relkind in ('r', 'p', 'm') and ${ours} and ${notOfExtension('pg_class', 'c.oid')}
     and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))`,

  `select '', 'table ' || c.oid::regclass,
     case when c.relispartition
       then format('alter table %s attach partition %s %s', h.inhparent::regclass, c.oid::regclass,
         pg_get_expr(c.relpartbound, c.oid))
       else format('alter table %s inherit %s', c.oid::regclass, h.inhparent::regclass) end
   from pg_inherits h join pg_class c on c.oid = h.inhrelid and c.relkind in ('r', 'p')
   join pg_namespace n on n.oid = c.relnamespace
   where ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select '', format('foreign key %I on %s', k.conname, c.oid::regclass),
     format('alter table %s add constraint %I %s', c.oid::regclass, k.conname, pg_get_constraintdef(k.oid))
   from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
   where k.contype = 'f' and k.conparentid = 0 and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select '', format('column %s.%I', c.oid::regclass, a.attname), format('alter table %s%s alter column %I %s',
     case c.relkind when 'p' then '' else 'only ' end, c.oid::regclass, a.attname, setting)
   from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
   join pg_type t on t.oid = a.atttypid,
   unnest(array[
     case when a.attstorage <> t.typstorage then 'set storage ' || case a.attstorage when 'p' then 'plain'
       when 'e' then 'external' when 'm' then 'main' else 'extended' end end,
     case a.attcompression when 'p' then 'set compression pglz' when 'l' then 'set compression lz4' end,
     case when coalesce(a.attstattarget, -1) >= 0 then 'set statistics ' || a.attstattarget end,
     'set (' || array_to_string(a.attoptions, ', ') || ')']) setting
   where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'm') and setting is not null and ${ours}
     and ${notOfExtension('pg_class', 'c.oid')}`,

  `select '', 'index ' || c.oid::regclass,
     format('alter index %s alter column %s set statistics %s', c.oid::regclass, a.attnum, a.attstattarget)
   from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
   join pg_attribute a on a.attrelid = c.oid and a.attstattarget >= 0
   where ${ours} and ${notOfExtension('pg_class', 'i.indrelid')}`,

  `select '', 'table ' || c.oid::regclass, format('alter table %s %s', c.oid::regclass, setting)
   from pg_class c join pg_namespace n on n.oid = c.relnamespace, unnest(array[
     case when c.relrowsecurity then 'enable row level security' end,
     case when c.relforcerowsecurity then 'force row level security' end,
     case when c.reloftype <> 0 then 'of ' || format_type(c.reloftype, null) end,
     (select format('set (%s)', string_agg('toast.' || o, ', ')) from pg_class t, unnest(t.reloptions) o
      where t.oid = c.reltoastrelid having count(*) > 0),
     case c.relreplident when 'n' then 'replica identity nothing' when 'f' then 'replica identity full'
       when 'i' then (select format('replica identity using index %I', x.relname) from pg_index i
         join pg_class x on x.oid = i.indexrelid where i.indrelid = c.oid and i.indisreplident) end,
     (select format('cluster on %I', x.relname) from pg_index i join pg_class x on x.oid = i.indexrelid
      where i.indrelid = c.oid and i.indisclustered)]) setting
   where c.relkind in ('r', 'p') and setting is not null and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select '', format('column %s.%I', c.oid::regclass, a.attname),
     format('alter view %s alter column %I set default %s', c.oid::regclass, a.attname, pg_get_expr(d.adbin, d.adrelid))
   from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
   join pg_class c on c.oid = d.adrelid join pg_namespace n on n.oid = c.relnamespace
   where c.relkind = 'v' and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,
]
