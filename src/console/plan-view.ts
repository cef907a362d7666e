/** A query plan for a page: its nodes in words, with `?` for every literal unless values are shown. */
import { querySummary } from '../observe/query-summary.ts'
import { sqlTokens } from '../observe/sql-tokens.ts'
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
  const messages = warnings.map(({ message }) => message)
  return {
    statement: shown(statement),
    root: nodeView(root),
    warnings: showValues ? messages : withoutConditions(messages, root),
  }
}

/** Messages in which what the nodes say of themselves stands without its literals: they are words, and no SQL otherwise. */
function withoutConditions(messages: readonly string[], root: PlanNode): string[] {
  const conditions = textsOf(root).toSorted((a, b) => b.length - a.length)
  const strings = conditions.flatMap((text) =>
    sqlTokens(text).flatMap(({ kind, text: token }) => (kind === 'literal' && token.includes("'") ? [token] : [])),
  )
  return messages.map((message) => {
    const masked = conditions.reduce(
      (text, condition) => text.replaceAll(condition, querySummary(condition).text),
      message,
    )
    return strings.reduce((text, literal) => text.replaceAll(literal, '?'), masked)
  })
}

function textsOf({ details, children }: PlanNode): string[] {
  const own = Object.values(details).filter((value) => typeof value === 'string')
  return [...own, ...children.flatMap(textsOf)]
}
