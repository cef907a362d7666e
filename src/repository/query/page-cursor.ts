/**
 * Cursors: where a page of a list ends, as opaque text. A cursor has the values of the order's columns in one row,
 * exactly as the server wrote them, and a digest that binds it to the table and the order. The digest prevents
 * accidents, not forgery: a forged cursor can only lead to another position of the same list.
 */
import { createHash } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { InvalidInput } from '../../errors.ts'
import { isKind } from '../../drizzle/column-kind.ts'
import { arrayLiteral, textOf } from '../columns/encode.ts'
import type { TotalOrder } from './order.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'

/** A position in an ordered list. */
export interface Position {
  /** A value for each column of the order, as parameters. */
  readonly values: readonly (string | null)[]
  /** True when the row at the position belongs to the page as well. */
  readonly inclusive: boolean
}

/** The cursor of a position. */
export function encodeCursor(plan: TablePlan, order: TotalOrder, { values, inclusive }: Position): string {
  const content = JSON.stringify([inclusive ? 1 : 0, ...values])
  return Buffer.from(digestOf(plan, order, content) + content).toString('base64url')
}

/** The position of a row, from the values that the connection read for the order's columns. */
export function positionOf(order: TotalOrder, raw: (column: PlannedColumn) => unknown): Position {
  const values = order.columns.map((column) => {
    const value = raw(exactColumn(column))
    if (value === null) return null
    if (isFloat(column)) return floatText(value as Buffer)
    // An array was parsed; as a parameter it is written as an array again.
    if (Array.isArray(value)) return arrayLiteral(value)
    return textOf(value)
  })
  return { values, inclusive: false }
}

const exactColumns = new WeakMap<PlannedColumn, PlannedColumn>()

/**
 * What to fetch for a column's value in a cursor. For floating point numbers it is their bytes: how many digits the
 * server writes is a setting (extra_float_digits), and a page must not begin at a rounded number.
 */
export function exactColumn(column: PlannedColumn): PlannedColumn {
  if (!isFloat(column)) return column
  let exact = exactColumns.get(column)
  if (!exact) {
    const send = isKind(column.column, 'real') ? sql`float4send` : sql`float8send`
    const reference = sql`${send}(${column.reference})`
    exact = {
      ...column,
      property: `${column.property}, exact`,
      shapeName: `${column.shapeName} exact`,
      reference,
      column: undefined,
      decode: undefined,
    }
    exactColumns.set(column, exact)
  }
  return exact
}

function isFloat({ column }: PlannedColumn): boolean {
  return isKind(column, 'real', 'double precision')
}

function floatText(bytes: Buffer): string {
  return String(bytes.length === 4 ? bytes.readFloatBE() : bytes.readDoubleBE())
}

/** The position a cursor stands for. @throws InvalidInput when it is malformed, or of another table or order. */
export function decodeCursor(plan: TablePlan, order: TotalOrder, cursor: unknown, option: string): Position {
  const refused = new InvalidInput(
    `${option} is not a cursor of ${plan.name} in this order: use next or previous of a page in the same order`,
    { path: [option] },
  )
  if (typeof cursor !== 'string' || cursor.length > 100_000) throw refused
  const bytes = Buffer.from(cursor, 'base64url')
  // Node skips characters that are not base64url.
  if (bytes.toString('base64url') !== cursor) throw refused
  const text = bytes.toString()
  const content = text.slice(digestLength)
  if (text.slice(0, digestLength) !== digestOf(plan, order, content)) throw refused
  const parts = parsed(content)
  const [inclusive, ...values] = parts
  const fits =
    (inclusive === 0 || inclusive === 1) &&
    values.length === order.terms.length &&
    values.every((value) => value === null || (typeof value === 'string' && !value.includes('\0')))
  if (!fits) throw refused
  return { values: values as (string | null)[], inclusive: inclusive === 1 }
}

const digestLength = 12

function digestOf(plan: TablePlan, order: TotalOrder, content: string): string {
  return createHash('sha256')
    .update(JSON.stringify([plan.name, order.shape, content]))
    .digest('base64url')
    .slice(0, digestLength)
}

function parsed(content: string): readonly unknown[] {
  try {
    const parts: unknown = JSON.parse(content)
    return Array.isArray(parts) ? parts : []
  } catch {
    return []
  }
}
