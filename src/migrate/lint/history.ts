/**
 * What the statements so far tell about the schema: which tables this file has made (they are empty, so changes to them
 * are safe), the types of columns, and which NOT NULL checks are validated.
 */
import { child, children, dotted, plainName, relationName, text, type Tree, walk } from '../files/parse-tree.ts'
import { allCommands, type Body } from './body.ts'

/** ALTER TABLE commands whose lock lets others read and write. */
const gentle = new Set([
  'AT_ValidateConstraint',
  'AT_SetStatistics',
  'AT_AttachPartition',
  'AT_ClusterOn',
  'AT_DropCluster',
])

/** A column's type, as far as it matters for widening. */
export interface ColumnType {
  /** Without `pg_catalog.`, such as varchar or int4. */
  readonly name: string
  /** Length, or precision and scale. */
  readonly modifiers: readonly number[]
  readonly array: boolean
}

/** What is known of one table. */
class Table {
  readonly types = new Map<string, ColumnType>()
  readonly primaryKeys = new Set<string>()
  /** Constraint -> column, for checks that are only IS NOT NULL. */
  readonly checks = new Map<string, string>()
  /** Of those, the validated ones. */
  readonly proven = new Map<string, string>()
  /** Constraints added NOT VALID in the present file. */
  readonly unvalidated = new Set<string>()
}

export class History {
  readonly #new = new Set<string>()
  /** Every table that a file has mentioned, under its present name. */
  readonly #tables = new Map<string, Table>()
  /** Tables that a file has made: IF NOT EXISTS does not make them again. */
  readonly #known = new Set<string>()
  /** Tables that the present file has locked against all use. */
  readonly #locked = new Set<string>()
  /** New name -> old name of the tables that the present file has renamed. */
  readonly #renamed = new Map<string, string>()

  /** Begins the next file: tables that were made before it may have rows by now. */
  nextFile(): void {
    this.#new.clear()
    for (const { unvalidated } of this.#tables.values()) unvalidated.clear()
    this.#renamed.clear()
    this.#locked.clear()
  }

  /** True when the present file has made the table, or the view, type, function, sequence or index. */
  isNew(table: string): boolean {
    return this.#new.has(table)
  }

  /** What the table was called before the present file. */
  original(table: string): string {
    return this.#renamed.get(table) ?? table
  }

  /** Tables that may have rows and that the present file has locked against all use so far. */
  get lockedTables(): readonly string[] {
    return [...this.#locked]
  }

  /** Tables that may have rows and that a statement locks against all use. */
  locks(body: Body): readonly string[] {
    const renamed = body.kind === 'RenameStmt' ? relationName(child(body.node, 'relation')) : ''
    const altered = (body.node.objtype === 'OBJECT_TABLE' ? allCommands(body) : [])
      // ADD FOREIGN KEY takes SHARE ROW EXCLUSIVE: reads go on.
      .filter(({ definition }) => child(definition, 'Constraint')?.contype !== 'CONSTR_FOREIGN')
      .filter(({ subtype }) => !gentle.has(subtype))
      .map(({ table }) => table)
    const tables = [renamed, ...altered].filter((table) => table !== '' && !this.isNew(table))
    return [...new Set(tables.map((table) => this.original(table)))]
  }

  /** The type of a column, when some file told it. */
  typeOf(table: string, column: string): ColumnType | undefined {
    return this.#tables.get(table)?.types.get(column)
  }

  /** True when a validated check says that the column has no nulls. */
  provenNotNull(table: string, column: string): boolean {
    return [...(this.#tables.get(table)?.proven.values() ?? [])].includes(column)
  }

  /** True when the constraint is the table's primary key, by the files or by PostgreSQL's way of naming it. */
  isPrimaryKey(table: string, constraint: string): boolean {
    const named = this.#tables.get(table)?.primaryKeys.has(constraint) ?? false
    return named || constraint === `${table.split('.').at(-1)}_pkey`
  }

  /** True when the present file has added the constraint NOT VALID. */
  addedUnvalidated(table: string, constraint: string): boolean {
    return this.#tables.get(table)?.unvalidated.has(constraint) ?? false
  }

  /** Takes a statement into account, after the rules have seen it. */
  learn(body: Body): void {
    const { kind, node } = body
    for (const table of this.locks(body)) this.#locked.add(table)
    if (kind === 'CreateStmt') this.#create(node)
    else if (made(body) !== '') this.#new.add(made(body))
    else if (kind === 'RenameStmt') this.#rename(node)
    else if (kind === 'AlterObjectSchemaStmt' && node.objectType === 'OBJECT_TABLE') this.#move(node)
    else if (kind === 'AlterTableStmt') this.#alter(body)
    else if (kind === 'DropStmt' && node.removeType === 'OBJECT_TABLE') this.#drop(node)
  }

  #table(name: string): Table {
    const table = this.#tables.get(name) ?? new Table()
    this.#tables.set(name, table)
    return table
  }

  #create(node: Tree): void {
    const name = relationName(child(node, 'relation'))
    if (node.if_not_exists === true && this.#known.has(name)) return
    this.#new.add(name)
    this.#known.add(name)
    this.#tables.delete(name)
    const table = this.#table(name)
    for (const element of children(node, 'tableElts')) {
      learnColumn(table, child(element, 'ColumnDef'))
      learnPrimaryKey(table, child(element, 'Constraint'))
    }
  }

  #drop(node: Tree): void {
    for (const item of children(node, 'objects')) {
      const name = plainName(children(child(item, 'List'), 'items'))
      this.#tables.delete(name)
      this.#known.delete(name)
    }
  }

  #rename(node: Tree): void {
    const name = relationName(child(node, 'relation'))
    const [from, to] = [text(node.subname), text(node.newname)]
    const table = this.#tables.get(name)
    if (node.renameType === 'OBJECT_TABLE') this.#follow(name, [...name.split('.').slice(0, -1), to].join('.'))
    if (!table) return
    if (node.renameType === 'OBJECT_COLUMN') {
      renameKey(table.types, from, to)
      for (const columns of [table.checks, table.proven]) {
        for (const [constraint, column] of columns) if (column === from) columns.set(constraint, to)
      }
    }
    if (node.renameType === 'OBJECT_TABCONSTRAINT') {
      renameKey(table.checks, from, to)
      renameKey(table.proven, from, to)
      for (const names of [table.primaryKeys, table.unvalidated]) if (names.delete(from)) names.add(to)
    }
  }

  #move(node: Tree): void {
    const name = relationName(child(node, 'relation'))
    const schema = text(node.newschema)
    const bare = name.split('.').at(-1) ?? ''
    this.#follow(name, schema === 'public' ? bare : `${schema}.${bare}`)
  }

  /** Renames `from` to `to` in everything that is known. */
  #follow(from: string, to: string): void {
    if (this.#new.has(from)) this.#new.add(to)
    else this.#renamed.set(to, this.original(from))
    if (this.#known.delete(from)) this.#known.add(to)
    renameKey(this.#tables, from, to)
  }

  #alter(body: Body): void {
    for (const { table: tableName, subtype, name, definition } of allCommands(body)) {
      const table = this.#table(tableName)
      if (subtype === 'AT_AddColumn') learnColumn(table, child(definition, 'ColumnDef'))
      if (subtype === 'AT_AlterColumnType') {
        table.types.set(name, typeOf(child(definition, 'ColumnDef', 'typeName')))
      }
      if (subtype === 'AT_DropColumn') {
        table.types.delete(name)
        for (const columns of [table.checks, table.proven]) {
          for (const [constraint, column] of columns) if (column === name) columns.delete(constraint)
        }
      }
      if (subtype === 'AT_AddConstraint') learnConstraint(table, child(definition, 'Constraint'))
      if (subtype === 'AT_ValidateConstraint') {
        const column = table.checks.get(name)
        if (column !== undefined) table.proven.set(name, column)
      }
      if (subtype === 'AT_DropConstraint') {
        table.checks.delete(name)
        table.proven.delete(name)
      }
    }
  }
}

function learnColumn(table: Table, column: Tree | undefined): void {
  if (!column) return
  table.types.set(text(column.colname), typeOf(child(column, 'typeName')))
  for (const constraint of children(column, 'constraints')) learnPrimaryKey(table, child(constraint, 'Constraint'))
}

function learnPrimaryKey(table: Table, constraint: Tree | undefined): void {
  const name = text(constraint?.conname)
  if (constraint?.contype === 'CONSTR_PRIMARY' && name !== '') table.primaryKeys.add(name)
}

function learnConstraint(table: Table, constraint: Tree | undefined): void {
  const name = text(constraint?.conname)
  learnPrimaryKey(table, constraint)
  const valid = constraint?.skip_validation !== true
  if (!valid) table.unvalidated.add(name)
  const test = child(constraint, 'raw_expr', 'NullTest')
  if (constraint?.contype !== 'CONSTR_CHECK' || test?.nulltesttype !== 'IS_NOT_NULL') return
  const column =
    dotted(children(child(test, 'arg', 'ColumnRef'), 'fields'))
      .split('.')
      .at(-1) ?? ''
  table.checks.set(name, column)
  if (valid) table.proven.set(name, column)
}

function renameKey<T>(map: Map<string, T>, from: string, to: string): void {
  const value = map.get(from)
  if (value === undefined || from === to) return
  map.delete(from)
  map.set(to, value)
}

/** The object that a statement makes, other than a table; '' for none, and for one that it may only replace. */
function made({ kind, node }: Body): string {
  if (node.replace === true || node.if_not_exists === true) return ''
  switch (kind) {
    case 'CreateTableAsStmt':
      return relationName(child(node, 'into', 'rel'))
    case 'SelectStmt':
      return relationName(child(node, 'intoClause', 'rel'))
    case 'ViewStmt':
      return relationName(child(node, 'view'))
    case 'CreateSeqStmt':
      return relationName(child(node, 'sequence'))
    case 'IndexStmt': {
      const schema = text(child(node, 'relation')?.schemaname)
      const name = text(node.idxname)
      return schema === '' || schema === 'public' || name === '' ? name : `${schema}.${name}`
    }
    case 'CreateEnumStmt':
      return plainName(children(node, 'typeName'))
    case 'CreateDomainStmt':
      return plainName(children(node, 'domainname'))
    case 'CompositeTypeStmt':
      return relationName(child(node, 'typevar'))
    case 'CreateFunctionStmt':
      return plainName(children(node, 'funcname'))
    default:
      return ''
  }
}

/** Reads a TypeName. */
export function typeOf(typeName: Tree | undefined): ColumnType {
  const modifiers: number[] = []
  walk(children(typeName, 'typmods'), (kind, node) => {
    if (kind === 'ival') modifiers.push(Number(node.ival ?? 0))
  })
  const name = dotted(children(typeName, 'names')).replace(/^pg_catalog\./, '')
  return { name, modifiers, array: children(typeName, 'arrayBounds').length > 0 }
}
