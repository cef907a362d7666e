/**
 * What a handler reads of a request: its body, and keys in its path. Reading a body refuses what cannot be meant: 415 for
 * another type, charset or any encoding, 413 for one that is too long, 408 for one that does not arrive in the request's
 * time, 400 for what is no JSON, 422 with every fault's place for JSON of the wrong shape.
 */
import type { Context, MiddlewareHandler } from 'hono'
import type { z } from 'zod'
import { type InputIssue, InvalidInput, UsageError } from '../errors.ts'
import type { Environment } from './front.ts'
import { digest } from '../idempotency/kept-answers.ts'
import { Problem } from '../answer/problem.ts'
import { WrongParameter } from '../resource/query.ts'
import { mostFaults, WrongRows } from '../resource/row-input.ts'
import { JsonFault, parseJson } from '../values/strict-json.ts'

/** Bytes a body may have by default. */
const maxBodyBytes = 65_536

/** What a route with such a body says to Hono, for `context.req.valid('json')` and for its client. */
export interface JsonInput<TSchema extends z.ZodType> {
  in: { json: z.input<TSchema> }
  out: { json: z.output<TSchema> }
}

/**
 * The body as `schema` describes it: `app.post('/orders', jsonBody(order), (context) => … context.req.valid('json') …)`.
 * @throws Problem 400, 408, 413, 415, 422; InvalidInput with the faults' paths.
 */
export function jsonBody<TSchema extends z.ZodType<object>>(
  schema: TSchema,
  maxBytes: number = maxBodyBytes,
): MiddlewareHandler<Environment, string, JsonInput<TSchema>> {
  if (typeof schema?.safeParse !== 'function') throw new UsageError('jsonBody takes a schema of zod')
  return async (context, next) => {
    const result = schema.safeParse(await readBody(context, maxBytes))
    if (!result.success) {
      const issues = result.error.issues.slice(0, mostFaults).flatMap(issuesOf).slice(0, mostFaults)
      throw new InvalidInput('the body does not have the expected form', { issues })
    }
    context.req.addValidatedData('json', result.data)
    await next()
  }
}

function issuesOf(issue: z.core.$ZodIssue): InputIssue[] {
  const at = (...keys: readonly PropertyKey[]) =>
    [...issue.path, ...keys].map((key) => (typeof key === 'symbol' ? String(key) : key))
  // Each unknown key by its own path; zod lists them in one message.
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, mostFaults).map((key) => ({ path: at(key), message: 'Unknown key' }))
  }
  return [{ path: at(), message: issue.message.slice(0, 300) }]
}

/** The body, which must be JSON. @throws Problem 400, 408, 413, 415, 422 */
export async function readBody(context: Context<Environment>, maxBytes: number): Promise<unknown> {
  refuseOtherTypes(context, jsonTypes)
  const bytes = await context.get('deadline').race(readBodyBytes(context.req.raw, maxBytes), bodyTooSlow)
  if (context.get('keyed')) context.set('bodyDigest', digest(bytes))
  let text: string
  try {
    // A byte order mark stays, and is no JSON.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new Problem({ status: 400, code: 'malformed_json', detail: 'the body is not valid UTF-8' })
  }
  try {
    return parseJson(text)
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error
    const { message, path } = error
    if (path !== undefined) throw new WrongRows([{ path, detail: message }])
    throw new Problem({ status: 400, code: 'malformed_json', detail: `the body ${message}` })
  }
}

/** @throws Problem 415 for a body of another type, in another charset, or encoded */
export function refuseOtherTypes({ req }: Context, types: ReadonlySet<string>): void {
  if (req.header('content-encoding') !== undefined) {
    throw unsupported('the body must not be encoded: leave content-encoding out', { 'accept-encoding': 'identity' })
  }
  const [type = '', ...parameters] = (req.header('content-type') ?? '').toLowerCase().split(';')
  const isUtf8 = parameters.every((parameter) => /^\s*charset="?utf-8"?\s*$/.test(parameter))
  if (types.has(type.trim()) && isUtf8) return
  throw unsupported('the body must be JSON in UTF-8: send it with content-type: application/json')
}

function unsupported(detail: string, headers: Record<string, string> = {}): Problem {
  return new Problem({ status: 415, code: 'unsupported_media_type', detail, headers })
}

const jsonTypes = new Set(['application/json', 'application/merge-patch+json'])

export function bodyTooSlow(): Problem {
  const detail = 'the body did not arrive in time: send it whole, or in smaller parts'
  return new Problem({ status: 408, code: 'request_timeout', detail, headers: { connection: 'close' } })
}

/** A body whole. @throws Problem 413 */
export async function readBodyBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const length = request.headers.get('content-length')
  if (Number(length) > maxBytes) throw bodyTooLarge(maxBytes)
  // The server has made sure that it is not longer than it says.
  if (length !== null) return new Uint8Array(await request.arrayBuffer())
  const chunks: Uint8Array[] = []
  let read = 0
  for await (const chunk of request.body ?? []) {
    read += chunk.byteLength
    if (read > maxBytes) throw bodyTooLarge(maxBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

export function bodyTooLarge(maxBytes: number): Problem {
  return new Problem({
    status: 413,
    code: 'body_too_large',
    detail: `the body is larger than the limit of ${maxBytes} bytes`,
  })
}

/** The largest key of an integer column. */
const maxInteger = 2_147_483_647

/** A key in the path: a whole number from 1 to 2147483647. @throws WrongParameter */
export function integerKey(context: Context, name: string): number {
  if (!context?.req) throw new UsageError('integerKey takes the context of a route, and the name of the key')
  const text = context.req.param(name) ?? ''
  const key = Number(text)
  if (/^[1-9][0-9]{0,9}$/.test(text) && key <= maxInteger) return key
  throw new WrongParameter(name, `in the path must be a whole number from 1 to ${maxInteger}`)
}
