/**
 * What can go wrong, in one table: for each code its status, what it means and, where the error's own message is not for
 * clients, what they are told instead. A code of an error that is missing here does not compile. Problem documents, `/docs`
 * and docs/http.md are made of it. https://www.rfc-editor.org/rfc/rfc9457#name-defining-new-problem-types
 */
import type { ErrorCode } from '../errors.ts'

/** What every problem's type begins with; a program can rely on it, and `/docs#CODE` explains what follows. */
export const problemTypePrefix = 'urn:problem-type:rivulet:'

/** A kind of problem. */
export interface ProblemType {
  readonly status: number
  /** Further statuses it may have. */
  readonly also?: readonly number[]
  /** For the person who met it: what it is, and what to do. */
  readonly meaning: string
  /** What the answer says in place of the error's message, where clients must not see that. */
  readonly detail?: string
  readonly retryAfterSeconds?: number
}

const busy = hidden(503, 'the service has more work than it can do: try again later', 1)
const slow = hidden(504, 'the request took longer than it may')
const contended = hidden(503, 'another request is changing the same rows: try again', 1)
const closing = 'the service is shutting down: try again later'
const broken = hidden(500, 'the service failed; the fault is not in the request')

function hidden(status: number, detail: string, retryAfterSeconds?: number): ProblemType {
  const meaning = `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`
  return { status, detail, meaning, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) }
}

/** Of errors that the engine and its parts throw. */
const ofErrors = {
  invalid_input: { status: 422, meaning: 'A value cannot be taken. `errors` says which, by a JSON pointer, and why.' },
  not_null_violation: { status: 422, meaning: 'A value is missing that the row must have.' },
  check_violation: { status: 422, meaning: 'A rule of the database refuses the row.' },
  not_found: { status: 404, meaning: 'No row has this key, or none that you may see.' },
  unique_violation: { status: 409, meaning: 'Another row has this value already, and only one may have it.' },
  foreign_key_violation: {
    status: 409,
    meaning: 'The row names another one that is not there, or is named by others and cannot go before them.',
  },
  version_conflict: { status: 409, meaning: 'The row has been changed since you read it: read it again.' },
  insufficient_privilege: hidden(403, 'this is not allowed'),
  serialization_failure: contended,
  deadlock_detected: contended,
  lock_timeout: contended,
  pool_timeout: busy,
  pool_overloaded: busy,
  connection_lost: hidden(503, 'the database cannot be reached at the moment: try again later', 1),
  pool_closed: hidden(503, closing, 5),
  cancelled: hidden(503, closing, 1),
  deadline_exceeded: {
    ...slow,
    meaning: 'The request took longer than it may; `phase` says what its time ran out in.',
  },
  statement_timeout: slow,
  // Neither a success nor safe to send again: the client must look first.
  commit_outcome_unknown: {
    ...hidden(500, 'it is not known whether this was saved: look before trying again'),
    also: [503],
    meaning:
      'It is not known whether this was saved: look before trying again, unless the request had an `Idempotency-Key`.',
  },
  config_invalid: broken,
  database_error: broken,
  embedded_server_failed: broken,
  internal: broken,
  migration_failed: broken,
  migration_refused: broken,
  package_missing: broken,
  pool_deadlock: broken,
  port_unavailable: broken,
  session_ended: broken,
  usage: broken,
} satisfies Record<ErrorCode, ProblemType>

/** Of what the front itself refuses. */
const ofRequests = {
  malformed_request: {
    status: 400,
    also: [408, 411, 413, 417, 431, 505],
    meaning: 'This is no HTTP/1.1, or its first line, headers or length cannot be understood, or came too slowly.',
  },
  invalid_parameter: { status: 400, meaning: 'A parameter of the path or the query is wrong; `errors` names it.' },
  invalid_header: { status: 400, meaning: 'A header is wrong; `errors` names it.' },
  malformed_json: { status: 400, meaning: 'The body is no JSON in UTF-8.' },
  invalid_request: {
    status: 400,
    meaning: 'The `Authorization` header is malformed: send one, `Bearer` and the token.',
  },
  token_required: { status: 401, meaning: 'This takes an access token: `Authorization: Bearer …`.' },
  invalid_token: { status: 401, meaning: 'The access token is not valid here, or no more: get a new one.' },
  insufficient_scope: { status: 403, meaning: 'The access token has no role that is known here.' },
  console_refused: { status: 403, meaning: 'The console is not for you, or for the machine that serves it only.' },
  console_full: {
    status: 503,
    meaning: 'As many pages as there may be show the console already: close one.',
    retryAfterSeconds: 1,
  },
  no_route: { status: 404, meaning: 'Nothing is served at this path.' },
  method_not_allowed: { status: 405, meaning: 'The path is served by other methods, which `Allow` lists.' },
  not_acceptable: { status: 406, meaning: 'There is nothing here of a type that `Accept` allows.' },
  request_timeout: { status: 408, meaning: 'The body did not arrive within the time of the request.' },
  skipped: { status: 409, meaning: 'A rule of the database has skipped the row: nothing was written.' },
  precondition_failed: {
    status: 412,
    meaning: 'The row is not what `If-Match` or `If-None-Match` says: read it again.',
  },
  body_too_large: { status: 413, meaning: 'The body has more bytes than are taken here.' },
  no_plan: { status: 422, meaning: 'The server makes no plan for this statement; `detail` says why.' },
  unsupported_media_type: {
    status: 415,
    meaning: 'The body is of a type, charset or encoding that is not taken here.',
  },
  idempotency_key_reused: {
    status: 422,
    meaning: 'The `Idempotency-Key` belongs to another request: give each request a key of its own.',
  },
  answer_too_long: {
    status: 422,
    meaning:
      'The answer is longer than what is kept for an `Idempotency-Key`, and nothing was done: ask for less at once.',
  },
  too_many_rows: {
    status: 422,
    meaning: 'The answer would have too many rows, related ones included: ask for fewer relations, or smaller limits.',
  },
  refused: { status: 422, meaning: 'A function of the database refuses it, and says why in `detail`.' },
  precondition_required: {
    status: 428,
    meaning: 'Rows of this resource are changed under `If-Match` only: read the row, and send its `ETag` along.',
  },
  not_ready: {
    status: 503,
    meaning: 'The service cannot do its work now; `reason` says why, as a code or `draining`.',
  },
  keys_unavailable: { status: 503, meaning: 'Access tokens cannot be checked at the moment: try again later.' },
  http: {
    status: 400,
    also: [401, 403],
    meaning: 'Middleware of the service refuses the request, and says why in `detail`.',
  },
} satisfies Record<string, ProblemType>

/** All of them, by code; the codes of errors first. */
export const problemTypes: Readonly<Record<ErrorCode, ProblemType>> & Readonly<Record<string, ProblemType>> = {
  ...ofErrors,
  ...ofRequests,
}

/** Kinds of problems with the codes that share them, as people read them: those with the same meaning together. */
export function explainedProblems(others: Readonly<Record<string, string>> = {}): ExplainedProblem[] {
  const explained = new Map<string, { codes: string[]; statuses: number[]; meaning: string }>()
  const add = (code: string, statuses: number[], meaning: string) => {
    const known = explained.get(`${statuses.join()} ${meaning}`)
    if (known) known.codes.push(code)
    else explained.set(`${statuses.join()} ${meaning}`, { codes: [code], statuses, meaning })
  }
  for (const [code, meaning] of Object.entries(others)) add(code, [], meaning)
  for (const [code, { status, also = [], meaning }] of Object.entries(problemTypes))
    add(code, [status, ...also], meaning)
  return [...explained.values()].toSorted((one, other) => (one.statuses[0] ?? 0) - (other.statuses[0] ?? 0))
}

/** What is told of several codes at once. */
export interface ExplainedProblem {
  readonly codes: readonly string[]
  /** Empty where the application, whose code it is, has not said. */
  readonly statuses: readonly number[]
  readonly meaning: string
}
