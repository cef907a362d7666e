/**
 * How values become JSON. A bigint is written as a string: JSON numbers are doubles to nearly every reader, and a key
 * beyond 2^53 would come back as another row's. A Date is its ISO 8601 instant in UTC, with milliseconds.
 */

import type { TypedResponse } from 'hono'
import type { StatusCode } from 'hono/utils/http-status'
import { checkOptions, optionNames } from '../option-names.ts'
import type { Json } from '../resource/row-json.ts'
import { writeJson } from '../values/exact-json.ts'
import { TextResponse } from './text-response.ts'

/** Encodes a value; members that are undefined are left out. */
export function encodeJson(value: unknown): string {
  return writeJson(value) as string
}

const answerOptions = optionNames<{ status: number; headers: object }>({ status: 'number', headers: true })

/** A JSON answer, whose type Hono's client knows, with its length, which the answer to HEAD has as well. */
export function jsonResponse<T, TStatus extends StatusCode = 200>(
  value: T,
  init: { readonly status?: TStatus; readonly headers?: Readonly<Record<string, string>> } = {},
): Response & TypedResponse<Json<T>, TStatus, 'json'> {
  checkOptions('jsonResponse', answerOptions, init)
  const body = encodeJson(value)
  const length = String(Buffer.byteLength(body))
  const headers: Record<string, string> = { 'content-type': 'application/json', 'content-length': length }
  for (const [name, text] of Object.entries(init.headers ?? {})) headers[name.toLowerCase()] = text
  return new TextResponse(body, init.status ?? 200, headers) as never
}
