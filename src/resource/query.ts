/**
 * The query of a URL as the options of a read. A parameter that is unknown, repeated or wrong is refused by its name;
 * nothing is ignored, and nothing that a resource hides is told.
 *
 *   job=Nurse&createdAt[gte]=2026-01-01T00:00:00Z&rating[in]=4,5&or=(stock=0,available=false)
 *   &sort=-createdAt,id&limit=20&after=…&select=id,name&with=orders(limit:5)&count=true
 */
import { InvalidValue } from '../repository/columns/invalid-value.ts'
import { pattern } from '../repository/columns/text.ts'
import { inParentheses, readCall, splitText, unquoted } from './query-text.ts'
import type { PlannedResource, ResourceColumn } from './resource.ts'
import { faultOf } from './row-input.ts'

/** How much a query may ask for. */
const most = { parameters: 200, conditions: 100, depth: 4, relations: 10 }

const defaultLimit = 100

/** The largest `limit` of a stream. */
const maxStreamed = 999_999_999

/** Parameters by name, decoded. @throws WrongParameter */
export function readParameters(url: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  const start = url.indexOf('?')
  if (start === -1) return parameters
  for (const part of url
    .slice(start + 1)
    .split('#', 1)[0]
    ?.split('&') ?? []) {
    if (part === '') continue
    const [name, value] = [/^[^=]*/.exec(part)?.[0] ?? '', part.slice(part.indexOf('=') + 1)].map(decoded)
    if (name === undefined || value === undefined)
      throw new WrongParameter(name ?? part.replace(/=.*/s, ''), 'is not valid UTF-8 in percent-encoding')
    if (!part.includes('=')) throw new WrongParameter(name, 'needs a value')
    if (parameters.has(name)) throw new WrongParameter(name, 'stands there twice')
    if (parameters.size >= most.parameters)
      throw new WrongParameter(name, `is one of more than ${most.parameters} parameters`)
    parameters.set(name, value)
  }
  return parameters
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

/** A parameter of the query or the path that cannot be taken as it is. */
export class WrongParameter extends Error {
  readonly parameter: string
  readonly detail: string

  /** The name may stand before the detail already. */
  constructor(parameter: string, detail: string) {
    const name = parameter.slice(0, 100)
    const rest = detail.startsWith(`${name} `) ? detail.slice(name.length + 1) : detail
    super(`${name} ${rest}`)
    this.parameter = name
    this.detail = rest
  }
}

/** Options of `list`, as the repositories take them. */
export interface ListQuery extends RowQuery {
  readonly where?: unknown
  readonly orderBy?: unknown
  readonly limit: number
  readonly after?: string
  readonly before?: string
  readonly count?: boolean
}

/** Options of a read of one row. */
export interface RowQuery {
  readonly select?: readonly string[]
  readonly with?: Readonly<Record<string, unknown>>
}

/** The options of a list. @throws WrongParameter */
export function readListQuery(resource: PlannedResource, parameters: ReadonlyMap<string, string>): ListQuery {
  const reader = new QueryReader()
  const options: Record<string, unknown> = { limit: Math.min(defaultLimit, resource.maxLimit), ...selected(resource) }
  const conditions: unknown[] = []
  for (const [name, value] of parameters) {
    named(name, () => {
      const read = Object.hasOwn(listOptions, name) ? listOptions[name] : undefined
      if (read) Object.assign(options, read(reader, resource, value))
      else conditions.push(reader.condition(resource, name, value, false))
    })
  }
  if (options.after !== undefined && options.before !== undefined)
    throw new WrongParameter('before', 'cannot stand beside after')
  if (conditions.length > 0) options.where = { and: conditions }
  return options as unknown as ListQuery
}

/** Options of a stream of rows. */
export interface StreamQuery extends Omit<ListQuery, 'limit' | 'with' | 'after' | 'before' | 'count'> {
  /** Undefined: all rows. */
  readonly limit: number | undefined
}

/** The options of a list that is not read in pages; in the order of the pages. @throws WrongParameter */
export function readStreamQuery(resource: PlannedResource, parameters: ReadonlyMap<string, string>): StreamQuery {
  for (const name of ['after', 'before', 'count', 'with']) {
    if (parameters.has(name)) throw new WrongParameter(name, 'is for pages, and for the list as application/json')
  }
  const given = parameters.get('limit')
  const limit = given === undefined ? undefined : named('limit', () => readLimit(given, maxStreamed))
  const options = readListQuery(resource, new Map([...parameters].filter(([name]) => name !== 'limit')))
  const sorted = (options.orderBy ?? []) as readonly Record<string, string>[]
  const rest = resource.key.filter(({ property }) => !sorted.some((term) => Object.hasOwn(term, property)))
  return { ...options, limit, orderBy: [...sorted, ...rest.map(({ property }) => ({ [property]: 'asc' }))] }
}

/** The options of a read of one row; undefined without any. @throws WrongParameter */
export function readRowQuery(resource: PlannedResource, parameters: ReadonlyMap<string, string>): RowQuery | undefined {
  const options = selected(resource)
  for (const [name, value] of parameters) {
    const read = name === 'select' || name === 'with' ? listOptions[name] : undefined
    if (!read) throw new WrongParameter(name, 'is no parameter of this path')
    named(name, () => Object.assign(options, read(new QueryReader(), resource, value)))
  }
  return Object.keys(options).length === 0 ? undefined : options
}

/** A value of a key in the path. @throws WrongParameter */
export function readKeyPart(column: ResourceColumn, given: string): unknown {
  return named(column.property, () => valueOf(column, given))
}

const selected = ({ select }: PlannedResource): Record<string, unknown> => (select ? { select } : {})

/** Says what is wrong with a value with the parameter's name. */
function named<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof InvalidValue ? new WrongParameter(name, error.message) : error
  }
}

type ReadOption = (reader: QueryReader, resource: PlannedResource, value: string) => Record<string, unknown>

/** Of a relation, and of a list. */
const relatedOptions: Readonly<Record<string, ReadOption>> = {
  select: (_, resource, value) => ({ select: readNames(resource, value) }),
  sort: (_, resource, value) => ({ orderBy: readSort(resource, value) }),
  limit: (_, { maxLimit }, value) => ({ limit: readLimit(value, maxLimit) }),
  with: (reader, resource, value) => ({ with: reader.relations(resource, value) }),
}

const listOptions: Readonly<Record<string, ReadOption>> = {
  ...relatedOptions,
  after: (_, resource, value) => ({ after: cursor(resource, value) }),
  before: (_, resource, value) => ({ before: cursor(resource, value) }),
  count: (_, __, value) => {
    if (value !== 'true' && value !== 'false') throw new InvalidValue('must be true or false')
    return { count: value === 'true' }
  },
}

function readLimit(value: string, maxLimit: number): number {
  const limit = Number(value)
  if (/^[1-9]\d{0,8}$/.test(value) && limit <= maxLimit) return limit
  throw new InvalidValue(`must be a whole number from 1 to ${maxLimit}`)
}

function cursor({ key }: PlannedResource, value: string): string {
  if (key.length > 0) return value
  throw new InvalidValue('cannot be: rows without a key have no pages')
}

function columnOf({ columns }: PlannedResource, name: string): ResourceColumn {
  const column = columns.get(name)
  if (column) return column
  throw new InvalidValue(`names ${JSON.stringify(name.slice(0, 50))}, which is no property of this resource`)
}

function readNames(resource: PlannedResource, value: string): string[] {
  const names = splitText(value, ',').map((name) => columnOf(resource, unquoted(name)).property)
  if (new Set(names).size < names.length) throw new InvalidValue('names a property twice')
  return names
}

function readSort(resource: PlannedResource, value: string): Record<string, string>[] {
  const terms = splitText(value, ',').map((term) => sortTerm(resource, term))
  if (new Set(terms.flatMap(Object.keys)).size < terms.length) throw new InvalidValue('names a property twice')
  return terms
}

/** `-placedAt`, `rank:nullsFirst`. */
function sortTerm(resource: PlannedResource, term: string): Record<string, string> {
  const [, minus, name = '', nulls] = /^(-?)(.*?)(?::(nullsFirst|nullsLast))?$/s.exec(term) ?? []
  const { property, json } = columnOf(resource, unquoted(name))
  if (!json.sortable) throw new InvalidValue(`names ${property}, whose values have no order`)
  const direction = minus === '-' ? 'desc' : 'asc'
  return {
    [property]: nulls === undefined ? direction : `${direction} nulls ${nulls === 'nullsFirst' ? 'first' : 'last'}`,
  }
}

function valueOf(column: ResourceColumn, given: string): unknown {
  const { parse, parseElement } = column.json
  // A bare list is an array of its parts; JSON can say all others.
  const isList = parseElement && !given.startsWith('[')
  const value = isList ? splitText(given, ',').map((part) => parseElement(unquoted(part))) : parse(given)
  if (value === null) throw new InvalidValue('cannot be null: ask with isNull')
  const fault = faultOf(column, value, 'compare')
  if (fault !== undefined) throw new InvalidValue(fault)
  return value
}

/** Reads what may stand in itself, and counts what is asked for in all. */
class QueryReader {
  #conditions = 0
  #relations = 0

  /** `job` with `Nurse`, `rating[in]` with `4,5`, `or` with a group; in a group texts with commas are quoted. */
  condition(resource: PlannedResource, name: string, value: string, grouped: boolean, depth = 0): unknown {
    if (++this.#conditions > most.conditions)
      throw new InvalidValue(`is one of more than ${most.conditions} conditions`)
    if (name === 'and' || name === 'or') return { [name]: this.#group(resource, inParentheses(value), depth + 1) }
    if (name === 'not') return { not: { and: this.#group(resource, inParentheses(value), depth + 1) } }
    const [, property = '', operator = 'eq'] = /^(.*?)(?:\[(\w*)\])?$/s.exec(name) ?? []
    const column = resource.columns.get(property)
    if (!column) throw new InvalidValue('is neither a parameter nor a property of this resource')
    if (!column.json.operators.includes(operator))
      throw new InvalidValue('has an operator that this property does not have')
    return { [property]: { [operator]: operandOf(column, operator, value, grouped) } }
  }

  /** `orders(limit:5;with:items),reviews`. */
  relations(resource: PlannedResource, value: string, depth = 1): Record<string, unknown> {
    if (depth > most.depth) throw new InvalidValue(`goes more than ${most.depth} deep`)
    const loaded: Record<string, unknown> = {}
    for (const part of splitText(value, ',')) {
      const { name, inner } = readCall(part)
      const relation = resource.relations.get(name)
      if (!relation)
        throw new InvalidValue(`names ${JSON.stringify(name.slice(0, 50))}, which is no relation of this resource`)
      if (Object.hasOwn(loaded, name)) throw new InvalidValue(`names ${name} twice`)
      if (++this.#relations > most.relations) throw new InvalidValue(`names more than ${most.relations} relations`)
      loaded[name] = this.#related(relation.target, relation.many, inner, depth)
    }
    return loaded
  }

  #related(target: PlannedResource, many: boolean, inner: string | undefined, depth: number): Record<string, unknown> {
    const options: Record<string, unknown> = { ...(many ? { limit: target.maxLimit } : {}), ...selected(target) }
    const conditions: unknown[] = []
    for (const part of inner === undefined ? [] : splitText(inner, ';')) {
      const [, option = '', value = ''] = /^(\w+):(.*)$/s.exec(part) ?? []
      if (option === 'with') options.with = this.relations(target, value, depth + 1)
      else if (option === 'limit' && !many) throw new InvalidValue('gives a limit to a relation to one row')
      else if (Object.hasOwn(relatedOptions, option))
        Object.assign(options, relatedOptions[option]?.(this, target, value))
      else conditions.push(this.#term(target, part, 0))
    }
    // A filter, even an empty one, makes null of a row that the client may not see; without one it would be an error.
    options.where = conditions.length > 0 ? { and: conditions } : {}
    return options
  }

  #group(resource: PlannedResource, inner: string, depth: number): unknown[] {
    if (depth > most.depth) throw new InvalidValue(`goes more than ${most.depth} deep`)
    return splitText(inner, ',').map((term) => this.#term(resource, term, depth))
  }

  /** `rating[gte]=4`, `or(…)`. */
  #term(resource: PlannedResource, term: string, depth: number): unknown {
    const { name, inner } = /^(?:and|or|not)\(/.test(term) ? readCall(term) : { name: '', inner: undefined }
    if (inner !== undefined) return this.condition(resource, name, `(${inner})`, true, depth)
    const at = term.indexOf('=')
    if (at === -1) throw new InvalidValue('needs conditions such as (a=1,b[gte]=2)')
    return this.condition(resource, term.slice(0, at), term.slice(at + 1), true, depth)
  }
}

function operandOf(column: ResourceColumn, operator: string, given: string, grouped: boolean): unknown {
  if (operator === 'isNull') {
    if (given !== 'true' && given !== 'false') throw new InvalidValue('must be true or false')
    return given === 'true'
  }
  if (operator === 'in' || operator === 'notIn') {
    const parts = splitText(grouped ? inParentheses(given) : given, ',')
    return parts.map((part) => valueOf(column, unquoted(part)))
  }
  if (operator !== 'like' && operator !== 'ilike')
    return valueOf(column, grouped && !given.startsWith('(') ? unquoted(given) : given)
  return pattern(grouped ? unquoted(given) : given)
}
