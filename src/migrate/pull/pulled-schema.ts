/**
 * A database's tables, views, enums and sequences as a Drizzle schema has to declare them, read from the catalogs.
 * `undeclarable` says why a Drizzle schema cannot declare an object; `lost` has PostgreSQL's words for the part that it
 * cannot declare.
 */
import type { Connection } from '../../pool/connection.ts'
import { notOfExtension } from '../schema/catalog.ts'

/** A schema and a name in it. */
export interface QualifiedName {
  readonly schema: string
  readonly name: string
}

export interface PulledSequence {
  /** As PostgreSQL spells it: smallint, integer, bigint. */
  readonly type: string
  readonly start: string
  readonly increment: string
  readonly min: string
  readonly max: string
  readonly cache: string
  readonly cycle: boolean
}

export interface ListedSequence extends QualifiedName, PulledSequence {
  /** It goes with a column. */
  readonly owned: boolean
  /** As a default calls it: `'public.numbers'::regclass`. */
  readonly reference: string
}

export interface PulledColumn {
  readonly name: string
  /** As PostgreSQL spells it, without []: `character varying(20)`. */
  readonly type: string
  /** What a domain is made of, as values arrive; null for other types. */
  readonly base: string | null
  /** 0 when it is no array. */
  readonly dimensions: number
  readonly enum: QualifiedName | null
  readonly collation: string | null
  readonly notNull: boolean
  readonly default: string | null
  readonly generated: 'stored' | 'virtual' | null
  readonly identity: 'always' | 'default' | null
  /** Of an identity, or of a default that takes the next number of the column's own sequence. */
  readonly sequence: (QualifiedName & PulledSequence) | null
}

export interface PulledConstraint {
  readonly name: string
  /** Primary key, unique, foreign key, check, exclusion. */
  readonly kind: 'p' | 'u' | 'f' | 'c' | 'x'
  readonly columns: readonly string[]
  readonly expression: string | null
  readonly nullsNotDistinct: boolean
  readonly target: (QualifiedName & { readonly columns: readonly string[] }) | null
  readonly onUpdate: string
  readonly onDelete: string
  readonly definition: string
  readonly undeclarable: string | null
  readonly lost: string | null
}

export interface PulledIndex {
  readonly name: string
  readonly unique: boolean
  readonly method: string
  readonly keys: readonly {
    /** Null for an expression. */
    readonly column: string | null
    readonly expression: string
    /** Undefined in effect when it is the type's own. */
    readonly operatorClass: string | null
    readonly collation: string | null
    readonly descending: boolean
    readonly nullsFirst: boolean
  }[]
  readonly where: string | null
  readonly options: readonly string[]
  readonly definition: string
  readonly undeclarable: string | null
  readonly lost: string | null
}

export interface PulledPolicy {
  readonly name: string
  readonly as: string
  readonly for: string
  readonly to: readonly string[]
  readonly using: string | null
  readonly withCheck: string | null
}

export interface PulledTable extends QualifiedName {
  readonly columns: readonly PulledColumn[]
  readonly constraints: readonly PulledConstraint[]
  readonly indexes: readonly PulledIndex[]
  readonly policies: readonly PulledPolicy[]
  readonly rowSecurity: boolean
}

export interface PulledView extends QualifiedName {
  readonly materialized: boolean
  readonly columns: readonly PulledColumn[]
}

export interface PulledSchema {
  readonly tables: readonly PulledTable[]
  readonly views: readonly PulledView[]
  readonly enums: readonly (QualifiedName & { readonly labels: readonly string[] })[]
  /** Includes those of identities and serial columns. */
  readonly sequences: readonly ListedSequence[]
}

const sequenceFields = `'type', format_type(s.seqtypid, null), 'start', s.seqstart::text, 'increment', s.seqincrement::text,
  'min', s.seqmin::text, 'max', s.seqmax::text, 'cache', s.seqcache::text, 'cycle', s.seqcycle`

/** The sequence that belongs to column `a` of `c`, where a default of its uses it. */
const ownSequence = `(select jsonb_build_object('schema', m.nspname, 'name', q.relname, ${sequenceFields})
  from pg_depend o join pg_sequence s on s.seqrelid = o.objid join pg_class q on q.oid = o.objid
  join pg_namespace m on m.oid = q.relnamespace
  where o.classid = 'pg_class'::regclass and o.deptype in ('a', 'i') and o.refclassid = 'pg_class'::regclass
    and o.refobjid = c.oid and o.refobjsubid = a.attnum
    and (a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) = format('nextval(%L::regclass)', q.oid::regclass))
  limit 1)`

const columns = `(select coalesce(jsonb_agg(jsonb_build_object('name', a.attname,
    'type', regexp_replace(format_type(a.atttypid, a.atttypmod), '\\[\\]$', ''),
    'base', (select format_type(t.typbasetype, null) from pg_type t where t.oid = coalesce(e.oid, a.atttypid)
      and t.typtype = 'd'),
    'dimensions', case when e.oid is null then 0 else greatest(a.attndims, 1) end,
    'enum', (select jsonb_build_object('schema', m.nspname, 'name', t.typname) from pg_type t
      join pg_namespace m on m.oid = t.typnamespace where t.oid = coalesce(e.oid, a.atttypid) and t.typtype = 'e'
      and ${notOfExtension('pg_type', 't.oid')}),
    'collation', (select l.oid::regcollation::text from pg_collation l join pg_type t on t.oid = a.atttypid
      where l.oid = a.attcollation and a.attcollation <> t.typcollation),
    'notNull', a.attnotnull,
    'default', pg_get_expr(d.adbin, d.adrelid),
    'generated', case a.attgenerated when 's' then 'stored' when 'v' then 'virtual' end,
    'identity', case a.attidentity when 'a' then 'always' when 'd' then 'default' end,
    'sequence', ${ownSequence}) order by a.attnum), '[]')
  from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  left join pg_type e on e.typarray = a.atttypid
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)`

const names = (numbers: string, relation: string) => `(select coalesce(jsonb_agg(x.attname order by u.i), '[]')
  from unnest(${numbers}) with ordinality u(number, i)
  join pg_attribute x on x.attrelid = ${relation} and x.attnum = u.number)`

const action = (of: string) =>
  `case ${of} when 'r' then 'restrict' when 'c' then 'cascade' when 'n' then 'set null' when 'd' then 'set default'
     else 'no action' end`

const constraints = `(select coalesce(jsonb_agg(jsonb_build_object('name', k.conname, 'kind', k.contype,
    'columns', ${names('k.conkey', 'k.conrelid')}, 'expression', pg_get_expr(k.conbin, k.conrelid),
    'nullsNotDistinct', pg_get_constraintdef(k.oid) like 'UNIQUE NULLS NOT DISTINCT%',
    'target', (select jsonb_build_object('schema', m.nspname, 'name', f.relname,
        'columns', ${names('k.confkey', 'k.confrelid')})
      from pg_class f join pg_namespace m on m.oid = f.relnamespace where f.oid = k.confrelid),
    'onUpdate', ${action('k.confupdtype')}, 'onDelete', ${action('k.confdeltype')},
    'definition', pg_get_constraintdef(k.oid),
    'undeclarable', case when k.contype = 'x' then 'an exclusion constraint'
      when not k.convalidated then 'a constraint that is not valid'
      when k.contype = 'c' and k.connoinherit then 'a check that is not inherited'
      when k.contype = 'f' and pg_get_constraintdef(k.oid) ~ 'ON DELETE SET (NULL|DEFAULT) \\('
        then 'a foreign key that sets some of its columns'
      when pg_get_constraintdef(k.oid) ~ '\\m(WITHOUT OVERLAPS|PERIOD|NOT ENFORCED)\\M'
        then 'a constraint of a later PostgreSQL' end,
    'lost', nullif(concat_ws(' ', substring(pg_get_constraintdef(k.oid) from 'INCLUDE \\([^)]*\\)'),
      case when k.confmatchtype = 'f' then 'MATCH FULL' end, case when k.condeferrable then 'DEFERRABLE' end,
      case when k.condeferred then 'INITIALLY DEFERRED' end), ''))
    order by array_position('{p,u,f,c,x}'::text[], k.contype::text), k.conname), '[]')
  from pg_constraint k where k.conrelid = c.oid and k.contype in ('p', 'u', 'f', 'c', 'x') and k.conparentid = 0)`

const key = `jsonb_build_object('column', x.attname, 'expression', pg_get_indexdef(i.indexrelid, u.i::int, false),
    'operatorClass', (select o.opcname from pg_opclass o where o.oid = i.indclass[u.i - 1] and not o.opcdefault),
    'collation', (select l.oid::regcollation::text from pg_collation l join pg_attribute y
      on y.attrelid = i.indexrelid and y.attnum = u.i where l.oid = i.indcollation[u.i - 1]
      and l.oid <> coalesce(x.attcollation, (select t.typcollation from pg_type t where t.oid = y.atttypid))),
    'descending', i.indoption[u.i - 1] & 1 = 1, 'nullsFirst', i.indoption[u.i - 1] & 2 = 2)`

const indexes = `(select coalesce(jsonb_agg(jsonb_build_object('name', q.relname, 'unique', i.indisunique,
    'method', m.amname,
    'keys', (select jsonb_agg(${key} order by u.i) from generate_series(1, i.indnkeyatts) u(i)
      left join pg_attribute x on x.attrelid = c.oid and x.attnum = i.indkey[u.i - 1] and x.attnum > 0),
    'where', pg_get_expr(i.indpred, i.indrelid), 'options', to_jsonb(coalesce(q.reloptions, '{}')),
    'definition', pg_get_indexdef(q.oid),
    'undeclarable', case when pg_get_indexdef(q.oid) ~ ';|--|,,' then 'an index whose text drizzle-kit takes apart' end,
    'lost', nullif(concat_ws(' ', case when i.indnatts > i.indnkeyatts
        then substring(pg_get_indexdef(q.oid) from 'INCLUDE \\([^)]*\\)') end,
      substring(pg_get_indexdef(q.oid) from 'NULLS NOT DISTINCT')), ''))
    order by q.relname), '[]')
  from pg_index i join pg_class q on q.oid = i.indexrelid join pg_am m on m.oid = q.relam
  where i.indrelid = c.oid and i.indisvalid
    and not exists (select from pg_constraint k where k.conindid = q.oid and k.contype in ('p', 'u', 'x')))`

const policies = `(select coalesce(jsonb_agg(jsonb_build_object('name', p.polname,
    'as', case when p.polpermissive then 'permissive' else 'restrictive' end,
    'for', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
      else 'all' end,
    'to', (select jsonb_agg(case r when 0 then 'public' else pg_get_userbyid(r)::text end order by i)
      from unnest(p.polroles) with ordinality u(r, i)),
    'using', pg_get_expr(p.polqual, p.polrelid), 'withCheck', pg_get_expr(p.polwithcheck, p.polrelid))
    order by p.polname), '[]')
  from pg_policy p where p.polrelid = c.oid)`

const relations = (ours: string, fields: string, kinds: string) => `
  select jsonb_build_object('schema', n.nspname, 'name', c.relname, 'columns', ${columns}, ${fields})::text
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in (${kinds}) and not c.relispartition and c.relpersistence <> 't' and ${ours}
    and ${notOfExtension('pg_class', 'c.oid')}
  order by n.nspname <> 'public', n.nspname, c.relname`

const enums = (ours: string) => `
  select jsonb_build_object('schema', n.nspname, 'name', t.typname, 'labels',
    (select jsonb_agg(l.enumlabel order by l.enumsortorder) from pg_enum l where l.enumtypid = t.oid))::text
  from pg_type t join pg_namespace n on n.oid = t.typnamespace
  where t.typtype = 'e' and ${ours} and ${notOfExtension('pg_type', 't.oid')}
  order by n.nspname <> 'public', n.nspname, t.typname`

const sequences = (ours: string) => `
  select jsonb_build_object('schema', n.nspname, 'name', c.relname, ${sequenceFields},
    'owned', exists (select from pg_depend o where o.classid = 'pg_class'::regclass and o.objid = c.oid
      and o.refclassid = 'pg_class'::regclass and o.deptype in ('a', 'i')),
    'reference', format('%L::regclass', c.oid::regclass))::text
  from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
  where ${ours} and ${notOfExtension('pg_class', 'c.oid')} order by n.nspname <> 'public', n.nspname, c.relname`

/** Reads it; `ours` is a condition on `n`, pg_namespace. The session's search_path must be empty. */
export async function readPulledSchema(connection: Connection, ours: string): Promise<PulledSchema> {
  const read = async <T>(query: string) => {
    const rows = (await connection.query(query, [], { arrays: true })) as unknown as [string][]
    return rows.map(([json]) => JSON.parse(json) as T)
  }
  const more = `'constraints', ${constraints}, 'indexes', ${indexes}, 'policies', ${policies},
    'rowSecurity', c.relrowsecurity`
  const [tables, views, labelled, numbered] = await Promise.all([
    read<PulledTable>(relations(ours, more, `'r', 'p'`)),
    read<PulledView>(relations(ours, `'materialized', c.relkind = 'm'`, `'v', 'm'`)),
    read<PulledSchema['enums'][number]>(enums(ours)),
    read<PulledSchema['sequences'][number]>(sequences(ours)),
  ])
  return { tables, views, enums: labelled, sequences: numbered }
}
