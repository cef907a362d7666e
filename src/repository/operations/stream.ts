/** All rows that a filter matches, one by one, through the session's cursor: a table of any size in little memory. */
import { sql } from 'drizzle-orm'
import type { Result } from '../../pool/connection.ts'
import type { CursorQuery } from '../../drizzle/driver.ts'
import { readOptionalFilter } from '../query/filter.ts'
import { checkOperationOptions } from '../query/operation-options.ts'
import { givenOrder } from '../query/order.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { type ReadRow, selectionOf } from '../query/selection.ts'
import { CompiledStatement, Values } from '../query/compiled-statement.ts'
import type { TablePlan } from '../query/table-plan.ts'
import { type Removed, removedCondition, whereClause } from '../query/clauses.ts'

/** The options of `stream`, before the types of a table are added. */
export interface PlainStreamOptions {
  readonly where?: unknown
  readonly orderBy?: unknown
  readonly select?: unknown
  readonly removed?: Removed
  readonly batchSize?: number
}

/** Yields the rows. Errors in the options are thrown when rows are awaited, not when the stream is made. */
export function streamRows(
  runner: RepositoryRunner,
  plan: TablePlan,
  options?: PlainStreamOptions,
): AsyncGenerator<ReadRow, void, undefined> {
  try {
    const query = queryOf(plan, options)
    return runner.stream(() => query, { batchSize: options?.batchSize })
  } catch (error) {
    return failing(error)
  }
}

async function* failing(reason: unknown): AsyncGenerator<never, void, undefined> {
  yield await Promise.reject<never>(reason)
}

/** The options are read when the stream is made; later changes of them do not matter. */
function queryOf(plan: TablePlan, options: PlainStreamOptions = {}): CursorQuery<ReadRow> {
  checkOperationOptions('stream', options)
  const values = new Values()
  const condition = readOptionalFilter(plan, options, values)
  const order = givenOrder(plan, options.orderBy)
  const selection = selectionOf(plan, options.select)
  const shape = `stream/${selection.shape}/${condition.shape}/${order.shape}/${options.removed ?? ''}`
  const statement = plan.statements.of(shape, () => {
    const where = whereClause([condition.sql(), removedCondition(plan, options.removed)])
    return new CompiledStatement(
      plan.drizzle,
      sql`select ${selection.sql} from ${plan.source}${where}${order.clause()}`,
    )
  })
  const read = (rows: Result) => selection.marked(rows as Result<unknown[]>).map((row) => selection.read(row))
  return {
    text: statement.text,
    parameters: statement.parameters(values.all),
    names: statement.names,
    arrays: true,
    map: (rows, ask) => {
      const learnt = statement.learnt(rows, ask)
      return learnt instanceof Promise ? learnt.then(read) : read(learnt)
    },
  }
}
