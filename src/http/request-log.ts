/**
 * The access log: one entry a request, fit to be one line of JSON. It names the route and not the path, since a path holds
 * keys, and those may be names or addresses of people; of the query it has the names of parameters and never a value. Who
 * has to find the row of one request has its id, which the client was told too.
 */
import { inspect } from 'node:util'
import type { Context } from 'hono'
import { routePath } from 'hono/route'
import { RivuletError } from '../errors.ts'

/** A request that was answered. */
export interface RequestEntry {
  /** When it came, in ISO 8601. */
  readonly time: string
  /** `GET`, say. */
  readonly method: string
  /** The pattern of its route, such as `/customers/:key`; `/*` where none is. */
  readonly route: string
  /** The names of its query's parameters, the first 20; `?` stands for one that is no word. */
  readonly parameters?: readonly string[] | undefined
  /** 499 where the client had gone before it had all of the answer, 500 where a streamed one broke off. */
  readonly status: number
  /** Milliseconds until the answer was ready, or had been read to its end where it was streamed. */
  readonly ms: number
  /** The length of the answer's body. */
  readonly bytes: number
  /** Milliseconds of that in which its work waited for a connection, as `Server-Timing` has them. */
  readonly waitMs?: number | undefined
  /** As the client was told it in `X-Request-Id`. */
  readonly requestId: string
}

/** A request that was answered with a status from 500. */
export type FaultyRequest = Pick<RequestEntry, 'method' | 'route' | 'status' | 'requestId'>

/** One line for what a service must expect, such as overload; for what is a bug, also where to look. */
export function describeFault(error: unknown, { method, route, status, requestId }: FaultyRequest): string {
  const line = `${requestId} ${method} ${route}: ${status}`
  const expected = status > 500 && error instanceof RivuletError
  return `${line} ${expected ? `${error.code}: ${error.message}` : inspect(error)}`
}

/** Tells `log` of a request by the status and the bytes it came to; `startedAt` is of `performance.now()`. */
export function entryTeller(context: Context, startedAt: number, log: (entry: RequestEntry) => void) {
  const { req, res } = context
  // Of what has matched, the last: known now, and no more when a stream ends.
  const route = routePath(context, -1)
  const waits = Array.from(res.headers.get('server-timing')?.matchAll(/-wait;dur=([\d.]+)/g) ?? [], ([, ms]) =>
    Number(ms),
  )
  return (status: number, bytes: number) => {
    log({
      time: new Date(performance.timeOrigin + startedAt).toISOString(),
      method: req.method,
      route,
      parameters: parameterNames(req.url),
      status,
      ms: Math.round((performance.now() - startedAt) * 100) / 100,
      waitMs: waits.length > 0 ? Math.max(...waits) : undefined,
      bytes,
      requestId: context.get('requestId') as string,
    })
  }
}

/** nginx's status for a client that did not wait; it is never seen by one. */
export const clientGone = 499

function parameterNames(url: string): string[] | undefined {
  const at = url.indexOf('?')
  if (at < 0) return undefined
  const names = [...new Set(new URLSearchParams(url.slice(at)).keys())]
  return names.slice(0, 20).map((name) => (/^[\w.[\]-]{1,60}$/.test(name) ? name : '?'))
}
