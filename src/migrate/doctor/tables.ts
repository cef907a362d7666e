/** Tables without a key. */
import { manualPage } from '../lint/rule.ts'
import { notOfExtension, notOfServer } from '../schema/catalog.ts'
import type { Check } from './health-rule.ts'

interface KeylessTable {
  readonly name: string
  readonly columns: readonly string[]
  /** The columns that say to which partition a row belongs; none for a table without partitions. */
  readonly partitionedBy: readonly string[]
}

/** A primary key, or what can be one; `c` is pg_class. */
const hasKey = `exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indimmediate
    and i.indisvalid and i.indpred is null
    and not exists (select from unnest(i.indkey::int2[]) with ordinality u(num, at)
      left join pg_attribute a on a.attrelid = c.oid and a.attnum = u.num
      where u.at <= i.indnkeyatts and a.attnotnull is not true))`

// A table that is partitioned by an expression can have no key, and no column can be added to a typed one.
const query = `select n.nspname as schema, format('%I.%I', n.nspname, c.relname) as name,
    array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0) as columns,
    array(select quote_ident(a.attname) from unnest(p.partattrs::int2[]) with ordinality u(num, at)
      join pg_attribute a on a.attrelid = c.oid and a.attnum = u.num order by u.at) as "partitionedBy"
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  left join pg_partitioned_table p on p.partrelid = c.oid
  where c.relkind in ('r', 'p') and not c.relispartition and c.reloftype = 0
    and (p.partrelid is null or p.partexprs is null)
    and ${notOfServer} and ${notOfExtension('pg_class', 'c.oid')} and not ${hasKey}
  order by n.nspname, c.relname`

export const tableWithoutKey: Check = {
  name: 'table-without-key',
  why:
    'no row can be named: the same row can be there twice, it cannot be changed alone, and logical replication refuses ' +
    'its changes and removals',
  mend: 'ALTER TABLE public.events ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;',
  manual: `${manualPage}ddl-constraints.html#DDL-CONSTRAINTS-PRIMARY-KEYS`,
  find: async ({ rows }) =>
    (await rows<KeylessTable>(query)).map(({ name, columns, partitionedBy }) => ({
      object: name,
      message: `${name} has neither a primary key nor a unique index on columns that are never null`,
      sql: mend(name, columns, partitionedBy),
    })),
}

function mend(table: string, columns: readonly string[], partitionedBy: readonly string[]): string {
  const names = ['id', 'row_id', ...columns.map((_, at) => `row_id_${at + 2}`)]
  const name = names.find((each) => !columns.includes(each))
  // Partitioned tables have identity columns since PostgreSQL 17 only.
  const added =
    partitionedBy.length === 0
      ? `ADD COLUMN ${name} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY`
      : `ADD COLUMN ${name} bigserial, ADD PRIMARY KEY (${[...partitionedBy, name].join(', ')})`
  return (
    '-- if some columns are unique, make those the key. This rewrites the table and blocks it meanwhile:\n' +
    `ALTER TABLE ${table} ${added};`
  )
}
