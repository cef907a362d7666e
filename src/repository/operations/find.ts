/**
 * Reads of one row, by its key or by a filter. A read by key alone is the most frequent operation of all: it has one
 * statement per table, and only the key's parameters to compute.
 */
import { sql } from 'drizzle-orm'
import { isFilter, readFilter, readRequiredFilter } from '../query/filter.ts'
import { checkOperationOptions } from '../query/operation-options.ts'
import { readPlanOf, type PlainReadOptions, type RowBudget } from '../query/read-plan.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { type ReadRow, selectionOf } from '../query/selection.ts'
import { list, CompiledStatement, Values } from '../query/compiled-statement.ts'
import { keyParameters, type TablePlan } from '../query/table-plan.ts'
import { keyedStatement, pointStatement } from '../query/keyed-statement.ts'
import { type Removed, removedCondition, whereClause } from '../query/clauses.ts'
import { notFound } from '../query/row-errors.ts'

/** Returns the row with this key. @throws NotFound. */
export function getRow(
  runner: RepositoryRunner,
  plan: TablePlan,
  key: unknown,
  options: PlainReadOptions | undefined,
  budget?: RowBudget,
): Promise<ReadRow> {
  const found = (row: ReadRow | undefined): ReadRow => {
    if (row === undefined) throw notFound(plan)
    return row
  }
  if (options === undefined) return pointRead(runner, plan, key, found)
  return readByKey(runner, plan, key, options, budget).then(found)
}

/** Returns the row with this key, or the first in key order that a filter matches. */
export async function findRow(
  runner: RepositoryRunner,
  plan: TablePlan,
  keyOrWhere: unknown,
  options: PlainReadOptions | undefined,
): Promise<ReadRow | undefined> {
  checkOperationOptions('read', options)
  if (isFilter(plan, keyOrWhere)) return readFirst(runner, plan, keyOrWhere, options ?? {})
  return options ? readByKey(runner, plan, keyOrWhere, options) : pointRead(runner, plan, keyOrWhere, (row) => row)
}

/** Few promises on purpose: next to the round trip, they are the largest cost of a read. */
function pointRead<T>(
  runner: RepositoryRunner,
  plan: TablePlan,
  key: unknown,
  then: (row: ReadRow | undefined) => T,
): Promise<T> {
  try {
    const selection = selectionOf(plan)
    return pointStatement(plan).read(runner, keyParameters(plan, key), (rows) => {
      const [row] = selection.marked(rows)
      return then(row && selection.read(row))
    })
  } catch (error) {
    return Promise.reject(error)
  }
}

async function readByKey(
  runner: RepositoryRunner,
  plan: TablePlan,
  key: unknown,
  options: PlainReadOptions,
  budget?: RowBudget,
): Promise<ReadRow | undefined> {
  checkOperationOptions('read', options)
  const readPlan = readPlanOf(plan, options)
  const { selection } = readPlan
  const statement = plan.statements.of(`point/${selection.shape}/${options.removed ?? ''}`, () => {
    return keyedStatement(plan, selection.sql, options.removed)
  })
  const answered = selection.marked(await statement.run(runner, keyParameters(plan, key)))
  const [row] = await readPlan.rows(runner, answered, budget)
  return row
}

async function readFirst(
  runner: RepositoryRunner,
  plan: TablePlan,
  where: unknown,
  options: PlainReadOptions,
): Promise<ReadRow | undefined> {
  const values = new Values()
  const condition = readRequiredFilter(plan, where, values)
  const readPlan = readPlanOf(plan, options)
  const { selection } = readPlan
  const statement = plan.statements.of(`first/${selection.shape}/${condition.shape}/${options.removed ?? ''}`, () => {
    const found = whereClause([condition.sql(), removedCondition(plan, options.removed)])
    const order = plan.key.length === 0 ? sql`` : sql` order by ${list(plan.key.map(({ reference }) => reference))}`
    return new CompiledStatement(plan.drizzle, sql`select ${selection.sql} from ${plan.source}${found}${order} limit 1`)
  })
  const answered = selection.marked(await statement.run(runner, values.all))
  const [row] = await readPlan.rows(runner, answered)
  return row
}

/** The option of reads that have no other. */
export interface PlainRemovedOptions {
  readonly removed?: Removed
}

/** Returns whether a row has this key, or a filter matches any row. */
export async function rowExists(
  runner: RepositoryRunner,
  plan: TablePlan,
  keyOrWhere: unknown,
  options: PlainRemovedOptions,
): Promise<boolean> {
  checkOperationOptions('removed', options)
  const { removed } = options
  if (!isFilter(plan, keyOrWhere)) {
    const keyed = plan.statements.of(`exists/${removed ?? ''}`, () => keyedStatement(plan, sql`true`, removed))
    return (await keyed.run(runner, keyParameters(plan, keyOrWhere))).length > 0
  }
  const values = new Values()
  const condition = readRequiredFilter(plan, keyOrWhere, values)
  const statement = plan.statements.of(`exists/${condition.shape}/${removed ?? ''}`, () => {
    const found = whereClause([condition.sql(), removedCondition(plan, removed)])
    return new CompiledStatement(plan.drizzle, sql`select true from ${plan.source}${found} limit 1`)
  })
  return (await statement.run(runner, values.all)).length > 0
}

/** Returns the number of rows that a filter matches. */
export async function countRows(
  runner: RepositoryRunner,
  plan: TablePlan,
  where: unknown,
  options: PlainRemovedOptions,
): Promise<number> {
  checkOperationOptions('removed', options)
  const { removed } = options
  const values = new Values()
  const condition = readFilter(plan, where, values)
  const statement = plan.statements.of(`count/${condition.shape}/${removed ?? ''}`, () => {
    const counted = whereClause([condition.sql(), removedCondition(plan, removed)])
    return new CompiledStatement(plan.drizzle, sql`select count(*) from ${plan.source}${counted}`)
  })
  const [row] = await statement.run(runner, values.all)
  return Number(row?.[0])
}
