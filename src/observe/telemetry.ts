/**
 * What watches an engine beyond its observations: what must be active while something runs, as a span must for the spans
 * in it, and what reads the gauges of the pool when it is asked. The engine knows these interfaces only; `opentelemetry/`
 * implements them. Nothing that they do may fail the work they watch, or keep it waiting.
 */
import { ConfigInvalid } from '../errors.ts'
import type { Observer } from './observation.ts'

/** What can have something around it while it runs. */
export type TracedKind = 'gather' | 'task' | 'transaction' | 'savepoint' | 'wait'

/** Puts something around work that is under way. */
export interface Tracing {
  /** Runs `work`, once, and returns what it returns: the same value, or the same error. */
  around<T>(kind: TracedKind, label: string | undefined, work: () => Promise<T>): Promise<T>
  /** The text of a statement that is not prepared, with a comment for the server's logs; undefined: texts stay. */
  readonly comment: ((text: string) => string) | undefined
}

/** The gauges and counters that are read when somebody asks for them; see `PoolStats`. */
export interface PoolGauges {
  readonly max: number
  readonly idle: number
  readonly leased: number
  readonly waiting: number
  readonly timeouts: number
  readonly overloads: number
  readonly deadlocks: number
}

/** The engine as telemetry sees it. */
export interface WatchedEngine {
  /** Where its server is, or the first of its servers. */
  readonly host: string
  readonly port: number
  readonly database: string
  /** Reads what its pool says of itself now. */
  readonly gauges: () => PoolGauges
}

/** Telemetry of one engine, from its opening to its end. */
export interface EngineTelemetry {
  readonly observe: Observer
  readonly tracing: Tracing | undefined
  /** The engine is closed, or could not be opened: nothing of it is held any more. */
  detach(): void
}

/** Several as one, of which one may put spans around what runs. @throws ConfigInvalid where two would */
export function attachAll(all: readonly Telemetry[], engine: WatchedEngine): EngineTelemetry | undefined {
  const attached: EngineTelemetry[] = []
  const detach = () => attached.forEach((each) => each.detach())
  try {
    for (const telemetry of all) attached.push(telemetry.attach(engine))
    const [tracing, other] = attached.flatMap((each) => each.tracing ?? [])
    if (other) throw new ConfigInvalid('config.telemetry has two that make spans: leave out one, or say traces: false')
    if (attached.length === 0) return undefined
    return { observe: (observation) => attached.forEach(({ observe }) => observe(observation)), tracing, detach }
  } catch (error) {
    detach()
    throw error
  }
}

/** What `telemetry` of the configuration takes; `openTelemetry` of `rivulet/opentelemetry` and `createPrometheus` make some. */
export interface Telemetry {
  /** Begins with an engine that is being opened. */
  attach(engine: WatchedEngine): EngineTelemetry
}
