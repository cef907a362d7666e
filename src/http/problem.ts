/**
 * Errors as HTTP answers: one table from error code to status, and the body of RFC 9457 (application/problem+json).
 * A body holds what the caller can act on and nothing of the inside: never a stack, a value, or what went wrong in
 * the server's own program. https://www.rfc-editor.org/rfc/rfc9457
 */
import { type ErrorCode, InvalidInput, RivuletError } from '../errors.ts'
import { encodeJson } from './json.ts'

/** One complaint about the input: `path` is dotted, such as `items.0.quantity`. */
export interface ProblemIssue {
  readonly path: string
  readonly message: string
}

/** What a `Problem` says. */
export interface ProblemOptions {
  /** 400 to 599. */
  readonly status: number
  /** Tells the program that called which problem it is, such as `not_found`. */
  readonly code: string
  /** Tells a person what is wrong and what to do. It must not hold values of rows or requests. */
  readonly detail?: string | undefined
  readonly issues?: readonly ProblemIssue[] | undefined
  /** Seconds after which the same request may succeed. */
  readonly retryAfterSeconds?: number | undefined
  /** Further members of the body. */
  readonly members?: Readonly<Record<string, unknown>> | undefined
}

/** An answer other than success; handlers throw it, and an application maps its own errors to it. */
export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly options: ProblemOptions

  constructor(options: ProblemOptions) {
    super(options.detail ?? options.code)
    this.name = 'Problem'
    this.status = options.status
    this.code = options.code
    this.options = options
  }
}

/** How an error code is answered; `detail` stands in for the error's message where that is nobody else's business. */
interface Answer {
  readonly status: number
  readonly detail?: string
  readonly retryAfterSeconds?: number
}

const tooBusy = 'the service has more work than it can do: try again later'
const tooSlow = 'the request took longer than it may'
const away = 'the database cannot be reached at the moment: try again later'
const contended = 'somebody else is changing the same rows: try again'
const closing = 'the service is shutting down: try again later'
const broken = 'the service failed; the fault is not in the request'

const answers: Readonly<Record<ErrorCode, Answer>> = {
  invalid_input: { status: 422 },
  not_null_violation: { status: 422 },
  check_violation: { status: 422 },
  not_found: { status: 404 },
  unique_violation: { status: 409 },
  foreign_key_violation: { status: 409 },
  version_conflict: { status: 409 },
  serialization_failure: { status: 503, detail: contended, retryAfterSeconds: 1 },
  deadlock_detected: { status: 503, detail: contended, retryAfterSeconds: 1 },
  lock_timeout: { status: 503, detail: contended, retryAfterSeconds: 1 },
  pool_timeout: { status: 503, detail: tooBusy, retryAfterSeconds: 1 },
  pool_overloaded: { status: 503, detail: tooBusy, retryAfterSeconds: 1 },
  connection_lost: { status: 503, detail: away, retryAfterSeconds: 1 },
  pool_closed: { status: 503, detail: closing, retryAfterSeconds: 5 },
  cancelled: { status: 503, detail: closing, retryAfterSeconds: 1 },
  deadline_exceeded: { status: 504, detail: tooSlow },
  statement_timeout: { status: 504, detail: tooSlow },
  // Neither a success nor safe to send again: whoever asked must look first.
  commit_outcome_unknown: { status: 500, detail: 'it is not known whether this was saved: look before trying again' },
  config_invalid: { status: 500, detail: broken },
  database_error: { status: 500, detail: broken },
  embedded_server_failed: { status: 500, detail: broken },
  insufficient_privilege: { status: 500, detail: broken },
  internal: { status: 500, detail: broken },
  migration_failed: { status: 500, detail: broken },
  migration_refused: { status: 500, detail: broken },
  package_missing: { status: 500, detail: broken },
  pool_deadlock: { status: 500, detail: broken },
  port_unavailable: { status: 500, detail: broken },
  session_ended: { status: 500, detail: broken },
  usage: { status: 500, detail: broken },
}

/** The problem that any error is for an HTTP client; one that is nobody's error class is a 500 that says nothing. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (!(error instanceof RivuletError)) return new Problem({ status: 500, code: 'internal', detail: broken })
  const { code, message } = error
  const { status, detail = message, retryAfterSeconds } = answers[code]
  const issues =
    error instanceof InvalidInput && error.issues.length > 0
      ? error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message }))
      : undefined
  return new Problem({ status, code, detail, issues, retryAfterSeconds })
}

/** The answer itself. */
export function problemResponse({ options }: Problem): Response {
  const { status, code, detail, issues, members, retryAfterSeconds } = options
  const headers = new Headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
  if (retryAfterSeconds !== undefined) headers.set('retry-after', String(retryAfterSeconds))
  return new Response(encodeJson({ title: titles[status] ?? 'Error', status, code, detail, issues, ...members }), {
    status,
    headers,
  })
}

/** Without a `type` of its own, a problem's title is the phrase of its status (RFC 9457, 4.2.1). */
const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}
