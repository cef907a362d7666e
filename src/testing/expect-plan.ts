/**
 * `expectPlan`: a test's question to the planner, whether a query can use an index.
 *
 * The tables of tests are small, and small tables are read from end to end, whatever indexes they have. So it is asked with
 * sequential scans priced out (`enable_seqscan`): the answer is what the planner would do were the table large.
 * https://www.postgresql.org/docs/current/runtime-config-query.html
 */
import { AssertionError } from 'node:assert'
import type { Schema } from '../drizzle/driver.ts'
import { UsageError } from '../errors.ts'
import type { Explainable } from '../explain/explain-call.ts'
import type { PlanNode, QueryPlan } from '../plan/query-plan.ts'
import type { Session } from '../repository/session.ts'

/** What a test may expect of a plan. Each asks the server once, runs nothing, and rejects with an AssertionError. */
export interface PlanExpectation {
  /**
   * Some node finds its rows by this index, or reads them in its order. One that looks at its every entry does not count:
   * that is a sequential scan of the index.
   */
  toUseIndex(index: string): Promise<void>
  /** No table is read from end to end, nor an index of it: rows are found by an index, or all wanted in its order. */
  toScanNoTable(): Promise<void>
  /** Nothing is sorted: the rows come from an index in their order. */
  toSortNothing(): Promise<void>
}

/**
 * Expects something of the plan of a query, as `session.explain` takes it:
 * `await expectPlan(session, ({ repository }) => repository(products).find({ sku })).toUseIndex('products_sku_unique')`.
 * @throws UsageError for what is no session.
 */
export function expectPlan<TSchema extends Schema>(
  session: Session<TSchema>,
  query: Explainable<Session<TSchema>>,
): PlanExpectation {
  if (typeof session?.explain !== 'function') {
    throw new UsageError('expectPlan takes a session and a query: expectPlan(session, session.db.select().from(…))')
  }
  const expectOf = async (holds: (nodes: readonly PlanNode[]) => boolean, wanted: string) => {
    const plan = await session.explain(query, { settings: { enable_seqscan: 'off' } })
    if (!holds(nodesOf(plan.root))) throw unlike(plan, wanted)
  }
  return {
    toUseIndex: (index) => expectOf((nodes) => nodes.some((node) => uses(node, index)), `use the index ${index}`),
    toScanNoTable: () => expectOf((nodes) => nodes.every((node) => !readsAll(node)), 'read no table from end to end'),
    toSortNothing: () => expectOf((nodes) => nodes.every(({ kind }) => !kind.endsWith('Sort')), 'sort nothing'),
  }
}

function nodesOf(node: PlanNode): readonly PlanNode[] {
  return [node, ...node.children.flatMap(nodesOf)]
}

/** A scan that only follows the order of an index uses it, too. */
function uses(node: PlanNode, wanted: string): boolean {
  return node.index === wanted && (node.kind === 'Index Scan' || !readsAll(node))
}

/** Whether a node reads a table, or an index, from end to end and discards what is not wanted. */
function readsAll({ kind, index, details }: PlanNode): boolean {
  if (kind === 'Seq Scan') return true
  if (index === undefined || details['Index Cond'] !== undefined || details['Order By'] !== undefined) return false
  return kind === 'Bitmap Index Scan' || details['Filter'] !== undefined
}

function unlike({ statement, root, text }: QueryPlan, wanted: string): AssertionError {
  const indexes = nodesOf(root).flatMap(({ index }) => index ?? [])
  const actual = indexes.length === 0 ? 'it uses no index' : `it uses ${indexes.join(', ')}`
  return new AssertionError({
    message: `the query should ${wanted}, and ${actual}\n\n${statement}\n\n${text}`,
    actual,
    expected: wanted,
    operator: 'expectPlan',
    stackStartFn: expectPlan,
  })
}
