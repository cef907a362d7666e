/**
 * Bodies that are sent while they come, a user's own as well as lists of rows.
 *
 *   begun ──first bytes──▶ under way ──end──▶ complete          begun ──fault──▶ a problem
 *                              └──fault──▶ cut off, so that no client takes a part for the whole
 *
 * The adapter below would end the answer with the error's message in either case.
 */
import type { Writable } from 'node:stream'
import type { Context } from 'hono'
import { TextResponse } from '../answer/text-response.ts'
import { Cancelled } from '../errors.ts'
import { markEndless } from '../server/endless.ts'
import { clientGone } from './request-log.ts'

/** What an answer says of its body: not true of the problem that is sent in its place. */
const ofBody = 'length encoding language disposition range'.split(' ').map((word) => `content-${word}`)
ofBody.push('etag', 'last-modified', 'cache-control', 'expires', 'location')

/** Told of the status an answer came to, and of the bytes of its body that were read. */
type BodyEnd = (status: number, bytes: number) => void

/** Watches the answer's body; `end` is told once of the status it came to, and how many bytes of it were read. */
export function watchBody(context: Context, end: BodyEnd): Promise<void> | void {
  const { req, res } = context
  if (req.method === 'HEAD') return end(res.status, 0)
  if (res instanceof TextResponse) return end(res.status, Number(res.header('content-length')))
  if (res.body === null) return end(res.status, Number(res.headers.get('content-length')))
  return watchStream(context, res.body, end)
}

async function watchStream(context: Context, stream: ReadableStream<Uint8Array>, end: BodyEnd): Promise<void> {
  const { req, res } = context
  const failed = context.get('failed') as (error: unknown, isCut?: boolean) => Response
  const reader = stream.getReader()
  const first = reader.read()
  // No longer than the adapter waits before it sends the headers: a stream of events may have none for long.
  const fault = await Promise.race([
    first.then(() => undefined).catch((error: unknown) => ({ error })),
    new Promise<undefined>((resolve) => setImmediate(resolve, undefined)),
  ])
  if (fault && !req.raw.signal.aborted) {
    for (const name of ofBody) res.headers.delete(name)
    context.res = failed(fault.error)
    return end(context.res.status, Number(context.res.headers.get('content-length')))
  }
  const { outgoing } = (context.env ?? {}) as { outgoing?: Writable }
  if (outgoing && res.headers.get('content-type')?.startsWith('text/event-stream')) markEndless(outgoing)
  let bytes = 0
  let ended = false
  const finish = (status: number) => {
    // A body that is cancelled has an end as well.
    if (!ended) end(status, bytes)
    ended = true
  }
  reader.closed.catch((error: unknown) => {
    // To the adapter this is a client that went away.
    outgoing?.destroy()
    const isFault = !(error instanceof Cancelled || req.raw.signal.aborted)
    if (isFault && !ended) failed(error, true)
    finish(isFault ? 500 : clientGone)
  })
  let next: typeof first | undefined = first
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await (next ?? reader.read()).catch((error: unknown) => {
        if (!outgoing) throw error
        return new Promise<never>(() => {})
      })
      next = undefined
      if (done) {
        finish(res.status)
        return controller.close()
      }
      bytes += value.byteLength
      controller.enqueue(value)
    },
    cancel(reason) {
      finish(clientGone)
      return reader.cancel(reason)
    },
  })
  context.res = new Response(body, res)
}
