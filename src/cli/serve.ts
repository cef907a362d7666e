/**
 * `rivulet serve`: every table and view of the schema over HTTP, until a signal. The first one finishes the requests under
 * way, the second cuts them off; what was opened is closed on every way out, the database last.
 */
import { listenHost, listenPort, tokenSettings } from '../config.ts'
import { UsageError } from '../errors.ts'
import type { Identify } from '../http/front.ts'
import { watchSignals } from '../task/shutdown.ts'
import { withPackages } from '../optional-packages.ts'
import { textOption } from './arguments.ts'
import { type Command, commonHelp, exitCodes, type OptionValues } from './command.ts'
import { withDatabase } from './project.ts'

export const serveCommand: Command = {
  name: 'serve',
  summary: 'serve the tables and views of the schema over HTTP',
  help: `Usage: rivulet serve [options]

Serves what the schema in the Drizzle config declares: lists, rows by key and their changes, described at /docs and
/openapi.json. A table of the schema public has its name as its path, with hyphens (order_items: /order-items); one of
another schema has both (sales.orders: /sales.orders); where that is taken, it is /public.NAME, or the name of the export.
Views, and tables without a key, are read only. What cannot be served is left out, with the reason.

Without tokens everybody may do what the role of the database's URL may do, so it listens for this machine only. With
RIVULET_JWT_AUDIENCE, RIVULET_JWT_ISSUER and RIVULET_JWT_SECRET or RIVULET_JWKS_URL, requests carry JSON Web Tokens
(Authorization: Bearer …): their claim "role" is the role of their sessions, if it is one of --role, and policies read all
claims from the setting request.jwt.claims. For other paths, fewer columns and routes of your own, write a program with
createApp of rivulet/http.

Options:
      --port PORT         0 takes any that is free. Default: PORT, else 3000
      --host ADDRESS      the address to listen on. Default: RIVULET_HOST, else 127.0.0.1, this machine only
      --role ROLE         a role that tokens may name; may be given several times
      --anonymous ROLE    the role of requests without a token. Default: they are refused
      --insecure          let other machines in without tokens
      --read-only         no changes
      --idempotency       take Idempotency-Key on POST and PATCH; makes the table rivulet.idempotency_keys if it is not there
      --only PATTERN      tables and views with such names only, ! for all but those; may be given several times
      --schema PATH       the schema's file or folder, in place of the config's; then there may be no config at all
      --metrics           GET /metrics, to anybody, as Prometheus reads it; needs prom-client
      --console           /console, which shows what the database does, also where NODE_ENV is production; in both cases to
                          whoever is on this machine only
                          (a proxy on it that does not say for whom it asks lets others in)
      --show-values       there with the values that stand in the texts of statements; parameters are never shown
      --log               one line of JSON for each request, on standard error; what the database does: RIVULET_LOG, one
                          or several of statements, sessions, slow
${commonHelp}

A signal (Ctrl-C, SIGTERM) finishes the requests under way, for 10 seconds at most; a second one cuts them off.

Exit codes: 0 stopped by a signal, 1 the database or the port cannot be used, 64 wrong arguments or configuration, or there
is nothing to serve

Examples:
  rivulet serve
  rivulet serve --read-only --only 'order*' --only '!order_drafts'
  rivulet serve --schema drizzle    # after drizzle-kit pull, without a config`,
  options: {
    port: { type: 'string' },
    host: { type: 'string' },
    role: { type: 'string', multiple: true },
    anonymous: { type: 'string' },
    insecure: { type: 'boolean' },
    'read-only': { type: 'boolean' },
    idempotency: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    schema: { type: 'string', multiple: true },
    metrics: { type: 'boolean' },
    console: { type: 'boolean' },
    'show-values': { type: 'boolean' },
    log: { type: 'boolean' },
  },
  serves: true,
  run: async (run) => {
    const shutdown = watchSignals()
    try {
      const given = portOption(run.values)
      const project = await run.project()
      // Only now: the project may have an .env file.
      const hostname = textOption(run.values, 'host') ?? listenHost()
      const place = { port: given ?? listenPort(3000), hostname, identity: await readIdentity(run.values) }
      const { serveSchema } = await withPackages('`rivulet serve`', ['hono', '@hono/node-server'], () => {
        return import('./serve-schema.ts')
      })
      shutdown.asked.throwIfAborted()
      await withDatabase(project, (url) => serveSchema(run, project, { ...place, url, shutdown }))
    } catch (error) {
      if (error !== shutdown.asked.reason) throw error
    } finally {
      shutdown.release()
    }
    return { exitCode: exitCodes.done, text: '', json: {} }
  },
}

function portOption(values: OptionValues): number | undefined {
  const text = textOption(values, 'port')
  if (text === undefined) return undefined
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new UsageError(`--port takes a whole number from 0 to 65535, not ${text}`)
}

/** Who asks, by the tokens that the environment says how to check; undefined where it says nothing. @throws UsageError */
async function readIdentity(values: OptionValues): Promise<Identify | undefined> {
  const settings = tokenSettings()
  const roles = [values['role'] ?? []].flat().map(String)
  const anonymous = textOption(values, 'anonymous')
  if (settings !== undefined && roles.length > 0) {
    const { tokenIdentity } = await withPackages('checking tokens', ['jose'], loadTokens)
    return tokenIdentity(settings, { roles, anonymous })
  }
  if (settings !== undefined) throw new UsageError('--role has to name the roles that tokens may have')
  if (roles.length === 0 && anonymous === undefined) return undefined
  throw new UsageError(
    '--role and --anonymous need tokens: set RIVULET_JWT_AUDIENCE, RIVULET_JWT_ISSUER and RIVULET_JWT_SECRET or RIVULET_JWKS_URL',
  )
}

const loadTokens = () => import('./token-identity.ts')
