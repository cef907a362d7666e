/**
 * INSERT of one row. The columns given decide the statement, the values are parameters, and the whole row comes back
 * as the database made it.
 */
import { type SQL, sql } from 'drizzle-orm'
import { DatabaseError } from '../../errors.ts'
import type { RepositoryRunner } from '../query/repository-runner.ts'
import { type ReadRow, selectionOf } from '../query/selection.ts'
import { list, slot, CompiledStatement } from '../query/compiled-statement.ts'
import type { TablePlan } from '../query/table-plan.ts'
import { type Assignment, newRowAssignments, shapeOf } from '../query/assignments.ts'

/** Inserts one row and answers it. @throws DatabaseError when a trigger skipped it. */
export async function insertRow(runner: RepositoryRunner, plan: TablePlan, row: unknown): Promise<ReadRow> {
  return insertAssigned(runner, plan, newRowAssignments(plan, row))
}

/** Inserts the row of these assignments. */
export async function insertAssigned(
  runner: RepositoryRunner,
  plan: TablePlan,
  assignments: readonly Assignment[],
): Promise<ReadRow> {
  const selection = selectionOf(plan)
  const create = () => {
    return new CompiledStatement(plan.drizzle, sql`${insertClause(plan, assignments)} returning ${selection.sql}`)
  }
  const shape = shapeOf(plan, assignments)
  const statement = shape === undefined ? create() : plan.statements.of(`insert${shape}`, create)
  const [inserted] = selection.marked(await statement.run(runner, valuesOf(assignments)))
  if (!inserted) throw skipped(plan)
  return selection.read(inserted)
}

/** The error for a row that the server neither wrote nor refused to; `no_data` is what SQL calls it. */
export function skipped(plan: TablePlan): DatabaseError {
  return new DatabaseError(`a trigger, rule or policy of ${plan.name} skipped the row`, {
    sqlState: '02000',
    table: plan.name,
  })
}

/** `insert into … (…) values (…)`, values in the order of the assignments. */
export function insertClause(plan: TablePlan, assignments: readonly Assignment[]): SQL {
  if (assignments.length === 0) return sql`insert into ${plan.source} default values`
  const columns = list(assignments.map(({ column }) => column.bare))
  return sql`insert into ${plan.source} (${columns}) values (${list(assigned(assignments))})`
}

/** What stands for each assignment's value in a statement. */
export function assigned(assignments: readonly Assignment[], from = 0): SQL[] {
  let position = from
  return assignments.map(({ column, expression }) => expression ?? sql`${slot(position++, column.property)}`)
}

/** The values of assignments that have one, in order. */
export function valuesOf(assignments: readonly Assignment[]): unknown[] {
  return assignments.filter(({ expression }) => expression === undefined).map(({ value }) => value)
}
