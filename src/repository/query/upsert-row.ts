/**
 * Insert or update of a row in one statement, decided by a unique constraint, and the clauses of it that many rows share.
 * https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT
 */
import { is, type SQL, sql, Table } from 'drizzle-orm'
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import { DatabaseError, UniqueViolation, UsageError } from '../../errors.ts'
import { isNull as isNullColumn, typedParameter } from './own-type-condition.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import { type ReadRow, selectionOf } from './selection.ts'
import { list, CompiledStatement } from './compiled-statement.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'
import { type Assignment, newRowAssignments, patchAssignments, shapeOf, updateAssignments } from './assignments.ts'
import {
  type Removed,
  assignedFragments,
  insertClause,
  removedCondition,
  assignedValues,
  setClause,
  whereClause,
} from './clauses.ts'
import { skipped } from './row-errors.ts'

/** The options of `upsert`, before the types of a table are added. */
export interface PlainUpsertOptions {
  readonly on?: unknown
  readonly update?: unknown
}

/** Attempts to read after a conflict: the conflicting row may be deleted meanwhile. */
const attempts = 3

/** Inserts the row, or updates the conflicting one, and returns the row that is then there. */
export async function upsertGiven(
  runner: RepositoryRunner,
  plan: TablePlan,
  row: unknown,
  options: PlainUpsertOptions,
): Promise<ReadRow> {
  const inserted = newRowAssignments(plan, row)
  const on = conflictColumns(plan, options.on, inserted)
  const updated = updates(plan, row, on, options.update)
  const selection = selectionOf(plan)
  const shape = [shapeOf(plan, inserted), on.map(({ shapeName }) => shapeName).join(','), shapeOf(plan, updated)]
  const create = () => new CompiledStatement(plan.drizzle, upsertText(plan, inserted, on, updated))
  const statement = shape.includes(undefined) ? create() : plan.statements.of(`upsert${shape.join('/')}`, create)
  const values = [...assignedValues(inserted), ...assignedValues(updated)]
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const rows = await statement.run(runner, values).catch((error: unknown) => refuseNotUnique(plan, on, error))
    const [answered] = selection.marked(rows)
    if (answered) return selection.read(answered)
    const present = updated.length === 0 ? await rowInTheWay(runner, plan, on, inserted, 'exclude') : undefined
    if (present) return selection.read(present)
    // Updating a removed row would surprise the caller, and so would restoring it.
    if (plan.removedAt && (await rowInTheWay(runner, plan, on, inserted, 'only'))) throw removedInTheWay(plan, on)
  }
  throw skipped(plan)
}

function removedInTheWay(plan: TablePlan, on: readonly PlannedColumn[]): UniqueViolation {
  return new UniqueViolation(`a removed row of ${plan.name} has this key: restore or purge it first`, {
    sqlState: '23505',
    table: plan.name,
    columns: on.map(({ name }) => name),
  })
}

/** 42P10: there is no unique constraint or index on the columns. */
export function refuseNotUnique(plan: TablePlan, on: readonly PlannedColumn[], error: unknown): never {
  if (!(error instanceof DatabaseError) || error.sqlState !== '42P10') throw error
  const names = on.map(({ property }) => property).join(', ')
  throw new UsageError(`upsert into ${plan.name} cannot use (${names}): these columns are not unique together`, {
    cause: error,
  })
}

export function conflictColumns(
  plan: TablePlan,
  on: unknown,
  inserted: readonly Assignment[],
): readonly PlannedColumn[] {
  const named = on === undefined ? plan.key : (Array.isArray(on) ? on : [on]).map((name) => plan.column(String(name)))
  const absent = named.find((column) => !inserted.some((assignment) => assignment.column === column))
  if (!absent && named.length > 0) return named
  throw new UsageError(
    `upsert into ${plan.name} needs a value for ${absent?.property ?? 'its key'}: give one, or name other unique columns with on`,
  )
}

/** The assignments of the conflicting row: by default everything given but the columns of the conflict. */
export function updates(plan: TablePlan, row: unknown, on: readonly PlannedColumn[], update: unknown): Assignment[] {
  if (update !== undefined && !Array.isArray(update)) return patchAssignments(plan, update)
  const given = row as Record<string, unknown>
  const names = update ?? Object.keys(given).filter((name) => given[name] !== undefined)
  const columns = (names as unknown[]).map((name) => plan.column(String(name)))
  const written = update === undefined ? columns.filter((column) => !on.includes(column)) : columns
  if (written.length === 0) return []
  const missing = written.find((column) => given[column.property] === undefined)
  if (missing) throw new UsageError(`upsert cannot update ${missing.property}: the row has no value for it`)
  const taken = written.map((column): Assignment => {
    return { column, value: undefined, expression: sql`excluded.${column.bare}` }
  })
  return [...taken, ...updateAssignments(plan, (name) => written.some(({ property }) => property === name))]
}

function upsertText(
  plan: TablePlan,
  inserted: readonly Assignment[],
  on: readonly PlannedColumn[],
  updated: readonly Assignment[],
): SQL {
  const conflict = conflictClause(plan, on, updated, assignedValues(inserted).length)
  return sql`${insertClause(plan, inserted)}${conflict} returning ${selectionOf(plan).sql}`
}

/** `on conflict (…) do …`; the values of `updated` are those of the statement from the place `from` on. */
export function conflictClause(
  plan: TablePlan,
  on: readonly PlannedColumn[],
  updated: readonly Assignment[],
  from: number,
): SQL {
  const visible = whereClause([removedCondition(plan, undefined)])
  const action = updated.length === 0 ? sql`nothing` : sql`update set ${setClause(updated, from)}${visible}`
  return sql` on conflict (${list(on.map(({ bare }) => bare))})${arbiter(plan, on)} do ${action}`
}

/**
 * The predicate that lets a partial unique index decide; an index of all rows decides as well. With soft delete, the
 * index is unique among the rows that are not removed; for other partial indexes the schema has the predicate.
 */
function arbiter(plan: TablePlan, on: readonly PlannedColumn[]): SQL {
  const names = new Set(on.map(({ column }) => column?.name))
  const { indexes } = is(plan.source, Table) ? getTableConfig(plan.source as PgTable) : { indexes: [] }
  const partial = indexes.find(({ config: { unique, where, columns } }) => {
    const members = new Set(columns.map((column) => (column as { name?: string }).name))
    return unique && where !== undefined && members.size === names.size && [...members].every((name) => names.has(name))
  })
  // Without parameters, because with one the server could not prove that it implies the predicate of the index.
  const declared = partial?.config.where && sql`(${partial.config.where})`.inlineParams()
  return whereClause([removedCondition(plan, undefined), declared])
}

/** Whether a unique constraint on these columns treats NULLs as equal, as the schema declares it. */
function nullsAreEqual({ source }: TablePlan, on: readonly PlannedColumn[]): boolean {
  const [only, second] = on
  if (only && !second && only.column?.uniqueType === 'not distinct') return true
  const names = new Set(on.map(({ column }) => column?.name))
  return getTableConfig(source as PgTable).uniqueConstraints.some(({ columns, nullsNotDistinct }) => {
    return nullsNotDistinct && columns.length === names.size && columns.every(({ name }) => names.has(name))
  })
}

function isNull({ value, expression }: Assignment): boolean {
  return value === null && expression === undefined
}

async function rowInTheWay(
  runner: RepositoryRunner,
  plan: TablePlan,
  on: readonly PlannedColumn[],
  inserted: readonly Assignment[],
  removed: Removed,
): Promise<readonly unknown[] | undefined> {
  const given = on.map((column) => inserted.find((assignment) => assignment.column === column) as Assignment)
  // Without such a constraint a NULL conflicts with no row, and no row may be taken for a conflicting one.
  if (given.some(isNull) && !nullsAreEqual(plan, on)) return undefined
  const [nulls, keyed] = [given.filter(isNull), given.filter((assignment) => !isNull(assignment))]
  const create = () => {
    const values = assignedFragments(keyed)
    const same = keyed.map(({ column }, index) => {
      return sql`${column.reference} = ${typedParameter(column, values[index] as SQL)}`
    })
    const where = whereClause([
      ...nulls.map(({ column }) => isNullColumn(column)),
      ...same,
      removedCondition(plan, removed),
    ])
    return new CompiledStatement(plan.drizzle, sql`select ${selectionOf(plan).sql} from ${plan.source}${where}`)
  }
  const shape = shapeOf(plan, keyed)
  const absent = nulls.map(({ column }) => column.shapeName).join(',')
  const statement =
    shape === undefined ? create() : plan.statements.of(`conflicting${shape}/${absent}/${removed}`, create)
  const [row] = selectionOf(plan).marked(await statement.run(runner, assignedValues(keyed)))
  return row
}
