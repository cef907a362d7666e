/**
 * Two questions that an orchestrator asks. `/livez`: does the process answer? It asks no other service, since starting it anew
 * would bring no database back. `/readyz`: can it do its work now? A statement has to come back in time, the migrations
 * have to be those of this program, and it must not be about to stop; a load balancer looks elsewhere meanwhile.
 */
import type { Hono } from 'hono'
import type { Engine } from '../engine.ts'
import { RivuletError } from '../errors.ts'
import { Deadline } from '../task/deadline.ts'
import { type Environment, taskOptions } from './front.ts'
import { jsonResponse } from '../answer/json.ts'
import { Problem } from '../answer/problem.ts'

/** Options of `addHealth`. */
export interface HealthOptions {
  /** Milliseconds all of it may take. Default 1,000. */
  readonly timeoutMs?: number | undefined
  /** Rejects while the database is not up to date, as `checkMigrations` does; asked until it has resolved once. */
  readonly migrations?: (() => Promise<unknown>) | undefined
  /** Aborted when the process is about to stop, while it still serves. */
  readonly draining?: AbortSignal | undefined
}

/** Adds `GET /livez` and `GET /readyz`: 200, or a problem of status 503 whose `reason` is an error code or `draining`. */
export function addHealth(
  app: Hono<Environment>,
  engine: Pick<Engine, 'session' | 'stats'>,
  { timeoutMs = 1000, migrations, draining }: HealthOptions = {},
): void {
  const headers = { 'cache-control': 'no-store' }
  let current = migrations === undefined
  app.get('/livez', () => jsonResponse({ status: 'ok' }, { headers }))
  app.get('/readyz', async (context) => {
    if (draining?.aborted) throw unready('draining', 'the service is about to stop')
    try {
      const deadline = Deadline.after(timeoutMs)
      await engine.session(({ sql }) => sql`select 1`, { ...taskOptions(context), timeoutMs })
      if (!current) await deadline.race(migrations?.(), () => new Error('the migrations could not be checked in time'))
      current = true
    } catch (error) {
      const reason = error instanceof RivuletError ? error.code : 'internal'
      throw unready(reason, `the service cannot do its work: ask again, it has ${timeoutMs} ms to answer`)
    }
    const { max, open, leased, waiting } = engine.stats()
    return jsonResponse({ status: 'ok', pool: { max, open, leased, waiting } }, { headers })
  })
}

function unready(reason: string, detail: string): Problem {
  return new Problem({ status: 503, code: 'not_ready', detail, members: { reason }, retryAfterSeconds: 1 })
}
