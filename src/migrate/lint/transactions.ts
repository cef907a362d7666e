/** Rules about what one transaction does together. */
import { controlsTransaction, leavesTransaction } from '../files/script.ts'
import { child, children, relationName, text, walk } from '../files/parse-tree.ts'
import type { Body } from './body.ts'
import { manualPage, type Rule } from './rule.ts'

const exclusiveWithData: Rule = {
  name: 'exclusive-lock-with-data-change',
  why:
    'holds the lock on the altered table until the file commits: all reads and writes of it are blocked while the rows ' +
    'change',
  instead: '-- put the data change into a migration of its own, or run it in batches outside of migrations',
  manual: `${manualPage}explicit-locking.html#LOCKING-TABLES`,
  check: (body, context) => {
    const locked = context.history.lockedTables
    if (locked.length === 0 || !context.transactional) return []
    return changes(body)
      .filter(({ table }) => !context.history.isNew(table))
      .map(({ table }) => `rows of ${table} change while ${locked.join(', ')} is locked`)
  },
}

const manyTables: Rule = {
  name: 'many-exclusive-locks',
  why:
    'locks one table after the other against all use and holds the locks until the file commits: a deadlock with any ' +
    'transaction that uses the tables in another order',
  instead: '-- one migration for each table',
  manual: `${manualPage}explicit-locking.html#LOCKING-DEADLOCKS`,
  check: (body, context) => {
    if (!context.transactional) return []
    const earlier = context.history.lockedTables
    const added = context.history.locks(body).filter((table) => !earlier.includes(table))
    return earlier.length > 0 ? added.map((table) => `${table} is locked while ${earlier.join(', ')} is`) : []
  },
}

const everyRow: Rule = {
  name: 'change-every-row',
  why: 'locks every row until the file commits, and doubles the size of the table until vacuum has caught up',
  instead:
    '-- in batches of some thousand rows, each in its own transaction:\n' +
    'UPDATE t SET c = 0 WHERE id BETWEEN 1 AND 5000;',
  manual: `${manualPage}sql-update.html`,
  check: (body, { history }) =>
    changes(body)
      .filter(({ kind, table, whole }) => kind !== 'InsertStmt' && whole && !history.isNew(table))
      .map(({ kind, table }) => `${kind.replace('Stmt', '').toUpperCase()} of every row of ${table}`),
}

const lockTable: Rule = {
  name: 'lock-table',
  why: 'holds the lock until the file commits, even if later statements do not need it',
  instead: '-- remove it: each statement takes the lock it needs',
  manual: `${manualPage}sql-lock.html`,
  check: ({ kind, node }, { history }) =>
    kind === 'LockStmt'
      ? children(node, 'relations')
          .map((item) => relationName(child(item, 'RangeVar')))
          .filter((table) => !history.isNew(table))
          .map((table) => `table ${table}`)
      : [],
}

const transactionControl: Rule = {
  name: 'transaction-control',
  why: 'the migrator runs each file in a transaction of its own, so BEGIN or COMMIT in it is refused',
  instead: '-- remove it, or begin the file with `-- rivulet:no-transaction`',
  manual: `${manualPage}sql-commit.html`,
  check: ({ kind, node }, { statements }) =>
    controlsTransaction({ [kind]: node }) && !leavesTransaction(statements)
      ? [text(node.kind).replace('TRANS_STMT_', '')]
      : [],
}

const commitInFile: Rule = {
  name: 'commit-leaves-transaction',
  why:
    'ends the transaction of the file: what comes before COMMIT stays when the rest fails. Rivulet resumes after it; ' +
    "Drizzle's migrate() starts the file again and fails on what already exists",
  instead:
    '-- two migrations: one with what comes before COMMIT, and one with nothing but\n' +
    'CREATE INDEX CONCURRENTLY i ON t (c); -- which runs without a transaction by itself',
  manual: `${manualPage}sql-commit.html`,
  check: ({ kind, node }, { statements }) =>
    controlsTransaction({ [kind]: node }) && leavesTransaction(statements) && node.kind === 'TRANS_STMT_COMMIT'
      ? ['COMMIT leaves the transaction in the middle of the file']
      : [],
}

const newEnumValue: Rule = {
  name: 'enum-value-used-at-once',
  why: 'a value added to an enum cannot be used in the same transaction: the file fails (55P04)',
  instead: "ALTER TYPE status ADD VALUE 'late'; -- alone; use the value from the next migration on",
  manual: `${manualPage}sql-altertype.html`,
  check: ({ kind, node }, context) => {
    const value = text(node.newVal)
    if (kind !== 'AlterEnumStmt' || value === '' || text(node.oldVal) !== '' || !context.transactional) return []
    const used = context.statements.slice(context.index + 1).some((statement) => mentions(statement.tree, value))
    return used ? [`the new value '${value}' is used in the same file`] : []
  },
}

/** The rules about transactions. */
export const transactionRules: readonly Rule[] = [
  exclusiveWithData,
  manyTables,
  everyRow,
  lockTable,
  transactionControl,
  commitInFile,
  newEnumValue,
]

interface Change {
  readonly kind: string
  readonly table: string
  /** True when no condition spares any row. */
  readonly whole: boolean
}

/** The changes of rows in a statement, those in its WITH clause included. */
function changes({ kind, node }: Body): readonly Change[] {
  const found: Change[] = []
  walk({ [kind]: node }, (kind, node) => {
    if (!['UpdateStmt', 'DeleteStmt', 'InsertStmt', 'MergeStmt'].includes(kind)) return
    const condition = child(node, 'whereClause')
    const always = child(condition, 'A_Const', 'boolval')?.boolval === true
    found.push({ kind, table: relationName(child(node, 'relation')), whole: condition === undefined || always })
  })
  return found
}

function mentions(tree: unknown, value: string): boolean {
  let found = false
  walk(tree, (kind, node) => {
    if (kind === 'sval' && node.sval === value) found = true
  })
  return found
}
