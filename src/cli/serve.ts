/**
 * `rivulet serve`: every table and view of the schema over HTTP, until a signal. The first one finishes the requests under
 * way, the second cuts them off; what was opened is closed on every way out, the database last.
 */
import { listenPort } from '../config.ts'
import { UsageError } from '../errors.ts'
import { watchSignals } from '../http/shutdown.ts'
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

Only what the database lets the role of its URL do is possible, so give it no more than clients may do. Serve other
roles, other paths, fewer columns or routes of your own with createApp of rivulet/http.

Options:
      --port PORT         0 takes any that is free. Default: PORT, else 3000
      --host ADDRESS      the address to listen on. Default: 127.0.0.1, this machine only
      --read-only         no changes
      --only PATTERN      tables and views with such names only, ! for all but those; may be given several times
      --schema PATH       the schema's file or folder, in place of the config's; then there may be no config at all
      --log               one line of JSON for each request, on standard error
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
    'read-only': { type: 'boolean' },
    only: { type: 'string', multiple: true },
    schema: { type: 'string', multiple: true },
    log: { type: 'boolean' },
  },
  serves: true,
  run: async (run) => {
    const shutdown = watchSignals()
    try {
      const port = portOption(run.values)
      const project = await run.project()
      const { serveSchema } = await withPackages('`rivulet serve`', ['hono', '@hono/node-server'], () => {
        return import('./serve-schema.ts')
      })
      shutdown.asked.throwIfAborted()
      await withDatabase(project, (url) => serveSchema(run, project, { url, port, shutdown }))
    } catch (error) {
      if (error !== shutdown.asked.reason) throw error
    } finally {
      shutdown.release()
    }
    return { exitCode: exitCodes.done, text: '', json: {} }
  },
}

function portOption(values: OptionValues): number {
  const text = textOption(values, 'port')
  if (text === undefined) return listenPort(3000)
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new UsageError(`--port takes a whole number from 0 to 65535, not ${text}`)
}
