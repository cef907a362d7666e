/**
 * What PostgreSQL's catalogs say about a schema, one row per object: `kind name`, its definition, and properties beyond
 * the definition, which Drizzle cannot declare (storage, statistics, partitions, collation, DEFERRABLE, INCLUDE).
 * Definitions are PostgreSQL's own (`pg_get_…def`). Lists whose order means nothing are sorted.
 */

/** Separates two properties beyond the definition. */
export const separator = '\u001F'

/** `n` is pg_namespace. */
export const notOfServer = `n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'`

/** The condition that an object belongs to no extension; `classid` is the catalog that `oid` belongs to. */
export const notOfExtension = (catalog: string, oid: string) =>
  `not exists (select from pg_depend e
     where e.classid = '${catalog}'::regclass and e.objid = ${oid} and e.deptype = 'e')`

const beyond = (...properties: readonly string[]) => `concat_ws(chr(31), ${properties.join(', ')})`

const sorted = (list: string, as = "' '") => `(select string_agg(o, ${as} order by o) from unnest(${list}) o)`

const classAndName = `format('%I.%I', n.nspname, c.relname)`

/** The definition of an index; for a partitioned table without ONLY. */
const indexDefinition = `case c.relkind when 'I' then replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ')
  else pg_get_indexdef(c.oid) end`

/**
 * The default of column `a` with `d` in pg_attrdef; the default of a serial column names its sequence, which may have
 * any name.
 */
const columnDefault = `'default ' || case when exists (
    select from pg_depend s join pg_depend o on o.classid = 'pg_class'::regclass and o.objid = s.refobjid
      and o.deptype = 'a' and o.refclassid = 'pg_class'::regclass and o.refobjid = a.attrelid and o.refobjsubid = a.attnum
    where s.classid = 'pg_attrdef'::regclass and s.objid = d.oid and s.refclassid = 'pg_class'::regclass
      and s.refobjid in (select seqrelid from pg_sequence)
      and pg_get_expr(d.adbin, d.adrelid) ~ '^nextval\\(''.*''::regclass\\)$')
  then 'nextval of its own sequence' else pg_get_expr(d.adbin, d.adrelid) end`

/** Statistics, storage and options of column `a`; the target is -1, and NULL since PostgreSQL 17, when none is set. */
const columnSettings = beyond(
  `(select 'collate ' || quote_ident(l.collname) from pg_collation l join pg_type t on t.oid = a.atttypid
    where l.oid = a.attcollation and a.attcollation <> t.typcollation)`,
  "case when coalesce(a.attstattarget, -1) >= 0 then 'statistics ' || a.attstattarget end",
  `(select 'storage ' || a.attstorage::text from pg_type t where t.oid = a.atttypid and t.typstorage <> a.attstorage)`,
  "case a.attcompression when 'p' then 'compression pglz' when 'l' then 'compression lz4' end",
  sorted('a.attoptions', 'chr(31)'),
  sorted('a.attfdwoptions', 'chr(31)'),
)

const sequenceOptions = `concat_ws(' ', format_type(s.seqtypid, null), 'start', s.seqstart, 'increment', s.seqincrement, 'min', s.seqmin,
  'max', s.seqmax, 'cache', s.seqcache, case when s.seqcycle then 'cycle' end)`

const clusteredOn =
  "(select 'cluster on ' || i.indexrelid::regclass from pg_index i where i.indrelid = c.oid and i.indisclustered)"

/** What Drizzle cannot declare in a definition of PostgreSQL's: removed from it, and listed as properties beyond it. */
function undeclarable(definition: string, pattern: string): { readonly without: string; readonly words: string } {
  return {
    without: `regexp_replace(${definition}, '${pattern}', '', 'g')`,
    words: `(select string_agg(trim(m[1]), chr(31)) from regexp_matches(${definition}, '(${pattern})', 'g') m)`,
  }
}

const ofIndex = undeclarable(indexDefinition, ' INCLUDE \\([^)]*\\)| NULLS NOT DISTINCT')
const ofConstraint = undeclarable(
  'pg_get_constraintdef(k.oid)',
  ' INCLUDE \\([^)]*\\)| MATCH FULL| DEFERRABLE(?: INITIALLY DEFERRED)?',
)

/** The queries; `ours` says which schemas, n, are described. */
export const catalogQueries = (ours: string): readonly string[] => [
  `select 'schema ' || quote_ident(n.nspname) as object, '' as definition, '' as beyond from pg_namespace n
   where ${ours} and ${notOfExtension('pg_namespace', 'n.oid')}`,

  `select 'extension ' || quote_ident(extname), '', '' from pg_extension
   where extname <> 'plpgsql'`,

  `select 'table ' || ${classAndName}, '',
     ${beyond(
       "case c.relpersistence when 'u' then 'unlogged' when 't' then 'temporary' end",
       `case c.relkind when 'p' then 'partition by ' || pg_get_partkeydef(c.oid)
         when 'f' then (select concat_ws(' ', 'foreign', quote_ident(s.srvname), ${sorted('f.ftoptions')})
           from pg_foreign_table f join pg_foreign_server s on s.oid = f.ftserver where f.ftrelid = c.oid) end`,
       "case when c.reloftype <> 0 then 'of ' || format_type(c.reloftype, null) end",
       `(select string_agg('inherits ' || i.inhparent::regclass, ' ' order by i.inhseqno)
         from pg_inherits i where i.inhrelid = c.oid)`,
       'pg_get_expr(c.relpartbound, c.oid)',
       "(select 'using ' || quote_ident(m.amname) from pg_am m where m.oid = c.relam and m.amname <> 'heap')",
       `case c.relreplident when 'n' then 'replica identity nothing' when 'f' then 'replica identity full'
         when 'i' then (select 'replica identity using ' || i.indexrelid::regclass
           from pg_index i where i.indrelid = c.oid and i.indisreplident) end`,
       clusteredOn,
       sorted('c.reloptions', 'chr(31)'),
       `(select string_agg('toast.' || o, chr(31) order by o) from pg_class t, unnest(t.reloptions) o
         where t.oid = c.reltoastrelid)`,
     )}
   from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'f') and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select 'row security on ' || ${classAndName}, case when c.relrowsecurity then 'enabled' else 'disabled' end,
     case when c.relforcerowsecurity then 'forced' end
   from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p') and (c.relrowsecurity or c.relforcerowsecurity) and ${ours}
     and ${notOfExtension('pg_class', 'c.oid')}`,

  `select 'column ' || format('%I.%I.%I', n.nspname, c.relname, a.attname),
     concat_ws(' ', format_type(a.atttypid, a.atttypmod),
       case when a.attnotnull then 'not null' end,
       (select 'not valid' from pg_constraint k where k.conrelid = c.oid and k.contype = 'n' and not k.convalidated
          and a.attnum = any (k.conkey)),
       case a.attidentity
         when 'a' then 'generated always as identity' when 'd' then 'generated by default as identity' end,
       case a.attgenerated when 's' then 'stored' when 'v' then 'virtual' end,
       ${columnDefault}),
     ${columnSettings}
   from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
   left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'f', 'c') and ${ours}
     and ${notOfExtension('pg_class', 'c.oid')}`,

  `select 'column ' || format('%I.%I.%I', n.nspname, c.relname, a.attname),
     coalesce('default ' || pg_get_expr(d.adbin, d.adrelid), ''), ${columnSettings}
   from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
   left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attnum > 0 and not a.attisdropped and c.relkind in ('v', 'm') and ${ours}
     and (d.oid is not null or ${columnSettings} <> '') and ${notOfExtension('pg_class', 'c.oid')}`,

  `select 'index column ' || format('%I.%I on %s', c.relname, a.attname, i.indrelid::regclass), '',
     'statistics ' || a.attstattarget
   from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
   join pg_attribute a on a.attrelid = c.oid and a.attstattarget >= 0
   where ${ours} and ${notOfExtension('pg_class', 'i.indrelid')}`,

  `select 'rule ' || format('%I on %I.%I', r.rulename, n.nspname, c.relname),
     pg_get_ruledef(r.oid) || case r.ev_enabled when 'O' then '' else ' enabled=' || r.ev_enabled::text end, ''
   from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
   where r.rulename <> '_RETURN' and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select 'statistics ' || format('%I.%I', n.nspname, x.stxname), pg_get_statisticsobjdef(x.oid),
     case when coalesce(x.stxstattarget, -1) >= 0 then 'statistics ' || x.stxstattarget end
   from pg_statistic_ext x join pg_namespace n on n.oid = x.stxnamespace where ${ours}`,

  // 'n' are NOT NULL constraints, which are part of columns already, and which only PostgreSQL 18 lists. Foreign keys
  // are triggers underneath, which ALTER TABLE … DISABLE TRIGGER ALL turns off as well.
  `select 'constraint ' || format('%I.%I on %I', n.nspname, k.conname, c.relname),
     concat_ws(' ', case when k.contype = 'c' then pg_get_constraintdef(k.oid) else ${ofConstraint.without} end,
       (select 'DISABLED' from pg_trigger g where g.tgconstraint = k.oid and g.tgenabled <> 'O' limit 1)),
     ${beyond(
       `case when k.contype <> 'c' then ${ofConstraint.words} end`,
       `(select ${beyond(sorted('i.reloptions', 'chr(31)'), "case when x.indisvalid then null else 'INVALID' end")}
         from pg_class i join pg_index x on x.indexrelid = i.oid
         where i.oid = k.conindid and k.contype in ('p', 'u', 'x'))`,
     )}
   from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
   where k.contype not in ('n', 't') and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select 'index ' || ${classAndName},
     ${ofIndex.without} || case when i.indisvalid then '' else ' INVALID' end,
     ${beyond(ofIndex.words, "(select 'attached to ' || h.inhparent::regclass from pg_inherits h where h.inhrelid = c.oid)")}
   from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
   where ${ours} and ${notOfExtension('pg_class', 'i.indrelid')}
     and not exists (select from pg_constraint k where k.conindid = c.oid and k.contype in ('p', 'u', 'x'))`,

  `select 'type ' || format('%I.%I', n.nspname, t.typname),
     case t.typtype
       when 'e' then 'enum ' || coalesce((select string_agg(quote_literal(l.enumlabel), ', ' order by l.enumsortorder)
         from pg_enum l where l.enumtypid = t.oid), '')
       when 'd' then concat_ws(' ', 'domain ' || format_type(t.typbasetype, t.typtypmod),
         (select 'collate ' || quote_ident(l.collname) from pg_collation l join pg_type b on b.oid = t.typbasetype
          where l.oid = t.typcollation and t.typcollation <> b.typcollation),
         case when t.typnotnull then 'not null' end, 'default ' || t.typdefault,
         (select string_agg(format('constraint %I %s', k.conname, pg_get_constraintdef(k.oid)), ' ' order by k.conname)
          from pg_constraint k where k.contypid = t.oid and k.contype <> 'n'))
       when 'r' then (select concat_ws(' ', 'range of', format_type(r.rngsubtype, null), (select o.opcname from pg_opclass o where o.oid = r.rngsubopc),
           nullif(r.rngcanonical::regproc::text, '-'), nullif(r.rngsubdiff::regproc::text, '-'))
         from pg_range r where r.rngtypid = t.oid)
       when 'c' then 'composite' else t.typtype::text end, ''
   from pg_type t join pg_namespace n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
   where (t.typtype in ('e', 'd', 'r') or (t.typtype = 'c' and c.relkind = 'c')) and ${ours}
     and ${notOfExtension('pg_type', 't.oid')}`,

  // A schema cannot declare the type and the options of a serial column's sequence.
  `select 'sequence ' || ${classAndName}, concat_ws(' ', 'owned by ' || o.owner,
       case when o.kind is distinct from 'a' then ${sequenceOptions} end),
     ${beyond(`case o.kind when 'a' then ${sequenceOptions} end`, "case c.relpersistence when 'u' then 'unlogged' end")}
   from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
   left join lateral (
     select format('%s.%I', d.refobjid::regclass, a.attname) as owner, d.deptype as kind from pg_depend d
     join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
     where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i') limit 1) o on true
   where ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select case c.relkind when 'v' then 'view ' else 'materialized view ' end || ${classAndName},
     concat_ws(' ', ${sorted('c.reloptions')}, pg_get_viewdef(c.oid)),
     ${clusteredOn}
   from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('v', 'm') and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select 'function ' || p.oid::regprocedure, pg_get_functiondef(p.oid), ''
   from pg_proc p join pg_namespace n on n.oid = p.pronamespace
   where p.prokind in ('f', 'p', 'w') and ${ours} and ${notOfExtension('pg_proc', 'p.oid')}`,

  `select 'aggregate ' || p.oid::regprocedure,
     concat_ws(' ', a.aggkind::text, a.aggtransfn::regprocedure, format_type(a.aggtranstype, null),
       'initial ' || quote_literal(a.agginitval), nullif(a.aggfinalfn::regproc::text, '-'),
       nullif(a.aggcombinefn::regproc::text, '-'), p.proparallel::text), ''
   from pg_proc p join pg_aggregate a on a.aggfnoid = p.oid join pg_namespace n on n.oid = p.pronamespace
   where ${ours} and ${notOfExtension('pg_proc', 'p.oid')}`,

  `select 'trigger ' || format('%I on %I.%I', g.tgname, n.nspname, c.relname),
     pg_get_triggerdef(g.oid) || case g.tgenabled when 'O' then '' else ' enabled=' || g.tgenabled::text end, ''
   from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
   where not g.tgisinternal and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select 'policy ' || format('%I on %I.%I', p.polname, n.nspname, c.relname),
     concat_ws(' ', case when p.polpermissive then 'permissive' else 'restrictive' end, 'for', p.polcmd, 'to',
       (select string_agg(name, ', ' order by name) from (
         select case r when 0 then 'public' else pg_get_userbyid(r)::text end as name from unnest(p.polroles) r) names),
       'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
       'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'), ''
   from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
   where ${ours}`,
]
