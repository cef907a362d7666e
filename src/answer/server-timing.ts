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
  const metrics = timings.flatMap(({ key, waitMs, runMs }) => [
    metric(`${token(key)}-wait`, waitMs, 'wait for a connection'),
    metric(token(key), runMs, 'run'),
  ])
  return [...metrics, metric('total', totalMs)].join(', ')
}

function metric(name: string, durationMs: number, description?: string): string {
  return `${name};dur=${durationMs.toFixed(2)}${description === undefined ? '' : `;desc="${description}"`}`
}

/** A metric's name must be a token of HTTP. */
function token(key: string): string {
  return key.replaceAll(/[^\w!#$%&'*+.^`|~-]/g, '_')
}
