/**
 * `Idempotency-Key` on POST and PATCH: a request that is sent again under its key gets the first answer, and does nothing.
 * Work and answer are one transaction. So whatever ended the first attempt, a client sends the same request until it hears
 * something else than 408, 429, 5xx or silence. What was refused is not kept: the next request under the key tries anew.
 * https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
 */
import type { Context, MiddlewareHandler } from 'hono'
import type { Schema } from '../drizzle/driver.ts'
import { type Engine, engineIdentity } from '../engine.ts'
import { CommitOutcomeUnknown } from '../errors.ts'
import {
  claimKey,
  digest,
  keepAnswer,
  type KeptAnswer,
  keptForMs,
  type KeyedRequest,
} from '../idempotency/kept-answers.ts'
import type { Session } from '../repository/session.ts'
import type { TransactionOptions } from '../session/session.ts'
import type { TaskOptions } from '../task/scope.ts'
import { requestEngine } from './access.ts'
import { type Environment, type IdempotencyOptions, taskOptions } from './front.ts'
import { Problem } from '../answer/problem.ts'
import { bodyTooSlow, readBodyBytes } from './input.ts'

/** Reads the key of each POST and PATCH. @throws Problem 400 for one that is malformed, or that nobody would keep. */
export function takeKeys(
  options: IdempotencyOptions | undefined,
  maxBodyBytes: number,
): MiddlewareHandler<Environment> {
  return (context, next) => {
    const given = context.req.header('idempotency-key')
    if (given === undefined || !['POST', 'PATCH'].includes(context.req.method)) return next()
    const [, quoted, bare] = /^(?:"([ !#-[\]-~]{1,255})"|([!#-+\--[\]-~]{1,255}))$/.exec(given) ?? []
    const key = quoted ?? bare
    if (!options) throw wrongKey('answers are not kept here: leave it out, and look before you send a request again')
    if (key === undefined) throw wrongKey('must be 1 to 255 characters of ASCII, in quotes or without them')
    context.set('keyed', { ...options, key, maxBodyBytes })
    return next()
  }
}

/** Refuses a key where no answer is kept. @throws Problem 400 */
export function refuseKey(context: Context<Environment>, reason: string): void {
  if (context.get('keyed')) throw wrongKey(reason)
}

function wrongKey(reason: string): Problem {
  const errors = [{ header: 'idempotency-key', detail: reason }]
  return new Problem({ status: 400, code: 'invalid_header', detail: `idempotency-key: ${reason}`, errors })
}

/**
 * Does a request's work in one transaction, in which its answer is kept under the client's key, if it sent one; a request
 * that was answered already gets that answer. `app.post('/orders', jsonBody(order), (context) => idempotent(context, engine,
 * async (session) => jsonResponse(await place(session, context.req.valid('json')), { status: 201 })))`. An answer of 400 or
 * more undoes the work and is not kept. @throws Problem 422 for a key of another request, or an answer too long to keep.
 */
export async function idempotent<TSchema extends Schema, T extends Response>(
  context: Context<Environment>,
  engine: Engine<TSchema>,
  work: (session: Session<TSchema>) => Promise<T>,
  options: Omit<TransactionOptions, keyof TaskOptions> = {},
): Promise<T> {
  const own = await requestEngine(context, engine)
  const keyed = context.get('keyed')
  const { maxAgeMs = keptForMs, maxAnswerBytes = 2_097_152 } = keyed ?? {}
  const request = keyed && (await requestOf(context, own, keyed))
  const answered = async (session: Session<TSchema>): Promise<Response> => {
    const kept = request && (await claimKey(session, request, maxAgeMs))
    if (kept && kept.fingerprint !== request.fingerprint) throw ofAnother
    if (kept) {
      const headers = { ...kept.headers, 'idempotent-replayed': 'true' }
      return new Response(bodyOf(kept), { status: kept.status, headers })
    }
    const response = await work(session)
    if (response.status >= 400) throw new Refused(response)
    if (!request) return response
    const answer = await answerOf(response, maxAnswerBytes)
    await keepAnswer(session, request, answer)
    return new Response(bodyOf(answer), response)
  }
  try {
    return (await own.transaction(answered, taskOptions(context, options))) as T
  } catch (error) {
    if (error instanceof Refused) return error.response as T
    if (!request || !(error instanceof CommitOutcomeUnknown)) throw error
    const detail = 'it is not known whether this was done: send it again under the same idempotency-key'
    throw new Problem({ status: 503, code: error.code, detail, retryAfterSeconds: 1 }, { cause: error })
  }
}

/** An answer that undoes the work. */
class Refused extends Error {
  readonly response: Response

  constructor(response: Response) {
    super('the work was refused')
    this.response = response
  }
}

const ofAnother = new Problem({
  status: 422,
  code: 'idempotency_key_reused',
  detail: 'this idempotency-key belongs to another request: give each request a key of its own',
})

type KeyedOptions = NonNullable<Environment['Variables']['keyed']>

async function requestOf(
  context: Context<Environment>,
  engine: object,
  { key, owner: ownerOf, maxBodyBytes }: KeyedOptions,
): Promise<KeyedRequest> {
  const { method, url } = context.req
  const { role = '', settings = {} } = engineIdentity(engine) ?? {}
  const owner = (await ownerOf?.(context)) ?? [role, ...Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1))]
  const body = context.get('bodyDigest') ?? (await digestOfBody(context, maxBodyBytes))
  const path = url.replace(/^\w+:\/\/[^/]*/, '')
  return { owner: digest(JSON.stringify(owner)), key, fingerprint: digest(`${method} ${path} ${body}`) }
}

/** Of a body that the handler has not looked at, and may still. @throws Problem 408, 413 */
async function digestOfBody(context: Context<Environment>, maxBytes: number): Promise<string> {
  const { req } = context
  if (Object.keys(req.bodyCache).length > 0) return digest(new Uint8Array(await req.arrayBuffer()))
  const bytes = await context.get('deadline').race(readBodyBytes(req.raw, maxBytes), bodyTooSlow)
  req.bodyCache.arrayBuffer = Promise.resolve(new Uint8Array(bytes).buffer) as never
  return digest(bytes)
}

async function answerOf(response: Response, maxBytes: number): Promise<KeptAnswer> {
  const body = new Uint8Array(await response.arrayBuffer())
  const detail = `the answer is longer than the ${maxBytes} bytes that are kept for a key: ask for less at once`
  if (body.byteLength > maxBytes) throw new Problem({ status: 422, code: 'answer_too_long', detail })
  const { 'server-timing': _, 'set-cookie': __, ...headers } = Object.fromEntries(response.headers)
  return { status: response.status, headers, body }
}

/** Statuses such as 204 take none, not even an empty one. */
function bodyOf({ body }: KeptAnswer): Uint8Array<ArrayBuffer> | null {
  return body.byteLength === 0 ? null : new Uint8Array(body)
}
