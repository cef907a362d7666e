/** What `rivulet serve` does once all it needs is there: the engine, the application, the port, and their end. */
import { once } from 'node:events'
import { drizzleOf, type Engine, openEngine } from '../engine.ts'
import { UsageError } from '../errors.ts'
import { createApp } from '../http/app.ts'
import type { ConsoleOptions } from '../http/console.ts'
import type { IdempotencyOptions, Identify } from '../http/front.ts'
import { createIdempotencyTable } from '../idempotency/kept-answers.ts'
import { describeFault } from '../http/request-log.ts'
import { migrationStatus } from '../migrate/commands/status.ts'
import { withPackages } from '../optional-packages.ts'
import type { Prometheus } from '../prometheus/index.ts'
import { openHttpServer } from '../server/server.ts'
import type { Shutdown } from '../task/shutdown.ts'
import { resourcesOfSchema, type SchemaResources } from '../resource/schema-resources.ts'
import { type CommandResult, exitCodes, type OptionValues, type Run } from './command.ts'
import type { Project } from './project.ts'
import { schemaFiles } from './schema-files.ts'
import { loadModules } from './user-modules.ts'
import { matches } from './verify.ts'

/** Where it serves what, and until when. */
interface Service {
  readonly url: string
  readonly port: number
  readonly hostname: string
  /** Who asks; undefined: nobody is asked. */
  readonly identity: Identify | undefined
  readonly shutdown: Shutdown
}

/** Serves until a signal. @throws UsageError when the schema has nothing to serve. */
export async function serveSchema(run: Run, project: Project, service: Service): Promise<void> {
  const { values, console, announce } = run
  const { url, port, hostname, identity } = service
  const { asked, forced } = service.shutdown
  const schema = await loadSchema(project)
  const prometheus = values['metrics'] === true ? await loadPrometheus() : undefined
  const telemetry = prometheus?.telemetry
  await using engine = await openEngine({ schema, url, telemetry, ...(project.casing && { casing: project.casing }) })
  const found = publish(engine, schema, values)
  const keyed = values['idempotency'] === true
  if (keyed) await engine.session(createIdempotencyTable)
  const app = createApp(engine, {
    resources: found.resources,
    identity,
    openApi: { bearer: identity !== undefined },
    health: { draining: asked },
    metrics: prometheus?.text,
    console: consoleOf(project, url, values),
    ...(keyed && { idempotency: { owner: ownerOf } }),
    onFault: (error, request) => console.note(describeFault(error, request)),
    ...(values['log'] === true && { log: (entry: object) => console.note(JSON.stringify(entry)) }),
  })
  asked.throwIfAborted()
  await using server = await openHttpServer(app, { port, hostname, insecure: values['insecure'] === true })
  forced.addEventListener('abort', () => void server.close({ timeoutMs: 0 }))
  for (const { name, reason } of found.leftOut) console.note(console.style('yellow', `${name} is left out: ${reason}`))
  announce(described(server.url, server.port, found))
  if (!asked.aborted) await once(asked, 'abort')
  console.note('stopping: requests under way are finished first; a second signal cuts them off')
}

/** Whose a key is: who the token names, and not its expiry, which is another one in the next token of the same person. */
const ownerOf: NonNullable<IdempotencyOptions['owner']> = async (context) => {
  const { role, settings = {} } = (await context.get('identity')?.()) ?? {}
  const claims = JSON.parse(settings['request.jwt.claims'] ?? '{}') as Record<string, unknown>
  return JSON.stringify([role, claims['sub'] ?? claims])
}

/** Where NODE_ENV is production, there is one only if it was asked for. */
function consoleOf({ source }: Project, url: string, values: OptionValues): ConsoleOptions {
  const migrations = async () => (await migrationStatus(url, source)).migrations
  return {
    ...(values['console'] === true && { enabled: true }),
    showValues: values['show-values'] === true,
    migrations,
  }
}

async function loadPrometheus(): Promise<Prometheus> {
  const { createPrometheus } = await withPackages('`rivulet serve --metrics`', ['prom-client'], prometheusModule)
  return createPrometheus()
}

const prometheusModule = () => import('../prometheus/index.ts')

async function loadSchema(project: Project): Promise<Record<string, unknown>> {
  const modules = await loadModules(project.directory, await schemaFiles(project))
  return Object.assign({}, ...modules) as Record<string, unknown>
}

function publish(engine: Engine, schema: Record<string, unknown>, values: OptionValues): SchemaResources {
  const patterns = [values['only'] ?? []].flat().map(String)
  const found = resourcesOfSchema(drizzleOf(engine), schema, {
    readOnly: values['read-only'] === true,
    keeps: (name) => matches(patterns, name),
  })
  if (found.resources.length > 0) return found
  const reasons = found.leftOut.map(({ name, reason }) => `\n${name}: ${reason}`).join('')
  throw new UsageError(
    `there is nothing to serve: the schema has no table or view${patterns.length > 0 ? ' that --only names' : ''}${reasons}`,
  )
}

function described(url: string, port: number, { resources, leftOut }: SchemaResources): CommandResult {
  const count = `${resources.length} ${resources.length === 1 ? 'resource' : 'resources'}`
  const text = `Serving ${count} at ${url}; ${url}/docs describes them. Ctrl-C stops it.`
  const paths = resources.map(({ path }) => `/${path}`)
  return { exitCode: exitCodes.done, text, json: { url, port, paths, leftOut } }
}
