/**
 * The application every service starts from: errors become problems in one place, and the work of a request ends with
 * it, because a handler gives `taskOptions(context)` to the engine. A client that goes away aborts the signal, which stops
 * its statements on the server; a request that takes too long is stopped by the deadline.
 */
import { Hono, type Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { routePath } from 'hono/route'
import type { TaskOptions } from '../task/scope.ts'
import { Problem, problemOf, problemResponse } from './problem.ts'

export interface AppOptions {
  /** Milliseconds a request may take, waiting for a connection included. Default 10,000. */
  readonly requestTimeoutMs?: number | undefined
  /** Maps the application's own errors; undefined: the table of `problem.ts` decides. */
  readonly problemFor?: ((error: unknown) => Problem | undefined) | undefined
  /** Told of every error that was answered with a status from 500: the answer says nothing of it. Default: nobody. */
  readonly onFault?: ((error: unknown, request: { readonly method: string; readonly path: string }) => void) | undefined
}

/** What the context of a request holds. */
export interface Environment {
  Variables: { requestTimeoutMs: number }
}

/** An application with error handling and time limits, and no routes. */
export type App = Hono<Environment>

/** Makes an application; add routes to it, and serve it with `openHttpServer`. */
export function createApp({ requestTimeoutMs = 10_000, problemFor, onFault }: AppOptions = {}): App {
  const app = new Hono<Environment>()
  app.use(async (context, next) => {
    context.set('requestTimeoutMs', requestTimeoutMs)
    await next()
  })
  app.use(methodNotAllowed({ app, onMethodNotAllowed: (_, methods) => refuseMethod(methods) }))
  app.notFound(() => {
    return problemResponse(new Problem({ status: 404, code: 'no_route', detail: 'nothing is served at this path' }))
  })
  app.onError((error, { req }) => {
    // Nobody is there to read an answer, and the work was stopped because of that: no fault of anybody's.
    if (req.raw.signal.aborted) return new Response(null, { status: clientClosedRequest })
    const problem = problemFor?.(error) ?? (error instanceof HTTPException ? fromHono(error) : problemOf(error))
    if (problem.status >= 500) onFault?.(error, { method: req.method, path: req.path })
    return problemResponse(problem)
  })
  return app
}

/** What a handler gives to every call of the engine: the client's patience, the request's deadline, the route's name. */
export function taskOptions(context: Context<Environment>): TaskOptions {
  const { method, raw } = context.req
  return {
    signal: raw.signal,
    timeoutMs: context.get('requestTimeoutMs'),
    label: `${method} ${routePath(context, -1)}`,
  }
}

/** nginx's status for a client that did not wait; it is never seen by one. */
const clientClosedRequest = 499

/** RFC 9110, 15.5.6: a path that is served by other methods says by which. */
function refuseMethod(methods: readonly string[]): Response {
  const allowed = methods.join(', ')
  const detail = `this path is served by other methods: ${allowed}`
  const response = problemResponse(new Problem({ status: 405, code: 'method_not_allowed', detail }))
  response.headers.set('allow', allowed)
  return response
}

function fromHono({ status, message }: HTTPException): Problem {
  return new Problem({ status, code: 'http', detail: message === '' ? undefined : message })
}
