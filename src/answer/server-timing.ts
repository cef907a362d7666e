/**
 * The `Server-Timing` header of a gather: where the time of a page went, for the browser's network panel.
 * https://www.w3.org/TR/server-timing/
 */
import { UsageError } from '../errors.ts'
import type { TaskTiming } from '../observe/observation.ts'

/** For each task `key` (run time) and `key-wait` (until its session had a connection), then `total`; milliseconds. */
export function serverTiming(
  timings: readonly Pick<TaskTiming, 'key' | 'waitMs' | 'runMs'>[],
  totalMs: number,
): string {
  if (!Array.isArray(timings) || typeof totalMs !== 'number')
    throw new UsageError(
      'serverTiming takes the timings that onTimings of a gather got, and the milliseconds of all of it',
    )
  let metrics = ''
  for (const { key, waitMs, runMs } of timings) {
    const name = token(key)
    metrics += `${name}-wait;dur=${waitMs.toFixed(2)};desc="wait for a connection", `
    metrics += `${name};dur=${runMs.toFixed(2)};desc="run", `
  }
  return `${metrics}total;dur=${totalMs.toFixed(2)}`
}

/** A metric's name must be a token of HTTP. */
function token(key: string): string {
  return key.replaceAll(/[^\w!#$%&'*+.^`|~-]/g, '_')
}
