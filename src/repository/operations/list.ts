/**
 * Pages of rows by keyset: a page begins after a row, not after a number of rows. So it costs the same at any depth,
 * and neither repeats nor skips a row while other rows come and go. One row more than asked for is fetched, to know
 * whether there is a next page. A count is taken in the same statement as the page, so both belong to one instant.
 */
import { type SQL, sql } from 'drizzle-orm'
import { InvalidInput, UsageError } from '../../errors.ts'
import { decodeCursor, encodeCursor, exactColumn, type Position, positionOf } from '../query/page-cursor.ts'
import { type Condition, readOptionalFilter } from '../query/filter.ts'
import { checkOperationOptions } from '../query/operation-options.ts'
import { type TotalOrder, totalOrder } from '../query/order.ts'
import { type ReadPlan, readPlanOf, type PlainReadOptions, type RowBudget } from '../query/read-plan.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { type ReadRow, type Selection } from '../query/selection.ts'
import { list, CompiledStatement, Values } from '../query/compiled-statement.ts'
import type { TablePlan } from '../query/table-plan.ts'
import { removedCondition, whereClause } from '../query/clauses.ts'

/** The options of `list`, before the types of a table are added. */
export interface PlainListOptions extends PlainReadOptions {
  readonly where?: unknown
  readonly orderBy?: unknown
  readonly limit?: unknown
  readonly after?: unknown
  readonly before?: unknown
  readonly count?: boolean
}

/** A page, before the types of a table are added. */
export interface PlainPage {
  readonly rows: ReadRow[]
  readonly next: string | undefined
  readonly previous: string | undefined
  readonly count?: number
}

/** The most rows of a page. */
const maxLimit = 10_000

const defaultLimit = 100

/** Everything that decides the statement of one page. */
interface PageRequest {
  readonly plan: TablePlan
  readonly readPlan: ReadPlan
  readonly condition: Condition
  readonly removed: SQL | undefined
  /** The order in the direction of fetching. */
  readonly order: TotalOrder
  readonly position: Position | undefined
  readonly counted: boolean
  readonly values: Values
}

/** Returns one page of the rows that a filter matches. */
export async function listRows(
  runner: RepositoryRunner,
  plan: TablePlan,
  options: PlainListOptions = {},
  budget?: RowBudget,
): Promise<PlainPage> {
  checkOperationOptions('list', options)
  const { after, before } = options
  const limit = checkedLimit(options.limit)
  const order = totalOrder(plan, options.orderBy)
  if (after !== undefined && before !== undefined) throw new UsageError('list takes after or before, not both')
  if (!order.total && (after ?? before) !== undefined) {
    throw new UsageError(
      `${plan.name} has no key, so its pages have no cursors: declare a key with conventions(table, { key: [...] })`,
    )
  }
  const backwards = before !== undefined
  const cursor = backwards ? before : after
  const position = cursor === undefined ? undefined : decodeCursor(plan, order, cursor, backwards ? 'before' : 'after')
  const values = new Values()
  const readPlan = readPlanOf(plan, options, order.total ? [...order.columns, ...order.columns.map(exactColumn)] : [])
  const request: PageRequest = {
    plan,
    readPlan,
    condition: readOptionalFilter(plan, options, values),
    removed: removedCondition(plan, options.removed),
    order: backwards ? order.reversed() : order,
    position,
    counted: options.count === true,
    values,
  }
  const statement = pageStatement(request, options, limit + (order.total ? 1 : 0))
  const answered = readPlan.selection.marked(
    await statement.run(runner, values.all).catch((error: unknown) => {
      throw order.explained(error)
    }),
  )
  const count = request.counted ? Number(answered[0]?.at(-1)) : undefined
  const found = request.counted ? answered.filter((row) => row.at(-2) === true) : [...answered]
  const more = found.length > limit
  const page = found.slice(0, limit)
  if (backwards) page.reverse()
  const rows = await readPlan.rows(runner, page, budget)
  const { next, previous } = cursorsOf(request, order, page, { backwards, more })
  return count === undefined ? { rows, next, previous } : { rows, next, previous, count }
}

/** @throws InvalidInput for anything but a whole number in range. */
function checkedLimit(limit: unknown = defaultLimit): number {
  if (typeof limit === 'number' && Number.isInteger(limit) && limit >= 1 && limit <= maxLimit) return limit
  throw new InvalidInput(`limit must be a whole number from 1 to ${maxLimit}`, { path: ['limit'] })
}

function pageStatement(request: PageRequest, options: PlainListOptions, fetched: number): CompiledStatement {
  const { plan, readPlan, condition, order, position, counted, values } = request
  const { selection } = readPlan
  // NULLs in the position change the condition; every other value is a parameter.
  const nulls = position?.values.map((value) => (value === null ? 'n' : 'v')).join('') ?? ''
  const shape = [
    counted ? 'count' : 'list',
    selection.shape,
    condition.shape,
    options.removed ?? '',
    order.shape,
    position ? `${nulls}${position.inclusive ? '=' : ''}` : '',
  ].join('/')
  const placed = position?.values.map((value) => (value === null ? null : values.take(value))) ?? []
  const limit = values.take(fetched)
  return plan.statements.of(shape, () => {
    const conditions = [condition.sql(), request.removed]
    const beyond = position
      ? order.after(
          placed.map((value) => value && value()),
          position.inclusive,
        )
      : order.followed(plan.key)
    const where = whereClause([...conditions, beyond])
    if (!counted) {
      const page = sql`select ${selection.sql} from ${plan.source}${where}${order.clause()} limit ${limit()}`
      return new CompiledStatement(plan.drizzle, page)
    }
    return new CompiledStatement(plan.drizzle, countedPage(plan, selection, order, { conditions, where, limit }))
  })
}

/** The page beside the count: an empty page leaves one row with only the count. */
function countedPage(
  plan: TablePlan,
  selection: Selection,
  order: TotalOrder,
  parts: { conditions: readonly (SQL | undefined)[]; where: SQL; limit: () => SQL },
): SQL {
  const names = selection.columns.map((_, index) => sql.identifier(`c${index}`))
  const inner = list(selection.columns.map(({ reference }, index) => sql`${reference} as ${names[index]}`))
  const outer = list(names.map((name) => sql`page.${name}`))
  const outerOrder = order.total
    ? order.clause((column) => sql`page.${names[selection.columns.indexOf(column)]}`)
    : sql``
  const limited = sql`${inner}, true as present from ${plan.source}${parts.where}${order.clause()} limit ${parts.limit()}`
  const counted = sql`select count(*) as n from ${plan.source}${whereClause(parts.conditions)}`
  return sql`select ${outer}, page.present, total.n from (${counted}) total left join (select ${limited}) page on true${outerOrder}`
}

/** Returns the cursors of the pages before and after this one. */
function cursorsOf(
  { plan, readPlan, position }: PageRequest,
  order: TotalOrder,
  page: readonly (readonly unknown[])[],
  { backwards, more }: { backwards: boolean; more: boolean },
): { next: string | undefined; previous: string | undefined } {
  if (!order.total) return { next: undefined, previous: undefined }
  const cursorOf = (row: readonly unknown[] | undefined) => {
    // Nothing was found beyond the position: the way back includes the row at it.
    const at = row
      ? positionOf(order, (column) => readPlan.selection.raw(row, column))
      : { values: position?.values ?? [], inclusive: position?.inclusive !== true }
    return encodeCursor(plan, order, at)
  }
  const forwards = position !== undefined && !backwards
  return {
    next: (backwards ? position !== undefined : more) ? cursorOf(page.at(-1)) : undefined,
    previous: (backwards ? more : forwards) ? cursorOf(page[0]) : undefined,
  }
}
