/** All rows that a filter matches, one by one, through the session's cursor: a table of any size in little memory. */
import { sql } from 'drizzle-orm'
import type { Result } from '../../pool/connection.ts'
import type { CursorQuery, DirectReading } from '../../drizzle/driver.ts'
import { readOptionalFilter } from '../query/filter.ts'
import { checkOperationOptions } from '../query/operation-options.ts'
import { givenOrder } from '../query/order.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { type ReadRow, type Selection, selectionOf } from '../query/selection.ts'
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
    const query = cursorOf(plan, options, readWhole)
    return runner.stream(() => query, { batchSize: options?.batchSize })
  } catch (error) {
    return failing(error)
  }
}

async function* failing(reason: unknown): AsyncGenerator<never, void, undefined> {
  yield await Promise.reject<never>(reason)
}

/** What becomes of the rows of a stream. */
export interface StreamReading<TRow> {
  /** Reads a batch, row by row, in the order of the selection's columns. */
  read(rows: Result<unknown[]>): readonly TRow[]
  readonly direct?: () => DirectReading<TRow> | undefined
}

function readWhole(selection: Selection): StreamReading<ReadRow> {
  return { read: (rows) => selection.marked(rows).map((row) => selection.read(row)) }
}

/** The statement of a stream. The options are read when it is made; later changes of them do not matter. */
export function cursorOf<TRow>(
  plan: TablePlan,
  options: PlainStreamOptions = {},
  reading: (selection: Selection) => StreamReading<TRow>,
  most?: number,
): CursorQuery<TRow> {
  checkOperationOptions('stream', options)
  const values = new Values()
  const condition = readOptionalFilter(plan, options, values)
  const order = givenOrder(plan, options.orderBy)
  const selection = selectionOf(plan, options.select)
  const limit = most === undefined ? undefined : values.take(most)
  const shape = `stream/${selection.shape}/${condition.shape}/${order.shape}/${options.removed ?? ''}/${limit ? 'n' : ''}`
  const statement = plan.statements.of(shape, () => {
    const where = whereClause([condition.sql(), removedCondition(plan, options.removed)])
    const limited = limit ? sql` limit ${limit()}` : sql``
    return new CompiledStatement(
      plan.drizzle,
      sql`select ${selection.sql} from ${plan.source}${where}${order.clause()}${limited}`,
    )
  })
  const made = reading(selection)
  const read = (rows: Result<unknown[]>) => made.read(rows)
  return {
    text: statement.text,
    parameters: statement.parameters(values.all),
    names: statement.names,
    arrays: true,
    map: (rows, ask) => {
      const learnt = statement.learnt(rows, ask) as Result<unknown[]> | Promise<Result<unknown[]>>
      return learnt instanceof Promise ? learnt.then(read) : read(learnt)
    },
    direct: made.direct,
  }
}
