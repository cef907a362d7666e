/** A query plan for a page: its nodes in words, with `?` for every literal unless values are shown. */
import { querySummary } from '../observe/query-summary.ts'
import { nodeDetails, nodeTitle } from '../plan/plan-text.ts'
import type { PlanNode, QueryPlan } from '../plan/query-plan.ts'

/** A plan. */
export interface PlanView {
  readonly statement: string
  readonly root: NodeView
  /** All that looks wrong. */
  readonly warnings: readonly string[]
}

/** One node of it. */
export interface NodeView {
  /** What it does, and what it expects. */
  readonly title: string
  readonly details: readonly string[]
  readonly children: readonly NodeView[]
}

/** Puts it into words. */
export function planView({ statement, root, warnings }: QueryPlan, showValues: boolean): PlanView {
  const shown = showValues ? (text: string) => text : (text: string) => querySummary(text).text
  const nodeView = (node: PlanNode): NodeView => ({
    title: nodeTitle(node),
    details: nodeDetails(node).map(shown),
    children: node.children.map(nodeView),
  })
  return { statement: shown(statement), root: nodeView(root), warnings: warnings.map(({ message }) => message) }
}
