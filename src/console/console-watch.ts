/**
 * What a console sees of an engine. It observes from the first viewer to the last, and keeps nothing beyond that: while
 * nobody looks, the engine publishes to nobody, and there is no connection beside its pool.
 *
 *   unwatched ──first viewer──▶ watched ──last viewer gone──▶ unwatched
 */
import { setTimeout } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { type Engine, inspectedEngine, type InspectedEngine } from '../engine.ts'
import { RivuletError } from '../errors.ts'
import { errorType } from '../observe/error-type.ts'
import type { Observation } from '../observe/observation.ts'
import type { QueryPlan } from '../plan/query-plan.ts'
import { type OpenSessionView, openSessions } from './open-sessions.ts'
import { type PlanView, planView } from './plan-view.ts'
import { type GatherView, RecentGathers } from './recent-gathers.ts'
import { StatementTally, type StatementView } from './statement-tally.ts'
import { type TransactionsView, TransactionTally } from './transaction-tally.ts'

/** All there is to see at one moment. */
export interface ConsoleState {
  readonly pool: PoolView
  readonly sessions: readonly OpenSessionView[]
  /** Whether the server has said in time what they wait for. */
  readonly serverAnswered: boolean
  /** What keeps the pool from connecting, in words; undefined while nothing does. */
  readonly outage: string | undefined
  /** Those that this viewer has not seen, the oldest first. */
  readonly gathers: readonly GatherView[]
  /** How many there were since the first page was opened; under load, more than are shown. */
  readonly gatherCount: number
  readonly statements: readonly StatementView[]
  readonly transactions: TransactionsView
}

/** The pool now; counters since the engine was opened. */
interface PoolView {
  readonly max: number
  readonly open: number
  readonly leased: number
  readonly waiting: number
  readonly refused: number
}

/** Milliseconds between two states. */
const tickMs = 500
const mostStatements = 15

/** What was observed since the first viewer came. */
class Recording {
  readonly gathers = new RecentGathers()
  readonly statements = new StatementTally()
  readonly transactions = new TransactionTally()

  readonly observe = (observation: Observation): void => {
    const now = performance.now()
    if (observation.type === 'statement.finished') this.statements.add(observation, now)
    this.transactions.add(observation)
    this.gathers.add(observation, now)
  }
}

interface Viewing {
  readonly recording: Recording
  /** An engine of one connection beside the pool. */
  readonly aside: Engine
  readonly stop: () => void
  viewers: number
}

export class ConsoleWatch {
  readonly #engine: Engine
  readonly #inspected: InspectedEngine
  readonly #showValues: boolean
  #watched: Viewing | undefined

  constructor(engine: Engine, showValues: boolean) {
    this.#engine = engine
    this.#inspected = inspectedEngine(engine)
    this.#showValues = showValues
  }

  /** How many look at it now. */
  get viewers(): number {
    return this.#watched?.viewers ?? 0
  }

  /** What there is to see, again and again, until the signal, or until the caller leaves the loop. @throws PoolClosed */
  async *states(signal: AbortSignal): AsyncGenerator<ConsoleState, void, undefined> {
    const watched = this.#enter()
    let seen = 0
    try {
      while (!signal.aborted) {
        const state = await this.#state(watched, seen)
        seen = state.gathers.at(-1)?.id ?? seen
        yield state
        await setTimeout(tickMs, undefined, { signal }).catch(() => undefined)
      }
    } finally {
      await this.#leave(watched)
    }
  }

  /** The plan of a statement that was seen, made without its values; undefined when it is not known any more. */
  async plan(id: number): Promise<PlanView | undefined> {
    const text = this.#watched?.recording.statements.textOf(id)
    if (text === undefined || !this.#watched) return undefined
    const plan: QueryPlan = await this.#watched.aside.session(
      // Planning waits for a table that is being altered: not for long, on the connection that says who blocks whom.
      (session) => session.explain(sql.raw(text), { generic: true, settings: { lock_timeout: '500' } }),
      { timeoutMs: 5000, label: 'console' },
    )
    return planView(plan, this.#showValues)
  }

  #enter(): Viewing {
    if (!this.#watched) {
      const recording = new Recording()
      const aside = this.#inspected.openAside()
      const stop = this.#inspected.observe(recording.observe)
      this.#watched = { recording, stop, aside, viewers: 0 }
    }
    this.#watched.viewers += 1
    return this.#watched
  }

  async #leave(watched: Viewing): Promise<void> {
    watched.viewers -= 1
    if (watched.viewers > 0) return
    if (this.#watched === watched) this.#watched = undefined
    watched.stop()
    await watched.aside.close({ timeoutMs: 0 })
  }

  async #state({ recording, aside }: Viewing, seen: number): Promise<ConsoleState> {
    const { max, open, leased, waiting, timeouts, overloads, deadlocks } = this.#engine.stats()
    const { sessions, serverAnswered } = await openSessions(this.#inspected.leases, aside)
    const outage = this.#inspected.outage()
    const { gathers, statements, transactions } = recording
    return {
      pool: { max, open, leased, waiting, refused: timeouts + overloads + deadlocks },
      sessions,
      serverAnswered,
      outage: outage === undefined ? undefined : outage instanceof RivuletError ? outage.message : errorType(outage),
      gathers: gathers.since(seen),
      gatherCount: gathers.count,
      statements: statements.views(mostStatements, this.#showValues),
      transactions: transactions.view(),
    }
  }
}
