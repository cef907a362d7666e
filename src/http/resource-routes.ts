/**
 * The routes of one resource: a list, rows by key, and their changes. Each request is one task in one session; a change
 * that makes conditions locks the row first, in a transaction, so that they still hold when it is made.
 */
import { type Context, Hono } from 'hono'
import type { Engine } from '../engine.ts'
import { DatabaseError, ForeignKeyViolation, InvalidInput, NotFound, UniqueViolation, UsageError } from '../errors.ts'
import { type Session, taskSessionOf } from '../repository/session.ts'
import { TableRepository } from '../repository/table-repository.ts'
import { AnswerBudget } from '../resource/answer-budget.ts'
import { readParameters, readStreamQuery, WrongParameter } from '../resource/query.ts'
import { type PlannedResource, seenBy } from '../resource/resource.ts'
import { planRead } from '../resource/resource-read.ts'
import { readRow, readRows, type RowValues } from '../resource/row-input.ts'
import { keySegment, readKey, withKey } from '../resource/row-key.ts'
import { acceptedType } from './accept.ts'
import { requestEngine, withRequestEngine } from './access.ts'
import { answerTag, checkConditions, checkMatch, isConditional, isKnown, refuseConditions, rowTag } from './etag.ts'
import { type Environment, taskOptions } from './front.ts'
import { idempotent, refuseKey } from './idempotency.ts'
import { readBody } from './input.ts'
import { encodeJson } from '../answer/json.ts'
import { pointerOf, Problem, problemOf } from '../answer/problem.ts'
import { type RowStreamOptions, answerStream, streamTypes } from './row-stream.ts'
import { insertLines, isLines, type RowUploadOptions } from './row-upload.ts'
import { serverTiming } from '../answer/server-timing.ts'
import { setHeader, TextResponse } from '../answer/text-response.ts'

export interface ResourceRoutesOptions extends RowStreamOptions, RowUploadOptions {
  /** What requests are answered by, each under its own identity. */
  readonly engine: Engine
  /** Bytes a body may have. */
  readonly maxBodyBytes: number
  /** Rows an answer may have, related ones included. */
  readonly maxRows: number
}

type Handlers = ReturnType<typeof handlersOf>

/** The routes of a resource, for `app.route('/customers', …)`: each request is answered as its role sees the resource. */
export function resourceRoutes(published: PlannedResource, options: ResourceRoutesOptions): Hono<Environment> {
  const app = new Hono<Environment>()
  const handlers = new Map([published, ...published.roles.values()].map((seen) => [seen, handlersOf(seen, options)]))
  const by = (name: keyof Handlers) => {
    const answerAs = (context: Context<Environment>, role?: string) => {
      const seen = seenBy(published, role)
      if (!seen.writes && name !== 'list' && name !== 'get') throw notAllowed()
      return (handlers.get(seen) as Handlers)[name](context)
    }
    return (context: Context<Environment>): Promise<Response> => {
      const identify = context.get('identity')
      return identify ? identify().then(({ role }) => answerAs(context, role)) : answerAs(context)
    }
  }
  app.get('/', by('list'))
  if (published.key.length > 0) app.get('/:key', by('get'))
  if (!published.writes) return app
  return app.post('/', by('add')).patch('/:key', by('change')).put('/:key', by('put')).delete('/:key', by('remove'))
}

/** What a role that may only read gets from the database as well. */
function notAllowed(): Problem {
  return new Problem({ status: 403, code: 'insufficient_privilege', detail: 'this is not allowed' })
}

function handlersOf(resource: PlannedResource, options: ResourceRoutesOptions) {
  const { read, write } = createRun(resource, options)
  const body = (context: Context<Environment>) => readBody(context, options.maxBodyBytes)
  const handlers = { list, get, add, change, put, remove }

  async function list(context: Context<Environment>): Promise<Response> {
    const type = acceptedType(context, ['application/json', ...streamTypes])
    const { url } = context.req
    if (type !== 'application/json') {
      const list = { type, resource, query: readStreamQuery(resource, readParameters(url)) }
      return answerStream(context, await requestEngine(context, options.engine), list, options).catch(explainRead)
    }
    const { body } = await read(context, planRead({ resource, url }))
    const places = { next: body.next as string | null, prev: body.previous as string | null }
    return answer(context, encodeJson(body), linksOf(context, places))
  }

  async function get(context: Context<Environment>): Promise<Response> {
    acceptedType(context, ['application/json'])
    const { url } = context.req
    const { body, version } = await read(context, planRead({ resource, url, segment: segmentOf(url) }))
    const text = encodeJson(body)
    return answer(context, text, { etag: answerTag(text, version) })
  }

  async function add(context: Context<Environment>): Promise<Response> {
    refuseParameters(context)
    refuseConditions(context)
    if (isLines(context)) {
      refuseKey(context, 'answers to NDJSON are not kept: send JSON, or look before you send a request again')
      const inserting = insertLines(context, await requestEngine(context, options.engine), resource, options)
      return inserting.catch((error: unknown) => explainWrite(resource, error, context))
    }
    const given = await body(context)
    if (Array.isArray(given)) {
      const rows = readRows(resource, given)
      return write(context, false, async (repository) => {
        const data = await repository.insertMany(rows)
        return answer(context, encodeJson({ data: data.map(visible) }), {}, 201)
      })
    }
    const row = readRow(resource, given, 'insert')
    return write(context, false, async (repository) => {
      const inserted = await repository.insert(row)
      const location = `${pathOf(context).replace(/\/$/, '')}/${keySegment(resource, inserted)}`
      return rowAnswer(context, inserted, sendable({ location }), 201)
    })
  }

  async function change(context: Context<Environment>): Promise<Response> {
    refuseParameters(context)
    const key = keyOf(context)
    const conditional = isConditional(context, resource)
    const patch = readRow(resource, await body(context), 'patch')
    return write(context, conditional, async (repository) => {
      if (conditional) await meetConditions(context, repository, key)
      return rowAnswer(context, await repository.update(key, patch))
    })
  }

  async function put(context: Context<Environment>): Promise<Response> {
    refuseParameters(context)
    const key = keyOf(context)
    const conditional = isConditional(context, resource)
    const row = readRow(resource, withKey(resource, await body(context), key), 'replace')
    const attempt = () =>
      write(context, true, async (repository) => {
        const present = await meetConditions(context, repository, key)
        if (present) return rowAnswer(context, await repository.update(key, row))
        // A key that the database makes up cannot be given one.
        if (resource.key.some(({ writable }) => !writable)) return rowAnswer(context, await repository.get(key))
        const added = conditional ? await repository.insert(row) : await repository.upsert(row)
        return rowAnswer(context, added, sendable({ location: pathOf(context) }), 201)
      })
    return attempt().catch((error: unknown) => {
      // A row that is not there cannot be locked: whoever was first has added it, and the conditions are put to theirs.
      if (conditional && error instanceof Problem && error.code === 'unique_violation') return attempt()
      throw error
    })
  }

  async function remove(context: Context<Environment>): Promise<Response> {
    refuseParameters(context)
    const key = keyOf(context)
    const conditional = isConditional(context, resource)
    return write(context, conditional, async (repository) => {
      if (conditional) await meetConditions(context, repository, key)
      await repository.remove(key)
      return context.body(null, 204)
    })
  }

  function keyOf({ req }: Context): unknown {
    return readKey(resource, segmentOf(req.url))
  }

  /** Locks the row, if it is there, and answers it. @throws Problem 412 */
  async function meetConditions(
    context: Context,
    repository: TableRepository,
    key: unknown,
  ): Promise<RowValues | undefined> {
    const row = await repository.lock(key, 'update').catch((error: unknown) => {
      if (!(error instanceof NotFound)) throw error
    })
    checkConditions(context, row ? rowTag(resource, visible(row)) : undefined)
    return row ?? undefined
  }

  function visible(row: RowValues): RowValues {
    return resource.select ? Object.fromEntries(resource.select.map((name) => [name, row[name]])) : row
  }

  function rowAnswer(
    context: Context<Environment>,
    stored: RowValues,
    headers: Record<string, string> = {},
    status = 200,
  ): Response {
    const row = visible(stored)
    return answer(context, encodeJson(row), { ...headers, etag: rowTag(resource, row) }, status)
  }

  return handlers
}

/** Runs a request's one task, says in its answer where the time went, and explains what the server finds wrong. */
function createRun(resource: PlannedResource, options: ResourceRoutesOptions) {
  type Work<T> = (repository: TableRepository) => Promise<T>
  type Task<T> = (session: Session) => Promise<T>
  /** Sparing with promises, as `runTask` is. */
  const run = <T>(context: Context<Environment>, work: Work<T>, perform: (task: Task<T>) => Promise<T>) => {
    const askedAt = performance.now()
    let begunAt = askedAt
    const task = (session: Session) => {
      begunAt = performance.now()
      return work(new TableRepository(taskSessionOf(session), resource.plan, new AnswerBudget(options.maxRows)))
    }
    return perform(task).then((result) => {
      const endedAt = performance.now()
      const timing = { key: resource.path, waitMs: begunAt - askedAt, runMs: endedAt - begunAt }
      context.set('timing', serverTiming([timing], endedAt - askedAt))
      return result
    })
  }
  return {
    read: <T>(context: Context<Environment>, work: Work<T>): Promise<T> =>
      withRequestEngine(context, options.engine, (engine) =>
        run(context, work, (task) => engine.session(task, taskOptions(context))),
      ).catch(explainRead),
    /** The answer is made before the work is committed, so that it can be kept. */
    write: async (context: Context<Environment>, inTransaction: boolean, work: Work<Response>): Promise<Response> => {
      const engine = await requestEngine(context, options.engine)
      const perform = (task: Task<Response>) => {
        if (context.get('keyed')) return idempotent(context, options.engine, task)
        const bounds = taskOptions(context)
        return inTransaction ? engine.transaction(task, bounds) : engine.session(task, bounds)
      }
      const response = await run(context, work, perform).catch((error: unknown) => {
        return explainWrite(resource, error, context)
      })
      const timing = context.get('timing')
      if (timing !== undefined) setHeader(response, 'server-timing', timing)
      return response
    },
  }
}

/** An answer of JSON, or none where the client has it already. */
function answer(context: Context<Environment>, body: string, given: Record<string, string>, status = 200): Response {
  const etag = given.etag ?? answerTag(body)
  const timing = context.get('timing')
  const headers: Record<string, string> = { etag, 'cache-control': 'private, no-cache', vary: 'accept, authorization' }
  Object.assign(headers, given)
  if (timing !== undefined) headers['server-timing'] = timing
  const isRead = context.req.method === 'GET' || context.req.method === 'HEAD'
  if (isRead) checkMatch(context, etag)
  if (isRead && isKnown(context, etag)) return new TextResponse(null, 304, headers)
  headers['content-type'] = 'application/json'
  // With its length, which the answer to HEAD has as well.
  headers['content-length'] = String(Buffer.byteLength(body))
  return new TextResponse(body, status, headers)
}

/** Hono's own parameter has the commas in a part decoded already. */
function segmentOf(url: string): string {
  return /\/([^/?#]*)(?:[?#].*)?$/.exec(url)?.[1] ?? ''
}

function refuseParameters({ req }: Context): void {
  for (const name of readParameters(req.url).keys()) throw new WrongParameter(name, 'is no parameter of this method')
}

/**
 * Without what is so long that a client would refuse the whole answer (a key, or a place in a list, may be a long text), and
 * without the path of a key `.` or `..`, which clients take for another one, percent-encoded too.
 */
function sendable(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([, text]) => text.length <= 4096 && !/\/\.{1,2}$/.test(text)),
  )
}

/** As the client wrote it: Hono's own path is decoded, which is no text for a header. */
function pathOf({ req }: Pick<Context, 'req'>): string {
  return new URL(req.url).pathname
}

/** `<…?after=…>; rel="next"` (RFC 8288); the other parameters stay. */
function linksOf({ req }: Context, places: Record<string, string | null>): Record<string, string> {
  const links = Object.entries(places).flatMap(([rel, cursor]) => {
    if (cursor === null) return []
    const query = new URLSearchParams(
      [...readParameters(req.url)].filter(([name]) => name !== 'after' && name !== 'before'),
    )
    query.append(rel === 'next' ? 'after' : 'before', cursor)
    return `<${pathOf({ req })}?${query.toString()}>; rel="${rel}"`
  })
  return links.length > 0 ? sendable({ link: links.join(', ') }) : {}
}

/** No operator, not one type, or several that would do: of these the types of columns do not tell all. */
const misfits = new Set(['42883', '42804', '42725'])

/** What the server alone finds wrong with a query is wrong with the request. */
export function explainRead(error: unknown): never {
  if (error instanceof InvalidInput) throw new WrongParameter(String(error.path[0] ?? 'query'), error.message)
  const cause = error instanceof UsageError ? error.cause : error
  if (!(cause instanceof DatabaseError) || !(misfits.has(cause.sqlState) || cause.sqlState.startsWith('22')))
    throw error
  throw new WrongParameter('query', 'compares or orders values in a way that their type does not have')
}

/** Says of a constraint that refused a row which properties it is about, and names nothing that is not published. */
function explainWrite({ plan, columns, select }: PlannedResource, error: unknown, { req }: Context): never {
  if (!(error instanceof DatabaseError) || !error.sqlState.startsWith('23')) throw error
  const { options } = problemOf(error)
  const isOwn = plan.name.endsWith(error.table ?? plan.name)
  // The name of a constraint tells of tables and columns: `customers_user_id_users_id_fk`.
  const told = isOwn && !select ? options.detail : options.detail?.replace(/ \(.*\)$/, '')
  const named = [...columns.values()].filter(({ name }) => isOwn && error.columns.includes(name))
  if (options.status >= 500 || named.length === 0 || req.method === 'DELETE') {
    throw new Problem({ ...options, detail: told })
  }
  const isTaken = error instanceof UniqueViolation
  const isReference = error instanceof ForeignKeyViolation
  const detail = isTaken ? 'is taken by another row' : isReference ? 'names no row that is there' : 'is refused'
  const errors = named.map(({ property }) => ({ pointer: pointerOf([property]), detail }))
  throw new Problem({ ...options, detail: told, errors })
}
