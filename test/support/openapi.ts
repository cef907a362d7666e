/**
 * An OpenAPI document as data for tests: its operations, and whether an answer is one that it describes: a declared status,
 * one of its media types, a body of its schema (JSON Schema 2020-12, by ajv, in strict mode).
 */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'

export type Schema = Readonly<Record<string, any>> // oxlint-disable-line typescript/no-explicit-any

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required?: boolean
  readonly style?: string
  readonly description?: string
  readonly schema: Schema
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>

export interface Operation {
  readonly id: string
  readonly method: string
  /** `/customers/{key}` */
  readonly path: string
  readonly parameters: readonly Parameter[]
  /** By media type; empty for an operation without a body. */
  readonly bodies: Content
  readonly answers: Readonly<Record<string, { readonly content?: Content }>>
}

/** What a server answered. */
export interface Answered {
  readonly status: number
  readonly type: string
  readonly text: string
}

export class OpenApi {
  readonly operations: readonly Operation[]
  readonly #document: Schema
  readonly #ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false, strictTypes: false })
  readonly #validators = new Map<string, ValidateFunction>()

  constructor(document: Schema) {
    this.#document = document
    formats.default(this.#ajv)
    this.#ajv.addVocabulary(['components'])
    this.operations = Object.entries(document.paths as Record<string, Schema>).flatMap(([path, item]) => {
      const methods = ['get', 'post', 'put', 'patch', 'delete'].filter((method) => method in item)
      return methods.map((method) => this.#operation(path, method, item))
    })
  }

  /** What a reference stands for. */
  resolve<T extends Schema>(given: T): T {
    if (typeof given.$ref !== 'string') return given
    const steps = given.$ref.slice(2).split('/')
    return this.resolve(steps.reduce<Schema>((inner, step) => inner[step] as Schema, this.#document) as T)
  }

  /** Why the document does not describe an answer; undefined where it does. */
  faultOf(operation: Operation, { status, type, text }: Answered): string | undefined {
    // `default` is for what goes wrong.
    const declared = operation.answers[status] ?? (status >= 400 ? operation.answers.default : undefined)
    if (!declared) return `the status ${status} is not declared`
    const { content = {} } = this.resolve(declared)
    if (Object.keys(content).length === 0) return text === '' ? undefined : 'a body is not declared'
    const [mediaType = ''] = type.split(';')
    const media = content[mediaType]
    if (!media) return `the media type ${type || 'none'} is not declared for ${status}`
    if (/\bjson$/.test(mediaType) && !mediaType.endsWith('ndjson')) return this.#mismatch(media.schema, text)
    if (!mediaType.endsWith('ndjson')) return undefined
    const { type: kind, items } = this.resolve(media.schema)
    if (kind === 'string') return undefined
    const lines = text.split('\n').filter((line) => line !== '')
    const schema = (kind === 'array' ? items : media.schema) as Schema
    return lines.map((line) => this.#mismatch(schema, line)).find((fault) => fault !== undefined)
  }

  #mismatch(schema: Schema, text: string): string | undefined {
    const name = JSON.stringify(schema)
    const components = this.#document.components as unknown
    const validate = this.#validators.get(name) ?? this.#ajv.compile({ ...schema, components })
    this.#validators.set(name, validate)
    return validate(JSON.parse(text)) ? undefined : this.#ajv.errorsText(validate.errors)
  }

  #operation(path: string, method: string, item: Schema): Operation {
    const operation = item[method] as Schema
    const given = [...((item.parameters as Schema[]) ?? []), ...((operation.parameters as Schema[]) ?? [])]
    return {
      id: operation.operationId as string,
      method: method.toUpperCase(),
      path,
      parameters: given.map((parameter) => this.resolve(parameter) as Parameter),
      bodies: (operation.requestBody as { content: Content } | undefined)?.content ?? {},
      answers: operation.responses as Operation['answers'],
    }
  }
}
