/**
 * Views that the code does not declare, with their triggers, rules and indexes, as the SQL that makes them again: they
 * are lost when the tables under them are dropped, and a view that the code declares may depend on them.
 */
import type { Connection } from '../../pool/connection.ts'
import { notOfServer } from './catalog.ts'

/** Object, named as in the description of the database -> the SQL that makes it. */
export type MadeAgain = ReadonlyMap<string, string>

/** Reads the views; `declared` are the quoted names of the relations that the code declares. */
export async function readHandMadeViews(connection: Connection, declared: readonly string[]): Promise<MadeAgain> {
  const found = (await connection.query(
    'select to_regclass(name)::oid::int8::text as oid from unnest($1::text[]) name where to_regclass(name) is not null',
    [declared],
  )) as unknown as { oid: string }[]
  // Definitions name the schema of everything that is not on the search path.
  await connection.script("set search_path = ''")
  const rows = (await connection.query(query(found.map(({ oid }) => oid)), [])) as unknown as {
    object: string
    definition: string
  }[]
  await connection.script('reset search_path')
  return new Map(rows.map(({ object, definition }) => [object, definition]))
}

const query = (declared: readonly string[]) => `
  with views as (
    select c.oid, c.relname, c.relkind, format('%I.%I', n.nspname, c.relname) as name,
      case when c.reloptions is null then '' else ' with (' || array_to_string(c.reloptions, ', ') || ')' end as options
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('v', 'm') and ${notOfServer} and not c.oid = any ('{${declared.join()}}'::oid[]))
  select case relkind when 'v' then 'view ' else 'materialized view ' end || name as object,
    case relkind when 'v' then 'create view ' else 'create materialized view ' end || name || options
      || ' as ' || pg_get_viewdef(oid) as definition
  from views
  union all select format('trigger %I on %s', g.tgname, v.name), pg_get_triggerdef(g.oid)
    from pg_trigger g join views v on v.oid = g.tgrelid where not g.tgisinternal
  union all select format('rule %I on %s', r.rulename, v.name), pg_get_ruledef(r.oid)
    from pg_rewrite r join views v on v.oid = r.ev_class where r.rulename <> '_RETURN'
  union all select 'index ' || format('%I.%I', n.nspname, i.relname), pg_get_indexdef(i.oid)
    from pg_index x join views v on v.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
      join pg_namespace n on n.oid = i.relnamespace`
