/**
 * The order of a list, and what comes after a given row in it. The key makes an order total, so that no two rows tie
 * and a page can end anywhere. Rows are compared column by column as ORDER BY does, NULLs included; when all columns
 * have one direction and no NULL, as one row value, which an index serves directly.
 * https://use-the-index-luke.com/no-offset
 */
import { type SQL, sql } from 'drizzle-orm'
import { DatabaseError, UsageError } from '../../errors.ts'
import { isPlain } from '../../values/plain-object.ts'
import { isComparable, isNotNull, isNull, typedParameter } from './own-type-condition.ts'
import { list } from './compiled-statement.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'

/** One column of an order. */
interface Term {
  readonly column: PlannedColumn
  readonly descending: boolean
  readonly nullsFirst: boolean
}

export class TotalOrder {
  /** Equal for equal orders; part of the shapes of statements and of cursors. */
  readonly shape: string
  readonly terms: readonly Term[]
  /** True when no two rows tie, so that one page can follow another. */
  readonly total: boolean

  constructor(terms: readonly Term[], total: boolean) {
    this.terms = terms
    this.total = total
    this.shape = terms
      .map(
        ({ column, descending, nullsFirst }) =>
          `${column.shapeName} ${descending ? 'd' : 'a'}${nullsFirst ? 'f' : 'l'}`,
      )
      .join(',')
  }

  get columns(): readonly PlannedColumn[] {
    return this.terms.map(({ column }) => column)
  }

  /** The same order from its end. */
  reversed(): TotalOrder {
    const terms = this.terms.map(({ column, descending, nullsFirst }) => {
      return { column, descending: !descending, nullsFirst: !nullsFirst }
    })
    return new TotalOrder(terms, this.total)
  }

  /** ` order by …`, of the columns or of what stands for them. */
  clause(reference: (column: PlannedColumn) => SQL = (column) => column.reference): SQL {
    if (this.terms.length === 0) return sql``
    const terms = this.terms.map(({ column, descending, nullsFirst }) => {
      const direction = descending ? sql` desc` : sql``
      // Spelled out only where it is not the default: an index in the default order serves it either way.
      const nulls = nullsFirst === descending ? sql`` : nullsFirst ? sql` nulls first` : sql` nulls last`
      return sql`${reference(column)}${direction}${nulls}`
    })
    return sql` order by ${list(terms)}`
  }

  /**
   * A condition that every row matches. PostgreSQL refuses it if no page could follow, since a type may have an order
   * without a `<`. Columns of the key are not checked, because the caller cannot leave them out: at least the first
   * page can be read.
   */
  followed(key: readonly PlannedColumn[]): SQL | undefined {
    const conditions = this.columns.flatMap((column) => (key.includes(column) ? [] : (isComparable(column) ?? [])))
    return this.total && conditions.length > 0 ? all(conditions) : undefined
  }

  /** Explains the error of a page if the order is its cause. */
  explained(error: unknown): unknown {
    if (!(error instanceof DatabaseError) || error.sqlState !== '42883') return error
    const incomparable = this.columns.some((column) => isComparable(column)) && /: (.+) < \1$/.exec(error.message)
    const unordered = incomparable || /ordering operator for type (.+)$/.exec(error.message)
    if (!unordered) return error
    const names = this.columns.map(({ property }) => property).join(', ')
    return new UsageError(
      `rows cannot be listed in the order of ${names}: values of the type ${unordered[1]} cannot be compared; order by other columns`,
      { cause: error },
    )
  }

  /** The condition that a row comes after the row with these values; NULLs among them are known when it is rendered. */
  after(values: readonly (SQL | null)[], inclusive: boolean): SQL {
    const rowValue = this.#rowValue(values, inclusive)
    if (rowValue) return rowValue
    const alternatives = this.terms.map((_, index) => {
      const equal = this.terms.slice(0, index).map(({ column }, before) => same(column, values[before] ?? null))
      return all([...equal, follows(this.terms[index] as Term, values[index] ?? null)])
    })
    if (inclusive) alternatives.push(all(this.terms.map(({ column }, index) => same(column, values[index] ?? null))))
    const condition = sql`(${sql.join(alternatives, sql` or `)})`
    const bound = this.#bound(values)
    return bound ? sql`(${bound} and ${condition})` : condition
  }

  #rowValue(values: readonly (SQL | null)[], inclusive: boolean): SQL | undefined {
    const [first] = this.terms
    const uniform = this.terms.every(({ column, descending }) => descending === first?.descending && column.neverNull)
    if (!uniform || values.includes(null)) return undefined
    const operator = sql.raw(`${first?.descending ? '<' : '>'}${inclusive ? '=' : ''}`)
    const row = list(this.terms.map(({ column }) => column.reference))
    const beyond = this.terms.map(({ column }, index) => typedParameter(column, values[index] as SQL))
    return sql`(${row}) ${operator} (${list(beyond)})`
  }

  /** What the first column alone rules out: the rest implies it, but an index can use it. */
  #bound(values: readonly (SQL | null)[]): SQL | undefined {
    const [first] = this.terms
    const value = values[0] ?? null
    if (!first || value === null || !first.column.neverNull) return undefined
    const bound = typedParameter(first.column, value)
    return first.descending ? sql`${first.column.reference} <= ${bound}` : sql`${first.column.reference} >= ${bound}`
  }
}

function all(conditions: readonly SQL[]): SQL {
  return sql`(${sql.join(conditions as SQL[], sql` and `)})`
}

function same(column: PlannedColumn, value: SQL | null): SQL {
  return value === null ? isNull(column) : sql`${column.reference} = ${typedParameter(column, value)}`
}

function follows({ column, descending, nullsFirst }: Term, value: SQL | null): SQL {
  const { reference } = column
  if (value === null) return nullsFirst ? isNotNull(column) : sql`false`
  const given = typedParameter(column, value)
  const beyond = descending ? sql`${reference} < ${given}` : sql`${reference} > ${given}`
  return !column.neverNull && !nullsFirst ? sql`(${beyond} or ${isNull(column)})` : beyond
}

const directions: Readonly<Record<string, readonly [descending: boolean, nullsFirst: boolean]>> = {
  asc: [false, false],
  desc: [true, true],
  'asc nulls first': [false, true],
  'asc nulls last': [false, false],
  'desc nulls first': [true, true],
  'desc nulls last': [true, false],
}

/**
 * The order asked for, with the key behind it in the direction of its last column.
 * @throws UsageError for an unknown column or direction.
 */
export function totalOrder(plan: TablePlan, orderBy: unknown): TotalOrder {
  const terms = givenTerms(plan, orderBy)
  const last = terms.at(-1)?.descending ?? false
  for (const column of plan.key) {
    if (terms.some((term) => term.column === column)) continue
    terms.push({ column, descending: last, nullsFirst: last })
  }
  return new TotalOrder(terms, plan.key.length > 0)
}

/** The order asked for and nothing more: a stream or a view does not need a total one. */
export function givenOrder(plan: TablePlan, orderBy: unknown): TotalOrder {
  return new TotalOrder(givenTerms(plan, orderBy), false)
}

function givenTerms(plan: TablePlan, orderBy: unknown): Term[] {
  const parts: readonly unknown[] = orderBy === undefined ? [] : Array.isArray(orderBy) ? orderBy : [orderBy]
  const terms: Term[] = []
  for (const part of parts) {
    if (!isPlain(part)) throw new UsageError(`orderBy of ${plan.name} must be an object such as { name: 'asc' }`)
    for (const [property, direction] of Object.entries(part)) {
      const known = typeof direction === 'string' && Object.hasOwn(directions, direction) && directions[direction]
      if (!known) {
        throw new UsageError(`the direction of ${property} must be one of ${Object.keys(directions).join(', ')}`)
      }
      const column = plan.column(property)
      if (terms.some((term) => term.column === column)) throw new UsageError(`orderBy names ${property} twice`)
      terms.push({ column, descending: known[0], nullsFirst: known[1] })
    }
  }
  return terms
}
