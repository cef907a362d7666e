/**
 * A resource is a table or view published over HTTP. `resource(table)` declares one; `planResources` works out, for one
 * engine, what its routes must know: its columns as JSON, which of them may be read and written, and the relations to
 * other resources. What is not published, be it a column or a whole table, is not there for a client: no filter, sort,
 * select, relation or message tells that it exists.
 */
import { getTableName, getTableUniqueName, getViewName, is, Many, type Relation, SQL, Table } from 'drizzle-orm'
import type { PgTable, PgView } from 'drizzle-orm/pg-core'
import type { Drizzle } from '../drizzle/driver.ts'
import { UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import { isCombination } from '../repository/query/filter.ts'
import { relationsOf } from '../repository/query/read-plan.ts'
import { type PlannedColumn, planOf, type TablePlan, withForm } from '../repository/query/table-plan.ts'
import { isSource, type Source } from '../repository/types/conventions.ts'
import { asJson, type ColumnJson, columnJson, plain } from './column-json.ts'

/** What a role sees and writes of a resource, where that is not what everybody does. */
export interface RoleOptions<TColumn extends string = string> {
  /** True: reads only. */
  readonly readOnly?: boolean
  /** Columns that this role neither sees nor writes, in place of the resource's own `hidden`. */
  readonly hidden?: readonly TColumn[]
  /** Columns that this role sees, but does not write, in place of the resource's own `fixed`. */
  readonly fixed?: readonly TColumn[]
}

/** How a table is published. */
export interface ResourceOptions<
  THidden extends string = string,
  TFixed extends string = string,
  TPath extends string = string,
> {
  /** Where: one segment, such as `order-items`. Default: the table's name, with hyphens. */
  readonly path?: TPath
  /** True: reads only. Views and tables without a key have no writes in any case. */
  readonly readOnly?: boolean
  /** Columns that clients neither see nor write. */
  readonly hidden?: readonly THidden[]
  /** Columns that clients see, but do not write. */
  readonly fixed?: readonly TFixed[]
  /** Options by the role of the request's identity; a role that is not named here has the resource's own. */
  readonly roles?: Readonly<Record<string, RoleOptions>>
  /** True: a row is changed and removed under `If-Match` only, so that no client overwrites what it has not seen. */
  readonly requireMatch?: boolean
  /** The most rows of a page, and of a relation. 1 to 10,000; default 1,000. */
  readonly maxLimit?: number
}

const roleNames = optionNames<RoleOptions>({ readOnly: 'boolean', hidden: 'list', fixed: 'list' })

const resourceNames = optionNames<ResourceOptions>({
  path: 'string',
  readOnly: 'boolean',
  hidden: 'list',
  fixed: 'list',
  roles: true,
  requireMatch: 'boolean',
  maxLimit: 'number',
})

/** @throws UsageError for options that cannot be meant: what is hidden must not be published for a slip. */
function checkResource(options: ResourceOptions): void {
  checkOptions('resource', resourceNames, options)
  const { roles = {}, maxLimit = 1000 } = options
  if (typeof roles !== 'object' || roles === null || Array.isArray(roles)) {
    throw new UsageError('resource: roles must be an object of options by role')
  }
  for (const [role, own] of Object.entries(roles)) checkOptions(`resource.roles.${role}`, roleNames, own)
  if (Number.isInteger(maxLimit) && maxLimit >= 1 && maxLimit <= 10_000) return
  throw new UsageError('resource: maxLimit must be a whole number from 1 to 10000')
}

/** @throws UsageError for anything but a list of what `resource` returns */
export function checkResources(resources: unknown): void {
  if (!Array.isArray(resources))
    throw new UsageError('createApp: resources must be a list, such as [resource(customers)]')
  for (const given of resources as readonly (Partial<Resource> | null | undefined)[]) {
    if (isSource(given)) throw new UsageError('createApp: a table is published as resource(table): it was given bare')
    if (isSource(given?.source) && typeof given.path === 'string' && typeof given.options === 'object') continue
    throw new UsageError('createApp: each of resources must be what resource(table) returns')
  }
}

/** A table or view to publish. */
export interface Resource<
  TSource extends Source = Source,
  TPath extends string = string,
  TWrites extends boolean = boolean,
  THidden extends string = string,
  TFixed extends string = string,
> {
  readonly source: TSource
  readonly path: TPath
  readonly options: ResourceOptions<THidden, TFixed>
  /** Whether it is meant to be written to, for the types of its routes. */
  readonly writes: TWrites
}

/** `PathOf<'order_items'>` is `'order-items'`; a name that is no plain word needs a path of its own. */
export type PathOf<TName extends string> = TName extends `${infer THead}_${infer TTail}`
  ? `${THead}-${PathOf<TTail>}`
  : TName

/** Declares a table or view as a resource. @throws UsageError for a path that is no segment, or the service's own. */
export function resource<
  TSource extends Source,
  const TPath extends string = PathOf<TSource['_']['name']>,
  const TReadOnly extends boolean = TSource extends PgTable ? false : true,
  const THidden extends keyof TSource['$inferSelect'] & string = never,
  const TFixed extends keyof TSource['$inferSelect'] & string = never,
>(
  source: TSource,
  options: ResourceOptions<THidden, TFixed, TPath> & {
    readonly readOnly?: TReadOnly
    readonly roles?: Readonly<Record<string, RoleOptions<keyof TSource['$inferSelect'] & string>>>
  } = {},
): Resource<TSource, NoInfer<TPath>, TReadOnly extends true ? false : true, NoInfer<THidden>, NoInfer<TFixed>> {
  if (!isSource(source)) throw new UsageError('resource takes a table or view of your Drizzle schema')
  checkResource(options)
  const name = is(source, Table) ? getTableName(source) : getViewName(source as PgView)
  const path = options.path ?? pathOfName(name)
  if (isOwnPath(path))
    throw new UsageError(`/${path} is the service's own: publish ${name} elsewhere, resource(table, { path: '…' })`)
  if (!/^[\w.~-]+$/.test(path))
    throw new UsageError(`${name} needs a path of letters and digits: resource(table, { path: '…' })`)
  return { source, path: path as TPath, options, writes: (options.readOnly !== true && is(source, Table)) as never }
}

/** A name as a path, with hyphens; '' for one without letters and digits of ASCII. */
export function pathOfName(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z\d]+/g, '-')
    .replaceAll(/^-|-$/g, '')
}

/** Whether a path is one that every application has. */
export function isOwnPath(path: string): boolean {
  return ['console', 'docs', 'gather', 'livez', 'metrics', 'openapi.json', 'readyz'].includes(path)
}

/** A column of a resource. */
export interface ResourceColumn extends PlannedColumn {
  readonly json: ColumnJson
  readonly nullable: boolean
  /** False for what the database, the conventions or the resource keep to themselves. */
  readonly writable: boolean
  /** True where a new row must say it. */
  readonly required: boolean
  /** What a row has that does not say it, as JSON; undefined where the database or the program makes it up. */
  readonly default: unknown
}

/** A relation to another resource. */
interface ResourceRelation {
  readonly many: boolean
  readonly target: PlannedResource
}

/** A resource of one engine. */
export interface PlannedResource {
  readonly path: string
  readonly plan: TablePlan
  /** The columns a client sees, by property. */
  readonly columns: ReadonlyMap<string, ResourceColumn>
  readonly key: readonly ResourceColumn[]
  readonly relations: ReadonlyMap<string, ResourceRelation>
  readonly writes: boolean
  readonly requireMatch: boolean
  readonly maxLimit: number
  /** The properties to read; undefined: all there are. */
  readonly select: readonly string[] | undefined
  /** The same as roles see it that have options of their own, or relations to what has. */
  readonly roles: ReadonlyMap<string, PlannedResource>
}

/** A resource as a role sees it. */
export function seenBy(resource: PlannedResource, role: string | undefined): PlannedResource {
  return (role === undefined ? undefined : resource.roles.get(role)) ?? resource
}

/** The resources of an engine. @throws UsageError for two at one path, and for what the repositories refuse. */
export function planResources(drizzle: Drizzle, resources: readonly Resource[]): readonly PlannedResource[] {
  const formed = withForm(drizzle, asJson)
  const planned = resources.map((given) => planResource(formed, given))
  relate(planned)
  for (const role of new Set(resources.flatMap(({ options }) => Object.keys(options.roles ?? {})))) {
    const seen = resources.map((given) => planResource(formed, ofRole(given, role)))
    relate(seen)
    seen.forEach((resource, index) => planned[index]?.roles.set(role, resource))
  }
  const twice = planned.find(({ path }, index) => planned.findIndex((other) => other.path === path) < index)
  if (twice)
    throw new UsageError(`two resources have the path ${twice.path}: give one another, resource(table, { path })`)
  return planned
}

function ofRole({ options, ...given }: Resource, role: string): Resource {
  const own = options.roles && Object.hasOwn(options.roles, role) ? options.roles[role] : undefined
  return { ...given, options: { ...options, ...own }, writes: given.writes && own?.readOnly !== true }
}

function relate(planned: readonly ReturnType<typeof planResource>[]): void {
  for (const { plan, relations } of planned) {
    for (const [name, relation] of Object.entries(relationsOf(plan))) {
      const target = planned.find((other) => isTableOf(other.plan, relation))
      if (target) relations.set(name, { many: is(relation, Many), target })
    }
  }
}

function isTableOf({ source }: TablePlan, { referencedTable }: Relation): boolean {
  // A schema may have a table with its conventions and without.
  return is(source, Table) && getTableUniqueName(source) === getTableUniqueName(referencedTable)
}

function planResource(drizzle: Drizzle, { source, path, options, writes }: Resource) {
  const plan = planOf(drizzle, source)
  const { hidden = [], fixed = [], requireMatch = false, maxLimit = 1000 } = options
  for (const name of [...hidden, ...fixed]) plan.column(name)
  const managed = new Set([plan.version, plan.updatedAt, plan.removedAt])
  const columns = plan.columns
    .filter(({ property }) => !hidden.includes(property))
    .map((planned) => columnOf(planned, fixed.includes(planned.property) || managed.has(planned)))
  const byProperty = new Map(columns.map((column) => [column.property, column]))
  const key = plan.key.flatMap(({ property }) => byProperty.get(property) ?? [])
  if (key.length < plan.key.length) throw new UsageError(`the key of ${plan.name} cannot be hidden: it names the rows`)
  const relations = new Map<string, ResourceRelation>()
  const select = hidden.length > 0 ? [...byProperty.keys()] : undefined
  const roles = new Map<string, PlannedResource>()
  const mayWrite = writes && key.length > 0
  return {
    path,
    plan,
    columns: byProperty,
    key,
    relations,
    writes: mayWrite,
    requireMatch,
    maxLimit,
    select,
    roles,
  }
}

function columnOf(planned: PlannedColumn, kept: boolean): ResourceColumn {
  const { column, neverNull } = planned
  const generated = column?.generated !== undefined || column?.generatedIdentity?.type === 'always'
  const makes = column?.defaultFn ?? column?.onUpdateFn ?? column?.generatedIdentity
  const required = neverNull && !kept && !generated && !column?.hasDefault && !makes
  const made = is(column?.default, SQL) || makes !== undefined
  const absent: unknown = made ? undefined : (column?.default ?? (neverNull ? undefined : null))
  const json = columnJson(planned)
  return {
    ...planned,
    json: isCombination(planned.property) ? { ...json, operators: [] } : json,
    nullable: !neverNull,
    writable: column !== undefined && !generated && !kept,
    required,
    default: plain(absent),
  }
}
