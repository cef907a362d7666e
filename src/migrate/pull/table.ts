/** The keys, constraints, indexes and policies of a table as Drizzle declares them, one line each. */
import { sqlTemplate } from './expression.ts'
import { quotedText } from './names.ts'
import { quoteIn } from './quotes.ts'
import type { PulledConstraint, PulledIndex, PulledPolicy, QualifiedName, PulledTable } from './pulled-schema.ts'
import { shownName } from '../../values/quoting.ts'

/** What printing them needs from the rest of the file. */
export interface TableContext {
  readonly use: (name: string) => string
  /** The property of a column of this table. */
  readonly property: (column: string) => string
  /** Another table's constant, and its columns' properties; undefined when it is not in the file. */
  readonly table: (
    name: QualifiedName,
  ) => { readonly constant: string; readonly property: (column: string) => string } | undefined
}

/** A line of the file; with a note if Drizzle cannot declare all of it, or none. */
export interface ExtraLine {
  readonly text: string
  readonly note?: { readonly object: string; readonly reason: string; readonly leftOut: boolean }
}

/** Lines for `(table) => [ … ]`; the primary key of one column is its column's. */
export function printExtras(table: PulledTable, context: TableContext): readonly ExtraLine[] {
  const on = ` on ${shownName(table.schema)}.${shownName(table.name)}`
  return [
    ...table.constraints
      .filter((constraint) => !isColumnKey(constraint))
      .map((constraint) => {
        const object = `constraint ${shownName(constraint.name)}${on}`
        const text = constraintCall(table, constraint, context)
        return text === undefined
          ? leftOut(object, whyLeftOut(constraint), constraint.definition)
          : said(object, text, constraint.lost)
      }),
    ...table.indexes.map((index) => {
      const object = `index ${shownName(index.name)}${on}`
      const reason = index.undeclarable ?? quoteIn(index.name)
      return reason === undefined
        ? said(object, indexCall(index, context), index.lost)
        : leftOut(object, reason, index.definition)
    }),
    ...table.policies.map((policy) => {
      const object = `policy ${shownName(policy.name)}${on}`
      if (!table.rowSecurity)
        return leftOut(object, 'row-level security is off, which Drizzle turns on for a policy', '')
      const quote = quoteIn(policy.name, ...policy.to)
      if (quote !== undefined) return leftOut(object, quote, '')
      return mangled(policy.using ?? '', policy.withCheck ?? '')
        ? leftOut(object, 'a policy whose text drizzle-kit takes apart', '')
        : { text: policyCall(policy, context) }
    }),
  ]
}

function said(object: string, text: string, lost: string | null): ExtraLine {
  if (lost === null) return { text }
  const words = lost.replaceAll(/\s+/g, ' ')
  return { text: `${text} // the migration has ${words}`, note: { object, reason: `without ${words}`, leftOut: false } }
}

function leftOut(object: string, reason: string, definition: string): ExtraLine {
  const text = `// In the migration alone: ${[object, definition].join(' ').trim().replaceAll(/\s+/g, ' ')}`
  return { text, note: { object, reason, leftOut: true } }
}

/** True for a primary key that its column tells. */
export function isColumnKey({ kind, columns, undeclarable, lost }: PulledConstraint): boolean {
  return kind === 'p' && columns.length === 1 && undeclarable === null && lost === null
}

function whyLeftOut({ undeclarable, name, kind }: PulledConstraint): string {
  return (
    undeclarable ??
    quoteIn(name) ??
    (kind === 'f' ? 'a foreign key to a table that is not here' : 'a text that drizzle-kit takes apart')
  )
}

/** drizzle-kit keeps policies and checks as text with its own separators, which these texts would break. */
function mangled(...texts: readonly string[]): boolean {
  return texts.some((text) => text.includes('--') || text.includes(';'))
}

/** Undefined when it cannot be declared. */
function constraintCall(
  { schema, name: tableName }: PulledTable,
  constraint: PulledConstraint,
  context: TableContext,
): string | undefined {
  const { use, property } = context
  const { name, kind, columns, expression, target } = constraint
  if (constraint.undeclarable !== null || quoteIn(name) !== undefined) return undefined
  const own = columns.map((column) => member('table', property(column))).join(', ')
  if (kind === 'p') return `${use('primaryKey')}({ name: ${quotedText(name)}, columns: [${own}] }),`
  if (kind === 'u') {
    const nulls = constraint.nullsNotDistinct ? '.nullsNotDistinct()' : ''
    return `${use('unique')}(${quotedText(name)}).on(${own})${nulls},`
  }
  if (kind === 'c') {
    if (expression === null || mangled(expression)) return undefined
    return `${use('check')}(${quotedText(name)}, ${sqlTemplate(expression)}),`
  }
  const other = target && context.table(target)
  if (!target || !other) return undefined
  const self = target.schema === schema && target.name === tableName
  const foreign = target.columns.map((column) => member(self ? 'table' : other.constant, other.property(column)))
  const actions = [
    constraint.onUpdate === 'no action' ? '' : `.onUpdate('${constraint.onUpdate}')`,
    constraint.onDelete === 'no action' ? '' : `.onDelete('${constraint.onDelete}')`,
  ].join('')
  const options = `name: ${quotedText(name)}, columns: [${own}], foreignColumns: [${foreign.join(', ')}]`
  return `${use('foreignKey')}({ ${options} })${actions},`
}

function indexCall(index: PulledIndex, { use, property }: TableContext): string {
  const { unique, name, method, keys, where, options } = index
  const parts = keys.map((key) => {
    const order = orderOf(key.descending, key.nullsFirst)
    if (key.column === null || key.collation !== null) {
      const collation = key.collation === null ? '' : ` collate ${key.collation}`
      const operators = key.operatorClass === null ? '' : ` ${key.operatorClass}`
      return sqlTemplate(`${key.expression}${collation}${operators}${order.sql}`)
    }
    const operators = key.operatorClass === null ? '' : `.op(${quotedText(key.operatorClass)})`
    return `${member('table', property(key.column))}${order.call}${operators}`
  })
  const head = `${use(unique ? 'uniqueIndex' : 'index')}(${quotedText(name)}).using(${quotedText(method)}, ${parts.join(', ')})`
  const settings = options.map((option) => {
    const [, key = '', value = ''] = /^([^=]*)=(.*)$/s.exec(option) ?? []
    return `${key}: ${quotedText(value)}`
  })
  const having = settings.length === 0 ? '' : `.with({ ${settings.join(', ')} })`
  return `${head}${having}${where === null ? '' : `.where(${sqlTemplate(where)})`},`
}

function orderOf(descending: boolean, nullsFirst: boolean): { readonly call: string; readonly sql: string } {
  const nulls = nullsFirst === descending ? '' : nullsFirst ? ' nulls first' : ' nulls last'
  const call = `${descending ? '.desc()' : ''}${nullsFirst ? '.nullsFirst()' : descending ? '.nullsLast()' : ''}`
  return { call, sql: `${descending ? ' desc' : ''}${nulls}` }
}

function policyCall({ name, as, for: command, to, using, withCheck }: PulledPolicy, { use }: TableContext): string {
  const roles = to.map(quotedText)
  const options = [
    `as: '${as}'`,
    `for: '${command}'`,
    `to: ${roles.length === 1 ? roles[0] : `[${roles.join(', ')}]`}`,
    using === null ? '' : `using: ${sqlTemplate(using)}`,
    withCheck === null ? '' : `withCheck: ${sqlTemplate(withCheck)}`,
  ].filter(Boolean)
  return `${use('pgPolicy')}(${quotedText(name)}, { ${options.join(', ')} }),`
}

/** `object.property`, or `object['odd property']`. */
export function member(object: string, property: string): string {
  return /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u.test(property)
    ? `${object}.${property}`
    : `${object}[${quotedText(property)}]`
}
