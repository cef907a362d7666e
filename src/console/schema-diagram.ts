/**
 * The tables of a schema and what refers to what, drawn once. A table stands to the right of those that it refers to; its
 * lines begin at the columns that refer. What a screen reader is told is the same as a list.
 */
import { One } from 'drizzle-orm'
import { getTableConfig, type PgColumn, type PgTable } from 'drizzle-orm/pg-core'
import type { Drizzle } from '../drizzle/driver.ts'
import { type Html, html } from '../document/html.ts'

interface DrawnTable {
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly type: string; readonly key: boolean }[]
  readonly references: readonly TableReference[]
}

/** From a column of a table to another table. */
interface TableReference {
  readonly columns: readonly string[]
  readonly table: string
  /** False: it is a relation of Drizzle's only, which the database does not enforce. */
  readonly enforced: boolean
}

interface PlacedTable extends DrawnTable {
  readonly x: number
  readonly y: number
  readonly shown: DrawnTable['columns']
  readonly height: number
}

const width = 216
const gapX = 72
const gapY = 24
const lineHeight = 18
const headHeight = 26
const mostColumns = 16
const inRow = 4
const mostTables = 200

/** The diagram, and the list. */
export function schemaDiagram(drizzle: Drizzle): Html {
  const tables = drawnTables(drizzle)
  const placed = place(tables.slice(0, mostTables))
  const size = {
    width: Math.max(0, ...placed.map(({ x }) => x + width)) + 2,
    height: Math.max(0, ...placed.map(({ y, height }) => y + height)) + 2,
  }
  const byName = new Map(placed.map((table) => [table.name, table]))
  return html`<div class="scroll" role="group" aria-label="Diagram of the schema" tabindex="0">
      <svg
        class="schema"
        width="${size.width}"
        height="${size.height}"
        viewBox="-1 -1 ${size.width} ${size.height}"
        aria-hidden="true"
      >
        ${placed.flatMap((table) => table.references.map((reference) => line(table, reference, byName)))}
        ${placed.map(box)}
      </svg>
    </div>
    <details>
      <summary>The same as a list</summary>
      <ul>
        ${tables.map(item)}
      </ul>
    </details>`
}

function item({ name, columns, references }: DrawnTable): Html {
  return html`<li>
    <code>${name}</code>:
    ${columns.map((column) => column.name).join(', ')}${references.map(
      (reference) => html`; ${reference.columns.join(', ')} → <code>${reference.table}</code>`,
    )}
  </li>`
}

function drawnTables(drizzle: Drizzle): DrawnTable[] {
  return Object.values(drizzle.tables).flatMap(({ columns, relations }) => {
    const [first] = Object.values(columns) as PgColumn[]
    if (!first) return []
    const table = first.table as PgTable
    const { foreignKeys, primaryKeys } = getTableConfig(table)
    const keys = new Set(primaryKeys.flatMap((key) => key.columns))
    const enforced = foreignKeys.map((key): TableReference => {
      const { columns: from, foreignTable } = key.reference()
      return { columns: from.map((column) => drizzle.columnName(column)), table: nameOf(foreignTable), enforced: true }
    })
    const declared = Object.values(relations).flatMap((relation): TableReference[] => {
      if (!(relation instanceof One) || !relation.config) return []
      const from = relation.config.fields.map((column) => drizzle.columnName(column))
      return [{ columns: from, table: nameOf(relation.referencedTable as PgTable), enforced: false }]
    })
    return {
      name: nameOf(table),
      columns: (Object.values(columns) as PgColumn[]).map((column) => ({
        name: drizzle.columnName(column),
        type: column.getSQLType(),
        key: column.primary || keys.has(column),
      })),
      references: [...enforced, ...declared.filter((relation) => !enforced.some((key) => areSame(key, relation)))],
    }
  })
}

function nameOf(table: PgTable): string {
  const { name, schema } = getTableConfig(table)
  return schema === undefined ? name : `${schema}.${name}`
}

function areSame(a: TableReference, b: TableReference): boolean {
  return a.table === b.table && String(a.columns) === String(b.columns)
}

/** Tables by how far they are from those that refer to none; in each column, near those that they refer to. */
function place(tables: readonly DrawnTable[]): PlacedTable[] {
  const byName = new Map(tables.map((table) => [table.name, table]))
  const depths = new Map<string, number>()
  const depthOf = (table: DrawnTable, above: readonly string[]): number => {
    const known = depths.get(table.name)
    if (known !== undefined) return known
    const below = table.references.flatMap(({ table: name }) => {
      const target = byName.get(name)
      // What leads back to where it came from does not count.
      return target && name !== table.name && !above.includes(name) ? depthOf(target, [...above, table.name]) + 1 : []
    })
    const depth = Math.max(0, ...below)
    depths.set(table.name, depth)
    return depth
  }
  const referred = new Set(tables.flatMap(({ references }) => references.map((reference) => reference.table)))
  const isAlone = ({ name, references }: DrawnTable) => references.length === 0 && !referred.has(name)
  const linked = tables.filter((table) => !isAlone(table))
  for (const table of linked) depthOf(table, [])
  const placed = new Map<string, PlacedTable>()
  const depth = (table: DrawnTable) => depths.get(table.name) ?? 0
  for (let layer = 0; layer <= Math.max(0, ...depths.values()); layer += 1) {
    const nearness = (table: DrawnTable) => {
      const targets = table.references.flatMap((reference) => placed.get(reference.table)?.y ?? [])
      return targets.length === 0 ? Infinity : targets.reduce((sum, y) => sum + y, 0) / targets.length
    }
    let y = 0
    const inLayer = linked.filter((table) => depth(table) === layer)
    for (const table of inLayer.toSorted((a, b) => compared(nearness(a), nearness(b)))) {
      const found = sized(table, layer * (width + gapX), y)
      placed.set(table.name, found)
      y = below(found)
    }
  }
  return [...placed.values(), ...inGrid(tables.filter(isAlone), Math.max(0, ...[...placed.values()].map(below)))]
}

/** Below a table. */
function below({ y, height }: PlacedTable): number {
  return y + height + gapY
}

/** Tables that refer to none and that none refers to, below the others. */
function inGrid(tables: readonly DrawnTable[], top: number): PlacedTable[] {
  const placed: PlacedTable[] = []
  for (let at = 0, y = top; at < tables.length; at += inRow) {
    const row = tables.slice(at, at + inRow).map((table, column) => sized(table, column * (width + gapX), y))
    placed.push(...row)
    y = Math.max(...row.map(below))
  }
  return placed
}

function sized(table: DrawnTable, x: number, y: number): PlacedTable {
  const shown = table.columns.slice(0, mostColumns)
  const more = table.columns.length > shown.length ? 1 : 0
  return { ...table, x, y, shown, height: headHeight + (shown.length + more) * lineHeight + 6 }
}

/** Without NaN for two that are infinitely far. */
function compared(a: number, b: number): number {
  return a === b ? 0 : a - b
}

function box({ name, columns, shown, x, y, height }: PlacedTable): Html {
  const more = columns.length - shown.length
  return html`<g transform="translate(${x} ${y})">
    <rect class="table" width="${width}" height="${height}" rx="5" />
    <path class="rule" d="M0 ${headHeight}H${width}" />
    <text class="name" x="10" y="17">${cut(name, 27)}</text>
    ${shown.map(
      (column, index) =>
        html`<text x="10" y="${lineAt(index)}" class="${column.key ? 'key' : 'column'}">${cut(column.name, 18)}</text>
          <text x="${width - 10}" y="${lineAt(index)}" class="type">${cut(column.type, 14)}</text>`,
    )}
    ${more > 0 && html`<text x="10" y="${lineAt(shown.length)}" class="type">and ${more} more</text>`}
  </g>`
}

function lineAt(index: number): number {
  return headHeight + (index + 1) * lineHeight - 3
}

/** From the column that refers to the head of the other table; one that refers to itself has a loop on its right. */
function line(
  from: PlacedTable,
  { columns, table, enforced }: TableReference,
  byName: ReadonlyMap<string, PlacedTable>,
): Html {
  const to = byName.get(table)
  if (!to) return html``
  const index = from.shown.findIndex(({ name }) => name === columns[0])
  const y1 = from.y + (index < 0 ? headHeight / 2 : lineAt(index) - 5)
  const y2 = to.y + headHeight / 2
  const kind = enforced ? 'reference' : 'reference loose'
  if (to.x >= from.x) {
    const [x1, x2] = [from.x + width, to.x + width]
    const out = Math.max(x1, x2) + gapX / 2
    return html`<path class="${kind}" d="M${x1} ${y1}C${out} ${y1} ${out} ${y2} ${x2} ${y2}" />`
  }
  const [x1, x2] = [from.x, to.x + width]
  const middle = (x1 + x2) / 2
  return html`<path class="${kind}" d="M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}" />`
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text
}
