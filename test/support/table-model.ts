/**
 * A table in plain memory, with SQL's idea of NULL: what a repository must answer like. It knows nothing of SQL text.
 */

export type ModelRow = Record<string, unknown>

/** What the model must know of a table. */
export interface TableRules {
  readonly key: readonly string[]
  /** Sets of columns of which no two rows may hold the same values. */
  readonly unique: readonly (readonly string[])[]
  /** Columns an update sets by itself, unless it is given them. */
  readonly onUpdate?: Readonly<Record<string, unknown>>
  /** A column made of others. */
  readonly computed?: Readonly<Record<string, (row: ModelRow) => unknown>>
  readonly version?: string
  readonly removedAt?: string
}

type Truth = boolean | undefined

/** The rows of a table, and what the operations do to them. */
export class TableModel {
  rows: ModelRow[] = []
  readonly #rules: TableRules

  constructor(rules: TableRules) {
    this.#rules = rules
  }

  get visible(): ModelRow[] {
    const { removedAt } = this.#rules
    return removedAt === undefined ? this.rows : this.rows.filter((row) => row[removedAt] === null)
  }

  find(key: ModelRow): ModelRow | undefined {
    return this.visible.find((row) => this.#rules.key.every((name) => same(row[name], key[name])))
  }

  /** Whether another row stands in the way of these values. */
  conflicts(values: ModelRow, except?: ModelRow): boolean {
    return this.#rules.unique.some((columns) =>
      this.rows.some(
        (row) => row !== except && columns.every((name) => values[name] !== undefined && same(row[name], values[name])),
      ),
    )
  }

  /** Changes a row in place and answers it. */
  change(row: ModelRow, patch: ModelRow): ModelRow {
    const { version, onUpdate = {} } = this.#rules
    Object.assign(row, onUpdate, patch)
    if (version !== undefined) row[version] = Number(row[version]) + 1
    return this.compute(row)
  }

  compute(row: ModelRow): ModelRow {
    for (const [name, make] of Object.entries(this.#rules.computed ?? {})) row[name] = make(row)
    return row
  }

  remove(row: ModelRow): void {
    const { removedAt } = this.#rules
    if (removedAt === undefined) this.rows = this.rows.filter((other) => other !== row)
    else this.change(row, { [removedAt]: new Date() })
  }

  select(where: ModelRow): ModelRow[] {
    return this.visible.filter((row) => holds(row, where) === true)
  }
}

/** The rows in an order, which ends with the key. */
export function inOrder(rows: readonly ModelRow[], orderBy: readonly (readonly [string, string])[]): ModelRow[] {
  return rows.toSorted((a, b) => {
    for (const [name, direction] of orderBy) {
      const descending = direction.startsWith('desc')
      const nullsFirst = direction.endsWith('first') || (descending && !direction.endsWith('last'))
      const [left, right] = [a[name], b[name]]
      if (left === null && right === null) continue
      if (left === null || right === null) return (left === null) === nullsFirst ? -1 : 1
      const compared = compare(left, right)
      if (compared !== 0) return descending ? -compared : compared
    }
    return 0
  })
}

/** Whether a filter is true of every row there could be, whatever is in it. */
export function holdsAlways(where: ModelRow): boolean {
  return holds(undefined, where) === true
}

/** Whether a filter is true of a row (undefined: any row): true, false, or undefined for SQL's unknown. */
function holds(row: ModelRow | undefined, where: ModelRow): Truth {
  return allOf(
    Object.entries(where).map(([name, given]) => {
      if (name === 'and') return allOf((given as ModelRow[]).map((part) => holds(row, part)))
      if (name === 'or') return not(allOf((given as ModelRow[]).map((part) => not(holds(row, part)))))
      if (name === 'not') return not(holds(row, given as ModelRow))
      const operators = isOperators(given) ? given : { eq: given }
      return allOf(
        Object.entries(operators).map(([operator, operand]) => compareBy(operator, row && row[name], operand)),
      )
    }),
  )
}

function isOperators(given: unknown): given is ModelRow {
  if (typeof given !== 'object' || given === null) return false
  const prototype: unknown = Object.getPrototypeOf(given)
  return prototype === Object.prototype || prototype === null
}

function compareBy(operator: string, value: unknown, operand: unknown): Truth {
  if (value === undefined && !(Array.isArray(operand) && operand.length === 0)) return undefined
  if (operator === 'isNull') return (value === null) === operand
  if (operand === null) return operator === 'eq' ? value === null : value !== null
  if (operator === 'in' || operator === 'notIn') {
    const elements = operand as readonly unknown[]
    const found =
      elements.length === 0 ? false : value === null ? undefined : elements.some((other) => same(value, other))
    return operator === 'in' ? found : not(found)
  }
  if (value === null) return undefined
  if (operator === 'like') return like(String(value), String(operand))
  if (operator === 'ilike') return like(String(value).toLowerCase(), String(operand).toLowerCase())
  const compared = compare(value, operand)
  if (operator === 'eq') return compared === 0
  if (operator === 'ne') return compared !== 0
  if (operator === 'gt') return compared > 0
  if (operator === 'gte') return compared >= 0
  return operator === 'lt' ? compared < 0 : compared <= 0
}

/** Patterns of letters and `%` only. */
function like(value: string, pattern: string): boolean {
  return new RegExp(`^${pattern.replaceAll('%', '.*')}$`, 's').test(value)
}

function allOf(truths: readonly Truth[]): Truth {
  if (truths.includes(false)) return false
  return truths.includes(undefined) ? undefined : true
}

function not(truth: Truth): Truth {
  return truth === undefined ? undefined : !truth
}

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'bigint') return a < (b as bigint) ? -1 : a > (b as bigint) ? 1 : 0
  if (typeof a === 'number') return a - Number(b)
  if (typeof a === 'string' && /^-?\d+\.\d+$/.test(a)) return Number(a) - Number(b)
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0
}

function same(a: unknown, b: unknown): boolean {
  return a !== null && b !== null && compare(a, b) === 0
}
