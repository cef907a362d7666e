/**
 * `/healthz` says whether this process can do its work now: a statement has to come back from the database in time.
 * A check that is refused a connection fails like a request would, so a load balancer looks elsewhere meanwhile.
 */
import type { Engine } from '../engine.ts'
import { RivuletError } from '../errors.ts'
import { type App, taskOptions } from './app.ts'
import { jsonResponse } from './json.ts'
import { Problem } from './problem.ts'

/** Options of `addHealth`. */
export interface HealthOptions {
  /** Milliseconds the database has to answer. Default 1,000. */
  readonly timeoutMs?: number | undefined
}

/** Adds `GET /healthz`: 200 with the pool's gauges, or a problem of status 503 whose `reason` is an error code. */
export function addHealth(app: App, engine: Pick<Engine, 'session' | 'stats'>, options: HealthOptions = {}): void {
  const { timeoutMs = 1000 } = options
  app.get('/healthz', async (context) => {
    try {
      await engine.session(({ sql }) => sql`select 1`, { ...taskOptions(context), timeoutMs })
    } catch (error) {
      const reason = error instanceof RivuletError ? error.code : 'internal'
      const detail = `the database did not answer within ${timeoutMs} ms`
      throw new Problem({ status: 503, code: 'unhealthy', detail, members: { reason }, retryAfterSeconds: 1 })
    }
    const { max, open, leased, waiting } = engine.stats()
    return jsonResponse(
      { status: 'ok', pool: { max, open, leased, waiting } },
      { headers: { 'cache-control': 'no-store' } },
    )
  })
}
