/**
 * What a lint rule is, and what it may ask about the file and everything before it. A rule is one plain object; it
 * reads one statement and names the objects that it endangers. Ideas: squawk, strong_migrations, and the manual's lock
 * table,
 * https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
 */
import type { Statement } from '../files/script.ts'
import { child, children, relationName, text, type Tree } from '../files/parse-tree.ts'
import { allCommands, type Body, type TableCommand } from './body.ts'
import type { History } from './history.ts'

/** One danger, how to see it in a parse tree, and the way around it. */
export interface LintRule {
  readonly name: string
  /** What it locks or breaks, and for how long. */
  readonly why: string
  /** The safe way, in SQL. */
  readonly instead: string
  /** The page of PostgreSQL's manual. */
  readonly manual: string
}

/** How the danger shows in a parse tree. */
export interface Rule extends LintRule {
  /** The objects that the statement endangers, in words; none when it is safe. */
  readonly check: (body: Body, context: Context) => readonly string[]
}

/** The context of the statement. */
export interface Context {
  readonly statements: readonly Statement[]
  /** The index of this statement among them, from 0. */
  readonly index: number
  readonly transactional: boolean
  /** The schema, as far as earlier files and earlier statements of this file tell it. */
  readonly history: History
}

export const manualPage = 'https://www.postgresql.org/docs/current/'

/**
 * The commands of an ALTER TABLE, except on tables made in the same file: those are empty, and nothing waits for them.
 */
export function commandsOn(body: Body, { history }: Pick<Context, 'history'>): readonly TableCommand[] {
  if (body.kind !== 'AlterTableStmt' || body.node.objtype !== 'OBJECT_TABLE') return []
  const table = relationName(child(body.node, 'relation'))
  if (history.isNew(table)) return []
  return allCommands(body)
}

/** A constraint, whether it came with ADD CONSTRAINT or on an added column. */
export interface AddedConstraint {
  readonly table: string
  readonly column: string | undefined
  readonly node: Tree
}

/** The constraints that a statement adds to tables that may hold rows. */
export function constraintsOn(body: Body, context: Context): readonly AddedConstraint[] {
  return commandsOn(body, context).flatMap(({ table, subtype, definition }): AddedConstraint[] => {
    if (subtype === 'AT_AddConstraint')
      return [{ table, column: undefined, node: child(definition, 'Constraint') ?? {} }]
    if (subtype !== 'AT_AddColumn') return []
    const column = child(definition, 'ColumnDef')
    return children(column, 'constraints').map((constraint) => ({
      table,
      column: text(column?.colname),
      node: child(constraint, 'Constraint') ?? {},
    }))
  })
}

/** The columns that a statement adds to tables that may hold rows. */
export function columnsAdded(body: Body, context: Context) {
  return commandsOn(body, context)
    .filter(({ subtype }) => subtype === 'AT_AddColumn')
    .map(({ table, definition }) => {
      const column = child(definition, 'ColumnDef')
      const constraints = children(column, 'constraints').map((node) => child(node, 'Constraint') ?? {})
      const find = (contype: string) => constraints.find((constraint) => constraint.contype === contype)
      return { table, name: text(column?.colname), type: child(column, 'typeName'), find }
    })
}
