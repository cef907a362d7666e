/**
 * Filters: an object of the caller's becomes a condition with parameters. The same walk names the filter's shape, under
 * which the rendered statement is cached, and collects its values. Conditions mean what they mean in SQL: NULL matches
 * only `isNull` and null itself, also under `not` and `ne`. An undefined value is refused, not read as no condition:
 * that is how whole tables get lost.
 */
import { is, SQL, sql } from 'drizzle-orm'
import { type ColumnKind, innermostOf, isKind } from '../../drizzle/column-kind.ts'
import { UsageError } from '../../errors.ts'
import { maxParameters } from '../../pool/connection.ts'
import { isPlain } from '../../values/plain-object.ts'
import { encodeFor } from '../columns/encode.ts'
import { dateComparison, dateList, type Fragment } from './instant-filter.ts'
import { isNotNull, isNull, typedList, typedParameter } from './own-type-condition.ts'
import { tooManyValues, type Values, varying } from './compiled-statement.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'
import { pattern } from '../columns/text.ts'
import { isFinerThanDate } from '../columns/type-limits.ts'

/** A filter that was read: its shape and its SQL. */
export interface Condition {
  /** Equal for filters that differ in their values only. */
  readonly shape: string
  /** What is known without a row: `notIn: []` matches all rows (but NULLs), `in: []` matches none. */
  readonly truth?: 'all' | 'none' | undefined
  /** The condition; undefined when the filter matches all rows. */
  readonly sql: () => SQL | undefined
}

/** How deep filters may be nested. */
const deepest = 100

/**
 * Reads a filter that is nested in `depth` others. @throws UsageError for undefined and unknown names; InvalidInput for
 * a value of the wrong kind.
 */
export function readFilter(plan: TablePlan, where: unknown, values: Values, depth = 0): Condition {
  if (depth > deepest) {
    throw new UsageError(
      `a filter of ${plan.name} contains itself or is nested more than ${deepest} levels deep: write conditions side by side, as in { or: [a, b, c] }`,
    )
  }
  if (!isPlain(where)) throw new UsageError(`a filter of ${plan.name} must be an object of columns and conditions`)
  // Found out by taking each of them, it would be known only after a second of work.
  if (depth === 0 && countValues(where) > maxParameters) throw tooManyValues()
  const conditions: Condition[] = []
  for (const [name, given] of Object.entries(where)) {
    if (given === undefined)
      throw new UsageError(`the filter of ${plan.name} has ${name}: undefined; leave ${name} out`)
    const condition = isCombination(name)
      ? combined(plan, name, given, values, depth + 1)
      : columnFilter(plan.column(name), given, values)
    if (condition.shape !== '') conditions.push(condition)
  }
  return allOf(conditions)
}

/** How many values a filter takes, at least; of one that goes round in circles, some. */
function countValues(where: unknown): number {
  let count = 0
  const unread: unknown[] = [where]
  for (let read = 0; unread.length > 0 && count <= maxParameters && read <= 2 * maxParameters; read++) {
    const filter = unread.pop()
    if (!isPlain(filter)) continue
    for (const [name, given] of Object.entries(filter)) {
      if (isCombination(name)) for (const inner of Array.isArray(given) ? given : [given]) unread.push(inner)
      else if (!isPlain(given)) count += given === null || given === undefined ? 0 : 1
      else for (const operator in given) if (operator !== 'isNull' && given[operator] !== null) count += 1
    }
  }
  return count
}

/** Reads the `where` of options that may leave it out. @throws UsageError as well when it is there but undefined. */
export function readOptionalFilter(plan: TablePlan, options: { readonly where?: unknown }, values: Values): Condition {
  if (!('where' in options)) return everything
  if (options.where === undefined)
    throw new UsageError(`where of ${plan.name} is undefined: leave it out to read all rows`)
  return readFilter(plan, options.where, values)
}

/** Reads a filter that must not match all rows by accident. @throws UsageError also when it is empty. */
export function readRequiredFilter(plan: TablePlan, where: unknown, values: Values, depth = 0): Condition {
  const condition = readFilter(plan, where, values, depth)
  if (condition.shape !== '') return condition
  throw new UsageError(`the filter of ${plan.name} is empty and would match every row: name the rows`)
}

/** Reads a filter of rows to write to, which must not match all rows. @throws UsageError also when it does. */
export function readWriteFilter(plan: TablePlan, where: unknown, values: Values): Condition {
  const condition = readRequiredFilter(plan, where, values)
  if (condition.truth !== 'all') return condition
  throw new UsageError(`the filter of ${plan.name} matches every row: name the rows`)
}

/**
 * Whether the argument of `find` or `exists` is a filter and not a key. A key is a plain object only if its column has
 * a custom type; an object that names no columns is then a key.
 */
export function isFilter(plan: TablePlan, keyOrWhere: unknown): boolean {
  if (!isPlain(keyOrWhere)) return false
  const [only] = plan.key
  if (plan.key.length !== 1 || !isKind(only?.column, 'custom')) return true
  const names = Object.keys(keyOrWhere)
  return names.every((name) => isCombination(name) || plan.columns.some(({ property }) => property === name))
}

/** Also where a column has this name: no filter is by that column. */
export function isCombination(name: string): name is 'and' | 'or' | 'not' {
  return name === 'and' || name === 'or' || name === 'not'
}

/** The condition that all of these match. */
function allOf(conditions: readonly Condition[]): Condition {
  const truths = conditions.map(({ truth }) => truth)
  return {
    shape: conditions.map(({ shape }) => shape).join('&'),
    truth: truths.includes('none') ? 'none' : truths.every((truth) => truth === 'all') ? 'all' : undefined,
    sql: () =>
      joined(
        conditions.map((condition) => condition.sql as Fragment),
        sql` and `,
      ),
  }
}

function joined(fragments: readonly Fragment[], separator: SQL): SQL | undefined {
  if (fragments.length < 2) return fragments[0]?.()
  return sql`(${sql.join(
    fragments.map((fragment) => fragment()),
    separator,
  )})`
}

function combined(
  plan: TablePlan,
  name: 'and' | 'or' | 'not',
  given: unknown,
  values: Values,
  depth: number,
): Condition {
  const isColumn = plan.columns.some(({ property }) => property === name)
  if (isColumn && (name === 'not' ? !isPlain(given) : !Array.isArray(given))) {
    throw new UsageError(
      `${name} in a filter of ${plan.name} combines filters, and is not its column: to filter by that, rename the property in the schema, as in ${name}_: text('${name}')`,
    )
  }
  if (name === 'not') {
    const { shape, truth, sql: inner } = readRequiredFilter(plan, given, values, depth)
    const opposite = truth && (truth === 'all' ? 'none' : 'all')
    return { shape: `!(${shape})`, truth: opposite, sql: () => sql`not ${inner()}` }
  }
  if (!Array.isArray(given)) throw new UsageError(`${name} in a filter of ${plan.name} must be an array of filters`)
  const read = name === 'or' ? readRequiredFilter : readFilter
  const parts = given.map((part: unknown) => read(plan, part, values, depth)).filter(({ shape }) => shape !== '')
  if (parts.length === 0) return name === 'and' ? everything : nothing
  const fragments = parts.map((part) => part.sql as Fragment)
  const separator = name === 'and' ? sql` and ` : sql` or `
  const shape = `${name}(${parts.map((part) => part.shape).join('|')})`
  const truths = parts.map((part) => part.truth)
  const [one, every] = name === 'and' ? (['none', 'all'] as const) : (['all', 'none'] as const)
  const truth = truths.includes(one) ? one : truths.every((part) => part === every) ? every : undefined
  return { shape, truth, sql: () => joined(fragments, separator) }
}

const everything: Condition = { shape: '', truth: 'all', sql: () => undefined }
const nothing: Condition = { shape: 'none', truth: 'none', sql: () => sql`false` }

function columnFilter(column: PlannedColumn, given: unknown, values: Values): Condition {
  if (!isPlain(given)) return operator(column, 'eq', given, values)
  const conditions = Object.entries(given).map(([name, operand]) => {
    if (operand === undefined) {
      throw new UsageError(`the filter of ${column.property} has ${name}: undefined; leave ${name} out`)
    }
    return operator(column, name, operand, values)
  })
  if (conditions.length === 0)
    throw new UsageError(`the filter of ${column.property} is empty: give a value or an operator`)
  return allOf(conditions)
}

const comparisons: Readonly<Record<string, SQL>> = {
  eq: sql`=`,
  ne: sql`<>`,
  gt: sql`>`,
  gte: sql`>=`,
  lt: sql`<`,
  lte: sql`<=`,
  contains: sql`@>`,
  overlaps: sql`&&`,
}

function operator(column: PlannedColumn, name: string, operand: unknown, values: Values): Condition {
  const { property, shapeName, reference } = column
  const condition = (fragment: Fragment, shape = name, truth?: Condition['truth']): Condition => {
    return { shape: `${shapeName}.${shape}`, sql: fragment, truth }
  }
  if (name === 'isNull' || (operand === null && (name === 'eq' || name === 'ne'))) {
    if (name === 'isNull' && typeof operand !== 'boolean')
      throw new UsageError(`isNull of ${property} must be true or false`)
    const wanted = name === 'isNull' ? operand === true : name === 'eq'
    return wanted ? condition(() => isNull(column), 'null') : condition(() => isNotNull(column), 'notNull')
  }
  if (operand === null) throw new UsageError(`${name} of ${property} cannot be null: use isNull`)
  refuseMisfit(column, name)
  if (name === 'in' || name === 'notIn') {
    const list = listOf(column, name, operand)
    if (list.some((element) => is(element, SQL))) return oneOf(column, name, list, values)
    if (list.length > 0 && isFinerThanDate(column.column)) {
      const dates = list.map((encoded, index) => ({
        encoded: String(encoded),
        date: (operand as Date[])[index] as Date,
      }))
      return condition(dateList(column, name, dates, values), `${name} dates`)
    }
    const elements = values.take(list, property)
    const given = () =>
      name === 'in'
        ? sql`${reference} = any(${typedList(column, elements())})`
        : sql`${reference} <> all(${typedList(column, elements())})`
    const truth = name === 'in' ? 'none' : 'all'
    return condition(given, name, list.length > 0 ? undefined : truth)
  }
  if (name === 'like' || name === 'ilike') {
    const given = values.take(encodeFor(property, pattern, operand, 'compare'), property)
    return condition(() => (name === 'like' ? sql`${reference} like ${given()}` : sql`${reference} ilike ${given()}`))
  }
  const symbol = Object.hasOwn(comparisons, name) ? comparisons[name] : undefined
  if (!symbol) throw new UsageError(`the filter of ${property} has an unknown operator ${JSON.stringify(name)}`)
  const encoded = column.encode(operand, 'compare')
  if (is(encoded, SQL)) return condition(() => sql`(${reference} ${symbol} ${encoded})`, varying)
  const dated = isFinerThanDate(column.column) && dateComparison(column, name, String(encoded), values)
  if (dated) return condition(dated)
  const value = values.take(encoded, property)
  return condition(() => sql`${reference} ${symbol} ${typedParameter(column, value())}`, name, truthOf(name, operand))
}

/**
 * All arrays contain the empty one, and none overlaps it; the same holds for JSON arrays and objects. NULL does not
 * count here.
 */
function truthOf(name: string, operand: unknown): Condition['truth'] {
  if (name !== 'contains' && name !== 'overlaps') return undefined
  const elements = Array.isArray(operand) ? operand : isPlain(operand) ? Object.keys(operand) : undefined
  return elements?.length === 0 ? (name === 'contains' ? 'all' : 'none') : undefined
}

/** The condition for a list whose elements are SQL, because their type writes SQL. */
function oneOf(column: PlannedColumn, name: 'in' | 'notIn', list: unknown[], values: Values): Condition {
  const { property, reference } = column
  const elements = list.map((element) => {
    if (is(element, SQL)) return () => element
    const taken = values.take(element, property)
    return () => typedParameter(column, taken())
  })
  return {
    shape: varying,
    sql: () => {
      const given = sql.join(
        elements.map((element) => element()),
        sql`, `,
      )
      return name === 'in' ? sql`${reference} in (${given})` : sql`${reference} not in (${given})`
    },
  }
}

/** Operators that only some types have; for types that are not known here the server decides. */
const fitting: Readonly<Record<string, readonly ColumnKind[]>> = {
  like: ['text', 'varchar', 'char', 'custom'],
  ilike: ['text', 'varchar', 'char', 'custom'],
  contains: ['array', 'jsonb', 'custom'],
  overlaps: ['array', 'custom'],
}

const uncomparable = [
  'json',
  'point',
  'point as object',
  'line',
  'line as object',
  'geometry',
  'geometry as object',
] as const

function refuseMisfit({ property, column }: PlannedColumn, name: string): void {
  if (!column) return
  // Arrays are compared element by element.
  if (isKind(innermostOf(column), ...uncomparable)) {
    throw new UsageError(`${property} can only be filtered by isNull: its type ${column.getSQLType()} has no equality`)
  }
  const types = Object.hasOwn(fitting, name) ? fitting[name] : undefined
  const isList = name === 'in' || name === 'notIn'
  if (isList ? !isKind(column, 'array') : types === undefined || isKind(column, ...types)) return
  throw new UsageError(`${property} has no operator ${name}: its type is ${column.getSQLType()}`)
}

/** The elements for `= any`: an array parameter, so the number of elements does not change the statement. */
function listOf(column: PlannedColumn, name: string, operand: unknown): unknown[] {
  if (!Array.isArray(operand)) throw new UsageError(`${name} of ${column.property} must be an array`)
  return operand.map((element: unknown) => {
    if (element === undefined || element === null) {
      throw new UsageError(`${name} of ${column.property} contains ${String(element)}: use isNull`)
    }
    return column.encode(element, 'compare')
  })
}
