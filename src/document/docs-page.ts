/**
 * The page at `/docs`: an OpenAPI document and the kinds of problems, for people. It is one text that is made once, has no
 * script, and can be read with a keyboard, a screen reader, on a phone, and without a network.
 */
import type { JsonSchema } from '../resource/column-json.ts'
import { type Html, html, page, prose } from './html.ts'
import { type ExplainedProblem, problemTypePrefix } from './problem-types.ts'

/** What is read of a document; anything in it may be missing, since an application adds parts of its own. */
interface Described {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly tags?: readonly { readonly name: string; readonly description?: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly components: {
    readonly schemas?: Readonly<Record<string, JsonSchema>>
    readonly parameters?: Readonly<Record<string, Parameter>>
    readonly responses?: Readonly<Record<string, DescribedAnswer>>
  }
}

interface Reference {
  readonly $ref?: string
}

interface Parameter extends Reference {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly description?: string
  readonly schema?: JsonSchema
}

interface DescribedAnswer extends Reference {
  readonly description: string
  readonly content?: Content
}

type Content = Readonly<Record<string, { readonly schema?: JsonSchema }>>

interface Operation {
  readonly operationId?: string
  readonly tags?: readonly string[]
  readonly summary?: string
  readonly description?: string
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Content }
  readonly responses?: Readonly<Record<string, DescribedAnswer>>
}

/** Renders it. */
export function docsPage(document: object, problems: readonly ExplainedProblem[]): string {
  const { info, tags = [], paths, components } = document as Described
  const schemas = Object.entries(components.schemas ?? {})
  const operations = Object.entries(paths).flatMap(([path, item]) => operationsOf(path, item))
  const inTag = tags.map((tag) => ({
    ...tag,
    operations: operations.filter(({ operation }) => (operation.tags?.[0] ?? '') === tag.name),
  }))
  return page(
    `${info.title}: documentation`,
    html`<header>
        <h1>${info.title} <small>${info.version}</small></h1>
        <p>${prose(info.description ?? '')}</p>
        <p class="quiet">For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1)</p>
        <nav aria-label="Contents">
          <ul>
            ${inTag.map(({ name }) => html`<li><a href="#tag-${name}">${name}</a></li> `)}
            <li><a href="#schemas">schemas</a></li>
            <li><a href="#problems">problems</a></li>
          </ul>
        </nav>
      </header>
      <main id="main">
        ${inTag.map(
          ({ name, description = '', operations: own }) =>
            html`<section aria-labelledby="tag-${name}">
              <h2 id="tag-${name}">${name}</h2>
              <p>${prose(description)}</p>
              ${own.map((each) => operationPart(each, components))}
            </section> `,
        )}
        <section aria-labelledby="schemas">
          <h2 id="schemas">Schemas</h2>
          ${schemas.map(([name, schema]) => schemaPart(name, schema))}
        </section>
        <section aria-labelledby="problems">
          <h2 id="problems">Problems</h2>
          <p>
            An error is answered as <code>application/problem+json</code> (RFC 9457). Its <code>type</code> is
            <code>${problemTypePrefix}</code> and one of these codes; <code>code</code> is the code alone,
            <code>requestId</code> leads to the request in the service's log.
          </p>
          <dl>${problems.map(problemPart)}</dl>
        </section>
      </main>`,
  )
}

interface Placed {
  readonly method: string
  readonly path: string
  readonly operation: Operation
  readonly parameters: readonly Parameter[]
}

const methods = ['get', 'post', 'put', 'patch', 'delete']

function operationsOf(path: string, item: Readonly<Record<string, unknown>>): Placed[] {
  const shared = (item['parameters'] ?? []) as readonly Parameter[]
  return methods.flatMap((method) => {
    const operation = item[method] as Operation | undefined
    return operation ? [{ method, path, operation, parameters: [...shared, ...(operation.parameters ?? [])] }] : []
  })
}

function operationPart({ method, path, operation, parameters }: Placed, components: Described['components']): Html {
  const { summary, description = '', requestBody, responses = {} } = operation
  const taken = parameters.map((parameter) => resolved(parameter, components.parameters))
  const filters = taken.filter(isFilter)
  const others = taken.filter((parameter) => !isFilter(parameter))
  return html`<details>
    <summary>
      <h3><code class="method ${method}">${method.toUpperCase()}</code> <code>${path}</code></h3>
      <span class="quiet">${summary}</span>
    </summary>
    <div class="inside" id="${operation.operationId}">
      ${description !== `${summary}.` && html`<p>${prose(description)}</p>`}
      ${
        others.length > 0 &&
        html`<h4>Parameters</h4>
          <dl>${others.map(parameterPart)}</dl>`
      }
      ${
        filters.length > 0 &&
        html`<h4>Filters</h4>
          <p>${prose('`property=value`, or `property[operator]=value` with one of the operators of the property.')}</p>
          <dl>${filters.map(filterPart)}</dl>`
      }
      ${
        requestBody &&
        html`<h4>Body</h4>
          <p>${contentText(requestBody.content)}</p>`
      }
      <h4>Answers</h4>
      <dl>
        ${answersOf(responses, components.responses).map(
          ([statuses, { description: said, content = {} }]) =>
            html`<div>
              <dt><code>${statuses.join(', ')}</code></dt>
              <dd>${prose(said)} <span class="quiet">${contentText(content)}</span></dd>
            </div>`,
        )}
      </dl>
    </div>
  </details>`
}

/** The answers, those of several statuses that are the same together. */
function answersOf(
  responses: Readonly<Record<string, DescribedAnswer>>,
  named: Readonly<Record<string, DescribedAnswer>> | undefined,
): [string[], DescribedAnswer][] {
  const same = new Map<string, [string[], DescribedAnswer]>()
  for (const [status, given] of Object.entries(responses)) {
    const answer = resolved(given, named)
    const text = JSON.stringify(answer)
    const [statuses] = same.get(text) ?? [[]]
    same.set(text, [[...statuses, status], answer])
  }
  return [...same.values()]
}

/** What a reference to `#/components/…/NAME` names, or the thing itself. */
function resolved<T extends Reference>(given: T, named: Readonly<Record<string, T>> = {}): T {
  return named[given.$ref?.split('/').at(-1) ?? ''] ?? given
}

function isFilter({ in: place, schema = {} }: Parameter): boolean {
  return place === 'query' && Object.keys(propertiesOf(schema)).length > 0
}

function filterPart({ name, schema = {} }: Parameter): Html {
  const operators = Object.keys(propertiesOf(schema)).join(' ')
  return html`<div>
    <dt><code>${name}</code></dt>
    <dd class="quiet">${operators}</dd>
  </div>`
}

function parameterPart({ name, in: place, required, description = '', schema = {} }: Parameter): Html {
  return html`<div>
    <dt><code>${name}</code> <span class="quiet">${place}${required && ', required'}</span></dt>
    <dd>${prose(description)} <span class="quiet">${typeText(schema)}</span></dd>
  </div>`
}

function contentText(content: Content): Html {
  const parts = Object.entries(content).map(([type, { schema = {} }]) => html`${typeText(schema)} <code>${type}</code>`)
  return html`${parts.map((part, index) => [index > 0 && ', ', part])}`
}

function schemaPart(name: string, schema: JsonSchema): Html {
  const required = new Set((schema['required'] ?? []) as readonly string[])
  const properties = Object.entries(propertiesOf(schema))
  return html`<details>
    <summary>
      <h3>
        <code class="method">${typeof schema['type'] === 'string' ? schema['type'] : 'schema'}</code>
        <code>${name}</code>
      </h3>
    </summary>
    <div class="inside" id="schema-${name}">
      <p>${prose(textOf(schema['description']))}</p>
      ${properties.length === 0 && html`<p>${typeText(schema)}</p>`}
      <dl>
        ${properties.map(
          ([property, of]) =>
            html`<div>
              <dt><code>${property}</code> ${required.has(property) && html`<span class="quiet">required</span>`}</dt>
              <dd>${prose(textOf(of['description']))} <span class="quiet">${typeText(of)}</span></dd>
            </div> `,
        )}
      </dl>
    </div>
  </details> `
}

function propertiesOf(schema: JsonSchema): Readonly<Record<string, JsonSchema>> {
  return (schema['properties'] ?? {}) as Readonly<Record<string, JsonSchema>>
}

/** A schema in a few words, with links to the schemas that it names. */
function typeText(schema: JsonSchema): Html {
  const { $ref, type, items, enum: values, oneOf, anyOf, ...rest } = schema
  if (typeof $ref === 'string') {
    const name = $ref.split('/').at(-1) ?? ''
    return html`<a href="#schema-${name}">${name}</a>`
  }
  const several = (oneOf ?? anyOf) as readonly JsonSchema[] | undefined
  if (several) return html`${several.map((each, index) => [index > 0 && ' or ', typeText(each)])}`
  if (Array.isArray(values)) return html`${values.map((value) => JSON.stringify(value)).join(' or ')}`
  const bounds = boundNames.flatMap((name) => (rest[name] === undefined ? [] : [`${name} ${textOf(rest[name])}`]))
  const named = [type ?? (Object.keys(schema).length === 0 ? 'any JSON' : 'a value')].flat().map(textOf).join(' or ')
  const own = html`${[named, ...bounds].join(', ')}`
  return items === undefined ? own : html`${own} of ${typeText(items as JsonSchema)}`
}

const boundNames = [
  'format',
  'contentEncoding',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'pattern',
  'default',
]

function problemPart({ codes, statuses, meaning }: ExplainedProblem): Html {
  return html`<div>
    ${codes.map((code) => html`<dt id="${code}"><code>${code}</code></dt>`)}
    <dd>${prose(meaning)} <span class="quiet">${statuses.join(', ')}</span></dd>
  </div> `
}

function textOf(value: unknown): string {
  if (value === undefined) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}
