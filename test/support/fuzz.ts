/**
 * Requests made from an OpenAPI document: what an operation describes, with values that were seen in answers among them, so
 * that requests get far, and what it does not: other types, borders, odd texts, keys that are missing or too many.
 */
import * as fc from 'fast-check'
import type { OpenApi, Operation, Parameter, Schema } from './openapi.ts'

/** A request, ready to be sent. */
export interface FuzzedRequest {
  readonly method: string
  /** Path and query, encoded. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

/** Values that answers had, by the names of their properties; of each the last ones. */
export class Seen {
  readonly #values = new Map<string, unknown[]>()
  /** Rows by the path of their list, for keys of several parts. */
  readonly #rows = new Map<string, Record<string, unknown>[]>()

  of(name: string): readonly unknown[] {
    return this.#values.get(name) ?? []
  }

  rowsOf(path: string): readonly Record<string, unknown>[] {
    return this.#rows.get(path) ?? []
  }

  /** Takes the values of an answer from below a path. */
  add(path: string, json: unknown): void {
    if (typeof json !== 'object' || json === null) return
    if (Array.isArray(json)) return json.slice(0, 5).forEach((inner) => this.add(path, inner))
    if (!('data' in json) && !('errors' in json)) keep(this.#rows, path, json as Record<string, unknown>)
    for (const [name, value] of Object.entries(json)) {
      // Rows within rows are of other tables.
      if (typeof value === 'object') this.add(name === 'data' ? path : '', value)
      else keep(this.#values, name, value)
    }
  }
}

function keep<T>(map: Map<string, T[]>, name: string, value: T): void {
  map.set(name, [...(map.get(name) ?? []).slice(-199), value])
}

/** Any request of an operation; of a `valid` one every part is as the document describes it. */
export function requestOf(api: OpenApi, operation: Operation, seen: Seen, valid: boolean): fc.Arbitrary<FuzzedRequest> {
  const { method, path, parameters, bodies } = operation
  const values = new Values(api, seen, valid)
  const inPath = parameters.filter((parameter) => parameter.in === 'path')
  const inQuery = parameters.filter((parameter) => parameter.in === 'query')
  const inHeader = parameters.filter((parameter) => parameter.in === 'header')
  const query = fc.subarray(inQuery, { maxLength: Math.min(4, inQuery.length) }).chain((chosen) => {
    return fc.tuple(...chosen.map((parameter) => values.query(operation, parameter)))
  })
  const headers = fc.subarray([...inHeader]).chain((chosen) => {
    const all = inHeader.filter((parameter) => parameter.required === true || chosen.includes(parameter))
    return fc.record(Object.fromEntries(all.map((parameter) => [parameter.name, values.header(parameter)])))
  })
  const types = Object.keys(bodies)
  const noBody = fc.constant<readonly [string, string] | undefined>(undefined)
  const body =
    types.length === 0 ? noBody : fc.constantFrom(...types).chain((type) => values.body(type, bodies[type]!.schema))
  const segments = fc.record(
    Object.fromEntries(inPath.map((parameter) => [parameter.name, values.segment(path, parameter)])),
  )
  const accept = fc.constantFrom(...acceptable(operation))
  const odd = valid
    ? fc.constant('')
    : fc.oneof({ weight: 4, arbitrary: fc.constant('') }, fc.constantFrom(...oddQueries))
  return fc.record({ segments, query, headers, body, accept, odd }).map((parts) => {
    const target = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => parts.segments[name] ?? '')
    const search = [...parts.query, parts.odd].filter((part) => part !== '').join('&')
    const [type, text] = parts.body ?? []
    return {
      method,
      url: search === '' ? target : `${target}?${search}`,
      headers: { accept: parts.accept, ...parts.headers, ...(type === undefined ? {} : { 'content-type': type }) },
      body: text,
    }
  })
}

function acceptable({ answers }: Operation): string[] {
  const declared = Object.values(answers).flatMap(({ content = {} }) => Object.keys(content))
  return ['*/*', ...new Set(declared.filter((type) => !type.includes('problem')))]
}

const oddQueries = [
  '%ff=1',
  '%zz',
  'a',
  '=',
  '&&',
  'a=1&a=2',
  '__proto__=1',
  'limit=1&limit=1',
  'sort=%00',
  `x=${'x'.repeat(5000)}`,
]

/** Texts of types that a schema does not tell: those of PostgreSQL. */
const texts = [
  '10.0.0.1',
  '10.0.0.0/8',
  '08:00:2b:01:02:03',
  '10:00',
  '10:00:00+02',
  '1 day',
  '[1,5)',
  '{}',
  '{"x":1}',
  '[]',
  '1.5',
  'a b',
]

/** Texts that mean trouble somewhere. */
const oddTexts = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  '\udfff\ud800',
  '\ufeff',
  '\u202e',
  'null',
  'NaN',
  '-Infinity',
  'infinity',
  "'; drop table customers; --",
  '%',
  '\\',
  '"',
  '$1',
  '🙂',
  'İ',
  '__proto__',
  '1e400',
  '0x10',
  '-0',
  '00',
  '9223372036854775808',
  '2026-02-30T00:00:00Z',
  '0000-01-01',
  '294277-01-01T00:00:00Z',
  'x'.repeat(20_000),
]

const oddValues: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1.5,
  2 ** 31,
  -(2 ** 31) - 1,
  2 ** 53,
  1e308,
  5e-324,
  [],
  {},
  [[]],
  [null],
  { a: [] },
  JSON.parse('{"__proto__":{"a":1}}'),
  Array.from({ length: 2000 }, () => 1),
  ...oddTexts,
]

/** Numbers and keys as no JSON.stringify would write them. */
const oddJson = [
  '9007199254740993',
  '1e400',
  '0.9999999999999999999',
  '-0',
  '01',
  'NaN',
  '{"a":1,"a":2}',
  '[1,]',
  '',
  '\ufeff{}',
  '"\ud800"',
]

/** Values of schemas. */
class Values {
  readonly #api: OpenApi
  readonly #seen: Seen
  readonly #valid: boolean

  constructor(api: OpenApi, seen: Seen, valid: boolean) {
    this.#api = api
    this.#seen = seen
    this.#valid = valid
  }

  body(type: string, schema: Schema): fc.Arbitrary<readonly [string, string]> {
    const whole = type.endsWith('ndjson') ? this.#lines(schema) : this.#json(schema)
    if (this.#valid) return whole.map((text) => [type, text])
    const cut = fc.tuple(whole, fc.nat(100)).map(([text, at]) => text.slice(0, at))
    const odd = fc
      .tuple(whole, fc.constantFrom(...oddJson))
      .map(([text, part]) => text.replace(/:[^,{}[\]]+/, `:${part}`))
    const typed = fc.constantFrom(type, type, type, 'text/plain', `${type}; charset=latin1`, `${type};charset=UTF-8`)
    return fc.tuple(typed, fc.oneof({ weight: 6, arbitrary: whole }, cut, odd))
  }

  #json(schema: Schema): fc.Arbitrary<string> {
    return this.value(schema).map((value) => JSON.stringify(value) ?? 'null')
  }

  #lines(schema: Schema): fc.Arbitrary<string> {
    const { type, items } = this.#api.resolve(schema)
    const line = type === 'string' ? this.text({ type }) : this.#json((type === 'array' ? items : schema) as Schema)
    return fc.array(line, { maxLength: 4 }).map((all) => all.map((each) => `${each}\n`).join(''))
  }

  /** Values seen under the name, what the schema describes, and now and then something else. */
  value(given: Schema, name = '', depth = 0): fc.Arbitrary<unknown> {
    const described = this.#described(this.#api.resolve(given), depth)
    const known = this.#seen.of(name)
    const options = [
      { weight: 6, arbitrary: described },
      ...(known.length > 0 ? [{ weight: 6, arbitrary: fc.constantFrom(...known) }] : []),
      ...(this.#valid ? [] : [{ weight: 1, arbitrary: fc.constantFrom(...oddValues) }]),
    ]
    return fc.oneof(...options)
  }

  #described(schema: Schema, depth: number): fc.Arbitrary<unknown> {
    const { type, enum: listed, oneOf, anyOf, examples } = schema
    if (Array.isArray(examples) && examples.length > 0) return fc.constantFrom(...(examples as unknown[]))
    if (Array.isArray(listed)) return fc.constantFrom(...(listed as unknown[]))
    const several = (oneOf ?? anyOf) as Schema[] | undefined
    if (several) return fc.oneof(...several.map((each) => this.value(each, '', depth + 1)))
    if (schema.allOf) return this.#described(this.#merged(schema), depth)
    if ('const' in schema) return fc.constant(schema.const)
    if (Array.isArray(type))
      return fc.oneof(...(type as string[]).map((each) => this.#described({ ...schema, type: each }, depth)))
    switch (type) {
      case 'null':
        return fc.constant(null)
      case 'boolean':
        return fc.boolean()
      case 'integer': {
        const [min, max] = [schema.minimum ?? -(2 ** 31), schema.maximum ?? 2 ** 31 - 1] as [number, number]
        return fc.oneof(
          fc.maxSafeInteger().map((value) => Math.min(max, Math.max(min, value))),
          fc.integer({ min: Math.max(min, 0), max: Math.min(max, 50) }),
        )
      }
      case 'number':
        return fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: -5, max: 5 }))
      case 'string':
        return this.text(schema)
      case 'array': {
        const { minItems: minLength = 0, maxItems = 4 } = schema as { minItems?: number; maxItems?: number }
        return fc.array(this.value((schema.items as Schema) ?? {}, '', depth + 1), {
          minLength,
          maxLength: Math.min(maxItems, minLength + 4),
        })
      }
      case 'object':
        return this.#object(schema, depth)
      default:
        return fc.jsonValue({ maxDepth: 2 })
    }
  }

  /** One schema of an object in place of several that are all to hold. */
  #merged({ allOf = [], ...rest }: Schema): Schema {
    const parts = [...(allOf as Schema[]).map((part) => this.#api.resolve(part)), rest]
    return {
      type: 'object',
      properties: Object.assign({}, ...parts.map((part) => (part.properties ?? {}) as object)) as Schema,
      required: parts.flatMap((part) => (part.required ?? []) as string[]),
    }
  }

  #object({ properties = {}, required = [], additionalProperties }: Schema, depth: number): fc.Arbitrary<unknown> {
    const entries = Object.entries(properties as Record<string, Schema>)
    const rest =
      typeof additionalProperties === 'object' && additionalProperties !== null
        ? fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), this.value(additionalProperties as Schema, '', depth + 1), {
            maxKeys: 3,
          })
        : fc.constant({})
    const must = required as string[]
    const optional = entries.filter(([name]) => !must.includes(name))
    // Few at a time: one that is wrong hides all others.
    const chosen = fc.subarray(optional, { maxLength: Math.min(6, optional.length) })
    const known = chosen.chain((some) => {
      const all = [...entries.filter(([name]) => must.includes(name)), ...some]
      return fc.record(Object.fromEntries(all.map(([name, schema]) => [name, this.value(schema, name, depth + 1)])))
    })
    const whole = fc.tuple(known, rest).map(([own, others]): object => ({ ...own, ...others }))
    if (this.#valid) return whole
    const extra = fc
      .tuple(whole, fc.string(), fc.constantFrom(...oddValues))
      .map(([own, name, value]): object => ({ ...own, [name]: value }))
    const fewer = fc
      .tuple(whole, fc.nat(20))
      .map(([own, at]): object => Object.fromEntries(Object.entries(own).filter((_, index) => index !== at)))
    return fc.oneof({ weight: 8, arbitrary: whole }, extra, fewer)
  }

  text({ format, pattern, maxLength = 30, contentEncoding }: Schema): fc.Arbitrary<string> {
    const size = { maxLength: Math.min(maxLength as number, 30) }
    if (format === 'uuid') return fc.uuid()
    if (format === 'uri') return fc.webUrl()
    const date = fc.date({
      min: new Date(-62_135_596_800_000),
      max: new Date(253_402_300_799_999),
      noInvalidDate: true,
    })
    if (format === 'date') return date.map((value) => value.toISOString().slice(0, 10))
    if (format === 'date-time') return date.map((value) => value.toISOString())
    if (contentEncoding === 'base64') return fc.uint8Array(size).map((bytes) => Buffer.from(bytes).toString('base64'))
    if (typeof pattern === 'string') return fc.stringMatching(new RegExp(pattern), size)
    return fc.oneof(fc.string(size), fc.string({ ...size, unit: 'grapheme' }), fc.constantFrom(...texts))
  }

  #odd(arbitrary: fc.Arbitrary<string>, odd: readonly string[] = oddTexts): fc.Arbitrary<string> {
    return this.#valid ? arbitrary : fc.oneof({ weight: 5, arbitrary }, fc.constantFrom(...odd))
  }

  header({ schema, name }: Parameter): fc.Arbitrary<string> {
    const plain = this.value(schema, name).map((value) => String(value))
    // What no client could send is left out.
    return this.#odd(plain).map((text) =>
      text
        .replaceAll(/[^\x20-\x7e\x80-\xff]/g, '?')
        .slice(0, 2000)
        .trim(),
    )
  }

  segment(path: string, { name, schema, description }: Parameter): fc.Arbitrary<string> {
    const parts = /^The (.+) of the row\.$/.exec(description ?? '')?.[1]?.split(',') ?? []
    const rows = this.#seen
      .rowsOf(path.replace(/\/\{.*$/, ''))
      .filter((row) => parts.length > 0 && parts.every((part) => row[part] !== undefined))
    const ofRow = rows.map((row) => parts.map((part) => encode(row[part])).join(','))
    const known = ofRow.length > 0 ? [{ weight: 6, arbitrary: fc.constantFrom(...ofRow, ...ofRow.slice(-1)) }] : []
    const any = this.#odd(this.value(schema, name).map(String))
      .filter((text) => text !== '')
      .map(encode)
    return fc.oneof(...known, { weight: 2, arbitrary: any }).filter((text) => !/^\.{0,2}$/.test(text))
  }

  query({ parameters, answers }: Operation, parameter: Parameter): fc.Arbitrary<string> {
    const { name, schema, style } = parameter
    const properties = this.#rowOf(answers)
    const filters = parameters.filter((each) => each.style === 'deepObject')
    if (style === 'deepObject') return this.#filter(parameter, properties).map(([key, value]) => pair(key)(value))
    const names = filters.map((filter) => filter.name)
    const related = Object.keys(properties).filter((property) => !names.includes(property))
    const group = () =>
      fc
        .array(
          fc.constantFrom(...filters).chain((filter) => this.#filter(filter, properties)),
          { minLength: 1, maxLength: 3 },
        )
        .map((terms) => `(${terms.map(([key, value]) => `${key}=${quoted(value)}`).join(',')})`)
    const cursor = this.#seen.of(name === 'after' ? 'next' : 'previous').filter((each) => typeof each === 'string')
    const known: Record<string, (() => fc.Arbitrary<string>) | undefined> =
      names.length === 0 && related.length === 0
        ? {}
        : {
            select: names.length > 0 ? () => listed(names) : undefined,
            sort: () => listed(names, '-'),
            with: related.length > 0 ? () => listed(related) : undefined,
            after: cursor.length > 0 ? () => fc.constantFrom(...(cursor as string[])) : undefined,
            before: cursor.length > 0 ? () => fc.constantFrom(...(cursor as string[])) : undefined,
            ...(filters.length > 0 ? { or: group, and: group, not: group } : {}),
          }
    const meant = known[name]?.() ?? this.value(schema).map(String)
    return this.#odd(meant).map(pair(name))
  }

  #filter({ name, schema }: Parameter, properties: Record<string, Schema>): fc.Arbitrary<[string, string]> {
    const operators = Object.keys((schema.properties as object | undefined) ?? {})
    const value = this.value(properties[name] ?? {}, name).map((each) =>
      typeof each === 'object' ? JSON.stringify(each) : String(each),
    )
    return fc.constantFrom(...operators).chain((operator) => {
      const meant =
        operator === 'isNull'
          ? fc.constantFrom('true', 'false')
          : /in$/i.test(operator)
            ? fc.array(value, { minLength: 1, maxLength: 3 }).map((all) => all.map(quoted).join(','))
            : value
      return fc.tuple(fc.constantFrom(`${name}[${operator}]`), this.#odd(meant))
    })
  }

  /** The properties of the rows that an operation answers. */
  #rowOf(answers: Operation['answers']): Record<string, Schema> {
    const schema = this.#api.resolve(answers['200']?.content?.['application/json']?.schema ?? {})
    const data = (schema.properties as Record<string, Schema> | undefined)?.data
    const row = data ? this.#api.resolve(data.items as Schema) : schema
    return (row.properties ?? {}) as Record<string, Schema>
  }
}

function quoted(text: string): string {
  return /^[\w.:+-]+$/.test(text) ? text : `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`
}

/** Some of the names between commas, with or without more in front. */
function listed(names: readonly string[], more = ''): fc.Arbitrary<string> {
  return fc
    .subarray([...names], { minLength: 1, maxLength: Math.min(4, names.length) })
    .chain((some) => fc.tuple(...some.map((name) => fc.constantFrom(name, `${more}${name}`))))
    .map((some) => some.join(','))
}

const encode = (value: unknown) => encodeURIComponent(String(value).toWellFormed())
const pair = (name: string) => (value: string) => `${encode(name)}=${encode(value)}`
