/**
 * `/console`: what an engine does, while somebody looks. Who may look is asked for every part of it. Without an answer of the
 * application's own it is for this machine only: for a connection from it, under a name of it, and through no proxy, so
 * that neither a page from elsewhere nor a proxy in front lets others in.
 */
import { readFileSync } from 'node:fs'
import { ReadableStream } from 'node:stream/web'
import type { Context, Hono } from 'hono'
import { jsonResponse } from '../answer/json.ts'
import { Problem } from '../answer/problem.ts'
import { TextResponse } from '../answer/text-response.ts'
import { type ConsoleAction, consolePage, type MigrationView } from '../console/console-page.ts'
import { type ConsoleState, ConsoleWatch } from '../console/console-watch.ts'
import { schemaDiagram } from '../console/schema-diagram.ts'
import { livePagePolicy } from '../document/html.ts'
import { drizzleOf, type Engine } from '../engine.ts'
import { RivuletError } from '../errors.ts'
import { clientAddress } from './client-address.ts'
import type { Environment } from './front.ts'

/** Options of the console. */
export interface ConsoleOptions {
  /** Says who may look; asked for every part of the page. Default: whoever is on this machine. */
  readonly allow?: ((context: Context<Environment>) => boolean | Promise<boolean>) | undefined
  /** True: statements and plans with the values that stand in their texts. Parameters are never shown. Default false. */
  readonly showValues?: boolean | undefined
  /** The migrations, as `migrationStatus` tells them. Default: they are not shown. */
  readonly migrations?: (() => Promise<readonly MigrationView[]>) | undefined
  /** Requests that the page offers to make, such as a page that gathers. Default: none. */
  readonly actions?: readonly ConsoleAction[] | undefined
}

/** Browsers that may look at the same time. */
const mostViewers = 10

const files = {
  'page.js': 'text/javascript; charset=utf-8',
  'style.css': 'text/css; charset=utf-8',
} as const

/** Adds `GET /console` and what its page asks for. */
export function addConsole(app: Hono<Environment>, engine: Engine, title: string, options: ConsoleOptions): void {
  const { allow, showValues = false, migrations, actions = [] } = options
  const watch = new ConsoleWatch(engine, showValues)
  app.use('/console/*', async (context, next) => {
    if (!(await (allow ?? isLocal)(context))) throw refused(allow !== undefined)
    await next()
  })
  app.get('/console', async () => {
    const known = migrations && (await migrations().catch(unknownMigrations))
    const diagram = schemaDiagram(drizzleOf(engine))
    const text = consolePage({ title, diagram, migrations: known, actions })
    return textResponse(text, 'text/html; charset=utf-8', { 'content-security-policy': livePagePolicy })
  })
  for (const [name, type] of Object.entries(files)) {
    const text = readFileSync(new URL(`../console/browser/${name}`, import.meta.url), 'utf8')
    app.get(`/console/${name}`, () => textResponse(text, type))
  }
  app.get('/console/events', () => {
    if (watch.viewers >= mostViewers) throw tooMany()
    const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' }
    return new Response(ReadableStream.from(events(watch.states())) as globalThis.ReadableStream, { headers })
  })
  app.get('/console/statements/:id{\\d+}/plan', async (context) => {
    const plan = await watch.plan(Number(context.req.param('id'))).catch(withoutPlan)
    if (!plan) throw new Problem({ status: 404, code: 'not_found', detail: 'this statement is not known any more' })
    return jsonResponse(plan, { headers: { 'cache-control': 'no-store' } })
  })
}

/** Server-sent events; https://html.spec.whatwg.org/multipage/server-sent-events.html */
async function* events(states: AsyncIterable<ConsoleState>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const state of states) yield Buffer.from(`data: ${JSON.stringify(state)}\n\n`)
}

function isLocal(context: Context<Environment>): boolean {
  const { req } = context
  const isProxied = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].some((name) => req.header(name) !== undefined)
  const address = clientAddress(context)
  const name = new URL(req.url).hostname
  return !isProxied && address !== undefined && loopback.test(address) && localName.test(name)
}

const loopback = /^(?:::1|(?:::ffff:)?127(?:\.\d{1,3}){3})$/
const localName = /^(?:localhost|\[::1\]|127(?:\.\d{1,3}){3})$/

function refused(isAsked: boolean): Problem {
  const detail = isAsked
    ? 'you may not see the console'
    : 'the console is for this machine only: open it at 127.0.0.1, or say who else may see it (console: { allow } of createApp)'
  return new Problem({ status: 403, code: 'console_refused', detail })
}

/** It is for whoever may look to see why. */
function withoutPlan(cause: unknown): never {
  if (!(cause instanceof RivuletError)) throw cause
  throw new Problem({ status: 422, code: 'no_plan', detail: cause.message }, { cause })
}

function tooMany(): Problem {
  const detail = `${mostViewers} browsers look at the console already`
  return new Problem({ status: 503, code: 'pool_overloaded', detail, retryAfterSeconds: 5 })
}

/** The page is there to find out why things do not work: that the migrations are not known is one of them. */
function unknownMigrations(error: unknown): string {
  return error instanceof RivuletError ? error.message : 'What has been applied could not be read.'
}

function textResponse(text: string, type: string, headers: Readonly<Record<string, string>> = {}): Response {
  const length = String(Buffer.byteLength(text))
  return new TextResponse(text, 200, {
    'content-type': type,
    'content-length': length,
    'cache-control': 'no-store',
    ...headers,
  })
}
