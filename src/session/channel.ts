/**
 * A channel is the use of one connection by one task: every statement of its session, nested units of work included,
 * goes through it, in order.
 *
 *   open ──cancel, deadline──▶ doomed ──▶ ended        open ──▶ ended
 *
 * BEGIN, SAVEPOINT and settings are deferred (`prelude.ts`) and travel in the batch of the first statement they guard; if
 * none follows, they are never sent. A doomed channel refuses every statement with the reason, has what runs
 * stopped on the server, and its connection is closed afterwards, never reused: the request to stop might come late.
 */
import { asRivuletError, type Phase, RivuletError, SessionEnded, StatementTimeout, UsageError } from '../errors.ts'
import type { Publish, RetireReason } from '../observe/observation.ts'
import type { Connection, Outcome, Result, StatementOptions } from '../pool/connection.ts'
import { isAborted } from '../sqlstate.ts'
import type { CancelReason, Scope } from '../task/scope.ts'
import { callSite } from './call-site.ts'
import { aloneAgain, Guard, isPassing, markOutdated, stepsAgain } from './outdated.ts'
import { type Deferred, Prelude } from './prelude.ts'
import { Races } from './races.ts'
import { changesSession, LastValues, refusedStatement, statementTraits } from './session-state.ts'
import type { SessionWork } from './session-work.ts'
import { stopOnServer } from './stop-on-server.ts'
import { TimeSpent } from './time-spent.ts'

export interface ChannelOptions {
  readonly label: string | undefined
  readonly publish: Publish
  /** False behind a transaction pooler: no named statements, no settings outside transactions. */
  readonly ownsServerSession: boolean
  readonly queueMs: number
  /** Captured when the connection was asked for, if traces are on; formatted only if somebody wants to see it. */
  readonly trace: { readonly stack?: string } | undefined
  /** The channel of the task in whose course this one was asked for. */
  readonly parent: Channel | undefined
}

/** What failed first in a transaction. */
interface Failure {
  readonly error: unknown
  /** False when a statement of ours failed, of which the task does not know. */
  readonly ofTheTask: boolean
}

export class Channel {
  readonly connection: Connection
  readonly label: string | undefined
  /** Cut when the channel ends: nobody up there waits for what this task left running. */
  parent: Channel | undefined
  /** Why the connection must be closed afterwards; undefined while it may be reused. */
  retire: RetireReason | undefined
  /** Statements sent for the task. */
  statements = 0
  /** Statements of the task that have not been answered. */
  running = 0
  /** The most statements of the task that ran at once; above one they were pipelined, not concurrent. */
  mostRunning = 0
  lastUsedAt = performance.now()
  /** The first failure in the running transaction: why the server answers COMMIT with ROLLBACK. */
  firstFailure: Failure | undefined
  phase: Phase = 'task'
  inTransaction = false
  /** Ends the watch over the task's scope. */
  stopWatching: (() => void) | undefined
  /** Numbers savepoints and cursors, so that their names never meet. */
  counter = 0
  readonly #publish: Publish
  readonly #ownsServerSession: boolean
  readonly #time: TimeSpent
  readonly #trace: { readonly stack?: string } | undefined
  /** What travels before the next statement of the task. */
  readonly prelude: Prelude
  readonly #settled: (() => void)[] = []
  /** Why the server refused a prelude in the running transaction, and so refuses all that follows. */
  #refusedPrelude: unknown
  /** Prepared statements that failed before they were bound: nothing is prepared here any more, as others may fail, too. */
  readonly #suspected: string[] = []
  /** Open units of work that may be run again as a whole. */
  rerunnable = 0
  readonly #guard = new Guard()
  readonly #lastValues = new LastValues()
  /** The tasks that run here, one inside the other, with the scopes that bound them. */
  readonly races = new Races()
  /** The scopes that bound the task, outermost first. */
  readonly #watched: Scope[] = []
  #controller: AbortController | undefined
  #doomed: RivuletError | undefined
  #over = false
  #cancelling: Promise<void> | undefined

  /** Milliseconds since the connection was handed over. */
  get heldMs(): number {
    return performance.now() - this.#time.startedAt
  }

  /** Where the task asked for its connection, for leak and deadlock reports. */
  get acquiredAt(): string {
    return this.#trace ? callSite(this.#trace.stack) : 'unknown place: see traceSessions'
  }

  constructor(connection: Connection, options: ChannelOptions) {
    this.connection = connection
    this.label = options.label
    this.parent = options.parent
    this.#publish = options.publish
    this.#ownsServerSession = options.ownsServerSession
    this.#time = new TimeSpent(options.queueMs)
    this.#trace = options.trace
    this.prelude = new Prelude(connection, options.ownsServerSession)
  }

  /** Sends one statement of the task and answers what `read` makes of its rows. `scope` is the innermost that bounds it. */
  send<T = Result>(
    text: string,
    parameters: readonly unknown[],
    options: StatementOptions,
    scope: Scope | undefined,
    work: SessionWork,
    read?: (rows: Result) => T,
  ): Promise<T> {
    const refusal = this.doomed ?? refusedStatement(text)
    if (refusal) return Promise.reject(refusal)
    const prepare = this.#ownsServerSession && options.prepare === true && this.#suspected.length === 0
    const { limitsStatements, kind } = statementTraits(text)
    let steps = this.prelude.take(scope, this.inTransaction)
    steps = this.#lastValues.discardedBefore(kind, this.inTransaction, steps)
    if (prepare && this.inTransaction && this.rerunnable === 0) steps = this.#guard.before(steps)
    if (limitsStatements) this.prelude.leaveTimeout()
    const asGiven = prepare === (options.prepare ?? false) && steps === undefined
    const sent = asGiven ? options : { ...options, prepare, steps }
    return this.#query(text, parameters, sent, work, true, read)
  }

  /** Sends what is deferred without waiting for the task's first statement, if that has not been sent. */
  flush(scope: Scope | undefined, work: SessionWork): void {
    if (this.doomed || this.prelude.isEmpty) return
    const steps = this.prelude.take(scope, this.inTransaction) ?? []
    const last = steps.at(-1)
    if (!last) return
    const options = { steps: steps.slice(0, -1) }
    this.#query(last.text, last.parameters ?? [], options, work, false).catch(() => undefined)
  }

  /** Sends a statement of ours now, behind what is deferred: SAVEPOINT and its kin, cursors. */
  own(
    text: string,
    parameters: readonly unknown[],
    options: StatementOptions,
    scope: Scope | undefined,
    work: SessionWork,
  ): Promise<Result> {
    if (this.doomed) return Promise.reject(this.doomed)
    const steps = this.prelude.take(scope, this.inTransaction)
    return this.#query(text, parameters, steps ? { ...options, steps } : options, work, false)
  }

  /** A query that runs in a statement of ours may change the server session, as any other. */
  noticeState(query: string, command = 'SELECT'): void {
    if (this.retire === undefined && changesSession(command, statementTraits(query)))
      this.retire = 'session state changed'
  }

  /** Sends a script of ours that ends something; what is deferred stays unsent. A failure fails the transaction. */
  script(text: string): Promise<Result> {
    if (this.doomed) return Promise.reject(this.doomed)
    const failed = (error: unknown) => {
      if (this.inTransaction) this.firstFailure ??= { error, ofTheTask: false }
      throw error
    }
    return this.connection.script<Result>(text, { answered: (result) => result, failed })
  }

  /** A transaction begins: what failed before is not of it. */
  began(): void {
    this.inTransaction = true
    this.firstFailure = undefined
  }

  /** The transaction is over: what was local to it is gone. */
  ended(): void {
    this.inTransaction = false
    this.prelude.ended()
    this.#refusedPrelude = this.firstFailure = undefined
    this.#guard.gone()
    if (this.phase === 'commit') this.phase = 'task'
    this.#time.commitEnded()
    this.races.committed()
  }

  /** What was suspected has proved true: parsed anew, it fits. The connection is replaced. */
  outdated(): void {
    for (const text of this.#suspected) this.connection.prepared.unprepared.add(text)
    if (this.#suspected.length > 0) this.retire ??= 'prepared statements outdated'
  }

  /** A savepoint was rolled back: settings made since then are gone, and with them what we know of the timeout. */
  rewound(): void {
    this.prelude.rewound()
    this.#refusedPrelude = this.firstFailure = undefined
    this.#guard.gone()
  }

  /** Dooms the channel when `scope` is cancelled; answers what ends the watch. */
  watch(scope: Scope): () => void {
    this.#watched.push(scope)
    const unwatch = scope.onCancel((reason) => {
      this.doom(this.cancelled(reason), reason.kind === 'deadline' ? 'deadline' : 'cancelled', scope)
    })
    return () => {
      unwatch()
      this.#watched.splice(this.#watched.indexOf(scope), 1)
    }
  }

  /**
   * Refuses everything from now on and stops what runs on the server. The tasks that `scope` bounds are given up; one
   * further out may catch that and end in its own way.
   */
  doom(error: RivuletError, retire: RetireReason, scope?: Scope): void {
    this.#stop(error, retire, scope?.deadline?.timeoutMs)
    this.races.giveUp(error, scope, this.phase === 'commit')
  }

  /** Stops what a task left running that has ended with an error of its own. */
  giveUp(): void {
    this.#stop(new UsageError('the task ended while statements of its own still ran'), 'statements still running')
  }

  #stop(error: RivuletError, retire: RetireReason, timeoutMs = Infinity): void {
    if (this.#doomed) return
    this.#doomed = error
    this.retire = retire
    this.#controller?.abort(error)
    this.connection.discard(error)
    if (this.connection.inFlight > 0) this.#cancelling = stopOnServer(this.connection, timeoutMs)
  }

  /** Aborted when the channel is doomed. Made when first asked for. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#doomed) this.#controller.abort(this.#doomed)
    return this.#controller.signal
  }

  /** True once the task has given its connection back. */
  get isOver(): boolean {
    return this.#over
  }

  /** Why it was doomed; undefined when its task just ended. */
  get failure(): RivuletError | undefined {
    return this.#doomed
  }

  /** Why nothing more may be sent; undefined while the task has the connection. */
  get doomed(): RivuletError | undefined {
    return this.#doomed ?? (this.#over ? new SessionEnded('the session of this transaction has ended') : undefined)
  }

  /** The task has given its connection back: nothing that it left behind may reach whoever has it next. */
  over(): void {
    this.#over = true
    this.parent = undefined
  }

  /** Resolves when no statement of the task is running. */
  async idle(): Promise<void> {
    while (this.running > 0) await new Promise<void>((resolve) => this.#settled.push(resolve))
  }

  /** Resolves when the server has stopped what a doomed channel ran, or was given up on. */
  async stopped(): Promise<void> {
    await this.#cancelling
  }

  /** The error for a cancelled scope, with where the time went. */
  cancelled(reason: CancelReason, phase = this.#phase()): RivuletError {
    if (reason.kind === 'cancelled') return asRivuletError(reason.error)
    return this.#time.deadlineExceeded(reason.deadline, phase, this.label)
  }

  /** COMMIT is being sent. */
  committing(): void {
    this.phase = 'commit'
    this.#time.commitBegan()
  }

  #query<T = Result>(
    text: string,
    parameters: readonly unknown[],
    options: StatementOptions,
    work: SessionWork,
    ofTheTask: boolean,
    read?: (rows: Result) => T,
  ): Promise<T> {
    const startedAt = this.#begin(work, ofTheTask)
    const number = this.statements
    const alone = !this.inTransaction
    const steps = options.steps as readonly Deferred[] | undefined
    let repeated = false
    const outcome: Outcome<T> = {
      answered: (result) => {
        this.#end(work)
        if (repeated) this.outdated()
        steps?.forEach(({ answered }) => answered?.())
        if (ofTheTask) this.noticeState(text, result.command)
        if (ofTheTask && this.#publish) this.#publishStatement(text, startedAt, undefined)
        try {
          // Stopped too late: it ran, but the task it ran for has been given up.
          if (this.#doomed) throw this.#doomed
          return work.reading(handed, read ? read(result) : (result as T))
        } catch (error) {
          work.failing(handed)
          throw error
        }
      },
      again: (error) => {
        if (isPassing(error) || this.#doomed) return undefined
        this.#suspected.push(text)
        repeated = true
        const again = alone ? aloneAgain(text, this.statements === number) : stepsAgain(steps)
        if (!again) markOutdated(error)
        return again
      },
      failed: (error, refusedStep) => {
        const { kind } = statementTraits(text)
        this.#end(work)
        steps?.forEach(({ answered }) => answered?.())
        work.failing(handed)
        // Not all that a failing statement did is undone: an advisory lock of the session stays.
        if (ofTheTask) this.noticeState(text, kind === 'code' ? 'CALL' : 'SELECT')
        if (ofTheTask && this.#publish) this.#publishStatement(text, startedAt, error)
        if (!alone) this.firstFailure ??= { error, ofTheTask: ofTheTask && !refusedStep }
        throw this.#failed(error, refusedStep)
      },
    }
    const handed: Promise<T> = this.connection.query(text, parameters, options, outcome)
    return handed
  }

  #begin(work: SessionWork, ofTheTask: boolean): number {
    this.statements += 1
    this.running += 1
    work.running += 1
    // Statements of ours, such as a cursor's, are sent together on purpose.
    if (ofTheTask && this.running > this.mostRunning) this.mostRunning = this.running
    this.lastUsedAt = performance.now()
    if (this.running === 1) this.#time.statementsBegan(this.lastUsedAt)
    return this.lastUsedAt
  }

  #end(work: SessionWork): void {
    this.running -= 1
    work.running -= 1
    this.lastUsedAt = performance.now()
    if (this.running > 0) return
    this.#time.statementsEnded(this.lastUsedAt)
    for (const resolve of this.#settled.splice(0)) resolve()
  }

  #failed(error: unknown, refusedStep: Deferred | undefined): unknown {
    const failure = this.stoppedByDeadline(error, 'statement') ?? this.#doomed
    if (failure) return failure
    if (refusedStep) return this.#refused(error, refusedStep)
    if (this.connection.lost) this.retire ??= 'unhealthy'
    return isAborted(error) ? (this.#refusedPrelude ?? error) : error
  }

  #phase(): Phase {
    return this.running > 0 && this.phase === 'task' ? 'statement' : this.phase
  }

  /** The deadline's error, where the server kept the deadline before our own timer did; undefined otherwise. */
  stoppedByDeadline(error: unknown, phase: Phase): RivuletError | undefined {
    if (!(error instanceof StatementTimeout)) return undefined
    const scope = this.#watched.find((scope) => scope.deadline?.expired)
    const deadline = scope?.deadline
    if (deadline) this.doom(this.cancelled({ kind: 'deadline', deadline }, phase), 'deadline', scope)
    return this.#doomed
  }

  #publishStatement(text: string, startedAt: number, error: unknown): void {
    this.#publish?.({
      type: 'statement',
      label: this.label,
      backendPid: this.connection.backendPid,
      text,
      durationMs: performance.now() - startedAt,
      error,
    })
  }

  /** The server has refused what was to guard a statement, which did not run. Returns what to fail with. */
  #refused(error: unknown, step: Deferred): unknown {
    const reason = step.refusal?.(error) ?? error
    // In a failed transaction the server itself refuses all that follows, up to the next savepoint.
    if (!step.refusal && this.connection.transactionStatus === 'E') this.#refusedPrelude ??= error
    else this.doom(asRivuletError(reason), 'unhealthy')
    return reason
  }
}
