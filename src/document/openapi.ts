/**
 * The document of an application in OpenAPI 3.1, made from its resources: what routes there are, what each takes and
 * answers, and how it fails. https://spec.openapis.org/oas/v3.1.0
 */
import { optionNames } from '../option-names.ts'
import { type JsonSchema, nullable } from '../resource/column-json.ts'
import { problemTypePrefix } from './problem-types.ts'
import { type PlannedResource, type ResourceColumn, seenBy } from '../resource/resource.ts'

/** What a document says besides the resources. */
export interface OpenApiOptions {
  /** Default: Rivulet. */
  readonly title?: string
  /** Default: 1.0.0. */
  readonly version?: string
  readonly description?: string
  /** True: it says that requests may have an access token (RFC 6750), as `jwtIdentity` reads. Default false. */
  readonly bearer?: boolean
  /** Path items of routes that stand beside the resources. */
  readonly paths?: Readonly<Record<string, object>>
  /** Schemas that those refer to. */
  readonly schemas?: Readonly<Record<string, JsonSchema>>
  /** What the codes of the application's own problems mean, for `/docs`: `{ out_of_stock: 'There is less than that.' }`. */
  readonly problems?: Readonly<Record<string, string>>
  /** Tags that those have. */
  readonly tags?: readonly { readonly name: string; readonly description: string }[]
}

/** The options of a document. */
export const openApiNames = optionNames<OpenApiOptions>({
  title: 'string',
  version: 'string',
  description: 'string',
  bearer: 'boolean',
  paths: true,
  schemas: true,
  problems: true,
  tags: 'list',
})

/** What an application serves besides its resources. */
export interface DocumentedRoutes {
  /** Whether requests may have an idempotency key. */
  readonly keyed?: boolean
  /** The most reads of a gather; 0: there is none. */
  readonly gathered?: number
}

/** The documents by role, as roles see the resources, ready to be written as JSON; that of everybody else is undefined's. */
export function openApiDocuments(
  resources: readonly PlannedResource[],
  options: OpenApiOptions = {},
  routes: DocumentedRoutes = {},
): ReadonlyMap<string | undefined, object> {
  const roles = new Set([undefined, ...resources.flatMap((resource) => [...resource.roles.keys()])])
  const seen = (role: string | undefined) => resources.map((resource) => seenBy(resource, role))
  return new Map([...roles].map((role) => [role, openApiDocument(seen(role), options, routes)]))
}

function openApiDocument(
  resources: readonly PlannedResource[],
  options: OpenApiOptions,
  { keyed = false, gathered = 0 }: DocumentedRoutes,
): object {
  const { title = 'Rivulet', version = '1.0.0', description = 'Tables of a database as an API.' } = options
  const { paths, schemas, tags = [], bearer = false } = options
  const words = wordsOf(resources)
  const rows = resources.flatMap((each) => pathsOf(each, words, keyed))
  const ownTags = resources.map(({ path, plan }) => ({ name: path, description: `Rows of ${plan.name}.` }))
  return {
    openapi: '3.1.0',
    info: { title, version, description, contact: { name: title }, license },
    servers: [{ url: '/', description: 'Where this document is served.' }],
    // Who has none may be let in, too.
    security: bearer ? [{ bearer: [] }, {}] : [],
    tags: [...ownTags, ...tags, { name: serviceTag, description: 'The service itself.' }],
    paths: merged(
      { ...Object.fromEntries(rows), ...(gathered > 0 ? gatherPath(resources, gathered) : {}), ...servicePaths },
      paths,
    ),
    components: {
      ...(bearer ? { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } } : {}),
      schemas: {
        Problem: problemSchema,
        ...Object.fromEntries(resources.flatMap((resource) => schemasOf(resource, words))),
        ...schemas,
      },
      responses: { Problem: problemAnswer },
      ...(resources.length > 0 ? { parameters: { ...listParameters, ...conditions } } : {}),
    },
  }
}

/** Routes may stand at the path of a resource, by other methods. */
function merged(own: Readonly<Record<string, object>>, others: OpenApiOptions['paths'] = {}): object {
  const items = Object.entries(others).map(([path, item]) => [path, { ...own[path], ...item }])
  return { ...own, ...Object.fromEntries(items) }
}

const license = { name: 'Proprietary', identifier: 'LicenseRef-Proprietary' }
const serviceTag = 'service'

/** Words by path, for the names of schemas and operations. */
type Words = ReadonlyMap<string, string>

/** The schemas of a resource. */
const namesOf = (word: string) => [word, `${word}Page`, `New${word}`, `${word}Patch`]

/** `order-items` as `OrderItems`; with a number where a name made of it is taken: `orders` has a schema NewOrders, too. */
function wordsOf(resources: readonly PlannedResource[]): Words {
  const taken = new Set(['Problem'])
  const wordOf = ({ path }: PlannedResource) => {
    const parts = path.split(/[^A-Za-z\d]+/).map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    const plain = parts.join('') || 'Resource'
    let word = plain
    for (let next = 2; namesOf(word).some((name) => taken.has(name)); next++) word = `${plain}${next}`
    for (const name of namesOf(word)) taken.add(name)
    return word
  }
  return new Map(resources.map((resource) => [resource.path, wordOf(resource)]))
}

const reference = (kind: 'schemas' | 'responses' | 'parameters', name: string) => ({
  $ref: `#/components/${kind}/${name}`,
})
const json = (schema: JsonSchema) => ({ 'application/json': { schema } })
const array = (items: JsonSchema) => ({ type: 'array', items })
/** The schema of NDJSON is that of a line. */
const streamed = (line: JsonSchema) => ({
  'application/x-ndjson': { schema: line },
  'text/csv': { schema: { type: 'string', description: 'RFC 4180, with a line of names.' } },
})

function schemasOf(resource: PlannedResource, words: Words): [string, JsonSchema][] {
  const { path, columns, relations, writes } = resource
  const word = words.get(path) ?? path
  const all = [...columns.values()]
  const related = [...relations].map(([name, { many, target }]): [string, JsonSchema] => {
    const schema = reference('schemas', words.get(target.path) ?? target.path)
    return [name, many ? array(schema) : { anyOf: [schema, { type: 'null' }] }]
  })
  // Nothing is required of what `select` may leave out.
  const row = { type: 'object', properties: { ...propertiesOf(all), ...Object.fromEntries(related) } }
  const cursor = { type: ['string', 'null'] }
  const page = {
    type: 'object',
    properties: { data: array(reference('schemas', word)), next: cursor, previous: cursor, count: { type: 'integer' } },
    required: ['data', 'next', 'previous'],
  }
  const properties = propertiesOf(all.filter(({ writable }) => writable))
  const required = all.filter((column) => column.required).map(({ property }) => property)
  const patch = { type: 'object', properties, additionalProperties: false }
  const schemas: [string, JsonSchema][] = [
    [word, row],
    [`${word}Page`, page],
  ]
  return writes ? [...schemas, [`New${word}`, { ...patch, required }], [`${word}Patch`, patch]] : schemas
}

function propertiesOf(columns: readonly ResourceColumn[]): Record<string, JsonSchema> {
  return Object.fromEntries(
    columns.map(({ property, json, nullable: mayBeNull }) => [
      property,
      mayBeNull ? nullable(json.schema) : json.schema,
    ]),
  )
}

function pathsOf(resource: PlannedResource, words: Words, keyed: boolean): [string, object][] {
  const { path, columns, key, writes } = resource
  const word = words.get(path) ?? path
  const row = reference('schemas', word)
  const operation = operationOf(path, word)
  const added = { oneOf: [reference('schemas', `New${word}`), array(reference('schemas', `New${word}`))] }
  // Several are answered as `data`, which a row may have, too.
  const inserted = { type: 'object', properties: { inserted: { type: 'integer' } }, required: ['inserted'] }
  const several = { type: 'object', properties: { data: array(row) }, required: ['data'] }
  const answered = { anyOf: [row, several, inserted] }
  const keys = keyed ? [idempotencyKey] : []
  const list = {
    get: {
      ...operation('list', `A page of ${path}, or all of them as a stream.`, reference('schemas', `${word}Page`)),
      parameters: [
        ...filterParameters(resource),
        ...[...Object.keys(listParameters), 'ifNoneMatch'].map((name) => reference('parameters', name)),
      ],
    },
    ...(writes
      ? {
          post: {
            ...operation('create', `Adds one of ${path}, or several: all or none.`, answered, added, '201'),
            ...(keyed ? { parameters: keys } : {}),
          },
        }
      : {}),
  }
  if (key.length === 0) return [[`/${path}`, list]]
  const names = key.map(({ property }) => property).join(',')
  const parameter = {
    name: 'key',
    in: 'path',
    required: true,
    description: `The ${names} of the row.`,
    schema: { type: 'string' },
  }
  const change = reference('schemas', `${word}Patch`)
  // The key stands in the path.
  const required = [...columns.values()].filter((column) => column.required && !key.includes(column))
  const replacement = { allOf: [change], required: required.map(({ property }) => property) }
  const parameters = [reference('parameters', 'ifMatch')]
  const putting = `Puts one of ${path} in place of what is there, or adds it.`
  const written = {
    patch: { ...operation('update', `Changes one of ${path}.`, row, change), parameters: [...parameters, ...keys] },
    put: { ...operation('replace', putting, row, replacement, '200', '201'), parameters },
    delete: { ...operation('remove', `Removes one of ${path}.`, undefined, undefined, '204'), parameters },
  }
  const get = {
    ...operation('get', `One of ${path}.`, row),
    parameters: ['select', 'with', 'ifNoneMatch'].map((name) => reference('parameters', name)),
  }
  return [
    [`/${path}`, list],
    [`/${path}/{key}`, { parameters: [parameter], get, ...(writes ? written : {}) }],
  ]
}

function operationOf(tag: string, word: string) {
  return (verb: string, description: string, answered?: JsonSchema, body?: JsonSchema, ...statuses: string[]) => {
    const success = (statuses.length > 0 ? statuses : ['200']).map((status) => {
      const stream = verb === 'list' ? streamed(reference('schemas', word)) : {}
      return [status, { description, ...(answered ? { content: { ...json(answered), ...stream } } : {}) }]
    })
    const reads = verb === 'list' || verb === 'get'
    const failures = ['400', '404', ...(reads ? ['406', '412'] : ['409', '412', '422']), 'default']
    const lines = verb === 'create' ? { 'application/x-ndjson': { schema: reference('schemas', `New${word}`) } } : {}
    return {
      operationId: `${verb}${word}`,
      tags: [tag],
      summary: description.slice(0, -1),
      description,
      ...(body ? { requestBody: { required: true, content: { ...json(body), ...lines } } } : {}),
      responses: {
        ...Object.fromEntries(success),
        ...(reads ? { '304': { description: 'What the client has already, by its `If-None-Match`.' } } : {}),
        ...Object.fromEntries(failures.map((status) => [status, reference('responses', 'Problem')])),
      },
    }
  }
}

/** `rating[gte]=4`; an operator that is not named is `eq`. */
function filterParameters({ columns, maxLimit }: PlannedResource): unknown[] {
  const filtered = [...columns.values()].filter(({ json: { operators } }) => operators.length > 0)
  const filters = filtered.map(({ property, json: { operators } }) => ({
    name: property,
    in: 'query',
    style: 'deepObject',
    explode: true,
    description: `Rows whose ${property} is so; \`${property}=…\` is short for \`${property}[eq]=…\`.`,
    schema: {
      type: 'object',
      properties: Object.fromEntries(
        operators.map((name) => [name, { type: name === 'isNull' ? 'boolean' : 'string' }]),
      ),
      additionalProperties: false,
    },
  }))
  const schema = { type: 'integer', minimum: 1, maximum: maxLimit }
  return [...filters, { name: 'limit', in: 'query', description: 'The most rows of the page; default 100.', schema }]
}

/** The parameter of operations that keep their answers. */
export const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  description:
    'Names the request, so that it can be sent again: it is answered as at first, and nothing is done twice.',
  schema: { type: 'string', minLength: 1, maxLength: 257 },
}

const listParameters = Object.fromEntries(
  Object.entries({
    select: 'The properties to answer, between commas.',
    with: 'Relations to load: `orders(limit:5;sort:-placedAt;with:items),reviews`.',
    sort: 'The order: `-createdAt,id`; `rank:nullsLast` says where null is.',
    after: 'The `next` of another page in the same order.',
    before: 'The `previous` of another page in the same order.',
    count: '`true`: how many rows there are in all, too.',
    or: 'One of these: `(stock=0,available=false)`.',
    and: 'All of these: `(rating[gte]=4,or(body[like]=%good%,body[like]=%well%))`.',
    not: 'Not all of these: `(job=Nurse)`.',
  }).map(([name, description]) => {
    const schema = name === 'count' ? { type: 'boolean' } : { type: 'string' }
    return [name, { name, in: 'query', description, schema }]
  }),
)

/** What a request may say of the state that the client has seen. */
const conditions = Object.fromEntries(
  Object.entries({
    'If-None-Match': 'The `ETag` of an answer that the client has, so that it is not sent again.',
    'If-Match': 'The `ETag` of the row as the client has seen it: another state is not changed.',
  }).map(([name, description]) => {
    const key = name.charAt(0).toLowerCase() + name.slice(1).replaceAll('-', '')
    return [key, { name, in: 'header', description, schema: { type: 'string' } }]
  }),
)

const problemSchema: JsonSchema = {
  type: 'object',
  description: 'What went wrong (RFC 9457).',
  properties: {
    type: { type: 'string', format: 'uri', description: `\`${problemTypePrefix}\` and the code.` },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string' },
    detail: { type: 'string' },
    requestId: { type: 'string' },
    errors: array({
      type: 'object',
      properties: {
        ...Object.fromEntries(['pointer', 'parameter', 'header', 'detail'].map((name) => [name, { type: 'string' }])),
        line: { type: 'integer' },
      },
      required: ['detail'],
    }),
  },
  required: ['type', 'title', 'status', 'code', 'requestId'],
}

const problemAnswer = {
  description: 'A problem document.',
  content: { 'application/problem+json': { schema: reference('schemas', 'Problem') } },
}

const serviceOperation = operationOf(serviceTag, '')
const anything = { type: 'object' }
const answeredAs = (type: string, id: string, description: string) => {
  const operation = serviceOperation(id, description)
  const answered = { description, content: { [type]: { schema: { type: 'string' } } } }
  return { ...operation, responses: { ...operation.responses, '200': answered } }
}
function gatherPath(resources: readonly PlannedResource[], most: number): object {
  const names = resources.map(({ path }) => path)
  const path = {
    type: 'string',
    description: 'What a GET of a resource would ask for: its list or one of its rows, with parameters.',
    pattern: `^/(?:${names.map((name) => name.replaceAll('.', '[.]')).join('|')})(?:/[^/?#]+)?(?:[?][^#]*)?$`,
    maxLength: 8192,
    examples: names.slice(0, 5).map((name) => `/${name}?limit=5`),
  }
  const properties = {
    queries: { type: 'object', additionalProperties: path, minProperties: 1, maxProperties: most },
    snapshot: { type: 'boolean', description: 'True: all see one instant of the database.' },
    concurrency: { type: 'integer', minimum: 1, maximum: most, description: 'Connections to use at once, at most.' },
  }
  const read = {
    type: 'object',
    properties: { status: { type: 'integer' }, etag: { type: 'string' }, body: anything },
    required: ['status', 'body'],
  }
  const asked = { type: 'object', properties, required: ['queries'], additionalProperties: false }
  const answered = { type: 'object', additionalProperties: read }
  return { '/gather': { post: serviceOperation('gather', 'Several reads at the same time.', answered, asked) } }
}

const servicePaths = {
  '/': { get: serviceOperation('getIndex', 'What is served here.', anything) },
  '/livez': { get: serviceOperation('getLiveness', 'Whether the process answers.', anything) },
  '/readyz': { get: serviceOperation('getReadiness', 'Whether the service can do its work.', anything) },
  '/openapi.json': { get: serviceOperation('getDocument', 'This document.', anything) },
  '/docs': { get: answeredAs('text/html', 'getDocs', 'This document for people, and what each problem means.') },
}
