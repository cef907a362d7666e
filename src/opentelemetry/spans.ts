/**
 * The spans of an engine. Gathers, tasks, transactions and waits are active while they run, so that whatever is traced in
 * their course is theirs; statements and COMMIT are told when they have ended, in the context of whoever sent them.
 *
 *   gather ▶ task ▶ wait for a connection | transaction ▶ statements, COMMIT
 *
 * Nothing is made in a span of this process that was not sampled: what an SDK would throw away costs as much as what it
 * keeps. What an SDK throws is warned about once, and the work goes on without the span.
 */
import {
  type Attributes,
  context,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Tracer,
} from '@opentelemetry/api'
import { Cancelled } from '../errors.ts'
import type { Observation, ObservationOf } from '../observe/observation.ts'
import type { TracedKind, Tracing } from '../observe/telemetry.ts'
import { callErrorAttributes, commitErrorAttributes, errorAttributes, errorText } from './error-attributes.ts'
import { EpochClock } from './epoch-clock.ts'
import { querySummary } from '../observe/query-summary.ts'
import type { ServerAttributes } from './server-attributes.ts'

/** What is told of a call to the server; `failure` are the attributes of its error. */
interface ServerCall {
  readonly attributes: Attributes
  readonly backendPid: number
  readonly durationMs: number
  readonly error: unknown
  readonly failure: Attributes | undefined
}

const titles: Readonly<Record<TracedKind, string>> = {
  gather: 'gather',
  task: 'task',
  transaction: 'transaction',
  savepoint: 'savepoint',
  wait: 'wait for a connection',
}

export class Spans {
  readonly #tracer: Tracer
  readonly #clock = new EpochClock()
  /** The task that an error comes from: those that were cancelled for it point there. */
  readonly #failed = new WeakMap<object, Span>()
  readonly #servers: ServerAttributes
  #warned = false

  constructor(tracer: Tracer, servers: ServerAttributes) {
    this.#tracer = tracer
    this.#servers = servers
  }

  /** Runs `work` in a span of its own. */
  readonly around: Tracing['around'] = (kind, label, work) => {
    const span = this.#harmless(() => this.#start(kind, label))
    if (!span) return work()
    const fail = (error: unknown) => {
      this.#harmless(() => this.#fail(kind, span, error))
      throw error
    }
    try {
      // A promise costs: there is one for the span, and no more.
      return context.with(trace.setSpan(context.active(), span), work).then((result) => {
        this.#harmless(() => span.end(this.#clock.now()))
        return result
      }, fail)
    } catch (error) {
      return Promise.resolve().then(() => fail(error))
    }
  }

  /** Makes the spans of what has ended, and notes what happens in those that are active. */
  readonly observe = (observation: Observation): void => {
    if (observation.type === 'statement.finished') this.#statement(observation)
    else if (observation.type === 'transaction.finished') this.#commit(observation)
    else if (observation.type === 'transaction.retried') retried(observation)
  }

  #start(kind: TracedKind, label: string | undefined): Span | undefined {
    if (isUnsampled()) return undefined
    // What stands in the span of a task has its name there.
    const isNamed = label !== undefined && label !== kind && (kind === 'gather' || kind === 'task')
    const attributes: Attributes = label === undefined ? {} : { 'rivulet.label': label }
    const options = { kind: SpanKind.INTERNAL, attributes, startTime: this.#clock.now() }
    return this.#tracer.startSpan(isNamed ? `${kind} ${label}` : titles[kind], options)
  }

  #fail(kind: TracedKind, span: Span, error: unknown): void {
    if (kind === 'task') this.#link(span, error)
    failed(span, error, errorAttributes(error))
    span.end(this.#clock.now())
  }

  /** The span of a task points to the task for whose failure it was cancelled. */
  #link(span: Span, error: unknown): void {
    if (error instanceof Cancelled && isObject(error.cause)) {
      const first = this.#failed.get(error.cause)
      if (first && first !== span) span.addLink({ context: first.spanContext() })
    } else if (isObject(error)) this.#failed.set(error, span)
  }

  #statement({ text, durationMs, rows, error, backendPid }: ObservationOf<'statement.finished'>): void {
    if (isUnsampled()) return
    const query = querySummary(text)
    const attributes: Attributes = { 'db.query.text': query.text }
    if (query.summary !== undefined) attributes['db.query.summary'] = query.summary
    if (query.operation !== undefined) attributes['db.operation.name'] = query.operation
    if (query.collection !== undefined) attributes['db.collection.name'] = query.collection
    if (rows !== null) attributes['rivulet.rows'] = rows
    const failure = error === undefined ? undefined : callErrorAttributes(error)
    this.#called(query.summary ?? 'postgresql', { attributes, backendPid, durationMs, error, failure })
  }

  #commit({ outcome, commitMs, error, backendPid }: ObservationOf<'transaction.finished'>): void {
    // Rolled back, without a COMMIT.
    if (commitMs === undefined || isUnsampled()) return
    const attributes: Attributes = { 'db.operation.name': 'COMMIT', 'db.query.summary': 'COMMIT' }
    const failure = commitErrorAttributes(outcome, error)
    this.#called('COMMIT', { attributes, backendPid, durationMs: commitMs, error, failure })
  }

  /** The span of a call to the server that ends now. */
  #called(name: string, { attributes, backendPid, durationMs, error, failure }: ServerCall): void {
    const now = this.#clock.now()
    // Spreads would take longer than the span.
    const known: Attributes = Object.assign({}, this.#servers.of(backendPid), attributes)
    known['rivulet.backend_pid'] = backendPid
    const options = { kind: SpanKind.CLIENT, attributes: known, startTime: now - durationMs }
    const span = this.#tracer.startSpan(name, options)
    if (failure) failed(span, error, failure)
    span.end(now)
  }

  #harmless<T>(telemetry: () => T): T | undefined {
    try {
      return telemetry()
    } catch (error) {
      if (!this.#warned)
        process.emitWarning(`a span was lost: ${error instanceof Error ? error.message : String(error)}`)
      this.#warned = true
      return undefined
    }
  }
}

/** True in a span that nobody will see; one from another process may have been left out there and be wanted here. */
function isUnsampled(): boolean {
  const span = trace.getActiveSpan()
  if (!span || span.isRecording()) return false
  const { traceFlags, isRemote } = span.spanContext()
  return isRemote !== true && (traceFlags & TraceFlags.SAMPLED) === 0
}

function failed(span: Span, error: unknown, attributes: Attributes): void {
  const message = errorText(error)
  span.setAttributes(attributes)
  span.setStatus({ code: SpanStatusCode.ERROR, ...(message === undefined ? {} : { message }) })
}

function retried({ attempt, delayMs, error }: ObservationOf<'transaction.retried'>): void {
  const attributes = { 'rivulet.attempt': attempt, 'rivulet.delay_ms': delayMs, ...errorAttributes(error) }
  trace.getActiveSpan()?.addEvent('transaction.retried', attributes)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
