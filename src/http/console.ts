/**
 * `/console`: what an engine does, while somebody looks. Who may look is asked for every part of it. Without an answer of the
 * application's own it is for this machine only: for a connection from it, under a name of it, and through no proxy that
 * says so. No page of another origin reads it in any case, whatever the application lets such pages do.
 */
import { readFileSync } from 'node:fs'
import { ReadableStream } from 'node:stream/web'
import type { Context, Hono } from 'hono'
import { isLoopback } from '../address/loopback.ts'
import { jsonResponse } from '../answer/json.ts'
import { Problem } from '../answer/problem.ts'
import { textResponse } from '../answer/text-response.ts'
import { environment } from '../config.ts'
import { type ConsoleAction, consolePage, type MigrationView } from '../console/console-page.ts'
import { type ConsoleState, ConsoleWatch } from '../console/console-watch.ts'
import { schemaDiagram } from '../console/schema-diagram.ts'
import { livePagePolicy } from '../document/html.ts'
import { drizzleOf, type Engine } from '../engine.ts'
import { DeadlineExceeded, RivuletError, UsageError } from '../errors.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import { Deadline } from '../task/deadline.ts'
import { clientAddress } from './client-address.ts'
import type { Environment } from './front.ts'

/** Options of the console. */
export interface ConsoleOptions {
  /** False: there is none. Default: true, unless NODE_ENV is production. */
  readonly enabled?: boolean | undefined
  /** Says who may look; asked for every part of the page. Default: whoever is on this machine. */
  readonly allow?: ((context: Context<Environment>) => boolean | Promise<boolean>) | undefined
  /** True: statements and plans with the values that stand in their texts. Parameters are never shown. Default false. */
  readonly showValues?: boolean | undefined
  /** The migrations, as `migrationStatus` tells them. Default: they are not shown. */
  readonly migrations?: (() => Promise<readonly MigrationView[]>) | undefined
  /** Requests that the page offers to make, such as a page that gathers. Default: none. */
  readonly actions?: readonly ConsoleAction[] | undefined
}

const consoleNames = optionNames<ConsoleOptions>({
  enabled: 'boolean',
  allow: 'function',
  showValues: 'boolean',
  migrations: 'function',
  actions: 'list',
})

/** What `console` of `createApp` comes to; undefined for none. @throws UsageError for what cannot be meant */
export function consoleOf(given: boolean | ConsoleOptions): ConsoleOptions | undefined {
  const options = typeof given === 'boolean' ? { enabled: given } : given
  checkOptions('createApp.console', consoleNames, options)
  const { enabled = environment('NODE_ENV') !== 'production', actions = [] } = options
  for (const action of actions as readonly Partial<ConsoleAction>[]) {
    if (typeof action?.label === 'string' && /^\/(?!\/)/.test(action.path ?? '')) continue
    throw new UsageError(
      "createApp.console: an action is a label and a path of this service: { label: 'List authors', path: '/authors' }",
    )
  }
  return enabled ? options : undefined
}

/** Browsers that may look at the same time. */
const mostViewers = 10
/** Milliseconds that the page waits for the migrations: it is there to be seen when the server is not. */
const migrationsTimeoutMs = 1000

const unkept = { 'cache-control': 'no-store' }

const files = {
  'page.js': 'text/javascript; charset=utf-8',
  'style.css': 'text/css; charset=utf-8',
} as const

/** Adds `GET /console` and what its page asks for. */
export function addConsole(app: Hono<Environment>, engine: Engine, title: string, options: ConsoleOptions): void {
  const { allow, showValues = false, migrations, actions = [] } = options
  const watch = new ConsoleWatch(engine, showValues)
  const texts = new Map<string, string>()
  app.use('/console/*', async (context, next) => {
    if (!isOwnPage(context)) throw refused('pages of other origins may not see the console')
    if (!(await (allow ?? isLocal)(context))) throw refused(allow ? 'you may not see the console' : onlyHere)
    await next()
  })
  app.get('/console', async () => {
    const known = migrations && (await readInTime(migrations))
    const diagram = schemaDiagram(drizzleOf(engine))
    const text = consolePage({ title, diagram, migrations: known, actions })
    return textResponse(text, 'text/html; charset=utf-8', { ...unkept, 'content-security-policy': livePagePolicy })
  })
  for (const [name, type] of Object.entries(files)) {
    app.get(`/console/${name}`, () => {
      // Not before it is asked for: a program in one file has none of these, and does without.
      const text = texts.get(name) ?? readFileSync(new URL(`../console/browser/${name}`, import.meta.url), 'utf8')
      texts.set(name, text)
      return textResponse(text, type, unkept)
    })
  }
  app.get('/console/events', (context) => {
    if (watch.viewers >= mostViewers) throw tooMany()
    const headers = { ...unkept, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' }
    const states = watch.states(context.req.raw.signal)
    return new Response(ReadableStream.from(events(states)) as globalThis.ReadableStream, { headers })
  })
  app.get('/console/statements/:id{\\d+}/plan', async (context) => {
    const plan = await watch.plan(Number(context.req.param('id'))).catch(withoutPlan)
    if (!plan) throw new Problem({ status: 404, code: 'not_found', detail: 'this statement is not known any more' })
    return jsonResponse(plan, { headers: unkept })
  })
}

/** Server-sent events; https://html.spec.whatwg.org/multipage/server-sent-events.html */
async function* events(states: AsyncIterable<ConsoleState>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const state of states) yield Buffer.from(`data: ${JSON.stringify(state)}\n\n`)
}

/** Browsers say where a request comes from; a link that is followed may come from anywhere. https://www.w3.org/TR/fetch-metadata/ */
function isOwnPage({ req }: Context<Environment>): boolean {
  if (req.header('sec-fetch-mode') === 'navigate' && req.header('sec-fetch-dest') === 'document') return true
  const origin = req.header('origin')
  if (origin !== undefined && origin !== new URL(req.url).origin) return false
  return ['same-origin', 'none', undefined].includes(req.header('sec-fetch-site'))
}

/** What proxies add to say for whom they ask. */
const ofProxies =
  /^(?:x-(?:forwarded|original|real|client|cluster|envoy|amzn)-|forwarded$|via$|cf-|true-client-ip$|fly-)/

function isLocal(context: Context<Environment>): boolean {
  const { req } = context
  const address = clientAddress(context)
  const isProxied = Object.keys(req.header()).some((header) => ofProxies.test(header))
  return !isProxied && address !== undefined && isLoopback(address) && isLoopback(new URL(req.url).hostname)
}

const onlyHere =
  'the console is for this machine only: open it at 127.0.0.1, or say who else may see it (console: { allow } of createApp)'

function refused(detail: string): Problem {
  return new Problem({ status: 403, code: 'console_refused', detail })
}

/** It is for whoever may look to see why. */
function withoutPlan(cause: unknown): never {
  if (!(cause instanceof RivuletError)) throw cause
  throw new Problem({ status: 422, code: 'no_plan', detail: cause.message }, { cause })
}

function tooMany(): Problem {
  const detail = `${mostViewers} pages show the console already: close one`
  return new Problem({ status: 503, code: 'console_full', detail, retryAfterSeconds: 1 })
}

/** The migrations, or why they are not known: the page is there to find out why things do not work, and this is one. */
async function readInTime(
  migrations: () => Promise<readonly MigrationView[]>,
): Promise<readonly MigrationView[] | string> {
  try {
    return await Deadline.after(migrationsTimeoutMs).race(migrations(), late)
  } catch (error) {
    return `What has been applied could not be read${error instanceof RivuletError ? `: ${error.message}` : ''}.`
  }
}

const late = () => new DeadlineExceeded('the server did not answer in time', { phase: 'task', spentMs: {} })
