/** Pages of rows. */
import { type SQL, sql } from 'drizzle-orm'
import { InvalidInput, UsageError } from '../errors.ts'
import { readFilter, Values } from './filter.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import { type ReadRow, removedCondition, selectionOf, whereClause } from './selection.ts'
import { list, slot, Statement } from './statement.ts'
import type { TablePlan } from './table-plan.ts'

export async function listRows(
  runner: RepositoryRunner,
  plan: TablePlan,
  options: { where?: unknown; orderBy?: Record<string, string>; limit?: unknown } = {},
): Promise<{ rows: ReadRow[] }> {
  const values = new Values()
  const condition = readFilter(plan, options.where ?? {}, values)
  const limit = options.limit ?? 100
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > 10_000) {
    throw new InvalidInput('limit must be a whole number from 1 to 10,000', { column: 'limit' })
  }
  const order = Object.entries(options.orderBy ?? {}).map(([property, direction]) => {
    if (!/^(?:asc|desc)(?: nulls (?:first|last))?$/.test(direction)) throw new UsageError('asc or desc')
    return sql`${plan.column(property).reference} ${sql.raw(direction)}`
  })
  const orders: SQL[] = order.length > 0 ? order : plan.key.map(({ reference }) => reference)
  const orderBy = orders.length === 0 ? sql`` : sql` order by ${list(orders)}`
  const at = values.all.push(limit) - 1
  const selection = selectionOf(plan)
  const statement = plan.statements.of(`list/${condition.shape}/${JSON.stringify(options.orderBy)}`, () => {
    const where = whereClause([condition.sql(), removedCondition(plan, undefined)])
    return new Statement(
      plan.drizzle,
      sql`select ${selection.sql} from ${plan.source}${where}${orderBy} limit ${slot(at)}`,
    )
  })
  const rows = await statement.run(runner, values.all)
  return { rows: rows.map((row) => selection.read(row)) }
}
