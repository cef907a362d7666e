/**
 * Sequences and identity columns close to their end. The end is that of the sequence or that of the column it feeds,
 * whichever comes first: an integer column fed by a bigint sequence ends at 2,147,483,647.
 */
import { manualPage } from '../lint/rule.ts'
import { notOfExtension, notOfServer } from '../schema/catalog.ts'
import { shownCount, shownNumber } from './amounts.ts'
import { groupedBy } from './grouped-by.ts'
import type { Ailment, Check } from './health-rule.ts'

interface Sequence {
  readonly id: number
  readonly name: string
  readonly type: string
  readonly least: number
  readonly most: number
  readonly increment: number
  /** Null before its first value, and where it may not be read. */
  readonly last: number | null
  readonly isReadable: boolean
}

/** A column that takes its values from the sequence, or refers to one that does. */
interface FedColumn {
  readonly sequence: number
  readonly table: string
  readonly column: string
  readonly type: string
  readonly refersTo: boolean
}

const sequences = `select n.nspname as schema, c.oid as id, format('%I.%I', n.nspname, c.relname) as name,
    format_type(s.seqtypid, null) as type, s.seqmin::float8 as least, s.seqmax::float8 as most,
    s.seqincrement::float8 as increment, may.read as "isReadable",
    case when may.read then pg_sequence_last_value(c.oid)::float8 end as last
  from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
  cross join lateral (select has_sequence_privilege(c.oid, 'SELECT, USAGE')
    and not (pg_is_in_recovery() and c.relpersistence = 'u') as read) may
  where not s.seqcycle and ${notOfServer} and ${notOfExtension('pg_class', 'c.oid')} order by n.nspname, c.relname`

const columns = `with fed as (
    select d.refobjid as sequence, f.adrelid as relation, f.adnum as num
    from pg_attrdef f join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
      and d.refclassid = 'pg_class'::regclass
    union select d.objid, d.refobjid, d.refobjsubid from pg_depend d
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype = 'i'),
  named as (
    select sequence, relation, num, false as refers from fed
    union select f.sequence, k.conrelid, k.conkey[array_position(k.confkey, f.num::int2)], true
    from fed f join pg_constraint k on k.contype = 'f' and k.conparentid = 0 and k.confrelid = f.relation
      and f.num::int2 = any (k.confkey))
  select m.sequence, format('%I.%I', n.nspname, c.relname) as "table", quote_ident(a.attname) as column,
    format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null) as type, m.refers as "refersTo"
  from named m join pg_sequence s on s.seqrelid = m.sequence
  join pg_class c on c.oid = m.relation join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum = m.num join pg_type t on t.oid = a.atttypid
  where not c.relispartition order by m.refers, n.nspname, c.relname, a.attnum`

const ends: Readonly<Record<string, number>> = { smallint: 32_767, integer: 2_147_483_647 }

const rewrites =
  '-- rewrites the table and blocks it meanwhile; for a large one, fill a new bigint column in batches and swap the two\n' +
  '-- a view or a generated column that uses the column has to be dropped before, and made again afterwards'

export const sequenceNearEnd: Check = {
  name: 'sequence-near-end',
  why: 'every INSERT fails once the last value is used, and a table that is large by then takes long to change',
  mend:
    `${rewrites}\n` +
    'ALTER TABLE public.orders ALTER COLUMN id TYPE bigint;\n' +
    'ALTER TABLE public.order_items ALTER COLUMN order_id TYPE bigint; -- refers to it\n' +
    'ALTER SEQUENCE public.orders_id_seq AS bigint NO MAXVALUE;',
  manual: `${manualPage}datatype-numeric.html#DATATYPE-SERIAL`,
  find: async ({ rows, limits, unseen }) => {
    const all = await rows<Sequence>(sequences)
    const fed = groupedBy(await rows<FedColumn>(columns), ({ sequence }) => sequence)
    const hidden = all.filter(({ isReadable }) => !isReadable).length
    if (hidden > 0) unseen(`${shownCount(hidden, 'sequence')} that this role may not read: GRANT SELECT ON SEQUENCE`)
    return all.flatMap((sequence) => ailmentOf(sequence, fed.get(sequence.id) ?? [], limits.sequencePercent))
  },
}

function ailmentOf(sequence: Sequence, linked: readonly FedColumn[], percent: number): readonly Ailment[] {
  const { name, last, least, most, increment } = sequence
  if (last === null) return []
  const own = linked.filter(({ refersTo }) => !refersTo)
  const narrowest = own.toSorted((one, other) => endOf(one.type) - endOf(other.type))[0]
  const columnEnd = narrowest === undefined ? Infinity : endOf(narrowest.type)
  const falls = increment < 0
  const end = falls ? Math.max(least, -columnEnd - 1) : Math.min(most, columnEnd)
  const start = falls ? most : least
  const step = Math.abs(increment)
  const used = Math.min(100, Math.floor((100 * (Math.abs(last - start) + step)) / (Math.abs(end - start) + step)))
  if (used < percent) return []
  const ofColumn = narrowest !== undefined && (falls ? end > least : end < most)
  const holder = narrowest === undefined ? '' : `${narrowest.table}.${narrowest.column}`
  const because = ofColumn
    ? `, the last value of the ${narrowest.type} column ${holder}`
    : holder === ''
      ? ''
      : `; it feeds ${holder}`
  return [
    {
      object: name,
      ...(narrowest === undefined ? {} : { table: narrowest.table }),
      message: `${name} is at ${shownNumber(last)}, ${used} % of the way to ${shownNumber(end)}${because}`,
      sql: mend(sequence, linked),
    },
  ]
}

function endOf(type: string): number {
  return ends[type] ?? Infinity
}

function mend({ name, type, least, most, increment }: Sequence, linked: readonly FedColumn[]): string {
  const narrow = linked.filter((column) => endOf(column.type) < Infinity)
  const widest = increment < 0 ? least <= -(2 ** 63) : most >= 2 ** 63 - 1
  if (type === 'bigint' && widest && narrow.length === 0) {
    return '-- no wider type exists: start again in a gap of the values, or use uuid keys'
  }
  const altered = narrow.map(
    ({ table, column, refersTo }) =>
      `ALTER TABLE ${table} ALTER COLUMN ${column} TYPE bigint;${refersTo ? ' -- refers to it' : ''}`,
  )
  return [
    ...(altered.length > 0 ? [rewrites, ...altered] : []),
    `ALTER SEQUENCE ${name} AS bigint ${increment < 0 ? 'NO MINVALUE' : 'NO MAXVALUE'};`,
  ].join('\n')
}
