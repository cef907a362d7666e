/** Requests to an application without a socket, and what every answer of it must keep to. */
import { expect } from 'vitest'

/** What a problem's body has in any case. */
interface ProblemBody {
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly errors?: readonly { pointer?: string; parameter?: string; header?: string; detail: string }[]
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The body as JSON. */
  readonly json: any // oxlint-disable-line typescript/no-explicit-any
}

export type Send = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>

/** Sends JSON, or a string or bytes as they are; holds each answer to the rules of problems. */
export function sender(app: { request(path: string, init?: RequestInit): Response | Promise<Response> }): Send {
  return async (method, path, body, headers = {}) => {
    const raw = typeof body === 'string' || body instanceof Uint8Array
    const content = body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }
    const type = body === undefined ? {} : { 'content-type': 'application/json' }
    const response = await app.request(path, { method, ...content, headers: { ...type, ...headers } } as RequestInit)
    const text = await response.text()
    const answer = { status: response.status, headers: response.headers, text }
    const isJson = /\bjson$/.test(response.headers.get('content-type') ?? '')
    const json: unknown = isJson && text !== '' ? JSON.parse(text) : undefined
    if (response.status >= 400 && method !== 'HEAD') expectProblem(answer, json as ProblemBody)
    return { ...answer, json }
  }
}

function expectProblem({ status, headers, text }: Omit<Answer, 'json'>, body: ProblemBody): void {
  expect(headers.get('content-type')).toBe('application/problem+json')
  expect(headers.get('cache-control')).toBe('no-store')
  expect(body).toMatchObject({
    type: `urn:problem-type:rivulet:${body.code}`,
    status,
    code: expect.stringMatching(/^[a-z_]+$/) as string,
    title: expect.any(String) as string,
    requestId: headers.get('x-request-id'),
  })
  expect(text.length).toBeLessThan(10_000)
}
