/** Reads of one row by its key: the most frequent statements of all. */
import { type SQL, sql } from 'drizzle-orm'
import { keyCondition, type Removed, removedCondition, whereClause } from './clauses.ts'
import { CompiledStatement, slot } from './compiled-statement.ts'
import { selectionOf } from './selection.ts'
import type { TablePlan } from './table-plan.ts'

/** The statement of a read of a whole row by its key. */
export function pointStatement(plan: TablePlan, removed: Removed = 'exclude'): CompiledStatement {
  const name = removed === 'exclude' ? 'point' : `point/${removed}`
  return plan.statements.of(name, () => keyedStatement(plan, selectionOf(plan).sql, removed))
}

/** `select … where key = …`, with `behind` at its end. */
export function keyedStatement(
  plan: TablePlan,
  columns: SQL,
  removed: Removed | undefined,
  behind: SQL = sql``,
): CompiledStatement {
  const conditions = [
    keyCondition(plan, (index, property) => sql`${slot(index, property)}`),
    removedCondition(plan, removed),
  ]
  return new CompiledStatement(
    plan.drizzle,
    sql`select ${columns} from ${plan.source}${whereClause(conditions)}${behind}`,
  )
}
