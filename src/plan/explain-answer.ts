/** What EXPLAIN (FORMAT JSON) answers, under PostgreSQL's names, as far as it is read here. */

/** The answer as a whole. */
export interface ExplainAnswer {
  readonly Plan: NodeAnswer
  readonly 'Planning Time'?: number
  readonly 'Execution Time'?: number
  readonly Triggers?: readonly TriggerAnswer[]
}

/** One node of it. */
export interface NodeAnswer {
  readonly 'Node Type': string
  readonly 'Plan Rows': number
  readonly 'Total Cost': number
  readonly Schema?: string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Parent Relationship'?: string
  readonly 'Actual Rows'?: number
  readonly 'Actual Loops'?: number
  readonly 'Actual Total Time'?: number
  readonly 'Workers Launched'?: number
  readonly Plans?: readonly NodeAnswer[]
  readonly [detail: string]: unknown
}

/** What one trigger cost. */
interface TriggerAnswer {
  readonly 'Trigger Name'?: string
  readonly 'Constraint Name'?: string
  readonly Relation?: string
  readonly Time?: number
  readonly Calls?: number
}

/** The table of a node with its schema: `public.products`. */
export function tableOf({ Schema: schema, 'Relation Name': name }: NodeAnswer): string | undefined {
  return schema === undefined || name === undefined ? name : `${schema}.${name}`
}

/** A number that the server gives for a node; 0 where it gives none. */
export function figure(node: NodeAnswer, name: string): number {
  const value = node[name]
  return typeof value === 'number' ? value : 0
}

/** The tables that are read from end to end for some of their rows, however large they are. */
export function filteredTables({ Plan: root }: ExplainAnswer): readonly { schema: string; name: string }[] {
  const found: { schema: string; name: string }[] = []
  const visit = (node: NodeAnswer) => {
    const { Schema: schema, 'Relation Name': name } = node
    const isFiltered = node['Node Type'] === 'Seq Scan' && node['Filter'] !== undefined
    if (isFiltered && schema !== undefined && name !== undefined) found.push({ schema, name })
    node.Plans?.forEach(visit)
  }
  visit(root)
  return found
}
