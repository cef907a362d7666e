import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { problemTypes } from '../../src/document/problem-types.ts'
import * as errors from '../../src/errors.ts'
import { createFront } from '../../src/http/front.ts'
import { Problem, problemOf, problemResponse } from '../../src/answer/problem.ts'
import { classesOf } from '../docs/doc-comments.ts'

const secret = 'row value 4711'
const info = { sqlState: '00000' }
const time = { phase: 'statement', spentMs: {} } as const

describe('the status of an error', () => {
  test.each([
    [422, new errors.InvalidInput('m')],
    [422, new errors.NotNullViolation('m', info)],
    [422, new errors.CheckViolation('m', info)],
    [404, new errors.NotFound('m')],
    [409, new errors.UniqueViolation('m', info)],
    [409, new errors.ForeignKeyViolation('m', info)],
    [409, new errors.VersionConflict('m')],
    [503, new errors.PoolTimeout('m')],
    [503, new errors.PoolOverloaded('m')],
    [503, new errors.PoolClosed('m')],
    [503, new errors.ConnectionLost('m')],
    [503, new errors.SerializationFailure('m', info)],
    [503, new errors.DeadlockDetected('m', info)],
    [503, new errors.LockTimeout('m', info)],
    [504, new errors.DeadlineExceeded('m', time)],
    [504, new errors.StatementTimeout('m', info)],
    [500, new errors.CommitOutcomeUnknown('m')],
    [500, new errors.DatabaseError('m', info)],
    [500, new errors.UsageError('m')],
    [500, new errors.PoolDeadlock('m')],
    [500, new Error('m')],
    [500, 'thrown text'],
  ])('is %i for %s', (status, error) => {
    expect(problemOf(error).status).toBe(status)
  })
})

test('a 503 for load says when to come back; an unknown commit outcome does not invite a second try', () => {
  expect(problemResponse(problemOf(new errors.PoolOverloaded('m'))).headers.get('retry-after')).toBe('1')
  expect(problemResponse(problemOf(new errors.CommitOutcomeUnknown('m'))).headers.get('retry-after')).toBeNull()
})

test('a fault of the service is answered without its message, its stack or its cause', async () => {
  const faults: unknown[] = []
  const app = createFront({ onFault: (error) => faults.push(error) })
  app.get('/own', () => {
    throw new errors.UsageError(secret, { cause: new Error(secret) })
  })
  app.get('/foreign', () => {
    throw new TypeError(secret)
  })
  for (const path of ['/own', '/foreign']) {
    const response = await app.request(path)
    const body = await response.text()
    expect(response.status).toBe(500)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(body).not.toContain(secret)
    expect(body).not.toContain('.ts')
    expect(Object.keys(JSON.parse(body) as object)).toEqual(['type', 'title', 'status', 'code', 'detail', 'requestId'])
  }
  expect(faults).toHaveLength(2)
})

test("an application's own errors are answered as it says", async () => {
  class TooSmall extends Error {}
  const app = createFront({
    problemFor: (error) =>
      error instanceof TooSmall ? new Problem({ status: 409, code: 'too_small', members: { least: 3n } }) : undefined,
  })
  app.get('/', () => {
    throw new TooSmall('m')
  })
  const response = await app.request('/')
  expect(response.status).toBe(409)
  expect(await response.json()).toEqual({
    type: 'urn:problem-type:rivulet:too_small',
    title: 'Too small',
    status: 409,
    code: 'too_small',
    least: '3',
    requestId: response.headers.get('x-request-id'),
  })
})

test('a method that a path is not served by is a 405 problem that names those it is', async () => {
  const app = createFront()
  app.get('/both/:id', () => new Response('got'))
  app.delete('/both/:id', () => new Response(null, { status: 204 }))
  app.post('/posted', () => new Response(null, { status: 201 }))
  for (const [method, path, allow] of [
    ['POST', '/both/1', 'GET, HEAD, DELETE'],
    ['OPTIONS', '/both/1', 'GET, HEAD, DELETE'],
    ['GET', '/posted', 'POST'],
  ] as const) {
    const response = await app.request(path, { method })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe(allow)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(await response.json()).toMatchObject({ status: 405, code: 'method_not_allowed' })
  }
  expect((await app.request('/both/1', { method: 'HEAD' })).status).toBe(200)
})

test('a row that does not exist stays a 404, whatever other methods its path has', async () => {
  const app = createFront()
  app.get('/items/:id', () => {
    throw new errors.NotFound('m')
  })
  app.delete('/items/:id', () => new Response(null, { status: 204 }))
  const response = await app.request('/items/1')
  expect(response.status).toBe(404)
  expect(await response.json()).toMatchObject({ code: 'not_found' })
})

test('a path that nobody serves is a 404 problem', async () => {
  const response = await createFront().request('/nowhere')
  expect(response.status).toBe(404)
  expect(response.headers.get('content-type')).toBe('application/problem+json')
})

test('the table of problems has every code that the front makes up, with the status it has there, and no other', () => {
  const folder = new URL('../../src/', import.meta.url).pathname
  // The codes of the shop are its own.
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /^(?!shop).*\.ts$/.test(name),
  )
  const made = names.flatMap((name) => {
    const text = readFileSync(folder + name, 'utf8')
    const found = text.matchAll(/\bstatus(?:: (\d{3}))?,\s*code: '(\w+)'|\b([45]\d\d), '([a-z_]+)'/g)
    return Array.from(
      found,
      ([, status, code = '', other, refused = '']) => [code || refused, status ?? other] as const,
    )
  })
  expect(made.length).toBeGreaterThan(15)
  const wrong = made.filter(([code, status]) => {
    const { status: own, also = [] } = problemTypes[code] ?? {}
    return own === undefined || (status !== undefined && ![own, ...also].includes(Number(status)))
  })
  expect(wrong).toEqual([])
  const ofErrors = classesOf('src/errors.ts').flatMap(({ literals }) => literals['code'] ?? [])
  const known = new Set([...made.map(([code]) => code), ...ofErrors])
  expect(Object.keys(problemTypes).filter((code) => !known.has(code))).toEqual([])
})
