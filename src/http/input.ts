/**
 * Reads what a request carries and refuses what cannot be meant: 400 for what cannot be understood (a path, a body that
 * is no JSON), 413 and 415 before it is read at all, 422 with every fault's path for JSON of the wrong shape.
 * The body is decoded here because `Request.json()` turns invalid UTF-8 into U+FFFD without a word.
 */
import type { Context } from 'hono'
import type { z } from 'zod'
import { type InputIssue, InvalidInput } from '../errors.ts'
import { Problem } from './problem.ts'

/** Bytes a body may have by default. */
const maxBodyBytes = 65_536

/** The largest key of an integer column. */
const maxInteger = 2_147_483_647

/** A key in the path: a whole number from 1 to 2147483647. @throws Problem 400 naming the parameter. */
export function integerKey(context: Context, name: string): number {
  const text = context.req.param(name) ?? ''
  const key = Number(text)
  if (/^[1-9][0-9]{0,9}$/.test(text) && key <= maxInteger) return key
  const detail = `${name} in the path must be a whole number from 1 to ${maxInteger}`
  throw new Problem({ status: 400, code: 'invalid_parameter', detail })
}

/** The body as `schema` describes it. @throws Problem 400, 413 or 415; InvalidInput with the faults' paths. */
export async function readJson<TSchema extends z.ZodType>(
  context: Context,
  schema: TSchema,
  maxBytes: number = maxBodyBytes,
): Promise<z.output<TSchema>> {
  const type = context.req.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/json') {
    const detail = 'the body must be JSON: send it with content-type: application/json'
    throw new Problem({ status: 415, code: 'unsupported_media_type', detail })
  }
  const result = schema.safeParse(parseJson(await readBytes(context.req.raw, maxBytes)))
  if (result.success) return result.data
  throw new InvalidInput('the body does not have the expected form', { issues: result.error.issues.flatMap(issuesOf) })
}

function issuesOf(issue: z.core.$ZodIssue): InputIssue[] {
  const at = (...keys: readonly PropertyKey[]) =>
    [...issue.path, ...keys].map((key) => (typeof key === 'symbol' ? String(key) : key))
  // Each unknown key by its own path; zod lists them in one message.
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ path: at(key), message: 'Unknown key' }))
  return [{ path: at(), message: issue.message }]
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  const tooLarge = () => {
    const detail = `the body may have ${maxBytes} bytes`
    return new Problem({ status: 413, code: 'body_too_large', detail })
  }
  if (Number(request.headers.get('content-length')) > maxBytes) throw tooLarge()
  for await (const chunk of request.body ?? []) {
    length += chunk.byteLength
    if (length > maxBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function parseJson(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw malformed('the body is not valid UTF-8')
  }
  try {
    return JSON.parse(text)
  } catch {
    // The parser's message quotes the body.
    throw malformed('the body is not valid JSON')
  }
}

function malformed(detail: string): Problem {
  return new Problem({ status: 400, code: 'malformed_json', detail })
}
