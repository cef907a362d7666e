/**
 * How values become JSON. A bigint is written as a string: JSON numbers are doubles to nearly every reader, and a key
 * beyond 2^53 would come back as another row's. A Date is its ISO 8601 instant in UTC, with milliseconds.
 */

/** Encodes a value; members that are undefined are left out. */
export function encodeJson(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => (typeof member === 'bigint' ? member.toString() : member))
}

/** A JSON answer. Default status 200. */
export function jsonResponse(
  value: unknown,
  init: { status?: number; headers?: Record<string, string> } = {},
): Response {
  const headers = { 'content-type': 'application/json', ...init.headers }
  return new Response(encodeJson(value), { status: init.status ?? 200, headers })
}

/** What a value of type T is after its way through JSON, for clients: `Json<{ id: bigint }>` is `{ id: string }`. */
export type Json<T> = T extends bigint | Date
  ? string
  : T extends readonly (infer TItem)[]
    ? Json<TItem>[]
    : T extends object
      ? { [K in keyof T]: Json<T[K]> }
      : T
