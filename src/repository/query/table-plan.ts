/**
 * What a repository knows of its table: columns with their readers and writers, key, conventions, and the statements
 * rendered so far. Computed once for each engine and table.
 */
import { Column, getTableColumns, getViewName, getViewSelectedFields, is, SQL, sql, Table, View } from 'drizzle-orm'
import { getTableConfig, getViewConfig, type PgColumn, type PgTable, type PgView } from 'drizzle-orm/pg-core'
import { UsageError } from '../../errors.ts'
import type { Drizzle } from '../../drizzle/driver.ts'
import { isKind } from '../../drizzle/column-kind.ts'
import { type Decode, readerOf } from '../../drizzle/column-reader.ts'
import { mappingOf } from '../../drizzle/row-mapper.ts'
import { firstOwnOid, plainReader, type Read } from '../../values/server-type.ts'
import { isPlain } from '../../values/plain-object.ts'
import { AnsweredText } from '../columns/answered-text.ts'
import { encodeFor, encoderOf, encodeUntyped } from '../columns/encode.ts'
import type { Purpose } from '../columns/invalid-value.ts'
import { type Conventions, conventionsOf, type Source } from '../types/conventions.ts'
import { StatementCache } from './compiled-statement.ts'

/** One column as a repository sees it. */
export interface PlannedColumn {
  /** The property in rows. */
  readonly property: string
  /**
   * The property in the shapes of statements: quoted if it is not a plain word, since shapes have their own
   * punctuation.
   */
  readonly shapeName: string
  /** The name in the database. */
  readonly name: string
  /** Its reference in a statement. */
  readonly reference: SQL
  /** Its bare name, for the places where a statement names a column of its own table: lists of columns, and SET. */
  readonly bare: SQL
  /** Drizzle's column; undefined for an expression. */
  readonly column: PgColumn | undefined
  /** The reader of a value whose type only the server's answer tells: `decode` may get it as `AnsweredText`. */
  readonly untyped?: (type: number) => Read | undefined
  /** True when no row has NULL here. */
  readonly neverNull: boolean
  readonly decode: Decode | undefined
  /** The value as a parameter. @throws InvalidInput naming the property. */
  encode(value: unknown, purpose: Purpose): unknown
}

export interface TablePlan {
  readonly source: Source
  /** The name, for error messages. */
  readonly name: string
  readonly drizzle: Drizzle
  readonly columns: readonly PlannedColumn[]
  readonly column: (property: string) => PlannedColumn
  /** The columns of the key, in its order; empty without a key. */
  readonly key: readonly PlannedColumn[]
  readonly version: PlannedColumn | undefined
  readonly updatedAt: PlannedColumn | undefined
  readonly removedAt: PlannedColumn | undefined
  readonly statements: StatementCache
}

const plans = new WeakMap<Drizzle, WeakMap<Source, TablePlan>>()

/** What a plan makes of a column. */
type ColumnForm = (column: PlannedColumn) => PlannedColumn

const forms = new WeakMap<Drizzle, ColumnForm>()

/** The same Drizzle, whose plans take and give values in another form than the schema's types say: as JSON, for example. */
export function withForm(drizzle: Drizzle, form: ColumnForm): Drizzle {
  const formed = { ...drizzle }
  forms.set(formed, form)
  return formed
}

/** The plan of a table or view on one engine. @throws UsageError for conventions that the table cannot keep. */
export function planOf(drizzle: Drizzle, source: Source): TablePlan {
  let ofEngine = plans.get(drizzle)
  if (!ofEngine) plans.set(drizzle, (ofEngine = new WeakMap()))
  const known = typeof source === 'object' && source !== null ? ofEngine.get(source) : undefined
  if (known) return known
  const plan = createPlan(drizzle, source)
  ofEngine.set(source, plan)
  return plan
}

function createPlan(drizzle: Drizzle, source: Source): TablePlan {
  const declared = is(source, Table)
    ? tableColumns(drizzle, source as PgTable)
    : is(source, View)
      ? viewColumns(drizzle, source as PgView)
      : refuseSource()
  const form = forms.get(drizzle)
  const columns = form ? declared.map(form) : declared
  const name = nameOf(source)
  const byProperty = new Map(columns.map((column) => [column.property, column]))
  const column = (property: string): PlannedColumn => {
    const found = byProperty.get(property)
    if (found) return found
    throw new UsageError(
      `${name} has no column ${JSON.stringify(property)}: it has ${[...byProperty.keys()].join(', ')}`,
    )
  }
  const promised = conventionsOf(source) ?? {}
  return {
    source,
    name,
    drizzle,
    columns,
    column,
    key: keyOf(source, promised, column, columns),
    version: conventional(promised.version, column, isInteger, 'an integer column, not null'),
    updatedAt: conventional(promised.updatedAt, column, isTimestamp, 'a timestamp column'),
    removedAt: conventional(promised.removedAt, column, isNullableTimestamp, 'a timestamp column that may be null'),
    statements: new StatementCache(columns.some((planned) => !planned.column)),
  }
}

function refuseSource(): never {
  throw new UsageError('repository takes a table or view of your Drizzle schema')
}

function nameOf(source: Source): string {
  if (!is(source, Table)) return getViewName(source as PgView)
  const { schema, name } = getTableConfig(source as PgTable)
  return schema === undefined ? name : `${schema}.${name}`
}

function tableColumns(drizzle: Drizzle, table: PgTable): PlannedColumn[] {
  // Drizzle marks only single columns as not null; PostgreSQL knows it of a composite primary key too.
  const primary = primaryKey(table)
  return Object.entries(getTableColumns(table)).map(([property, column]) => {
    const neverNull = column.notNull || primary.includes(column.name)
    return { ...planColumn(property, drizzle.columnName(column), column, sql`${column}`), neverNull }
  })
}

function viewColumns(drizzle: Drizzle, view: PgView): PlannedColumn[] {
  const addsNulls = mayAddNulls(drizzle, view)
  return Object.entries(getViewSelectedFields(view)).map(([property, field]) => {
    if (is(field, Column)) {
      const name = drizzle.columnName(field)
      const planned = planColumn(property, name, field as PgColumn, sql`${view}.${sql.identifier(name)}`)
      return { ...planned, neverNull: field.notNull && !addsNulls }
    }
    if (!is(field, SQL.Aliased)) {
      throw new UsageError(`the view ${getViewName(view)} must give ${property} a name: sql\`…\`.as('${property}')`)
    }
    return planExpression(property, drizzle, field, sql`${view}.${sql.identifier(field.fieldAlias)}`)
  })
}

/** Whether a view's query may add NULLs to columns that are never NULL in their table. */
function mayAddNulls(drizzle: Drizzle, view: PgView): boolean {
  const { query } = getViewConfig(view)
  return query !== undefined && /\b(?:left|right|full|rollup|cube|grouping)\b/i.test(drizzle.render(query).text)
}

function planColumn(property: string, name: string, column: PgColumn, reference: SQL): PlannedColumn {
  const encode = encoderOf(column)
  const { row, ownType } = readerOf(column)
  return {
    property,
    shapeName: shapeName(property),
    name,
    reference,
    bare: sql`${sql.identifier(name)}`,
    column,
    neverNull: column.notNull,
    ...(row && ownType !== undefined ? { untyped: underDomain, decode: answered(row) } : { decode: row }),
    encode: (value, purpose) => encodeFor(property, encode, value, purpose),
  }
}

const asText = { instants: false }

/**
 * The reader of a domain's base type, for columns of the database's own types; other own types are read by their
 * column.
 */
function underDomain(type: number): Read | undefined {
  return type < firstOwnOid ? plainReader(type, asText) : undefined
}

/** Reads a value whose type only the server's answer tells. */
function answered(decode: Decode): Decode {
  return (value) => decode(value instanceof AnsweredText ? value.value : value)
}

function shapeName(property: string): string {
  return /^\w+$/.test(property) ? property : JSON.stringify(property)
}

/** An expression of a view has a decoder, but no type of its own to check a value by. */
function planExpression(property: string, drizzle: Drizzle, field: SQL.Aliased, reference: SQL): PlannedColumn {
  const decoder = mappingOf(field)
  return {
    property,
    shapeName: shapeName(property),
    name: field.fieldAlias,
    reference,
    bare: sql`${sql.identifier(field.fieldAlias)}`,
    column: undefined,
    untyped: (type) => drizzle.plainRows.readerOf(type, asText),
    neverNull: false,
    decode: answered((value) => decoder.mapFromDriverValue(value)),
    encode: (value, purpose) => encodeFor(property, encodeUntyped, value, purpose),
  }
}

function keyOf(
  source: Source,
  promised: Conventions,
  column: (property: string) => PlannedColumn,
  columns: readonly PlannedColumn[],
): readonly PlannedColumn[] {
  const unique = is(source, Table) ? uniqueKeys(source as PgTable) : undefined
  if (promised.key === undefined) {
    // In the order of the constraint, like its index: a page in any other order would sort the whole table.
    const [primary = []] = unique ?? []
    return primary.flatMap((name) => columns.filter((planned) => planned.column?.name === name))
  }
  const key = promised.key.map(column)
  const isKey = (members: readonly string[]) =>
    members.length === key.length && key.every((planned) => members.includes(planned.column?.name ?? ''))
  // A view has no constraints that could confirm the promise.
  if (unique && !unique.some(isKey)) {
    throw new UsageError(
      `the key (${promised.key.join(', ')}) of ${nameOf(source)} is neither its primary key nor unique and not null`,
    )
  }
  return key
}

/**
 * The primary key, which may be missing, then every other set of columns that identifies rows; all by Drizzle's names,
 * because a constraint has other objects than the table for the same columns.
 */
function uniqueKeys(table: PgTable): readonly (readonly string[])[] {
  const { columns, uniqueConstraints } = getTableConfig(table)
  const uniques = [
    ...columns.filter((column) => column.isUnique).map(({ name }) => [name]),
    ...uniqueConstraints.map((constraint) => names(constraint.columns)),
  ]
  const required = new Set(names(columns.filter((column) => column.notNull)))
  return [primaryKey(table), ...uniques.filter((members) => members.every((name) => required.has(name)))]
}

function primaryKey(table: PgTable): readonly string[] {
  const { columns, primaryKeys } = getTableConfig(table)
  const single = columns.filter((column) => column.primary)
  return names(single.length > 0 ? single : (primaryKeys[0]?.columns ?? []))
}

function names(members: readonly { readonly name: string }[]): string[] {
  return members.map(({ name }) => name)
}

function conventional(
  property: string | undefined,
  column: (property: string) => PlannedColumn,
  fits: (column: PgColumn) => boolean,
  wanted: string,
): PlannedColumn | undefined {
  if (property === undefined) return undefined
  const planned = column(property)
  if (planned.column && fits(planned.column)) return planned
  throw new UsageError(`the column ${property} of the conventions must be ${wanted}`)
}

const isInteger = (column: PgColumn) =>
  column.notNull && isKind(column, 'integer', 'smallint', 'bigint as number', 'bigint')
const isTimestamp = (column: PgColumn) => isKind(column, 'timestamp as Date', 'timestamp')
const isNullableTimestamp = (column: PgColumn) => isTimestamp(column) && !column.notNull

/** The parameters of a key, in the key's order. @throws UsageError for a key of the wrong shape, InvalidInput. */
export function keyParameters(plan: TablePlan, key: unknown): unknown[] {
  const [only] = plan.key
  if (!only) throw new UsageError(`${plan.name} has no key: declare one with conventions(table, { key: [...] })`)
  if (plan.key.length === 1) return [encodeKey(plan, only, key)]
  const names = plan.key.map(({ property }) => property)
  if (!isPlain(key) || Object.keys(key).length !== names.length || !names.every((name) => name in key)) {
    throw new UsageError(`a key of ${plan.name} must be an object of ${names.join(', ')}`)
  }
  return plan.key.map((column) => encodeKey(plan, column, key[column.property]))
}

function encodeKey(plan: TablePlan, column: PlannedColumn, value: unknown): unknown {
  if (value !== undefined && value !== null) {
    const encoded = column.encode(value, 'compare')
    if (!is(encoded, SQL)) return encoded
    throw new UsageError(`${column.property} of ${plan.name} has a type that writes SQL, so it cannot be part of a key`)
  }
  throw new UsageError(`the key of ${plan.name} is ${String(value)}: ${column.property} is missing`)
}
