/** `GET /metrics`: what Prometheus asks for, from time to time. It needs neither the database nor an identity. */
import type { Hono } from 'hono'
import { textResponse } from '../answer/text-response.ts'
import type { Environment } from './front.ts'

/** Adds it; `metrics` writes them in Prometheus' text format. */
export function addMetrics(app: Hono<Environment>, metrics: () => string | Promise<string>): void {
  app.get('/metrics', async () => {
    const type = 'text/plain; version=0.0.4; charset=utf-8'
    return textResponse(await metrics(), type, { 'cache-control': 'no-store' })
  })
}
