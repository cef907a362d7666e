/** Drizzle's relations for the foreign keys of a database: each has both sides, and a name if two could be meant. */
import { camelCase, Names, quotedText } from './names.ts'
import type { PulledConstraint, QualifiedName, PulledTable } from './pulled-schema.ts'
import { member } from './table.ts'

/** A table of the file. */
export interface PrintedTable {
  readonly pulled: PulledTable
  readonly constant: string
  readonly property: (column: string) => string
}

interface Link {
  readonly from: PrintedTable
  readonly to: PrintedTable
  readonly key: PulledConstraint
  /** Undefined when the two tables have one foreign key between them. */
  readonly name: string | undefined
}

/** The lines that declare the relations. `find` returns the table of a name; `give` names a constant. */
export function printRelations(
  tables: readonly PrintedTable[],
  find: (name: QualifiedName) => PrintedTable | undefined,
  give: (wanted: string) => string,
): readonly string[] {
  const links = linksOf(tables, find)
  return tables.flatMap((table) => {
    const names = new Names(table.pulled.columns.map(({ name }) => table.property(name)))
    const ones = links.filter(({ from }) => from === table).map((link) => oneLine(link, names))
    const manies = links.filter(({ to }) => to === table).map((link) => manyLine(link, links, names))
    if (ones.length + manies.length === 0) return []
    const helpers = [ones.length > 0 ? 'one' : '', manies.length > 0 ? 'many' : ''].filter(Boolean).join(', ')
    const constant = give(`${table.constant}Relations`)
    return [
      `export const ${constant} = relations(${table.constant}, ({ ${helpers} }) => ({`,
      ...[...ones, ...manies].map((line) => `  ${line}`),
      '}))',
      '',
    ]
  })
}

function linksOf(
  tables: readonly PrintedTable[],
  find: (name: QualifiedName) => PrintedTable | undefined,
): readonly Link[] {
  const pairs = tables.flatMap((from) =>
    from.pulled.constraints.flatMap((key) => {
      const to = key.kind === 'f' && key.target ? find(key.target) : undefined
      return to ? [{ from, to, key }] : []
    }),
  )
  const between = ({ from, to }: { from: PrintedTable; to: PrintedTable }) =>
    [from, to]
      .map((one) => one.constant)
      .sort()
      .join()
  return pairs.map((pair) => {
    const several = pair.from === pair.to || pairs.filter((other) => between(other) === between(pair)).length > 1
    return { ...pair, name: several ? `${pair.from.constant}.${pair.key.name}` : undefined }
  })
}

function oneLine({ from, to, key, name }: Link, names: Names): string {
  const [column = ''] = key.columns
  const stem = key.columns.length === 1 && /_?id$/i.test(column) ? column.replace(/_?id$/i, '') : ''
  const property = names.give(stem === '' ? to.constant : camelCase(stem), 'Row')
  const fields = key.columns.map((column) => member(from.constant, from.property(column))).join(', ')
  const references = (key.target?.columns ?? []).map((column) => member(to.constant, to.property(column))).join(', ')
  const relation = name === undefined ? '' : `, relationName: ${quotedText(name)}`
  return `${property}: one(${to.constant}, { fields: [${fields}], references: [${references}]${relation} }),`
}

function manyLine(link: Link, links: readonly Link[], names: Names): string {
  const { from, to, key, name } = link
  const alone = links.filter((other) => other.from === from && other.to === to).length === 1
  const by = key.columns
    .map((column) => from.property(column))
    .map((text) => text.charAt(0).toUpperCase() + text.slice(1))
  const property = names.give(alone ? from.constant : `${from.constant}By${by.join('')}`, 'Rows')
  return `${property}: many(${from.constant}${name === undefined ? '' : `, { relationName: ${quotedText(name)} }`}),`
}
