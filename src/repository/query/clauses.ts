/**
 * Clauses that several statements share: WHERE with the condition of a key or of soft delete, the columns and values of
 * INSERT, and SET.
 */
import { type SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../errors.ts'
import type { Assignment } from './assignments.ts'
import { list, slot } from './compiled-statement.ts'
import { typedParameter } from './own-type-condition.ts'
import type { TablePlan } from './table-plan.ts'

/** Whether a read leaves removed rows out, includes them, or reads only them. */
export type Removed = 'exclude' | 'include' | 'only'

/** The condition that leaves removed rows out, or keeps only them; undefined without soft delete. */
export function removedCondition(plan: TablePlan, removed: Removed | undefined): SQL | undefined {
  if (!plan.removedAt) {
    if (removed !== undefined && removed !== 'exclude') throw withoutSoftDelete(plan, 'the option removed')
    return undefined
  }
  const { reference } = plan.removedAt
  if (removed === undefined || removed === 'exclude') return sql`${reference} is null`
  if (removed === 'include') return undefined
  if (removed === 'only') return sql`${reference} is not null`
  throw new UsageError("removed must be 'exclude', 'include' or 'only'")
}

/** The error for something that only tables with soft delete have. */
export function withoutSoftDelete(plan: TablePlan, what: string): UsageError {
  return new UsageError(
    `${what} needs soft delete, which ${plan.name} does not have: declare removedAt with conventions(table, { removedAt: '…' })`,
  )
}

/** `where …` of the given conditions; empty without any. */
export function whereClause(conditions: readonly (SQL | undefined)[]): SQL {
  const present = conditions.filter((condition) => condition !== undefined)
  return present.length === 0 ? sql`` : sql` where ${sql.join(present, sql` and `)}`
}

/** The condition that a row has the key whose values are in the slots that `slotAt` returns. */
export function keyCondition(plan: TablePlan, slotAt: (index: number, property: string) => SQL): SQL {
  return sql.join(
    plan.key.map((column, index) => {
      return sql`${column.reference} = ${typedParameter(column, slotAt(index, column.property))}`
    }),
    sql` and `,
  )
}

/** `insert into … (…) values (…)`, values in the order of the assignments. */
export function insertClause(plan: TablePlan, assignments: readonly Assignment[]): SQL {
  if (assignments.length === 0) return sql`insert into ${plan.source} default values`
  const columns = list(assignments.map(({ column }) => column.bare))
  return sql`insert into ${plan.source} (${columns}) values (${list(assignedFragments(assignments))})`
}

/** The fragment of each assignment's value in a statement. */
export function assignedFragments(assignments: readonly Assignment[], from = 0): SQL[] {
  let position = from
  return assignments.map(({ column, expression }) => expression ?? sql`${slot(position++, column.property)}`)
}

/** The values of assignments that have one, in order. */
export function assignedValues(assignments: readonly Assignment[]): unknown[] {
  return assignments.filter(({ expression }) => expression === undefined).map(({ value }) => value)
}

/** `a = …, b = …`. */
export function setClause(assignments: readonly Assignment[], from = 0): SQL {
  const values = assignedFragments(assignments, from)
  return list(assignments.map(({ column }, index) => sql`${column.bare} = ${values[index]}`))
}
