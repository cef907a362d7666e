/**
 * The trace that a statement belongs to, as a comment behind it, so that the server's log and pg_stat_activity name it.
 * Only for statements that are not prepared: a prepared one would be another statement each time.
 * https://google.github.io/sqlcommenter/spec/
 */
import { isSpanContextValid, type SpanContext, trace } from '@opentelemetry/api'

/** The text with the `traceparent` of the active span; as it is without one, or when it has comments of its own. */
export function sqlComment(text: string): string {
  const span = activeSpan()
  if (!span || text.includes('/*') || text.includes('--')) return text
  const flags = span.traceFlags.toString(16).padStart(2, '0')
  return `${text} /*traceparent='00-${span.traceId}-${span.spanId}-${flags}'*/`
}

/** What a broken SDK throws keeps no statement from the server. */
function activeSpan(): SpanContext | undefined {
  try {
    const span = trace.getActiveSpan()?.spanContext()
    return span && isSpanContextValid(span) ? span : undefined
  } catch {
    return undefined
  }
}
