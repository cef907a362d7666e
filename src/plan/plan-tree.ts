/** Reads the tree of a plan from what EXPLAIN (FORMAT JSON) answers, adds up times and rows, and has it judged. */
import { type ExplainAnswer, figure, type NodeAnswer, tableOf } from './explain-answer.ts'
import { planText } from './plan-text.ts'
import { isWrong, nodeWarnings, triggerWarnings } from './plan-warnings.ts'
import type { PlanActual, PlanBuffers, PlanNode, QueryPlan } from './query-plan.ts'

/** What is known beside the answer. */
export interface PlanSource {
  readonly statement: string
  readonly generic: boolean
  /** Rows by the statistics, of the tables that are read from end to end: `public.products` -> 12,000. */
  readonly tableRows: ReadonlyMap<string, number>
}

/** The plan in an answer of EXPLAIN (FORMAT JSON). */
export function queryPlan(answer: ExplainAnswer, { statement, generic, tableRows }: PlanSource): QueryPlan {
  const root = readNode(answer.Plan, { tableRows, processes: 1, stopsEarly: false }).node
  const plan = {
    statement,
    generic,
    root,
    planningMs: answer['Execution Time'] === undefined ? undefined : answer['Planning Time'],
    executionMs: answer['Execution Time'],
    warnings: [...warningsBelow(root), ...triggerWarnings(answer)],
  }
  return { ...plan, text: planText(plan) }
}

/** What a node inherits from those above it. */
interface Above {
  readonly tableRows: ReadonlyMap<string, number>
  /** Processes that run the node at the same time. */
  readonly processes: number
  readonly stopsEarly: boolean
}

/** What the tree says in fields of its own. */
const own =
  /^(?:Node Type|Schema|Relation Name|Index Name|Plans|Plan (?:Rows|Width)|(?:Startup|Total) Cost|Actual .*|Output|Workers|.* Aware|Async Capable|Disabled)$/
const buffer = /^(?:Shared|Local|Temp) .* Blocks$/

function readNode(node: NodeAnswer, above: Above): { readonly node: PlanNode; readonly misled: boolean } {
  const processes = above.processes * (1 + figure(node, 'Workers Launched'))
  const stopsEarly = above.stopsEarly || /^(?:Limit|Merge Join)$/.test(node['Node Type']) || isHalfJoin(node)
  const below = (node.Plans ?? []).map((child) => readNode(child, { ...above, processes, stopsEarly }))
  const children = below.map(({ node }) => node)
  const actual = actualOf(node, children, above.processes)
  const misledBelow = below.some(({ misled }) => misled)
  const table = tableOf(node)
  const tableRows = table === undefined ? undefined : above.tableRows.get(table)
  const context = { actual, stopsEarly: above.stopsEarly, misled: misledBelow, tableRows }
  const made = {
    kind: node['Node Type'],
    table,
    index: node['Index Name'],
    expectedRows: node['Plan Rows'],
    cost: node['Total Cost'],
    actual,
    buffers: buffersOf(node),
    details: Object.fromEntries(Object.entries(node).filter(([name]) => !own.test(name) && !buffer.test(name))),
    warnings: nodeWarnings(node, context),
    children,
  }
  return { node: made, misled: misledBelow || (actual !== undefined && isWrong(node, actual, above.stopsEarly)) }
}

/** A join that looks for one match only. */
function isHalfJoin(node: NodeAnswer): boolean {
  return node['Join Type'] === 'Semi' || node['Join Type'] === 'Anti' || node['Inner Unique'] === true
}

function actualOf(node: NodeAnswer, children: readonly PlanNode[], processes: number): PlanActual | undefined {
  const loops = figure(node, 'Actual Loops')
  if (loops === 0) return undefined
  const totalMs = rounded((figure(node, 'Actual Total Time') * loops) / Math.min(processes, loops))
  // What is computed once for another node stands here but counts there.
  const fed = children.filter(({ details }) => details['Parent Relationship'] !== 'InitPlan')
  const belowMs = fed.reduce((sum, { actual }) => sum + (actual?.totalMs ?? 0), 0)
  const rows = Math.round(figure(node, 'Actual Rows') * loops)
  return { rows, loops, totalMs, selfMs: rounded(Math.max(0, totalMs - belowMs)) }
}

function buffersOf(node: NodeAnswer): PlanBuffers | undefined {
  if (node['Shared Hit Blocks'] === undefined) return undefined
  const both = (what: string) => figure(node, `Shared ${what} Blocks`) + figure(node, `Local ${what} Blocks`)
  return {
    hit: both('Hit'),
    read: both('Read'),
    dirtied: both('Dirtied'),
    spilled: figure(node, 'Temp Written Blocks'),
  }
}

/** Microseconds are as fine as the server's clock. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

function warningsBelow(node: PlanNode): QueryPlan['warnings'] {
  return [...node.warnings, ...node.children.flatMap(warningsBelow)]
}
