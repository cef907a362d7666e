/**
 * Reads of one row, by its key or by a filter. A read by key alone is the most frequent operation of all: it has one
 * statement a table and nothing to work out but the key's parameters.
 */
import { sql } from 'drizzle-orm'
import { isPlain } from './column-input.ts'
import { readRequiredFilter, Values } from './filter.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import { keyCondition, type ReadRow, removedCondition, selectionOf, whereClause } from './selection.ts'
import { list, slot, Statement } from './statement.ts'
import { keyParameters, notFound, type TablePlan } from './table-plan.ts'

/** The row with this key. @throws NotFound. */
export async function getRow(runner: RepositoryRunner, plan: TablePlan, key: unknown): Promise<ReadRow> {
  const [row] = await pointStatement(plan).run(runner, keyParameters(plan, key))
  if (row === undefined) throw notFound(plan)
  return selectionOf(plan).read(row)
}

/** The row with this key, or the first in key order that a filter is true of. */
export async function findRow(
  runner: RepositoryRunner,
  plan: TablePlan,
  keyOrWhere: unknown,
): Promise<ReadRow | undefined> {
  if (!isPlain(keyOrWhere)) {
    const [row] = await pointStatement(plan).run(runner, keyParameters(plan, keyOrWhere))
    return row && selectionOf(plan).read(row)
  }
  const values = new Values()
  const condition = readRequiredFilter(plan, keyOrWhere, values)
  const selection = selectionOf(plan)
  const statement = plan.statements.of(`first/${condition.shape}`, () => {
    const where = whereClause([condition.sql(), removedCondition(plan, plan.removedAt ? 'exclude' : undefined)])
    const order = plan.key.length === 0 ? sql`` : sql` order by ${list(plan.key.map(({ reference }) => reference))}`
    return new Statement(plan.drizzle, sql`select ${selection.sql} from ${plan.source}${where}${order} limit 1`)
  })
  const [row] = await statement.run(runner, values.all)
  return row && selection.read(row)
}

/** `select … where key = …`: the statement of `get` and `find`. */
export function pointStatement(plan: TablePlan): Statement {
  return plan.statements.of('point', () => {
    const conditions = [
      keyCondition(plan, (index) => sql`${slot(index)}`),
      removedCondition(plan, plan.removedAt ? 'exclude' : undefined),
    ]
    return new Statement(
      plan.drizzle,
      sql`select ${selectionOf(plan).sql} from ${plan.source}${whereClause(conditions)}`,
    )
  })
}
