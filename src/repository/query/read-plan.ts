/**
 * A read: the columns it fetches, and how rows become results: the selected properties with the related rows asked for.
 * Related rows are loaded for all rows at once: one statement per relation for any number of rows ("select in"). They
 * are read like any others, column by column, so that no digit of a bigint or numeric passes through JSON.
 * https://docs.sqlalchemy.org/en/20/orm/queryguide/relationships.html#select-in-loading
 */
import {
  type Column,
  getTableName,
  getTableUniqueName,
  is,
  Many,
  normalizeRelation,
  One,
  type Relation,
  sql,
} from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { InvalidInput, NotFound, UsageError } from '../../errors.ts'
import { checkOptions, optionNames } from '../../option-names.ts'
import type { ManyOptions } from '../types/relation-types.ts'
import { isPlain } from '../../values/plain-object.ts'
import { textOf } from '../columns/encode.ts'
import { readOptionalFilter } from './filter.ts'
import { isWanted, keysParameter, wantedKeys, wantedNumber } from './key-join.ts'
import { type TotalOrder, totalOrder } from './order.ts'
import type { RepositoryRunner } from './repository-runner.ts'
import { type ReadRow, type Selection, selectionOf } from './selection.ts'
import { list, CompiledStatement, Values } from './compiled-statement.ts'
import { type PlannedColumn, planOf, type TablePlan } from './table-plan.ts'
import { type Removed, removedCondition, whereClause } from './clauses.ts'

/** The options of every read, before the types of a table are added. */
export interface PlainReadOptions {
  readonly select?: unknown
  readonly with?: unknown
  readonly removed?: Removed
}

/** How many rows an answer may still have: a row counts as often as it stands there. */
export interface RowBudget {
  readonly left: number
  /** @throws where fewer are left */
  take(rows: number): void
}

export class ReadPlan {
  readonly selection: Selection
  readonly #relations: readonly RelationLoad[]

  constructor(selection: Selection, relations: readonly RelationLoad[]) {
    this.selection = selection
    this.#relations = relations
  }

  /**
   * The rows that the caller sees, in order, with their related rows. `times` says how often each stands in the answer, as
   * rows with the same related row share it: a budget is asked before anything is loaded for them.
   */
  async rows(
    runner: RepositoryRunner,
    answered: readonly (readonly unknown[])[],
    budget?: RowBudget,
    times: readonly number[] = answered.map(() => 1),
  ): Promise<ReadRow[]> {
    budget?.take(times.reduce((sum, each) => sum + each, 0))
    const rows = answered.map((values) => this.selection.read(values))
    if (this.#relations.length === 0) return rows
    // Sent together, they share round trips; all have ended when this does, also when one fails.
    const read = { selection: this.selection, answered, rows, times }
    const loads = this.#relations.map((relation) => relation.load(runner, read, budget))
    const failed = (await Promise.allSettled(loads)).find((load) => load.status === 'rejected')
    if (failed) throw failed.reason
    return rows
  }
}

/** Plans a read; `needed` are columns that the operation itself needs. */
export function readPlanOf(
  plan: TablePlan,
  options: PlainReadOptions,
  needed: readonly PlannedColumn[] = [],
  depth = 0,
): ReadPlan {
  const relations = options.with === undefined ? [] : planRelations(plan, options.with, depth + 1)
  const selection = selectionOf(plan, options.select)
  return new ReadPlan(selection.and([...needed, ...relations.flatMap(({ fields }) => fields)]), relations)
}

/** Rows that a relation is loaded for: as the connection read them, as the caller sees them, how often each is there. */
interface ReadRows {
  readonly selection: Selection
  readonly answered: readonly (readonly unknown[])[]
  readonly rows: readonly ReadRow[]
  readonly times: readonly number[]
}

/** Keys of related rows, how often each is asked for, and how many rows there may be. */
interface Wanted {
  readonly keys: readonly (readonly string[])[]
  readonly times: readonly number[]
  readonly budget: RowBudget | undefined
}

/** The options of a relation, before types are added. */
interface RelationOptions {
  readonly where?: unknown
  readonly orderBy?: unknown
  readonly limit?: unknown
  readonly select?: unknown
  readonly with?: unknown
}

/** How deep relations may be loaded. */
const deepest = 100

const relationOptions = optionNames<ManyOptions<never, never>>({
  where: true,
  orderBy: true,
  limit: true,
  select: true,
  with: true,
})

/** The loads of a `with`. @throws UsageError for a relation that the schema does not declare. */
function planRelations(plan: TablePlan, relations: unknown, depth: number): RelationLoad[] {
  if (depth > deepest) {
    throw new UsageError(
      `with of ${plan.name} contains itself or is nested more than ${deepest} levels deep: load the rest with a call of its own`,
    )
  }
  if (!isPlain(relations)) throw new UsageError(`with must be an object of relations of ${plan.name}`)
  const declared = relationsOf(plan)
  return Object.entries(relations).flatMap(([name, given]) => {
    const relation = Object.hasOwn(declared, name) ? declared[name] : undefined
    if (!relation) {
      const names = Object.keys(declared).join(', ') || 'none'
      throw new UsageError(`${plan.name} has no relation ${JSON.stringify(name)} in the schema: it has ${names}`)
    }
    if (given === undefined || given === false) return []
    if (given !== true && !isPlain(given))
      throw new UsageError(`the relation ${name} must be true, false or an object of options`)
    const options = given === true ? {} : given
    checkOptions(`the relation ${name}`, relationOptions, options)
    return new RelationLoad(plan, name, relation, options, depth)
  })
}

/** The relations that the schema declares of a table, by their names. */
export function relationsOf({ drizzle, source }: TablePlan): Readonly<Record<string, Relation>> {
  const key = drizzle.tableKeys[getTableUniqueName(source as PgTable)]
  return (key === undefined ? undefined : drizzle.tables[key]?.relations) ?? {}
}

/** One relation to load, and how. */
export class RelationLoad {
  /** Columns of the table itself whose values name the related rows. */
  readonly fields: readonly PlannedColumn[]
  readonly #name: string
  /** The name of the table that has the relation. */
  readonly #source: string
  readonly #many: boolean
  /** True when the type promises the row. */
  readonly #required: boolean
  readonly #target: TablePlan
  readonly #references: readonly PlannedColumn[]
  readonly #readPlan: ReadPlan
  readonly #options: RelationOptions
  readonly #order: TotalOrder

  constructor(plan: TablePlan, name: string, relation: Relation, options: RelationOptions, depth: number) {
    const { drizzle } = plan
    const { fields, references } = sidesOf(plan, name, relation)
    this.#name = name
    this.#source = plan.name
    this.#many = is(relation, Many)
    this.#target = planOf(drizzle, relation.referencedTable as PgTable)
    this.fields = fields.map((column) => planned(plan, column))
    this.#references = references.map((column) => planned(this.#target, column))
    this.#options = options
    this.#required = isPromised(this.#target, relation, options)
    if (options.limit !== undefined) checkLimit(name, options.limit, this.#many)
    this.#order = totalOrder(this.#target, options.orderBy)
    // Read only for its errors, which must not depend on whether there are rows to load for.
    readOptionalFilter(this.#target, options, new Values())
    this.#readPlan = readPlanOf(this.#target, { select: options.select, with: options.with }, [], depth)
  }

  /** Puts the related rows on the rows. */
  async load(
    runner: RepositoryRunner,
    { selection, answered, rows, times }: ReadRows,
    budget: RowBudget | undefined,
  ): Promise<void> {
    // Before any answer, so that the properties of a row are in the order asked for, whichever relation answers first.
    for (const row of rows) row[this.#name] = undefined
    const keys = answered.map((values) => keyOf(values, selection, this.fields))
    const places = new Map<string, number>()
    const wanted = { keys: [] as (readonly string[])[], times: [] as number[], budget }
    keys.forEach((key, index) => {
      if (key === undefined) return
      const place = places.get(key.text) ?? wanted.keys.push(key.values)
      places.set(key.text, place)
      wanted.times[place - 1] = (wanted.times[place - 1] ?? 0) + (times[index] ?? 1)
    })
    const related = wanted.keys.length === 0 ? undefined : await this.#related(runner, wanted)
    rows.forEach((row, index) => {
      const key = keys[index]
      const found = (key && related?.get(places.get(key.text) as number)) ?? []
      if (this.#required && found.length === 0) throw this.#gone()
      row[this.#name] = this.#many ? found : (found[0] ?? null)
    })
  }

  /** The type promises the row, and it may have existed when the first statement ran. */
  #gone(): NotFound {
    const { name } = this.#target
    return new NotFound(
      `the relation ${this.#source}.${this.#name} has no row of ${name}, though its type promises one: the row was removed meanwhile, is hidden or never existed. Read in a snapshot, or allow null with { ${this.#name}: { where: {} } }`,
      { table: name },
    )
  }

  /** The related rows by the number of their key; the server decides what is equal. */
  async #related(runner: RepositoryRunner, wanted: Wanted): Promise<ReadonlyMap<number, ReadRow[]>> {
    const values = new Values()
    const { selection } = this.#readPlan
    const answered = selection.marked(await this.#statement(wanted, values).run(runner, values.all))
    const places = answered.map((row) => Number(row.at(-1)))
    const times = places.map((place) => wanted.times[place - 1] ?? 1)
    const rows = await this.#readPlan.rows(runner, answered, wanted.budget, times)
    const groups = new Map<number, ReadRow[]>()
    rows.forEach((row, index) => {
      const place = places[index] as number
      const group = groups.get(place)
      if (group) group.push(row)
      else groups.set(place, [row])
    })
    return groups
  }

  #statement(wanted: Wanted, values: Values): CompiledStatement {
    const target = this.#target
    const { selection } = this.#readPlan
    const condition = readOptionalFilter(target, this.#options, values)
    const order = this.#order
    const keys = values.take(keysParameter(wanted.keys))
    const limit = this.#options.limit === undefined ? undefined : values.take(this.#options.limit)
    // One more than there may be, so that too many are known without reading them all.
    const most = wanted.budget && values.take(wanted.budget.left + 1)
    const shape = `with/${this.#joined}/${limit ? 'n' : ''}${most ? 'm' : ''}/${selection.shape}/${condition.shape}/${order.shape}`
    return target.statements.of(shape, () => {
      const atMost = most ? sql` limit ${most()}` : sql``
      // Compared in the types of the columns on both sides, as a foreign key is.
      const on = isWanted(this.#references, this.fields)
      const from = sql`${wantedKeys(this.fields, keys())} join ${target.source} on ${on}`
      const where = whereClause([condition.sql(), removedCondition(target, undefined)])
      if (!limit) {
        return new CompiledStatement(
          target.drizzle,
          sql`select ${selection.sql}, ${wantedNumber} from ${from}${where}${order.clause()}${atMost}`,
        )
      }
      const names = selection.columns.map((_, index) => sql.identifier(`c${index}`))
      const columns = list(selection.columns.map(({ reference }, index) => sql`${reference} as ${names[index]}`))
      const rank = sql`row_number() over (partition by ${wantedNumber}${order.clause()}) as place`
      const ranked = sql`select ${columns}, ${wantedNumber}, ${rank} from ${from}${where}`
      const outer = list(names.map((name) => sql`ranked.${name}`))
      return new CompiledStatement(
        target.drizzle,
        sql`select ${outer}, ranked.n from (${ranked}) ranked where ranked.place <= ${limit()} order by ranked.place${atMost}`,
      )
    })
  }

  /** The columns on both sides, for the shape of the statement, which is kept with the other table. */
  get #joined(): string {
    return JSON.stringify(
      this.#references.map(({ property }, index) => [property, this.fields[index]?.column?.getSQLType()]),
    )
  }
}

/** The columns of a relation on both sides. @throws UsageError when the schema does not define them. */
function sidesOf({ drizzle, name: table }: TablePlan, name: string, relation: Relation) {
  try {
    return normalizeRelation(drizzle.tables, { ...drizzle.tableKeys }, relation)
  } catch (cause) {
    const reason = (cause as Error).message
    const other = getTableName(relation.referencedTable)
    const named = relation.relationName === undefined ? '' : `, relationName: '${relation.relationName}'`
    throw new UsageError(
      `the schema does not say how the relation ${table}.${name} is joined (${reason}): declare its other side, once, in the relations of ${other}: one(${table}, { fields: […], references: […]${named} })`,
      { cause },
    )
  }
}

/**
 * Whether the type promises a row. It does where this side must have the foreign key: its columns are never null
 * (Drizzle's isNullable is true then), and the other table has many of this one. A `one` without that may be declared on
 * the parent's side, which has a child or none.
 */
function isPromised(target: TablePlan, relation: Relation, { where }: RelationOptions): boolean {
  if (!is(relation, One) || !relation.isNullable || where !== undefined || target.removedAt) return false
  const source = getTableName(relation.sourceTable)
  return Object.values(relationsOf(target)).some((back) => is(back, Many) && back.referencedTableName === source)
}

function planned(plan: TablePlan, column: Column): PlannedColumn {
  // The schema may have the table twice, such as plain and with conventions: then Drizzle knows the relations of one.
  const isTwin = getTableUniqueName(column.table as PgTable) === getTableUniqueName(plan.source as PgTable)
  const found = plan.columns.find((candidate) => {
    return candidate.column === column || (isTwin && candidate.name === plan.drizzle.columnName(column))
  })
  if (found) return found
  throw new UsageError(`a relation of the schema names a column that ${plan.name} does not have`)
}

function checkLimit(name: string, limit: unknown, many: boolean): void {
  if (!many) throw new UsageError(`the relation ${name} leads to one row, so it takes no limit`)
  if (typeof limit === 'number' && Number.isInteger(limit) && limit >= 1 && limit <= 10_000) return
  throw new InvalidInput(`limit of ${name} must be a whole number from 1 to 10000`, { path: ['with', name, 'limit'] })
}

/** The values of a row that name its related rows; undefined when one is NULL: then there are none. */
function keyOf(
  values: readonly unknown[],
  selection: Selection,
  columns: readonly PlannedColumn[],
): { readonly text: string; readonly values: readonly string[] } | undefined {
  const raw = columns.map((column) => selection.raw(values, column))
  if (raw.some((value) => value === null || value === undefined)) return undefined
  const texts = raw.map(textOf)
  return { text: texts.length === 1 ? (texts[0] as string) : JSON.stringify(texts), values: texts }
}
