/** Rules about indexes. */
import { child, children, dropped, relationName, text } from '../files/parse-tree.ts'
import { manualPage, type Rule } from './rule.ts'

const createIndex: Rule = {
  name: 'index-not-concurrent',
  why: 'blocks all writes to the table (SHARE) for as long as the build takes: minutes on millions of rows',
  instead:
    '-- in a file of its own, which then runs without a transaction:\nCREATE INDEX CONCURRENTLY t_c_index ON t (c);',
  manual: `${manualPage}sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY`,
  check: ({ kind, node }, { history }) => {
    const table = relationName(child(node, 'relation'))
    if (kind !== 'IndexStmt' || node.concurrent === true || history.isNew(table)) return []
    return [`index ${text(node.idxname) || '(unnamed)'} on ${table}`]
  },
}

const dropIndex: Rule = {
  name: 'drop-index-not-concurrent',
  why: 'waits for every running query on the table, and meanwhile all others wait behind it (ACCESS EXCLUSIVE)',
  instead: '-- in a file of its own, which then runs without a transaction:\nDROP INDEX CONCURRENTLY t_c_index;',
  manual: `${manualPage}sql-dropindex.html`,
  check: ({ kind, node }, { history }) =>
    kind === 'DropStmt' && node.removeType === 'OBJECT_INDEX' && node.concurrent !== true
      ? dropped(node)
          .filter((name) => !history.isNew(name))
          .map((name) => `index ${name} is dropped`)
      : [],
}

const reindex: Rule = {
  name: 'reindex-not-concurrent',
  why: 'blocks writes to the table, and reads that would use the index, for as long as the build takes',
  instead: '-- in a file of its own:\nREINDEX INDEX CONCURRENTLY t_c_index;',
  manual: `${manualPage}sql-reindex.html#SQL-REINDEX-CONCURRENTLY`,
  check: ({ kind, node }) => {
    const concurrent = children(node, 'params').some((item) => child(item, 'DefElem')?.defname === 'concurrently')
    return kind === 'ReindexStmt' && !concurrent
      ? [relationName(child(node, 'relation')) || text(node.name) || 'everything']
      : []
  },
}

const mixed: Rule = {
  name: 'concurrently-with-others',
  why:
    'the whole file loses its transaction: when a later statement fails, the earlier ones stay, and the next run has ' +
    'to resume in the middle',
  instead: '-- put every CONCURRENTLY statement into a file of its own',
  manual: `${manualPage}sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY`,
  check: ({ kind, node }, { statements }) => {
    if ((kind !== 'IndexStmt' && kind !== 'DropStmt') || node.concurrent !== true) return []
    const others = statements.filter(({ tree }) => {
      const other = child(tree, 'IndexStmt') ?? child(tree, 'DropStmt')
      return other?.concurrent !== true
    })
    if (others.length === 0) return []
    return [`CONCURRENTLY shares its file with ${others.length} other statement${others.length === 1 ? '' : 's'}`]
  },
}

/** The rules about indexes. */
export const indexRules: readonly Rule[] = [createIndex, dropIndex, reindex, mixed]
