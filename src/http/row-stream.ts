/**
 * A list of any length as one answer that arrives while it is read, through a cursor, in the memory of two batches.
 *
 *   waiting ──first rows──▶ streaming ──last row, COMMIT──▶ complete        streaming ──fault──▶ cut off
 *
 * Up to the first rows it is a request like any other, with its deadline, and faults are problems. From then on it may
 * take as long as it makes progress; what fails then ends the connection without the last chunk, so that no client takes
 * a part for the whole. A client that goes away, or takes nothing for too long, stops the statement on the server.
 */
import type { Context } from 'hono'
import type { Engine } from '../engine.ts'
import { Cancelled, DeadlineExceeded } from '../errors.ts'
import { cursorOf } from '../repository/operations/stream.ts'
import { taskSessionOf } from '../repository/session.ts'
import type { StreamQuery } from '../resource/query.ts'
import type { PlannedResource } from '../resource/resource.ts'
import { csvLines, jsonLines, RowText } from '../resource/row-text.ts'
import { Patience } from '../task/patience.ts'
import type { Places } from '../task/places.ts'
import { type Environment, taskOptions } from './front.ts'

/** What a list may be besides JSON: its type for `Accept`, and how its rows are written. */
const formats = {
  'application/x-ndjson': { format: jsonLines, contentType: 'application/x-ndjson' },
  'text/csv': { format: csvLines, contentType: 'text/csv; charset=utf-8; header=present' },
} as const

export type StreamType = keyof typeof formats

export const streamTypes = Object.keys(formats) as readonly StreamType[]

export interface RowStreamOptions {
  /** Milliseconds that may pass without a row, or without the client's taking one. */
  readonly streamIdleMs: number
  /** For all streams of the application, down and up. */
  readonly streams: Places
}

/** A list to be streamed. */
export interface StreamedList {
  readonly type: StreamType
  readonly resource: PlannedResource
  readonly query: StreamQuery
}

/** Answers a list; its first rows have been read when this resolves. */
export async function answerStream(
  context: Context<Environment>,
  engine: Engine,
  { type, resource, query }: StreamedList,
  { streamIdleMs, streams }: RowStreamOptions,
): Promise<Response> {
  const { raw, method } = context.req
  const { format, contentType } = formats[type]
  const patience = new Patience(raw.signal)
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  writer.closed.catch(() => patience.end(new Cancelled('the client has gone away')))
  let begun!: () => void
  const first = new Promise<void>((resolve) => (begun = resolve))
  let phase: 'queue' | 'statement' = 'queue'
  const late = () => new DeadlineExceeded('the rows did not come in time', { phase, spentMs: {} })
  const stalled = () => new Cancelled(`the client took nothing for ${streamIdleMs} ms`)
  const write = async (chunk: Uint8Array) => {
    patience.wait(streamIdleMs, stalled)
    await writer.write(chunk)
    patience.wait(streamIdleMs, late)
  }
  patience.wait(context.get('deadline').remainingMs, late)
  const work = streams.run(() =>
    engine.session(
      async (session) => {
        phase = 'statement'
        const { limit, ...options } = query
        let text!: RowText
        const cursor = cursorOf(resource.plan, options, (selection) => (text = new RowText(format, selection)), limit)
        const batches = taskSessionOf(session).batches(() => cursor, { size: () => text.size, ahead: 2 })
        let head: string | undefined = text.head
        for await (const chunks of batches) {
          begun()
          if (method === 'HEAD') return
          if (head) await write(Buffer.from(head))
          head = undefined
          for (const chunk of chunks) await write(chunk)
        }
      },
      { signal: patience.signal, label: taskOptions(context).label },
    ),
  )
  const complete = work.then(
    () => {
      patience.stop()
      void writer.close().catch(() => undefined)
    },
    (error: unknown) => {
      patience.stop()
      throw patience.reason ?? error
    },
  )
  // The answer to HEAD is all there is: with it the connection is free.
  await (method === 'HEAD' ? complete : Promise.race([first, complete]))
  complete.catch((error: unknown) => writer.abort(error)).catch(() => undefined)
  const headers = { 'content-type': contentType, 'cache-control': 'private, no-cache', vary: 'accept, authorization' }
  return method === 'HEAD' ? context.body(null, 200, headers) : context.body(readable as ReadableStream, 200, headers)
}
