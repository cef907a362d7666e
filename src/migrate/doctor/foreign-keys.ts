/**
 * Foreign keys without an index. PostgreSQL makes an index for the key that is referenced, and none for the columns that
 * refer to it: each DELETE of a referenced row, and each UPDATE of its key, then reads the whole referencing table.
 */
import { manualPage } from '../lint/rule.ts'
import { notOfExtension, notOfServer } from '../schema/catalog.ts'
import { groupedBy } from './grouped-by.ts'
import type { Check } from './health-rule.ts'

interface ForeignKey {
  readonly id: number
  readonly parent: number
  readonly table: string
  readonly tableId: number
  readonly kind: string
  readonly name: string
  readonly referenced: string
  readonly columns: readonly string[]
  readonly hasIndex: boolean
}

/**
 * An index serves a foreign key if its first columns are those of the key, in any order, and it has all rows that refer to
 * something. `k` is pg_constraint.
 */
const hasIndex = `exists (select from pg_index i
    join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
  where i.indrelid = k.conrelid and i.indisvalid and m.amname in ('btree', 'hash')
    and i.indnkeyatts >= cardinality(k.conkey)
    and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
    and (i.indpred is null or exists (select from pg_attribute a where a.attrelid = k.conrelid and a.attnum = any (k.conkey)
      and pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname))))`

const query = `select n.nspname as schema, k.oid as id, k.conparentid as parent, k.conrelid as "tableId",
    format('%I.%I', n.nspname, c.relname) as "table", c.relkind::text as kind, quote_ident(k.conname) as name,
    k.confrelid::regclass::text as referenced,
    array(select quote_ident(a.attname) from unnest(k.conkey) with ordinality u(num, at)
      join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num order by u.at) as columns,
    ${hasIndex} as "hasIndex"
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
  where k.contype = 'f' and ${notOfServer} and ${notOfExtension('pg_class', 'c.oid')}
  order by n.nspname, c.relname, k.conname`

export const foreignKeyWithoutIndex: Check = {
  name: 'foreign-key-without-index',
  why:
    'each DELETE of a referenced row, and each UPDATE of its key, reads the whole table to look for rows that refer to ' +
    'it, and so does a join from the other side',
  mend: 'CREATE INDEX CONCURRENTLY ON public.orders (customer_id);',
  manual: `${manualPage}ddl-constraints.html#DDL-CONSTRAINTS-FK`,
  find: async ({ rows }) => {
    const all = await rows<ForeignKey>(query)
    const byParent = groupedBy(all, ({ parent }) => parent)
    // Another partition of the referenced table is a part of the key, too, with the same table on this side.
    const partsOf = (key: ForeignKey) =>
      (byParent.get(key.id) ?? []).filter(({ tableId }) => key.kind === 'p' && tableId !== key.tableId)
    const isServed = (key: ForeignKey): boolean => {
      const parts = partsOf(key)
      return key.hasIndex || (parts.length > 0 && parts.every(isServed))
    }
    const unserved = (key: ForeignKey): readonly ForeignKey[] =>
      isServed(key) ? [] : key.kind === 'p' ? partsOf(key).flatMap(unserved) : [key]
    return all
      .filter((key) => key.parent === 0 && !isServed(key))
      .filter((key, at, list) => list.findIndex((other) => isSame(key, other)) === at)
      .map((key) => ({
        object: `${key.table}.${key.name}`,
        table: key.table,
        message: `${key.table} (${key.columns.join(', ')}) refers to ${key.referenced} and has no index`,
        sql: mend(key, unserved(key)),
      }))
  },
}

/** One index serves all keys on the same columns. */
function isSame(one: ForeignKey, other: ForeignKey): boolean {
  return one.tableId === other.tableId && one.columns.toSorted().join() === other.columns.toSorted().join()
}

/** PostgreSQL takes the indexes that partitions already have for those of the whole table. */
function mend({ kind, table, columns }: ForeignKey, stored: readonly ForeignKey[]): string {
  const list = columns.join(', ')
  const concurrent = stored.map((part) => `CREATE INDEX CONCURRENTLY ON ${part.table} (${part.columns.join(', ')});`)
  if (kind !== 'p') return concurrent.join('\n')
  const last = `-- quick then, as it takes those of the partitions:\nCREATE INDEX ON ${table} (${list});`
  return [...concurrent, concurrent.length === 0 ? `CREATE INDEX ON ${table} (${list});` : last].join('\n')
}
