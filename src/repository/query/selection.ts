/**
 * The columns that a read fetches, and how a row is made of them. The first columns of a row are those that the caller
 * sees; after them may come others that only Rivulet needs, such as those of the cursor and of relations.
 */
import type { SQL } from 'drizzle-orm'
import { UsageError } from '../../errors.ts'
import type { Result } from '../../pool/connection.ts'
import { AnsweredText } from '../columns/answered-text.ts'
import { list } from './compiled-statement.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'

export type ReadRow = Record<string, unknown>

export class Selection {
  /** Names the selection in the shape of a statement. */
  readonly shape: string
  readonly columns: readonly PlannedColumn[]
  readonly #visible: readonly PlannedColumn[]
  #untyped: readonly number[] | undefined

  constructor(visible: readonly PlannedColumn[], hidden: readonly PlannedColumn[] = []) {
    const further = hidden.filter((column) => !visible.includes(column))
    this.#visible = visible
    this.columns = further.length === 0 ? visible : [...visible, ...new Set(further)]
    this.shape = this.columns.map(({ shapeName }) => shapeName).join(',')
  }

  /** The select list. */
  get sql(): SQL {
    return list(this.columns.map(({ reference }) => reference))
  }

  /**
   * Adds a reader to the values whose type only the server's answer tells: those of a view's expressions, and of the
   * database's own types, which may be domains over JSON.
   */
  marked<TRows extends Result<unknown[]>>(rows: TRows): TRows {
    this.#untyped ??= [...this.columns.keys()].filter((index) => this.columns[index]?.untyped)
    for (const index of this.#untyped) {
      const read = this.columns[index]?.untyped?.(rows.columns[index]?.type ?? 0)
      if (!read) continue
      for (const row of rows) if (row[index] !== null) row[index] = new AnsweredText(row[index] as string, read)
    }
    return rows
  }

  /** The row the caller sees. */
  read(values: readonly unknown[]): ReadRow {
    const row: ReadRow = {}
    for (let index = 0; index < this.#visible.length; index++) {
      const { property, decode } = this.#visible[index] as PlannedColumn
      const value = values[index]
      row[property] = value === null || decode === undefined ? value : decode(value)
    }
    return row
  }

  /** The value that the connection read for a column, before it was decoded: exact, and fit to be a parameter again. */
  raw(values: readonly unknown[], column: PlannedColumn): unknown {
    return values[this.columns.indexOf(column)]
  }

  /** The same selection with more hidden columns. */
  and(hidden: readonly PlannedColumn[]): Selection {
    if (hidden.every((column) => this.columns.includes(column))) return this
    return new Selection(this.#visible, [...this.columns, ...hidden])
  }
}

const whole = new WeakMap<TablePlan, Selection>()

/** The selection of all columns, or of those named. @throws UsageError for an unknown or doubled name. */
export function selectionOf(plan: TablePlan, select?: unknown): Selection {
  if (select !== undefined) return new Selection(selectedColumns(plan, select))
  let selection = whole.get(plan)
  if (!selection) whole.set(plan, (selection = new Selection(plan.columns)))
  return selection
}

function selectedColumns(plan: TablePlan, select: unknown): PlannedColumn[] {
  if (!Array.isArray(select) || select.length === 0) {
    throw new UsageError(`select must be an array of columns of ${plan.name}, at least one`)
  }
  const names = new Set(select as string[])
  if (names.size < select.length) throw new UsageError('select names a column twice')
  return [...names].map((name) => plan.column(name))
}
