/** Queries that return the statements which make everything but relations, as those in `dump-relations.ts` do. */
import { notOfExtension } from '../schema/catalog.ts'

export const schemas = (ours: string) => `
  select 'schema:' || n.oid, 'schema ' || quote_ident(n.nspname),
    'create schema if not exists ' || quote_ident(n.nspname)
  from pg_namespace n where n.nspname <> 'public' and ${ours} and ${notOfExtension('pg_namespace', 'n.oid')}`

/** With their own schemas, which may not be among those that are pulled. */
export const extensions = `
  select '', 'extension ' || quote_ident(e.extname),
    case when n.nspname in ('public', 'pg_catalog') or exists (select from pg_depend d
      where d.classid = 'pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e') then ''
      else format(E'create schema if not exists %I;\\n', n.nspname) end ||
    format('create extension if not exists %I%s', e.extname,
      case when x.relocatable or n.nspname = 'public' then ' with schema ' || quote_ident(n.nspname) else '' end)
  from pg_extension e join pg_namespace n on n.oid = e.extnamespace
  left join pg_available_extension_versions x on x.name = e.extname and x.version = e.extversion
  where e.extname <> 'plpgsql' order by e.oid`

const enums = (ours: string) => `
  select 'type:' || t.oid, 'enum ' || t.oid::regtype,
    format('create type %s as enum (%s)', t.oid::regtype,
      (select string_agg(quote_literal(l.enumlabel), ', ' order by l.enumsortorder) from pg_enum l
       where l.enumtypid = t.oid))
  from pg_type t join pg_namespace n on n.oid = t.typnamespace
  where t.typtype = 'e' and ${ours} and ${notOfExtension('pg_type', 't.oid')}`

const collation = (own: string, of: string) => `(select 'collate ' || l.oid::regcollation from pg_collation l
  join pg_type b on b.oid = ${of} where l.oid = ${own} and ${own} <> b.typcollation)`

const domains = (ours: string) => `
  select 'type:' || t.oid, 'domain ' || t.oid::regtype,
    concat_ws(' ', 'create domain', t.oid::regtype, 'as', format_type(t.typbasetype, t.typtypmod),
      ${collation('t.typcollation', 't.typbasetype')}, 'default ' || t.typdefault,
      case when t.typnotnull then 'not null' end,
      (select string_agg(format('constraint %I %s', k.conname, pg_get_constraintdef(k.oid)), ' ' order by k.conname)
       from pg_constraint k where k.contypid = t.oid and k.contype <> 'n'))
  from pg_type t join pg_namespace n on n.oid = t.typnamespace
  where t.typtype = 'd' and ${ours} and ${notOfExtension('pg_type', 't.oid')}`

const composites = (ours: string) => `
  select 'type:' || t.oid, 'composite type ' || t.oid::regtype,
    format('create type %s as (%s)', t.oid::regtype,
      (select string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
         ${collation('a.attcollation', 'a.atttypid')}), ', ' order by a.attnum)
       from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped))
  from pg_type t join pg_class c on c.oid = t.typrelid and c.relkind = 'c' join pg_namespace n on n.oid = t.typnamespace
  where ${ours} and ${notOfExtension('pg_type', 't.oid')}`

const ranges = (ours: string) => `
  select 'type:' || t.oid, 'range type ' || t.oid::regtype,
    format('create type %s as range (%s)', t.oid::regtype,
      concat_ws(', ', 'subtype = ' || format_type(r.rngsubtype, null),
        (select format('subtype_opclass = %I.%I', m.nspname, o.opcname) from pg_opclass o
         join pg_namespace m on m.oid = o.opcnamespace where o.oid = r.rngsubopc and not o.opcdefault),
        case when r.rngsubdiff <> 0 then 'subtype_diff = ' || r.rngsubdiff::regproc end,
        (select 'multirange_type_name = ' || r.rngmultitypid::regtype)))
  from pg_range r join pg_type t on t.oid = r.rngtypid join pg_namespace n on n.oid = t.typnamespace
  where ${ours} and ${notOfExtension('pg_type', 't.oid')}`

const collations = (ours: string) => `
  select 'collation:' || l.oid, 'collation ' || l.oid::regcollation,
    format('create collation %s (provider = %s, %s%s)', l.oid::regcollation,
      case l.collprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end,
      case when l.collcollate is null then 'locale = ' || quote_literal(coalesce(to_jsonb(l) ->> 'colllocale',
          to_jsonb(l) ->> 'colliculocale'))
        else format('lc_collate = %L, lc_ctype = %L', l.collcollate, l.collctype) end,
      case when l.collisdeterministic then '' else ', deterministic = false' end)
  from pg_collation l join pg_namespace n on n.oid = l.collnamespace
  where ${ours} and ${notOfExtension('pg_collation', 'l.oid')}`

const dictionaries = (ours: string) => `
  select 'dictionary:' || d.oid, 'text search dictionary ' || d.oid::regdictionary,
    format('create text search dictionary %s (template = %I.%I%s)', d.oid::regdictionary, m.nspname, t.tmplname,
      coalesce(', ' || d.dictinitoption, ''))
  from pg_ts_dict d join pg_namespace n on n.oid = d.dictnamespace join pg_ts_template t on t.oid = d.dicttemplate
  join pg_namespace m on m.oid = t.tmplnamespace
  where ${ours} and ${notOfExtension('pg_ts_dict', 'd.oid')}`

const configurations = (ours: string) => `
  select 'configuration:' || f.oid, 'text search configuration ' || f.oid::regconfig,
    format('create text search configuration %s (parser = %I.%I)', f.oid::regconfig, m.nspname, p.prsname) ||
    coalesce((select string_agg(format(E';\\nalter text search configuration %s add mapping for %s with %s',
        f.oid::regconfig, k.alias, k.dictionaries), '' order by k.alias)
      from (select t.alias, string_agg(w.mapdict::regdictionary::text, ', ' order by w.mapseqno) as dictionaries
        from pg_ts_config_map w join ts_token_type(f.cfgparser) t on t.tokid = w.maptokentype
        where w.mapcfg = f.oid group by t.alias) k), '')
  from pg_ts_config f join pg_namespace n on n.oid = f.cfgnamespace join pg_ts_parser p on p.oid = f.cfgparser
  join pg_namespace m on m.oid = p.prsnamespace
  where ${ours} and ${notOfExtension('pg_ts_config', 'f.oid')}`

const functions = (ours: string) => `
  select 'function:' || p.oid, 'function ' || p.oid::regprocedure, rtrim(pg_get_functiondef(p.oid), E'\\n')
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where p.prokind in ('f', 'p', 'w') and ${ours} and ${notOfExtension('pg_proc', 'p.oid')}`

const aggregates = (ours: string) => `
  select 'function:' || p.oid, 'aggregate ' || p.oid::regprocedure,
    format('create aggregate %I.%I(%s) (%s)', n.nspname, p.proname, pg_get_function_arguments(p.oid),
      concat_ws(', ', 'sfunc = ' || a.aggtransfn::regproc, 'stype = ' || format_type(a.aggtranstype, null),
        case when a.aggtransspace <> 0 then 'sspace = ' || a.aggtransspace end,
        case when a.aggfinalfn <> 0 then 'finalfunc = ' || a.aggfinalfn::regproc end,
        case when a.aggfinalextra then 'finalfunc_extra' end,
        case when a.aggcombinefn <> 0 then 'combinefunc = ' || a.aggcombinefn::regproc end,
        'initcond = ' || quote_literal(a.agginitval),
        'parallel = ' || case p.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end))
  from pg_aggregate a join pg_proc p on p.oid = a.aggfnoid join pg_namespace n on n.oid = p.pronamespace
  where a.aggkind = 'n' and ${ours} and ${notOfExtension('pg_proc', 'p.oid')}`

/** Those that may depend on each other, and on relations. */
export const interwoven = (ours: string): readonly string[] =>
  [enums, collations, dictionaries, configurations, domains, composites, ranges, functions, aggregates].map((query) =>
    query(ours),
  )

/** Those that need all the others. */
export const last = (ours: string): readonly string[] => [
  `select '', format('rule %I on %s', r.rulename, c.oid::regclass), rtrim(pg_get_ruledef(r.oid), ';')
   from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
   where r.rulename <> '_RETURN' and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select '', format('trigger %I on %s', g.tgname, c.oid::regclass), pg_get_triggerdef(g.oid)
   from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
   where not g.tgisinternal and g.tgparentid = 0 and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select '', format('trigger %I on %s', g.tgname, c.oid::regclass),
     format('alter table %s %s trigger %I', c.oid::regclass, case g.tgenabled when 'D' then 'disable'
       when 'R' then 'enable replica' else 'enable always' end, g.tgname)
   from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
   where not g.tgisinternal and g.tgenabled <> 'O' and ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select '', format('policy %I on %s', p.polname, c.oid::regclass),
     concat_ws(' ', format('create policy %I on %s as %s for %s to', p.polname, c.oid::regclass,
         case when p.polpermissive then 'permissive' else 'restrictive' end,
         case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
           else 'all' end),
       (select string_agg(case r when 0 then 'public' else quote_ident(pg_get_userbyid(r)) end, ', ' order by i)
        from unnest(p.polroles) with ordinality as roles(r, i)),
       'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
       'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
   from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
   where ${ours} and ${notOfExtension('pg_class', 'c.oid')}`,

  `select '', 'statistics ' || quote_ident(n.nspname) || '.' || quote_ident(x.stxname),
     pg_get_statisticsobjdef(x.oid)
   from pg_statistic_ext x join pg_namespace n on n.oid = x.stxnamespace where ${ours}`,

  `select '', 'statistics ' || quote_ident(n.nspname) || '.' || quote_ident(x.stxname),
     format('alter statistics %I.%I set statistics %s', n.nspname, x.stxname, x.stxstattarget)
   from pg_statistic_ext x join pg_namespace n on n.oid = x.stxnamespace where x.stxstattarget >= 0 and ${ours}`,
]

/** Whose statement has to come before whose, as pairs of keys: the first needs the second. */
export const needs = `
  with part (classid, objid, key) as (
    select 'pg_class'::regclass::oid, c.oid,
      case when c.relkind in ('i', 'I') then 'relation:' || k.conrelid
        when c.relkind = 'c' then 'type:' || c.reltype else 'relation:' || c.oid end
    from pg_class c left join pg_constraint k on k.conindid = c.oid and k.contype in ('p', 'u', 'x')
    union all select 'pg_attrdef'::regclass, oid, 'relation:' || adrelid from pg_attrdef
    union all select 'pg_constraint'::regclass, oid, case conrelid when 0 then 'type:' || contypid
      else 'relation:' || conrelid end from pg_constraint where contype <> 'f'
    union all select 'pg_rewrite'::regclass, oid, 'relation:' || ev_class from pg_rewrite
    union all select 'pg_proc'::regclass, oid, 'function:' || oid from pg_proc
    union all select 'pg_collation'::regclass, oid, 'collation:' || oid from pg_collation
    union all select 'pg_ts_dict'::regclass, oid, 'dictionary:' || oid from pg_ts_dict
    union all select 'pg_ts_config'::regclass, oid, 'configuration:' || oid from pg_ts_config
    union all select 'pg_type'::regclass, t.oid,
      case when c.relkind <> 'c' then 'relation:' || c.oid else 'type:' || coalesce(e.oid, t.oid) end
    from pg_type t left join pg_type e on e.typarray = t.oid
    left join pg_class c on c.oid = coalesce(nullif(e.typrelid, 0), nullif(t.typrelid, 0)))
  select distinct a.key, b.key from pg_depend d
  join part a on a.classid = d.classid and a.objid = d.objid
  join part b on b.classid = d.refclassid and b.objid = d.refobjid
  where a.key <> b.key and d.deptype <> 'e' and not (d.deptype in ('a', 'i') and d.classid = 'pg_class'::regclass
    and exists (select from pg_sequence where seqrelid = d.objid))`
