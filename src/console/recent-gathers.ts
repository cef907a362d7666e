/**
 * The last gathers, each with what its tasks did and when. An engine tells of sessions and statements when they end, and of a
 * gather when all of its have: what belongs together is found by the connection and the time at which a task got it.
 *
 * Under load it samples: of gathers with one label, one in a tenth of a second.
 */
import { errorType } from '../observe/error-type.ts'
import type { Observation, ObservationOf, TaskTiming } from '../observe/observation.ts'
import { querySummary } from '../observe/query-summary.ts'

/** What a task did for a time. */
interface BarView {
  readonly kind: 'wait' | 'transaction' | 'statement' | 'commit'
  /** Milliseconds after the gather was asked for. */
  readonly startMs: number
  readonly durationMs: number
  /** Of a statement: what it does and on which tables. */
  readonly name: string | undefined
  readonly failed: boolean
}

/** One task of a gather. */
export interface TaskView {
  readonly key: string
  readonly outcome: TaskTiming['outcome']
  /** The kind of its failure. */
  readonly error: string | undefined
  /** Undefined when it never ran. */
  readonly backendPid: number | undefined
  readonly waitMs: number
  readonly runMs: number
  readonly bars: readonly BarView[]
}

/** One gather. */
export interface GatherView {
  readonly id: number
  readonly label: string
  readonly durationMs: number
  /** What its tasks would have taken one after another. */
  readonly sequentialMs: number
  readonly tasks: readonly TaskView[]
}

/** A session, as what it did was observed. */
interface Span {
  readonly backendPid: number
  readonly acquiredAt: number
  readonly bars: { kind: BarView['kind']; startAt: number; endAt: number; name?: string; failed?: boolean }[]
}

const mostKept = 20
const mostEnded = 512
/** Of one session: a task that sends a thousand statements is not to be seen in one line. */
const mostBars = 100
const mostTasks = 100
const sampleMs = 100
const mostLabels = 1000

export class RecentGathers {
  /** Those under way, by their connection. */
  readonly #open = new Map<number, Span>()
  /** The last that ended, the oldest first. */
  readonly #ended: Span[] = []
  readonly #views: GatherView[] = []
  readonly #sampledAt = new Map<string, number>()
  #count = 0

  /** How many there were. */
  get count(): number {
    return this.#count
  }

  /** Those after the one with this number, the oldest first. */
  since(id: number): readonly GatherView[] {
    return this.#views.filter((view) => view.id > id)
  }

  add(observation: Observation, now: number): void {
    switch (observation.type) {
      case 'session.acquired':
        this.#open.set(observation.backendPid, { backendPid: observation.backendPid, acquiredAt: now, bars: [] })
        return
      case 'statement.finished':
        return this.#statement(observation, now)
      case 'transaction.finished':
        return this.#transaction(observation, now)
      case 'session.released':
        return this.#released(observation.backendPid)
      case 'gather.finished':
        return this.#gather(observation, now)
      default:
        return undefined
    }
  }

  #statement({ backendPid, text, durationMs, error }: ObservationOf<'statement.finished'>, now: number): void {
    const bars = this.#open.get(backendPid)?.bars
    if (!bars || bars.length >= mostBars) return
    const name = querySummary(text).summary ?? 'statement'
    bars.push({ kind: 'statement', startAt: now - durationMs, endAt: now, name, failed: error !== undefined })
  }

  #transaction(observation: ObservationOf<'transaction.finished'>, now: number): void {
    const { backendPid, durationMs, commitMs, outcome } = observation
    const bars = this.#open.get(backendPid)?.bars
    if (!bars) return
    const failed = outcome !== 'committed'
    bars.push({ kind: 'transaction', startAt: now - durationMs, endAt: now, failed })
    if (commitMs !== undefined) bars.push({ kind: 'commit', startAt: now - commitMs, endAt: now, failed })
  }

  #released(backendPid: number): void {
    const span = this.#open.get(backendPid)
    if (!span) return
    this.#open.delete(backendPid)
    this.#ended.push(span)
    if (this.#ended.length > mostEnded) this.#ended.shift()
  }

  #gather({ label = 'gather', durationMs, tasks }: ObservationOf<'gather.finished'>, now: number): void {
    this.#count += 1
    if (now - (this.#sampledAt.get(label) ?? -Infinity) < sampleMs) return
    if (this.#sampledAt.size >= mostLabels) this.#sampledAt.clear()
    this.#sampledAt.set(label, now)
    const startAt = now - durationMs
    const view: GatherView = {
      id: this.#count,
      label,
      durationMs,
      sequentialMs: tasks.reduce((sum, { runMs }) => sum + runMs, 0),
      tasks: tasks.slice(0, mostTasks).map((task) => this.#task(task, startAt)),
    }
    this.#views.push(view)
    if (this.#views.length > mostKept) this.#views.shift()
  }

  #task({ key, outcome, error, backendPid, waitMs, runMs }: TaskTiming, startAt: number): TaskView {
    const bars: BarView[] = []
    if (waitMs > 0) bars.push({ kind: 'wait', startMs: 0, durationMs: waitMs, name: undefined, failed: false })
    for (const { kind, startAt: at, endAt, name, failed = false } of this.#spanOf(backendPid, startAt + waitMs)?.bars ??
      []) {
      // A session that took a task over may have worked for another one before.
      if (endAt < startAt + waitMs) continue
      bars.push({ kind, startMs: Math.max(0, at - startAt), durationMs: endAt - at, name, failed })
    }
    // The statement of a task that was cancelled may be answered after all of it has been told.
    if (outcome === 'cancelled' && backendPid !== undefined && !bars.some(({ kind }) => kind === 'statement'))
      bars.push({ kind: 'statement', startMs: waitMs, durationMs: runMs, name: undefined, failed: true })
    const type = error === undefined ? undefined : errorType(error)
    return { key, outcome, error: type, backendPid, waitMs, runMs, bars }
  }

  /** The session on this connection that began nearest to that time. */
  #spanOf(backendPid: number | undefined, acquiredAt: number): Span | undefined {
    if (backendPid === undefined) return undefined
    const open = this.#open.get(backendPid)
    const all = this.#ended.filter((span) => span.backendPid === backendPid)
    if (open) all.push(open)
    const distance = (span: Span) => Math.abs(span.acquiredAt - acquiredAt)
    return all.toSorted((a, b) => distance(a) - distance(b))[0]
  }
}
