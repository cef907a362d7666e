/**
 * What the statements so far tell about the schema: which tables this file itself has made (they are empty, so nothing
 * done to them can hurt), what type a column has, and which NOT NULL checks are validated.
 */
import { child, children, dotted, plainName, relationName, text, type Tree, walk } from '../tree.ts'
import { allCommands, type Body } from './body.ts'

/** ALTER TABLE commands that make do with a lock that lets others read and write. */
const gentle = new Set([
  'AT_ValidateConstraint',
  'AT_SetStatistics',
  'AT_AttachPartition',
  'AT_ClusterOn',
  'AT_DropCluster',
])

/** A column's type as far as widening it is concerned. */
export interface ColumnType {
  /** Without `pg_catalog.`, such as varchar or int4. */
  readonly name: string
  /** Length, or precision and scale. */
  readonly modifiers: readonly number[]
  readonly array: boolean
}

export class History {
  readonly #new = new Set<string>()
  /** Tables that some file has made: IF NOT EXISTS does not make them again. */
  readonly #known = new Set<string>()
  /** `table.constraint` of primary keys. */
  readonly #primaryKeys = new Set<string>()
  readonly #types = new Map<string, ColumnType>()
  /** `table.constraint` -> `table.column` for checks that say IS NOT NULL and no more. */
  readonly #checks = new Map<string, string>()
  /** Of those, the validated ones. */
  readonly #proven = new Map<string, string>()
  /** `table.constraint` of those added NOT VALID in the present file. */
  readonly #unvalidated = new Set<string>()
  /** Tables that the present file has locked against everybody. */
  readonly #locked = new Set<string>()
  /** New name -> old name of the tables that the present file has renamed. */
  readonly #renamed = new Map<string, string>()

  /** Begins the next file: what was made before it may hold rows by now. */
  nextFile(): void {
    this.#new.clear()
    this.#unvalidated.clear()
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

  /** The tables, of those that may hold rows, that the present file has locked against everybody so far. */
  get lockedTables(): readonly string[] {
    return [...this.#locked]
  }

  /** The tables, of those that may hold rows, that a statement locks against everybody. */
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
    return this.#types.get(`${table}.${column}`)
  }

  /** True when a validated check says that the column has no nulls. */
  provenNotNull(table: string, column: string): boolean {
    return [...this.#proven.values()].includes(`${table}.${column}`)
  }

  /** True when the constraint is the table's primary key, as far as files or PostgreSQL's way of naming it tell. */
  isPrimaryKey(table: string, constraint: string): boolean {
    return this.#primaryKeys.has(`${table}.${constraint}`) || constraint === `${table.split('.').at(-1)}_pkey`
  }

  /** True when the present file has added the constraint NOT VALID. */
  addedUnvalidated(table: string, constraint: string): boolean {
    return this.#unvalidated.has(`${table}.${constraint}`)
  }

  /** Takes a statement into account, after the rules have seen it. */
  learn(body: Body): void {
    const { kind, node } = body
    for (const table of this.locks(body)) this.#locked.add(table)
    if (kind === 'CreateStmt') this.#create(node)
    else if (made(body) !== '') this.#new.add(made(body))
    else if (kind === 'RenameStmt' && node.renameType === 'OBJECT_TABLE') this.#rename(node)
    else if (kind === 'AlterTableStmt') this.#alter(body)
  }

  #create(node: Tree): void {
    const table = relationName(child(node, 'relation'))
    if (node.if_not_exists === true && this.#known.has(table)) return
    this.#new.add(table)
    this.#known.add(table)
    for (const element of children(node, 'tableElts')) {
      this.#column(table, child(element, 'ColumnDef'))
      this.#primaryKey(table, child(element, 'Constraint'))
    }
  }

  #rename(node: Tree): void {
    const table = relationName(child(node, 'relation'))
    if (this.#new.has(table)) this.#new.add(text(node.newname))
    else this.#renamed.set(text(node.newname), this.original(table))
  }

  #alter(body: Body): void {
    for (const { table, subtype, name, definition } of allCommands(body)) {
      if (subtype === 'AT_AddColumn') this.#column(table, child(definition, 'ColumnDef'))
      if (subtype === 'AT_AlterColumnType') {
        this.#types.set(`${table}.${name}`, typeOf(child(definition, 'ColumnDef', 'typeName')))
      }
      if (subtype === 'AT_AddConstraint') this.#constraint(table, child(definition, 'Constraint'))
      if (subtype === 'AT_ValidateConstraint') {
        const column = this.#checks.get(`${table}.${name}`)
        if (column !== undefined) this.#proven.set(`${table}.${name}`, column)
      }
      if (subtype === 'AT_DropConstraint') {
        this.#checks.delete(`${table}.${name}`)
        this.#proven.delete(`${table}.${name}`)
      }
    }
  }

  #column(table: string, column: Tree | undefined): void {
    if (!column) return
    this.#types.set(`${table}.${text(column.colname)}`, typeOf(child(column, 'typeName')))
    for (const constraint of children(column, 'constraints')) this.#primaryKey(table, child(constraint, 'Constraint'))
  }

  #primaryKey(table: string, constraint: Tree | undefined): void {
    const name = text(constraint?.conname)
    if (constraint?.contype === 'CONSTR_PRIMARY' && name !== '') this.#primaryKeys.add(`${table}.${name}`)
  }

  #constraint(table: string, constraint: Tree | undefined): void {
    const key = `${table}.${text(constraint?.conname)}`
    this.#primaryKey(table, constraint)
    const valid = constraint?.skip_validation !== true
    if (!valid) this.#unvalidated.add(key)
    const test = child(constraint, 'raw_expr', 'NullTest')
    if (constraint?.contype !== 'CONSTR_CHECK' || test?.nulltesttype !== 'IS_NOT_NULL') return
    const names = children(child(test, 'arg', 'ColumnRef'), 'fields')
    const column = `${table}.${dotted(names).split('.').at(-1)}`
    this.#checks.set(key, column)
    if (valid) this.#proven.set(key, column)
  }
}

/** What else than a table a statement makes; '' for none, and for what it may only replace. */
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
