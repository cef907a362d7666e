/**
 * The steps of a script that lose data, described for a person to confirm. It names one too many rather than one too
 * few.
 */
import type { Script } from './script.ts'
import { child, children, dropped, nodeKind, relationName, text, type Tree, walk } from './parse-tree.ts'

/** One of them. */
export interface DestructiveStep {
  readonly line: number
  readonly step: string
}

const droppedKinds: Readonly<Record<string, string>> = {
  OBJECT_TABLE: 'table',
  OBJECT_FOREIGN_TABLE: 'foreign table',
  OBJECT_SCHEMA: 'schema',
  OBJECT_TYPE: 'type',
  OBJECT_DOMAIN: 'domain',
  OBJECT_SEQUENCE: 'sequence',
  OBJECT_MATVIEW: 'materialized view',
  OBJECT_EXTENSION: 'extension',
}

/** The steps that lose data. */
export function destructiveSteps({ statements }: Script): readonly DestructiveStep[] {
  return statements.flatMap(({ tree, text: source, line }) => {
    const steps = new Set<string>()
    if (tree === undefined) steps.add('is SQL that the parser does not know, so it may lose data')
    // Not only the statement: a WITH clause may have a DELETE too.
    walk(tree, (kind, node) => {
      for (const step of stepsOf(kind, node)) steps.add(step)
    })
    const code = nodeKind(tree) === 'DoStmt' ? /\b(?:drop|delete|truncate|update|merge|execute|call)\b/gi : undefined
    const words = new Set((code ? (source.match(code) ?? []) : []).map((word) => word.toUpperCase()))
    if (words.size > 0) steps.add(`runs a DO block that holds ${[...words].join(', ')}`)
    if (nodeKind(tree) === 'CallStmt') steps.add('calls a procedure')
    return [...steps].map((step) => ({ line, step }))
  })
}

function stepsOf(kind: string, node: Tree): readonly string[] {
  const table = relationName(child(node, 'relation'))
  switch (kind) {
    case 'DropStmt': {
      const what = droppedKinds[text(node.removeType)] ?? (node.behavior === 'DROP_CASCADE' ? 'with CASCADE' : '')
      return what === '' ? [] : dropped(node).map((name) => `drops ${what} ${name}`)
    }
    case 'DropdbStmt':
      return [`drops database ${text(node.dbname)}`]
    case 'DropOwnedStmt':
      return ['drops everything that its roles own']
    case 'DropTableSpaceStmt':
      return [`drops tablespace ${text(node.tablespacename)}`]
    case 'TruncateStmt':
      return children(node, 'relations').map((item) => `empties table ${relationName(child(item, 'RangeVar'))}`)
    case 'DeleteStmt':
      return [`deletes rows of ${table}`]
    case 'UpdateStmt':
    case 'MergeStmt':
      return [`changes rows of ${table}`]
    case 'AlterTableStmt':
      return children(node, 'cmds').flatMap((item) => {
        const command = child(item, 'AlterTableCmd')
        if (command?.subtype === 'AT_DropColumn') return [`drops column ${text(command.name)} of ${table}`]
        if (command?.subtype !== 'AT_AlterColumnType') return []
        return [`changes the type of ${text(command.name)} of ${table}`]
      })
    default:
      return []
  }
}
