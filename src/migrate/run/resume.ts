/**
 * What an interrupted statement that cannot run in a transaction left behind, and whether it still has to run. CREATE
 * INDEX CONCURRENTLY leaves an invalid index that slows every write and serves no read, and IF NOT EXISTS would skip it
 * for ever.
 * https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
 */
import { MigrationRefused } from '../../errors.ts'
import type { Connection } from '../../pool/connection.ts'
import { child, children, nodeKind, text, type Tree } from '../files/parse-tree.ts'
import { quotedName } from '../../values/quoting.ts'

/**
 * Cleans up what an interrupted run of `tree` left, and returns true when the statement need not run any more.
 * `wasRunning` says that an earlier run began it without recording its end. @throws MigrationRefused while another
 * session builds the same index.
 */
export async function resumeStatement(
  connection: Connection,
  tree: Tree | undefined,
  wasRunning: boolean,
  onDropped: (index: string) => void,
): Promise<boolean> {
  const body = child(tree, nodeKind(tree)) ?? {}
  switch (nodeKind(tree)) {
    case 'IndexStmt':
      return resumeIndex(connection, body, wasRunning, onDropped)
    case 'ReindexStmt':
      if (wasRunning) await dropRebuilt(connection, body, onDropped)
      return false
    case 'DropStmt':
      return wasRunning && !(await exists(connection, body))
    case 'AlterTableStmt':
      return wasRunning && (await resumeDetach(connection, body))
    case 'CreatedbStmt':
    case 'DropdbStmt': {
      const [row] = (await connection.query(
        'select exists (select from pg_catalog.pg_database where datname = $1) as there',
        [text(body.dbname)],
      )) as unknown as { there: boolean }[]
      return wasRunning && row?.there === (nodeKind(tree) === 'CreatedbStmt')
    }
    default:
      return false
  }
}

/** An invalid index, with its qualified name. */
export interface InvalidIndex {
  readonly name: string
  readonly table: string
}

/** The invalid indexes of the database that are not being built at this moment. */
export async function findInvalidIndexes(connection: Connection): Promise<readonly InvalidIndex[]> {
  const rows = await connection.query(
    `select format('%I.%I', n.nspname, c.relname) as name, i.indrelid::regclass::text as "table"
     from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where not i.indisvalid and c.relkind = 'i' and n.nspname not in ('pg_catalog', 'pg_toast')
       and not exists (select from pg_catalog.pg_stat_progress_create_index p where p.index_relid = i.indexrelid)
     order by 1`,
    [],
  )
  return rows as unknown as InvalidIndex[]
}

async function resumeIndex(
  connection: Connection,
  body: Tree,
  wasRunning: boolean,
  onDropped: (index: string) => void,
): Promise<boolean> {
  const rows = await connection.query(
    `select i.indisvalid as valid, format('%I.%I', n.nspname, c.relname) as name,
       (select p.pid from pg_catalog.pg_stat_progress_create_index p where p.index_relid = i.indexrelid) as builder
     from pg_catalog.pg_class t join pg_catalog.pg_index i on i.indrelid = t.oid
     join pg_catalog.pg_class c on c.oid = i.indexrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.relname = $1 and t.oid = to_regclass($2)`,
    [text(body.idxname), nameOf(child(body, 'relation'))],
  )
  const index = rows[0] as { valid: boolean; name: string; builder: number | null } | undefined
  if (!index) return false
  if (index.valid) return wasRunning
  if (index.builder !== null) {
    throw new MigrationRefused(
      'locked',
      `backend ${index.builder} is still building the index ${index.name}: wait until it is done, then run this again`,
    )
  }
  await connection.script(`drop index concurrently ${index.name}`)
  onDropped(index.name)
  return false
}

/** REINDEX CONCURRENTLY builds each index again as `…_ccnew`, which stays behind, invalid, when it is interrupted. */
async function dropRebuilt(connection: Connection, body: Tree, onDropped: (index: string) => void): Promise<void> {
  const rows = (await connection.query(
    `select format('%I.%I', n.nspname, c.relname) as name
     from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where not i.indisvalid and c.relname ~ '_cc(new|old)[0-9]*$'
       and (i.indrelid = to_regclass($1)
         or i.indrelid = (select indrelid from pg_catalog.pg_index where indexrelid = to_regclass($1)))
       and not exists (select from pg_catalog.pg_stat_progress_create_index p where p.index_relid = i.indexrelid)`,
    [nameOf(child(body, 'relation'))],
  )) as unknown as { name: string }[]
  for (const { name } of rows) {
    await connection.script(`drop index concurrently ${name}`)
    onDropped(name)
  }
}

async function exists(connection: Connection, body: Tree): Promise<boolean> {
  const items = children(child(children(body, 'objects')[0], 'List'), 'items')
  const name = items.map((item) => quotedName(text(child(item, 'String')?.sval))).join('.')
  const [row] = (await connection.query('select to_regclass($1) is not null as there', [name])) as unknown as {
    there: boolean
  }[]
  return row?.there ?? false
}

/** DETACH PARTITION CONCURRENTLY is not begun, or pending and to be finalised, or done. */
async function resumeDetach(connection: Connection, body: Tree): Promise<boolean> {
  const parent = nameOf(child(body, 'relation'))
  const partition = nameOf(child(children(body, 'cmds')[0], 'AlterTableCmd', 'def', 'PartitionCmd', 'name'))
  const rows = await connection.query(
    `select inhdetachpending as pending from pg_catalog.pg_inherits
     where inhrelid = to_regclass($1) and inhparent = to_regclass($2)`,
    [partition, parent],
  )
  const link = rows[0] as { pending: boolean } | undefined
  if (link?.pending) await connection.script(`alter table ${parent} detach partition ${partition} finalize`)
  return link === undefined || link.pending
}

/** A RangeVar as to_regclass() reads it: quotedName, and resolved by search_path when it names no schema. */
function nameOf(relation: Tree | undefined): string {
  return [text(relation?.schemaname), text(relation?.relname)].filter(Boolean).map(quotedName).join('.')
}
