/** Rules about views, types, functions, sequences, and what reaches beyond single objects. */
import type { Statement } from '../files/script.ts'
import { child, children, dropped, plainName, relationName, text } from '../files/parse-tree.ts'
import { manualPage, type Rule } from './rule.ts'

const droppedKinds: Readonly<Record<string, string>> = {
  OBJECT_VIEW: 'view',
  OBJECT_MATVIEW: 'materialized view',
  OBJECT_TYPE: 'type',
  OBJECT_DOMAIN: 'domain',
  OBJECT_FUNCTION: 'function',
  OBJECT_PROCEDURE: 'procedure',
  OBJECT_AGGREGATE: 'aggregate',
  OBJECT_SEQUENCE: 'sequence',
}

const dropObject: Rule = {
  name: 'drop-object',
  why: 'breaks every running instance of the current release that still uses it, until the last one is replaced',
  instead: '-- first release code that no longer uses it; drop it in a migration after that',
  manual: `${manualPage}ddl-depend.html`,
  check: ({ kind, node }, { history, statements, index }) => {
    const what = droppedKinds[text(node.removeType)]
    if (kind !== 'DropStmt' || what === undefined) return []
    return dropped(node)
      .filter((name) => !history.isNew(name) && !statements.slice(index + 1).some((later) => makes(later, name)))
      .map((name) => `${what} ${name} is dropped`)
  },
}

const renamedKinds: Readonly<Record<string, string>> = {
  OBJECT_VIEW: 'view',
  OBJECT_MATVIEW: 'materialized view',
  OBJECT_TYPE: 'type',
  OBJECT_DOMAIN: 'domain',
  OBJECT_ATTRIBUTE: 'attribute of',
  OBJECT_FUNCTION: 'function',
  OBJECT_PROCEDURE: 'procedure',
  OBJECT_SEQUENCE: 'sequence',
  OBJECT_SCHEMA: 'schema',
}

const renameObject: Rule = {
  name: 'rename-object',
  why: 'breaks every running instance of the current release until the last one is replaced',
  instead: '-- make a second one under the new name, switch the users, drop the old one in a later release',
  manual: `${manualPage}ddl-alter.html`,
  check: ({ kind, node }, { history, statements }) => {
    const name = nameOf(node)
    if (history.isNew(name)) return []
    if (kind === 'AlterEnumStmt' && text(node.oldVal) !== '') {
      return [`value '${text(node.oldVal)}' of type ${name} becomes '${text(node.newVal)}'`]
    }
    const what = renamedKinds[text(node.renameType)]
    if (kind !== 'RenameStmt' || what === undefined) return []
    const old = text(node.renameType) === 'OBJECT_SCHEMA' ? text(node.subname) : name
    const bridged = statements.some((statement) => makes(statement, old))
    return bridged ? [] : [`${what} ${old} becomes ${text(node.newname)}`]
  },
}

const setSchema: Rule = {
  name: 'set-schema',
  why: 'breaks at once all code that names the old schema, or whose search_path lacks the new one',
  instead:
    'ALTER TABLE t SET SCHEMA s;\nCREATE VIEW public.t AS SELECT * FROM s.t; -- in the same file; drop it in a later release',
  manual: `${manualPage}sql-altertable.html#SQL-ALTERTABLE-DESC-SET-SCHEMA`,
  check: ({ kind, node }, { history, statements }) => {
    const name = nameOf(node)
    if (kind !== 'AlterObjectSchemaStmt' || history.isNew(name)) return []
    return statements.some((statement) => makes(statement, name))
      ? []
      : [`${name} moves to schema ${text(node.newschema)}`]
  },
}

const dropWholesale: Rule = {
  name: 'drop-wholesale',
  why: 'drops more than it names: all that a role owns, all that an extension made, or a database; the data is lost',
  instead: '-- drop the objects by name, each when no release uses it any more',
  manual: `${manualPage}sql-drop-owned.html`,
  check: ({ kind, node }) => {
    if (kind === 'DropOwnedStmt') return ['all that the roles own is dropped']
    if (kind === 'DropdbStmt') return [`database ${text(node.dbname)} is dropped`]
    const extension = kind === 'DropStmt' && node.removeType === 'OBJECT_EXTENSION'
    return extension ? dropped(node).map((name) => `extension ${name} is dropped`) : []
  },
}

/** The rules about other objects than tables. */
export const objectRules: readonly Rule[] = [dropObject, renameObject, setSchema, dropWholesale]

/** The object that an ALTER statement names. */
function nameOf(node: Parameters<Rule['check']>[0]['node']): string {
  const relation = relationName(child(node, 'relation'))
  if (relation !== '') return relation
  const object = child(node, 'object')
  return (dropped({ objects: object ? [object] : [] })[0] ?? '') || plainName(children(node, 'typeName'))
}

/** True when the statement makes a view, type, function or sequence of this name. */
function makes({ tree }: Statement, name: string): boolean {
  return [
    relationName(child(tree, 'ViewStmt', 'view')),
    relationName(child(tree, 'CreateTableAsStmt', 'into', 'rel')),
    relationName(child(tree, 'CreateSeqStmt', 'sequence')),
    plainName(children(child(tree, 'CreateEnumStmt'), 'typeName')),
    plainName(children(child(tree, 'CreateFunctionStmt'), 'funcname')),
  ].includes(name)
}
