/** A statement's parse tree in the form that lint rules read. */
import type { Statement } from '../files/script.ts'
import { child, children, nodeKind, relationName, text, type Tree } from '../files/parse-tree.ts'

/** A statement as rules see it. */
export interface Body {
  /** Such as `AlterTableStmt`. */
  readonly kind: string
  readonly node: Tree
}

/** One command of an ALTER TABLE. */
export interface TableCommand {
  readonly table: string
  readonly subtype: string
  /** The column or constraint it names. */
  readonly name: string
  readonly definition: Tree | undefined
}

/** The parse tree as kind and contents; undefined when the parser refused the text. */
export function bodyOf({ tree }: Statement): Body | undefined {
  const kind = nodeKind(tree)
  const node = child(tree, kind)
  return node && { kind, node }
}

/** The commands of an ALTER TABLE of any table. */
export function allCommands(body: Body): readonly TableCommand[] {
  if (body.kind !== 'AlterTableStmt') return []
  const table = relationName(child(body.node, 'relation'))
  return children(body.node, 'cmds').map((item) => {
    const command = child(item, 'AlterTableCmd')
    const definition = child(command, 'def')
    return { table, subtype: text(command?.subtype), name: text(command?.name), definition }
  })
}
