/** A plan as text for people: a node a line, what it does below it, and what looks wrong at the end. */
import { amount } from './plan-warnings.ts'
import type { PlanNode, QueryPlan } from './query-plan.ts'

/** The details that say what a node does; the others are for programs. */
const shown = [
  'Index Cond',
  'Recheck Cond',
  'Hash Cond',
  'Merge Cond',
  'Join Filter',
  'Filter',
  'Order By',
  'Sort Key',

  'Presorted Key',
  'Group Key',
  'Conflict Arbiter Indexes',
  'Rows Removed by Filter',
  'Rows Removed by Join Filter',
  'Rows Removed by Index Recheck',
  'Sort Method',
  'Hash Batches',
  'Heap Fetches',
  'Workers Launched',
]

/** The text of a plan. */
export function planText({ root, generic, planningMs, executionMs, warnings }: Omit<QueryPlan, 'text'>): string {
  const lines = nodeLines(root, '')
  if (executionMs !== undefined) lines.push('', `planned in ${ms(planningMs ?? 0)}, run in ${ms(executionMs)}`)
  if (generic) lines.push('', 'planned without the values of its parameters')
  if (warnings.length > 0) lines.push('', ...warnings.map(({ message }) => `! ${message}`))
  return lines.join('\n')
}

function nodeLines(node: PlanNode, indent: string): string[] {
  const inner = `${indent}    `
  return [
    `${indent}${nodeTitle(node)}`,
    ...nodeDetails(node).map((detail) => `${inner}${detail}`),
    ...node.children.flatMap((child) => {
      const [first = '', ...rest] = nodeLines(child, inner)
      return [`${indent}  → ${first.trimStart()}`, ...rest]
    }),
  ]
}

/** A node in a line: what it does, and how much of it. */
export function nodeTitle(node: PlanNode): string {
  return `${nameOf(node)}: ${figures(node)}`
}

/** What it does in particular, a line each. */
export function nodeDetails({ details }: PlanNode): string[] {
  return shown.flatMap((name) => (details[name] === undefined ? [] : [`${name}: ${plain(details[name])}`]))
}

function nameOf({ kind, table, index, details }: PlanNode): string {
  const { 'Subplan Name': subplan, 'Join Type': join, Operation: operation } = details
  const name = kind === 'ModifyTable' && typeof operation === 'string' ? operation : kind
  const half = typeof join === 'string' && join !== 'Inner' ? ` (${join.toLowerCase()} join)` : ''
  const on = table === undefined ? '' : ` of ${table}`
  const by = index === undefined ? '' : ` by ${index}`
  return `${typeof subplan === 'string' ? `${subplan}: ` : ''}${name}${half}${on}${by}`
}

function figures({ expectedRows, cost, actual, buffers }: PlanNode): string {
  if (!actual) return `${amount(expectedRows, 'row')} expected, cost ${cost}`
  const { rows, loops, totalMs, selfMs } = actual
  const expected = `${amount(expectedRows, 'row')} expected${loops > 1 ? ` a run` : ''}`
  const runs = loops > 1 ? `, ${amount(loops, 'run')}` : ''
  const pages = buffers ? `, pages: ${pagesOf(buffers)}` : ''
  return `${amount(rows, 'row')} (${expected}), ${ms(totalMs)} (${ms(selfMs)} of its own)${runs}${pages}`
}

function pagesOf(buffers: NonNullable<PlanNode['buffers']>): string {
  const used = Object.entries(buffers).filter(([, pages]) => pages > 0)
  return used.map(([name, pages]) => `${pages} ${name}`).join(', ') || 'none'
}

function plain(value: unknown): string {
  return Array.isArray(value) ? value.join(', ') : String(value)
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : Math.round(value).toLocaleString('en')} ms`
}
