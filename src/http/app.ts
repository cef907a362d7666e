/**
 * An engine as an application: its resources, each under its path, the document that describes them, and whether the
 * service lives and can do its work. Routes of a domain stand beside them: it is a Hono application like any other.
 */
import type { Hono, Schema as Routes } from 'hono'
import { openApiNames, type OpenApiOptions } from '../document/openapi.ts'
import { drizzleOf, type Engine } from '../engine.ts'
import { checkOptions, optionNames } from '../option-names.ts'
import { addConsole, consoleOf, type ConsoleOptions } from './console.ts'
import { createFront, type Environment, type FrontOptions, type IdempotencyOptions } from './front.ts'
import { addGather } from './gather.ts'
import { addHealth, type HealthOptions } from './health.ts'
import { takeKeys } from './idempotency.ts'
import { addMetrics } from './metrics.ts'
import { addPages } from './pages.ts'
import { checkResources, planResources, type Resource } from '../resource/resource.ts'
import { resourceRoutes } from './resource-routes.ts'
import { Places } from '../task/places.ts'
import type { GatherRoute, RoutesOf } from './typed-routes.ts'

export interface AppOptions<TResources extends readonly Resource[] = readonly Resource[]> extends FrontOptions {
  /** The tables and views to publish; default: none. */
  readonly resources?: TResources | undefined
  readonly health?: HealthOptions | undefined
  /** Writes what `GET /metrics` answers, to anybody: `text` of `createPrometheus`. Default: there is no such route. */
  readonly metrics?: (() => string | Promise<string>) | undefined
  /**
   * `/console` shows what the engine does, to whoever is on this machine. True: also where NODE_ENV is production; false: never.
   * Default: where it is not.
   */
  readonly console?: boolean | ConsoleOptions | undefined
  /** What `/openapi.json` and `/docs` say besides the resources. */
  readonly openApi?: OpenApiOptions | undefined
  /** Reads that one `POST /gather` may have; 0: there is no such route. Default 20. */
  readonly maxGatheredReads?: number | undefined
  /** Rows an answer of JSON may have, related ones included, all reads of a gather together. Default 10,000. */
  readonly maxRows?: number | undefined
  /** Takes `Idempotency-Key`: needs the table that `createIdempotencyTable` makes. Default: a request with one is refused. */
  readonly idempotency?: IdempotencyOptions | undefined
  /** Bytes the body of a resource's request may have. Default 1,048,576. */
  readonly maxBodyBytes?: number | undefined
  /** Bytes a body of NDJSON may have; each of its lines, as many as another body. Default 1,073,741,824. */
  readonly maxStreamBytes?: number | undefined
  /** Milliseconds that a stream of rows may stand still, for the database or for the client. Default 30,000. */
  readonly streamIdleMs?: number | undefined
  /** Streams of rows, down and up, at the same time: each holds a connection. Default: half of `pool.max`, at least 1. */
  readonly maxStreams?: number | undefined
}

const appNames = optionNames<AppOptions>({
  identity: 'function',
  middleware: 'list',
  requestTimeoutMs: 'number',
  problemFor: 'function',
  onFault: 'function',
  log: 'function',
  resources: true,
  health: optionNames<HealthOptions>({ timeoutMs: 'number', migrations: 'function', draining: 'signal' }),
  metrics: 'function',
  console: true,
  openApi: openApiNames,
  maxGatheredReads: 'number',
  maxRows: 'number',
  idempotency: optionNames<IdempotencyOptions>({ maxAgeMs: 'number', maxAnswerBytes: 'number', owner: 'function' }),
  maxBodyBytes: 'number',
  maxStreamBytes: 'number',
  streamIdleMs: 'number',
  maxStreams: 'number',
})

/** An application that knows its routes, for `hc<typeof app>`. */
export type App<TRoutes extends Routes = Routes> = Hono<Environment, TRoutes>

/** Makes an application; add routes to it, and serve it with `openHttpServer`. @throws UsageError. */
export function createApp<
  TSchema extends Record<string, unknown>,
  const TResources extends readonly Resource[] = readonly [],
>(
  engine: Engine<TSchema>,
  options: AppOptions<TResources> = {},
): App<Extract<RoutesOf<TResources[number]> & GatherRoute, Routes>> {
  checkOptions('createApp', appNames, options)
  const {
    resources = [],
    health,
    metrics,
    console = {},
    openApi,
    idempotency,
    maxBodyBytes = 1_048_576,
    maxStreamBytes = 1_073_741_824,
    streamIdleMs = 30_000,
    maxStreams,
    maxGatheredReads = 20,
    maxRows = 10_000,
    ...front
  } = options
  checkResources(resources)
  const app = createFront(front)
  const own = engine as unknown as Engine
  const planned = planResources(drizzleOf(engine), resources)
  app.use(takeKeys(idempotency, maxBodyBytes))
  addHealth(app, own, health)
  if (metrics) addMetrics(app, metrics)
  const gathered = planned.length > 0 ? maxGatheredReads : 0
  const shown = consoleOf(console)
  addPages(app, planned, openApi, { keyed: idempotency !== undefined, gathered, console: shown !== undefined })
  if (shown) addConsole(app, own, openApi?.title ?? 'Rivulet', shown)
  const streams = new Places(maxStreams ?? Math.max(1, Math.floor(engine.stats().max / 2)))
  const routes = { engine: own, maxBodyBytes, maxRows, maxStreamBytes, streamIdleMs, streams }
  if (gathered > 0) addGather(app, planned, gathered, routes)
  for (const resource of planned) app.route(`/${resource.path}`, resourceRoutes(resource, routes))
  return app as never
}
