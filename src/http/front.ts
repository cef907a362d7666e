/**
 * The front of every application: errors become problems in one place, each request has an id and one deadline for all of
 * it, and its work ends with it, because handlers give `taskOptions(context)` to the engine. A client that goes away aborts
 * the signal, which stops its statements on the server.
 */
import { randomUUID } from 'node:crypto'
import type { Writable } from 'node:stream'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { routePath } from 'hono/route'
import { Deadline } from '../task/deadline.ts'
import type { Identity } from '../session/identity.ts'
import { labelled, Scope, ScopedOptions, type TaskOptions } from '../task/scope.ts'
import { Cancelled, type RivuletError, UsageError } from '../errors.ts'
import { Problem, problemOf, problemResponse } from '../answer/problem.ts'
import { addBrowserHeaders, setHeader } from '../answer/text-response.ts'
import { markAsking } from '../server/asking.ts'
import { clientGone, entryTeller, type FaultyRequest, type RequestEntry } from './request-log.ts'
import { watchBody } from './streamed-body.ts'

/** How requests are bounded, and what is told of those that fail. */
export interface FrontOptions {
  /** Under which identity a request's sessions run, such as a role of its token; default: the engine's own. */
  readonly identity?: Identify | undefined
  /** What runs before every route, such as Hono's `cors()`: what it answers or throws is the answer. Default: none. */
  readonly middleware?: readonly MiddlewareHandler[] | undefined
  /** Milliseconds a request may take, its body and its wait for a connection included. Default 10,000. */
  readonly requestTimeoutMs?: number | undefined
  /** Maps the application's own errors; undefined: the table of `problem.ts` decides. */
  readonly problemFor?: ((error: unknown) => Problem | undefined) | undefined
  /** Told of every error that was answered with a status from 500, or cut an answer off. Default: none. */
  readonly onFault?: ((error: unknown, request: FaultyRequest) => void) | undefined
  /** The access log: told of every request once it is answered. Default: none. It must not throw. */
  readonly log?: ((entry: RequestEntry) => void) | undefined
}

/** Says under which identity a request's sessions run; throws a Problem or an HTTPException to refuse it. */
export type Identify = (context: Context<Environment>) => Identity | Promise<Identity>

/** How `Idempotency-Key` is taken. */
export interface IdempotencyOptions {
  /** Milliseconds for which an answer is given again; after that the key is as good as new. Default 86,400,000: a day. */
  readonly maxAgeMs?: number | undefined
  /** Bytes the body of an answer may have that is kept; the work of a longer one is refused. Default 2,097,152. */
  readonly maxAnswerBytes?: number | undefined
  /**
   * Whose a key is, where that is not the identity with all its settings: a setting that another token changes, such as an
   * expiry, would make another owner of the same person.
   */
  readonly owner?: ((context: Context<Environment>) => string | Promise<string>) | undefined
}

/** What handlers find in their context. */
export interface Environment {
  Variables: {
    /** The client's `X-Request-Id`, or a new one. */
    requestId: string
    /** The end of the request's time. */
    deadline: Deadline
    /** What ends the request's work: its deadline, and a client that goes away; `taskOptions` adds the name of the route. */
    bounds: TaskOptions
    /** Who asks, found out once; undefined where the application does not say. */
    identity?: (() => Promise<Identity>) | undefined
    /** How a client that has not said who it is may do so, as `WWW-Authenticate` has it; set by the identity function. */
    challenge?: string | undefined
    /** Where the time went, for `Server-Timing`; undefined before there was a task. */
    timing?: string
    /** The answer to an error, or to one that cuts an answer off; those who watch over faults are told of it. */
    failed: (error: unknown, isCut?: boolean) => Response
    /** What the client calls this request, to send it again. */
    keyed?: (IdempotencyOptions & { readonly key: string; readonly maxBodyBytes: number }) | undefined
    /** Tells the body from others, where the request has a key. */
    bodyDigest?: string | undefined
  }
}

/** An application with error handling and time limits, and no routes. */
export function createFront(options: FrontOptions = {}): Hono<Environment> {
  const { middleware = [], requestTimeoutMs = 10_000, identity, problemFor, onFault, log } = options
  const app = new Hono<Environment>()
  if (identity) markAsking(app)
  app.use(async (context, next) => {
    const startedAt = performance.now()
    const requestId = requestIdOf(context)
    context.set('requestId', requestId)
    const deadline = Deadline.after(Math.min(requestTimeoutMs, patienceMs(context)))
    context.set('deadline', deadline)
    context.set('bounds', boundsOf(context, deadline))
    if (identity) context.set('identity', identityOnce(context, identity))
    context.set('failed', (error, isCut) => {
      const found = problemFor?.(error) ?? (error instanceof HTTPException ? fromHono(error) : problemOf(error))
      const problem = challenged(found, context.get('challenge'))
      const { status } = problem
      if (status >= 500 || isCut)
        onFault?.(error, { method: context.req.method, route: routePath(context, -1), status, requestId })
      return problemResponse(problem, requestId)
    })
    await next()
    await watchBody(context, log ? entryTeller(context, startedAt, log) : () => undefined)
    addBrowserHeaders(context.res)
    setHeader(context.res, 'x-request-id', requestId)
  })
  if (middleware.length > 0) app.use(keepHeaders, ...middleware)
  app.use(methodNotAllowed({ app, onMethodNotAllowed: refuseMethod }))
  app.notFound((context) => {
    const problem = new Problem({ status: 404, code: 'no_route', detail: 'nothing is served at this path' })
    return problemResponse(problem, context.get('requestId'))
  })
  app.onError((error, context) => {
    // The client is gone, and the work was stopped because of that: nothing is at fault.
    if (context.req.raw.signal.aborted) return new Response(null, { status: clientGone })
    return context.get('failed')(error)
  })
  return app
}

/**
 * What a handler gives to every call of the engine: the client's patience, the request's deadline, the route's name. `more` are
 * other options of that call, such as `{ snapshot: true }`; spread around it they would cost an AbortSignal.
 */
export function taskOptions<TMore extends object = object>(
  context: Context<Environment>,
  more?: TMore & { readonly signal?: never; readonly timeoutMs?: never },
): TaskOptions & TMore {
  if (!context?.req) throw new UsageError('taskOptions takes the context of a route of createApp')
  if (more && ('signal' in more || 'timeoutMs' in more))
    throw new UsageError(
      'taskOptions has the signal and the time of the request: give others as { ...taskOptions(context), timeoutMs }',
    )
  return labelled(context.get('bounds'), `${context.req.method} ${routePath(context, -1)}`, more) as TaskOptions & TMore
}

/** Why nobody waits for the answer any more; undefined while somebody does. */
export function goneAway(context: Context<Environment>): RivuletError | undefined {
  const bounds = context.get('bounds')
  const reason = bounds instanceof ScopedOptions ? bounds.bounds.scope.reason : undefined
  return reason?.kind === 'cancelled' ? reason.error : undefined
}

/** The request's time, and a scope that is cancelled when its client goes away before it has the answer. */
function boundsOf(context: Context, deadline: Deadline): ScopedOptions {
  const { outgoing } = (context.env ?? {}) as { outgoing?: Writable }
  const { raw } = context.req
  const scope = new Scope(outgoing ? {} : { signal: raw.signal })
  outgoing?.on('close', () => {
    if (!outgoing.writableFinished) scope.cancel(new Cancelled('the client has gone away'))
  })
  return new ScopedOptions({ scope, deadline, signal: () => raw.signal })
}

/** What is not allowed to anybody may be allowed to who the client is (RFC 9110, 15.5.2). */
function challenged(problem: Problem, challenge: string | undefined): Problem {
  if (challenge === undefined || problem.code !== 'insufficient_privilege') return problem
  const detail = 'this is not allowed to everybody: say who you are'
  return new Problem(
    { status: 401, code: 'token_required', detail, headers: { 'www-authenticate': challenge } },
    { cause: problem },
  )
}

/** The answer for one request, to whoever asks: `identify` is asked by the first. */
function identityOnce(context: Context<Environment>, identify: Identify) {
  let asked: Promise<Identity> | undefined
  const ask = async () => {
    const identity = (await identify(context)) as Identity | undefined
    if (identity) return identity
    // Taken for everybody's, it would be the rights of the engine itself.
    throw new UsageError('the identity function returned none: return one for those without a token, too, or throw')
  }
  return () => (asked ??= ask())
}

/** Hono keeps what middleware sets in advance for answers that come later only where there is an answer already. */
const keepHeaders: MiddlewareHandler = (context, next) => {
  void context.res
  return next()
}

/** One that could not be told from the text of a log is not taken over. */
function requestIdOf({ req }: Context): string {
  const given = req.header('x-request-id')
  return given !== undefined && /^[\w.:-]{1,100}$/.test(given) ? given : randomUUID()
}

/** Milliseconds of `Prefer: wait=10` (RFC 7240, 4.3). */
function patienceMs({ req }: Context): number {
  const prefer = req.header('prefer')
  if (prefer === undefined) return Infinity
  const [, seconds] = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:$|[,;])/i.exec(prefer) ?? []
  return seconds === undefined ? Infinity : Number(seconds) * 1000
}

/** RFC 9110, 15.5.6: a path that is served by other methods says by which. */
function refuseMethod(context: Context, methods: readonly string[]): Response {
  const allow = methods.join(', ')
  const detail = `this path is served by other methods: ${allow}`
  const problem = new Problem({ status: 405, code: 'method_not_allowed', detail, headers: { allow } })
  return problemResponse(problem, (context as Context<Environment>).get('requestId'))
}

/** What Hono's own middleware throws, such as `bearerAuth`: it may say how to be let in. */
function fromHono({ status, message, res }: HTTPException): Problem {
  const challenge = res?.headers.get('www-authenticate')
  const headers: Record<string, string> = challenge ? { 'www-authenticate': challenge } : {}
  return new Problem({ status, code: 'http', detail: message === '' ? undefined : message, headers })
}
