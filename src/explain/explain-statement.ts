/**
 * Asks the server for the plan of one statement. Who asks sees to the transaction around it: `analyze` runs the statement,
 * and the plan without values leaves a setting behind.
 */
import { UsageError } from '../errors.ts'
import { type ExplainAnswer, filteredTables } from '../plan/explain-answer.ts'
import { queryPlan } from '../plan/plan-tree.ts'
import type { QueryPlan } from '../plan/query-plan.ts'

/** Sends a statement that is not prepared; rows come as arrays. */
export type AskRows = (
  text: string,
  parameters: readonly unknown[],
  names?: readonly (string | undefined)[],
) => Promise<readonly unknown[]>

/** A statement with its values. */
export interface ExplainedStatement {
  readonly text: string
  readonly parameters: readonly unknown[]
  /** What each parameter is for, for errors about its value. */
  readonly names?: readonly (string | undefined)[] | undefined
}

/** What to find out. */
export interface Measures {
  readonly analyze?: boolean | undefined
  readonly buffers?: boolean | undefined
}

// Behind comments and parentheses.
const explainable =
  /^(?:\s|\(|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:select|insert|update|delete|merge|with|values|table)\b/i

/** True for a statement that has a plan. */
export function isExplainable(text: string): boolean {
  return explainable.test(text)
}

/** @throws UsageError for a statement that has no plan. */
function checkExplainable(text: string): void {
  if (isExplainable(text)) return
  throw new UsageError('only SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES and WITH have a plan to explain')
}

/** The plan for these values; it may show them in its conditions. */
export async function explainStatement(
  ask: AskRows,
  statement: ExplainedStatement,
  measures: Measures = {},
): Promise<QueryPlan> {
  const { text, parameters, names } = statement
  checkExplainable(text)
  const { analyze = false, buffers = false } = measures
  const options = `format json, verbose true, analyze ${analyze}, buffers ${buffers}`
  const answer = answerIn(await ask(`explain (${options}) ${text}`, parameters, names))
  const tableRows = analyze ? new Map<string, number>() : await statisticsOf(ask, answer)
  return queryPlan(answer, { statement: text, generic: false, tableRows })
}

/** A plan that holds no value, and how many parameters its statement has. */
export interface GenericPlan {
  readonly plan: QueryPlan
  readonly parameters: number
}

/**
 * The plan whatever the values are: with `$1` in its conditions. In a transaction only, which has `plan_cache_mode` set
 * afterwards. EXPLAIN (GENERIC_PLAN) would do the same from PostgreSQL 16 on, by a protocol that takes several statements.
 */
export async function explainGeneric(ask: AskRows, text: string): Promise<GenericPlan> {
  checkExplainable(text)
  const name = newName()
  await ask(`prepare ${name} as ${text}`, [])
  const counted = await ask(
    'select cardinality(parameter_types) from pg_catalog.pg_prepared_statements where name = $1',
    [name],
  )
  const parameters = Number((counted[0] as readonly unknown[])[0])
  await ask('set local plan_cache_mode = force_generic_plan', [])
  const values = parameters === 0 ? '' : `(${Array.from({ length: parameters }, () => 'null').join(', ')})`
  const answer = answerIn(await ask(`explain (format json, verbose true) execute ${name}${values}`, []))
  await ask(`deallocate ${name}`, [])
  const tableRows = await statisticsOf(ask, answer)
  return { plan: queryPlan(answer, { statement: text, generic: true, tableRows }), parameters }
}

let named = 0

/** A name that no other statement of the connection has. */
function newName(): string {
  named += 1
  return `rivulet_explained_${named}`
}

function answerIn(rows: readonly unknown[]): ExplainAnswer {
  const [answer] = JSON.parse(String((rows[0] as readonly unknown[])[0])) as Partial<ExplainAnswer>[]
  if (answer?.Plan) return answer as ExplainAnswer
  throw new UsageError('the statement has no plan: a rule of its table does nothing, or something else, instead')
}

/** How many rows the tables have that would be read from end to end: the plan says only how many are wanted. */
async function statisticsOf(ask: AskRows, answer: ExplainAnswer): Promise<ReadonlyMap<string, number>> {
  const tables = filteredTables(answer)
  if (tables.length === 0) return new Map()
  const rows = (await ask(
    `select n.nspname, c.relname, c.reltuples::float8 from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join unnest($1::text[], $2::text[]) wanted (schema, name) on n.nspname = wanted.schema and c.relname = wanted.name
      where c.reltuples >= 0`,
    [tables.map(({ schema }) => schema), tables.map(({ name }) => name)],
  )) as readonly (readonly [string, string, number])[]
  return new Map(rows.map(([schema, name, count]) => [`${schema}.${name}`, Number(count)]))
}
