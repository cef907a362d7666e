/**
 * Errors as HTTP answers: the status of each code (problem-types.ts), and the body of RFC 9457 (application/problem+json).
 * A body holds what the caller can act on and nothing of the inside: never a stack, a value, or what went wrong in
 * the server's own program. https://www.rfc-editor.org/rfc/rfc9457
 */
import { randomUUID } from 'node:crypto'
import type { StatusCode } from 'hono/utils/http-status'
import { problemTypePrefix, problemTypes } from '../document/problem-types.ts'
import { DatabaseError, DeadlineExceeded, InvalidInput, RivuletError, UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import { jsonResponse } from './json.ts'
import { TooManyRows } from '../resource/answer-budget.ts'
import { WrongParameter } from '../resource/query.ts'
import { mostFaults, WrongRows } from '../resource/row-input.ts'

/** One fault of a request, and where it is. */
export interface ProblemIssue {
  /** In the body, as a JSON pointer in a URI fragment: `#/items/0/quantity`. */
  readonly pointer?: string
  /** In the query or the path. */
  readonly parameter?: string
  readonly header?: string
  /** In a body of lines, counted from 1. */
  readonly line?: number
  readonly detail: string
}

/** What a `Problem` says. */
export interface ProblemOptions {
  /** 400 to 599. */
  readonly status: number
  /** Tells the program that called which problem it is, such as `not_found`. */
  readonly code: string
  /** Tells a person what is wrong and what to do. It must not hold values of rows or requests. */
  readonly detail?: string | undefined
  /** Every fault of the request that is worth telling. */
  readonly errors?: readonly ProblemIssue[] | undefined
  /** Seconds after which the same request may succeed. */
  readonly retryAfterSeconds?: number | undefined
  /** Further members of the body. */
  readonly members?: Readonly<Record<string, unknown>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

const problemNames = optionNames<ProblemOptions>({
  status: 'number',
  code: 'string',
  detail: 'string',
  errors: 'list',
  retryAfterSeconds: 'number',
  members: true,
  headers: true,
})

/** An answer other than success; handlers throw it, and an application maps its own errors to it. */
export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly options: ProblemOptions

  constructor(options: ProblemOptions, { cause }: ErrorOptions = {}) {
    checkOptions('Problem', problemNames, options)
    super(options.detail ?? options.code, { cause })
    this.name = 'Problem'
    this.status = options.status
    this.code = options.code
    this.options = options
  }
}

/** Errors of the server without a class of their own that the request is to blame for; by SQLSTATE, or its class. */
const refusals: Readonly<Record<string, readonly [status: number, code: string, detail?: string]>> = {
  '02000': [409, 'skipped', 'a rule of the database skipped the row'],
  '22': [422, 'invalid_input', 'a value cannot be taken as it is'],
  // What a function raises is said by its author.
  P0001: [422, 'refused'],
}

/** The problem that any error is for an HTTP client; one of an unknown class is a 500 that says nothing. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof WrongParameter) {
    const { message, parameter, detail } = error
    return new Problem({ status: 400, code: 'invalid_parameter', detail: message, errors: [{ parameter, detail }] })
  }
  if (error instanceof WrongRows) {
    const errors = error.faults.map(({ path, line, detail }) => ({
      ...(line !== undefined && { line }),
      pointer: pointerOf(path),
      detail,
    }))
    return new Problem({ status: 422, code: 'invalid_input', detail: error.message, errors })
  }
  if (error instanceof TooManyRows) return new Problem({ status: 422, code: 'too_many_rows', detail: error.message })
  if (!(error instanceof RivuletError))
    return new Problem({ status: 500, code: 'internal', detail: problemTypes.internal.detail })
  const { code, message } = error
  if (error instanceof DatabaseError && code === 'database_error') {
    const [status, refused, detail = message] = refusals[error.sqlState] ?? refusals[error.sqlState.slice(0, 2)] ?? []
    if (status !== undefined && refused !== undefined) return new Problem({ status, code: refused, detail })
  }
  const { status, detail = message, retryAfterSeconds } = problemTypes[code]
  const errors = error instanceof InvalidInput ? issuesOf(error) : undefined
  const members = error instanceof DeadlineExceeded ? { phase: error.phase } : undefined
  return new Problem({ status, code, detail, errors, retryAfterSeconds, members })
}

function issuesOf({ issues, path, message }: InvalidInput): ProblemIssue[] | undefined {
  const known = issues.length > 0 ? issues : path.length > 0 ? [{ path, message }] : undefined
  return known?.slice(0, mostFaults).map((issue) => ({ pointer: pointerOf(issue.path), detail: issue.message }))
}

/** A place in the body (RFC 6901, 6); of names that are very long, their beginning. */
export function pointerOf(path: readonly (string | number)[]): string {
  const steps = path.map((name) => `/${String(name).slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`)
  return `#${steps.join('')}`
}

/** The answer itself; `requestId` leads to it in the log. */
export function problemResponse(problem: Problem, requestId: string = randomUUID()): Response {
  if (typeof problem?.options !== 'object')
    throw new UsageError('problemResponse takes a Problem: problemOf(error) is one')
  const { options } = problem
  const { status, code, detail, errors, members, retryAfterSeconds, headers } = options
  const type = `${problemTypePrefix}${code}`
  const title = code.charAt(0).toUpperCase() + code.slice(1).replaceAll('_', ' ')
  return jsonResponse(
    { type, title, status, code, detail, errors, ...members, requestId },
    {
      status: status as StatusCode,
      headers: {
        'content-type': 'application/problem+json',
        'cache-control': 'no-store',
        'x-request-id': requestId,
        ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
        ...headers,
      },
    },
  )
}
