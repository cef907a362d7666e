/**
 * New rows as NDJSON, written in chunks while they arrive: all of them in one transaction, or none. While a chunk is being
 * written nothing of the body is read, so that a client sends no faster than the database takes. No connection is taken
 * before there is something to write.
 */
import type { Context } from 'hono'
import type { Engine } from '../engine.ts'
import { taskSessionOf } from '../repository/session.ts'
import { TableRepository } from '../repository/table-repository.ts'
import type { PlannedResource } from '../resource/resource.ts'
import { readLines } from '../resource/row-lines.ts'
import { Deadline } from '../task/deadline.ts'
import type { Places } from '../task/places.ts'
import { type Environment, taskOptions } from './front.ts'
import { bodyTooLarge, bodyTooSlow, refuseOtherTypes } from './input.ts'
import { jsonResponse } from '../answer/json.ts'
import { Problem } from '../answer/problem.ts'

export interface RowUploadOptions {
  /** Bytes that a line may have. */
  readonly maxBodyBytes: number
  /** Bytes that all of them may have. */
  readonly maxStreamBytes: number
  /** Milliseconds that may pass without a byte of the body, or with the writing of one chunk. */
  readonly streamIdleMs: number
  readonly streams: Places
}

const lineType = 'application/x-ndjson'

/** Whether a body says that it is NDJSON. @throws Problem 415 where it is in another charset, or encoded */
export function isLines(context: Context): boolean {
  if (!context.req.header('content-type')?.trim().toLowerCase().startsWith(lineType)) return false
  refuseOtherTypes(context, new Set([lineType]))
  return true
}

/** Inserts the rows of the body, and answers how many. @throws Problem 408, 413; WrongRows */
export async function insertLines(
  context: Context<Environment>,
  engine: Engine,
  resource: PlannedResource,
  options: RowUploadOptions,
): Promise<Response> {
  const chunks = readLines(resource, arriving(context.req.raw, options), options.maxBodyBytes)
  const { signal, label } = taskOptions(context)
  let chunk = await chunks.next()
  let inserted = 0
  if (!chunk.done) {
    const work = { signal, label, attempts: 1 }
    await options.streams.run(() =>
      engine.transaction(async (session) => {
        if (inserted > 0) throw readAlready
        for (; !chunk.done; chunk = await chunks.next()) {
          const rows = chunk.value
          inserted += rows.length
          await session.transaction(
            (nested) => new TableRepository(taskSessionOf(nested), resource.plan).insertMany(rows),
            { timeoutMs: options.streamIdleMs },
          )
        }
      }, work),
    )
  }
  return jsonResponse({ inserted }, { status: 201 })
}

/** A transaction that has to be run again, as after a change of the table, would need what has been read. */
const readAlready = new Problem({
  status: 503,
  code: 'serialization_failure',
  detail: 'the table was changed meanwhile: send it again',
  retryAfterSeconds: 1,
})

/** The body as it arrives. */
async function* arriving(
  { body, headers }: Request,
  { maxStreamBytes, streamIdleMs }: RowUploadOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (Number(headers.get('content-length')) > maxStreamBytes) throw bodyTooLarge(maxStreamBytes)
  if (!body) return
  const reader = body.getReader()
  let left = maxStreamBytes
  for (;;) {
    const { done, value } = await Deadline.after(streamIdleMs).race(reader.read(), bodyTooSlow)
    if (done) return
    left -= value.byteLength
    if (left < 0) throw bodyTooLarge(maxStreamBytes)
    yield value
  }
}
