/** Rules about whole tables, views and types. */
import { child, children, dropped, nodeKind, relationName, text, type Tree } from '../files/parse-tree.ts'
import { commandsOn, manualPage, type Rule } from './rule.ts'

const dropTable: Rule = {
  name: 'drop-table',
  why: 'breaks every running instance of the current release that still uses it; the data is lost',
  instead: '-- first release code that no longer has the table; then rename it out of the way, and drop it weeks later',
  manual: `${manualPage}sql-droptable.html`,
  check: ({ kind, node }, { history }) =>
    kind === 'DropStmt' && node.removeType === 'OBJECT_TABLE'
      ? dropped(node)
          .filter((table) => !history.isNew(table))
          .map((table) => `table ${table} is dropped`)
      : [],
}

const dropCascade: Rule = {
  name: 'drop-cascade',
  why: 'also drops everything that depends on it, expected or not: views, foreign keys, policies, columns',
  instead: '-- name every object in a DROP of its own, without CASCADE',
  manual: `${manualPage}ddl-depend.html`,
  check: ({ kind, node }, { history }) => {
    if (kind === 'DropStmt' && node.behavior === 'DROP_CASCADE') {
      return dropped(node)
        .filter((name) => !history.isNew(name))
        .map((name) => `${name} is dropped with CASCADE`)
    }
    if (kind !== 'AlterTableStmt') return []
    return children(node, 'cmds')
      .map((item) => child(item, 'AlterTableCmd'))
      .filter((command) => command?.behavior === 'DROP_CASCADE')
      .map((command) => `${text(command?.name)} of ${relationName(child(node, 'relation'))} is dropped with CASCADE`)
  },
}

const dropSchema: Rule = {
  name: 'drop-schema',
  why: 'also drops what is in it, or fails; the data is lost',
  instead: '-- drop the objects by name first, each when no release uses it any more',
  manual: `${manualPage}sql-dropschema.html`,
  check: ({ kind, node }) =>
    kind === 'DropStmt' && node.removeType === 'OBJECT_SCHEMA'
      ? dropped(node).map((schema) => `schema ${schema} is dropped`)
      : [],
}

const renameTable: Rule = {
  name: 'rename-table',
  why: 'breaks every running instance of the current release until the last one is replaced',
  instead:
    'ALTER TABLE old_name RENAME TO new_name;\n' +
    'CREATE VIEW old_name AS SELECT * FROM new_name; -- in the same file; drop the view in a later release',
  manual: `${manualPage}sql-altertable.html#SQL-ALTERTABLE-DESC-RENAME`,
  check: ({ kind, node }, { history, statements }) => {
    const table = relationName(child(node, 'relation'))
    if (kind !== 'RenameStmt' || node.renameType !== 'OBJECT_TABLE' || history.isNew(table)) return []
    const bridged = statements.some(({ tree }) => relationName(child(tree, 'ViewStmt', 'view')) === table)
    return bridged ? [] : [`table ${table} becomes ${text(node.newname)}`]
  },
}

const attach: Rule = {
  name: 'attach-partition-validates',
  why:
    'reads the whole new partition and the default partition, and blocks all use of them meanwhile (ACCESS ' +
    'EXCLUSIVE), unless a check proves that the rows belong there',
  instead:
    "ALTER TABLE p1 ADD CONSTRAINT p1_bounds CHECK (d >= '2026-01-01' AND d < '2027-01-01') NOT VALID;\n" +
    '-- in the next migration:\nALTER TABLE p1 VALIDATE CONSTRAINT p1_bounds;\n-- then ATTACH PARTITION, in the one after',
  manual: `${manualPage}sql-altertable.html#SQL-ALTERTABLE-ATTACH-PARTITION`,
  check: (body, context) =>
    commandsOn(body, context)
      .filter(({ subtype }) => subtype === 'AT_AttachPartition')
      .map(({ table, definition }) => ({ table, partition: partitionOf(definition) }))
      .filter(({ partition }) => !context.history.isNew(partition))
      .map(({ table, partition }) => `${partition} becomes a partition of ${table}`),
}

const detach: Rule = {
  name: 'detach-partition-not-concurrent',
  why: 'blocks all reads and writes of the whole partitioned table (ACCESS EXCLUSIVE) until the file commits',
  instead: '-- in a file of its own:\nALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;',
  manual: `${manualPage}sql-altertable.html#SQL-ALTERTABLE-DETACH-PARTITION`,
  check: (body, context) =>
    commandsOn(body, context)
      .filter(({ subtype, definition }) => {
        return subtype === 'AT_DetachPartition' && child(definition, 'PartitionCmd')?.concurrent !== true
      })
      .map(({ table, definition }) => `${partitionOf(definition)} leaves ${table}`),
}

const truncate: Rule = {
  name: 'truncate-table',
  why: 'waits for and blocks every reader and writer (ACCESS EXCLUSIVE); the rows are lost',
  instead: '-- DELETE in batches, outside of migrations',
  manual: `${manualPage}sql-truncate.html`,
  check: ({ kind, node }, { history }) =>
    kind === 'TruncateStmt'
      ? children(node, 'relations')
          .map((item) => relationName(child(item, 'RangeVar')))
          .filter((table) => !history.isNew(table))
          .map((table) => `table ${table} is emptied`)
      : [],
}

const rewriting = new Set(['AT_SetLogged', 'AT_SetUnLogged', 'AT_SetTableSpace', 'AT_SetAccessMethod'])

const rewrite: Rule = {
  name: 'rewrite-table',
  why: 'copies the whole table and blocks all reads and writes meanwhile (ACCESS EXCLUSIVE)',
  instead: '-- plain VACUUM does not block; to move or repack a big table, use pg_repack or copy in batches and swap',
  manual: `${manualPage}explicit-locking.html#LOCKING-TABLES`,
  check: (body, context) => {
    const { kind, node } = body
    if (kind === 'ClusterStmt') return [`CLUSTER ${relationName(child(node, 'relation')) || 'of everything'}`]
    const full = children(node, 'options').some((item) => child(item, 'DefElem')?.defname === 'full')
    if (kind === 'VacuumStmt' && full) return ['VACUUM FULL']
    return commandsOn(body, context)
      .filter(({ subtype }) => rewriting.has(subtype))
      .map(({ table, subtype }) => `table ${table}: ${subtype.replace('AT_Set', 'SET ').toUpperCase()}`)
  },
}

const refresh: Rule = {
  name: 'refresh-not-concurrent',
  why: 'blocks all reads of the materialized view until its query has finished (ACCESS EXCLUSIVE)',
  instead: 'REFRESH MATERIALIZED VIEW CONCURRENTLY v; -- needs a unique index on v',
  manual: `${manualPage}sql-refreshmaterializedview.html`,
  check: ({ kind, node }, { history }) => {
    const view = relationName(child(node, 'relation'))
    if (kind !== 'RefreshMatViewStmt' || node.concurrent === true || history.isNew(view)) return []
    return [`materialized view ${view}`]
  },
}

const rowSecurity: Rule = {
  name: 'row-security-without-policy',
  why: 'hides all rows from everyone but the owner until a policy exists: there is no error, only empty results',
  instead:
    'CREATE POLICY p ON t USING (owner = current_user); -- before, or in the same file\nALTER TABLE t ENABLE ROW LEVEL SECURITY;',
  manual: `${manualPage}ddl-rowsecurity.html`,
  check: (body, context) =>
    commandsOn(body, context)
      .filter(({ subtype }) => subtype === 'AT_EnableRowSecurity')
      .filter(({ table }) => !context.statements.some(({ tree }) => policyTable(tree) === table))
      .map(({ table }) => `row level security on ${table}`),
}

/** The rules about tables. */
export const tableRules: readonly Rule[] = [
  dropTable,
  dropCascade,
  dropSchema,
  renameTable,
  attach,
  detach,
  truncate,
  rewrite,
  refresh,
  rowSecurity,
]

function partitionOf(definition: Tree | undefined): string {
  return relationName(child(definition, 'PartitionCmd', 'name'))
}

function policyTable(tree: Parameters<typeof nodeKind>[0]): string | undefined {
  const policy = child(tree, 'CreatePolicyStmt')
  return policy && relationName(child(policy, 'table'))
}
