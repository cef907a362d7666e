/**
 * A lease is one task's use of one connection: every statement of its session, nested transactions included, goes through
 * it, in order. Its states are drawn in `src/README.md`.
 *
 * A cancelled lease refuses every statement with the reason, has what runs stopped on the server, and its connection is
 * closed afterwards, never reused: the request to cancel might come late.
 */
import { asRivuletError, type Phase, RivuletError, SessionEnded, StatementTimeout, UsageError } from '../errors.ts'
import type { Publish, RetireReason, TransactionOutcome } from '../observe/observation.ts'
import type { Observers } from '../observe/observers.ts'
import type { Tracing } from '../observe/telemetry.ts'
import type { Connection, Outcome, Result, StatementOptions } from '../pool/connection.ts'
import type { CancelReason, Scope } from '../task/scope.ts'
import { callSite } from './call-site.ts'
import { cancelOnServer } from './cancel-on-server.ts'
import { discardSequences, LastValues } from './last-values.ts'
import { type DeferredStep, OpenTransaction } from './open-transaction.ts'
import { aloneAgain, isPassing, markOutdated, stepsAgain } from './outdated.ts'
import type { PendingPromises } from './pending-promises.ts'
import { PreparedUse } from './prepared-use.ts'
import { RepeatedStatements } from './repeated-statements.ts'
import { changesSession, refusedStatement, statementTraits } from './statement-traits.ts'
import { TaskScopes } from './task-scopes.ts'
import { TimeBreakdown } from './time-breakdown.ts'
import { timeoutFor, timeoutValue } from './timeout-setting.ts'

export interface LeaseOptions {
  readonly label: string | undefined
  readonly observers: Observers
  readonly tracing: Tracing | undefined
  /** How often a statement may be sent before it is told of; 0: as often as the task likes. */
  readonly repeatedStatements: number
  /** False behind a transaction pooler: no named statements, no settings outside transactions. */
  readonly ownsServerSession: boolean
  readonly queueMs: number
  /** Captured when the connection was asked for, if traces are on; formatted only when a report needs it. */
  readonly trace: { readonly stack?: string } | undefined
  /** The lease of the task that asked for this one. */
  readonly parent: Lease | undefined
}

/** What a statement belongs to. */
export interface StatementContext {
  /** The innermost scope that bounds it. */
  readonly scope: Scope | undefined
  readonly pending: PendingPromises
}

type State =
  | { readonly kind: 'open' }
  /** `stopped` resolves when the server has stopped what ran; undefined when nothing did. */
  | { readonly kind: 'cancelled'; readonly error: RivuletError; readonly stopped: Promise<void> | undefined }
  | { readonly kind: 'released'; readonly error: RivuletError | undefined }

const open: State = { kind: 'open' }

export class Lease {
  readonly connection: Connection
  readonly label: string | undefined
  readonly tracing: Tracing | undefined
  /** Cut when the lease is released: the parent does not wait for what this task left running. */
  parent: Lease | undefined
  /** The transaction that is open on the connection, as far as we began it. */
  transaction: OpenTransaction | undefined
  /** Statements sent for the task. */
  statements = 0
  /** Statements of the task that have not been answered. */
  running = 0
  /** The most statements of the task that ran at once; above one they were pipelined, not concurrent. */
  mostRunning = 0
  lastUsedAt = performance.now()
  readonly scopes = new TaskScopes()
  #state = open
  #retirement: RetireReason | undefined
  #names = 0
  /** The number of the last statement that was not just a read. */
  #lastWrite = 0
  /** The task limits its statements itself: its own limit must not be loosened. */
  #limitsItself = false
  readonly #prepared: PreparedUse
  readonly #lastValues = new LastValues()
  readonly #observers: Observers
  /** Undefined when nobody would be told. */
  readonly repeated: RepeatedStatements | undefined
  readonly #ownsServerSession: boolean
  readonly #time: TimeBreakdown
  readonly #trace: { readonly stack?: string } | undefined
  readonly #settled: (() => void)[] = []
  #controller: AbortController | undefined
  /** Ends the watch over the scope that bounds the whole task. */
  #unbind: (() => void) | undefined

  constructor(connection: Connection, options: LeaseOptions) {
    this.connection = connection
    this.label = options.label
    this.tracing = options.tracing
    this.parent = options.parent
    const { observers, repeatedStatements } = options
    this.#observers = observers
    this.repeated = observers.publish && repeatedStatements > 0 ? new RepeatedStatements(repeatedStatements) : undefined
    this.#ownsServerSession = options.ownsServerSession
    this.#time = new TimeBreakdown(options.queueMs)
    this.#trace = options.trace
    this.#prepared = new PreparedUse(connection, options.ownsServerSession)
  }

  /** Milliseconds since the connection was handed over. */
  get heldMs(): number {
    return performance.now() - this.#time.startedAt
  }

  /** Where the task asked for its connection, for leak and deadlock reports. */
  get acquiredAt(): string {
    return this.#trace ? callSite(this.#trace.stack) : 'unknown place: see traceSessions'
  }

  /** A name for a savepoint or a cursor that no other of this lease has. */
  newName(): string {
    this.#names += 1
    return `rivulet_${this.#names}`
  }

  // ---- statements

  /** Sends one statement of the task and returns what `read` makes of its rows. */
  send<T = Result>(
    text: string,
    parameters: readonly unknown[],
    options: StatementOptions,
    context: StatementContext,
    read?: (rows: Result) => T,
  ): Promise<T> {
    const refusal = this.refusal ?? refusedStatement(text)
    if (refusal) return Promise.reject(refusal)
    this.repeated?.sent(text)
    // Asked of every statement: one that is not to be prepared may set the search path for those that are.
    const prepare = this.#prepared.allows(text, this.transaction) && options.prepare === true
    this.#limit(context.scope)
    if (!this.transaction && this.#lastValues.discardedAlone(statementTraits(text).kind)) this.#discardLastValues()
    return this.#query({ text, parameters, options, prepare, context, ofTheTask: true }, read)
  }

  /** Sends a statement of ours now, behind what is deferred: a cursor's, the export of a snapshot. */
  own(
    text: string,
    parameters: readonly unknown[],
    options: StatementOptions,
    context: StatementContext,
  ): Promise<Result> {
    if (this.refusal) return Promise.reject(this.refusal)
    this.#limit(context.scope)
    return this.#query({ text, parameters, options, prepare: false, context, ofTheTask: false })
  }

  /** Sends what is deferred without waiting for the task's first statement, if that has not been sent. */
  flush(context: StatementContext): void {
    const { transaction } = this
    if (this.refusal || transaction?.state !== 'deferred') return
    this.#limit(context.scope)
    const last = transaction.takeLast()
    if (!last) return
    const { text, parameters = [] } = last
    const sent = this.#query({ text, parameters, options: {}, prepare: false, context, ofTheTask: false })
    const { answered, refusal, told } = last
    sent.then(answered, (error: unknown) => {
      answered?.()
      if (this.failure) return
      if (refusal) this.cancel(refusal(error), 'unhealthy')
      else transaction.refused(told?.(error) ?? error)
    })
  }

  /** Sends a script of ours that ends something; what is deferred stays unsent. A failure fails the transaction. */
  script(text: string): Promise<Result> {
    if (this.refusal) return Promise.reject(this.refusal)
    const { transaction } = this
    const failed = (error: unknown) => {
      transaction?.failed(error, false)
      throw error
    }
    return this.connection.script<Result>(text, { answered: (result) => result, failed })
  }

  /** A query that runs in a statement of ours may change the server session, as any other. */
  noticeState(query: string, command = 'SELECT'): void {
    if (changesSession(command, statementTraits(query))) this.retire('session_state_changed')
  }

  // ---- the transaction

  /** A transaction begins with the next statement. */
  begin(): OpenTransaction {
    this.transaction = new OpenTransaction()
    return this.transaction
  }

  /** COMMIT is being sent. */
  committing(): void {
    if (this.transaction) this.transaction.state = 'committing'
    this.#time.commitBegan()
  }

  /** The transaction has ended, one way or the other; `error` is what COMMIT failed with. */
  ended(outcome: TransactionOutcome = 'rolled_back', error?: unknown): void {
    const { publish } = this.#observers
    if (publish) this.#tellEnd(publish, outcome, error)
    this.transaction = undefined
    this.#time.commitEnded()
    this.scopes.committed()
  }

  /** The task ends before its transaction has: it is undone with its connection, unless COMMIT is under way. */
  leaveTransaction(publish: NonNullable<Publish>): void {
    this.#tellEnd(publish, this.transaction?.state === 'committing' ? 'unknown' : 'rolled_back', undefined)
  }

  // ---- the end

  /** The connection is closed when it comes back, and not reused. A cancelled lease has the reason of its cancellation; else the first stays. */
  retire(reason: RetireReason): void {
    this.#retirement ??= reason
  }

  /** Why the connection must be closed afterwards; undefined while it may be reused. */
  get retirement(): RetireReason | undefined {
    return this.#retirement
  }

  /** What was suspected has proved true: parsed anew, it fits. The connection is replaced. */
  outdated(): void {
    if (this.#prepared.confirm()) this.retire('prepared_statements_outdated')
  }

  /** Bounds the whole task by `scope`, in place of the one that did before; undefined: by none any more. */
  bind(scope: Scope | undefined): void {
    this.#unbind?.()
    this.#unbind = scope && this.watch(scope)
  }

  /** Cancels the lease when `scope` is cancelled; returns what ends the watch. */
  watch(scope: Scope): () => void {
    return this.scopes.watch(scope, (reason) => {
      this.cancel(this.errorFor(reason), reason.kind === 'deadline' ? 'deadline' : 'cancelled', scope)
    })
  }

  /**
   * Refuses everything from now on and stops what runs on the server. The tasks that `scope` bounds are given up; one
   * further out may catch that and end in its own way.
   */
  cancel(error: RivuletError, reason: RetireReason, scope?: Scope): void {
    this.#stop(error, reason, scope?.deadline?.timeoutMs)
    this.scopes.rejectTasks(error, scope, this.transaction?.state === 'committing')
  }

  /** Stops what a task left running that has ended with an error of its own. */
  abandon(): void {
    this.#stop(new UsageError('the task ended while statements of its own still ran'), 'statements_still_running')
  }

  #stop(error: RivuletError, reason: RetireReason, timeoutMs = Infinity): void {
    if (this.#state.kind !== 'open') return
    this.#retirement = reason
    this.#controller?.abort(error)
    this.connection.discard(error)
    const stopped = this.connection.inFlight > 0 ? cancelOnServer(this.connection, timeoutMs) : undefined
    this.#state = { kind: 'cancelled', error, stopped }
  }

  /** The task has given its connection back: nothing that it left behind may reach the next lease. */
  release(): void {
    this.#state = { kind: 'released', error: this.failure }
    this.parent = undefined
  }

  get isReleased(): boolean {
    return this.#state.kind === 'released'
  }

  /** Why it was cancelled; undefined when its task just ended. */
  get failure(): RivuletError | undefined {
    return this.#state.kind === 'open' ? undefined : this.#state.error
  }

  /** Why nothing more may be sent; undefined while the task has the connection. */
  get refusal(): RivuletError | undefined {
    if (this.#state.kind === 'open') return undefined
    return this.#state.error ?? new SessionEnded('the session of this transaction has ended')
  }

  /** Aborted when the lease is cancelled. Made when first asked for. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.failure) this.#controller.abort(this.failure)
    return this.#controller.signal
  }

  /** Resolves when no statement of the task is running. */
  async idle(): Promise<void> {
    while (this.running > 0) await new Promise<void>((resolve) => this.#settled.push(resolve))
  }

  /** Resolves when the server has stopped what a cancelled lease ran, or was given up on; undefined: nothing runs. */
  get stopped(): Promise<void> | undefined {
    return this.#state.kind === 'cancelled' ? this.#state.stopped : undefined
  }

  /** The error for a cancelled scope, with where the time went. */
  errorFor(reason: CancelReason, phase = this.#phase()): RivuletError {
    if (reason.kind === 'cancelled') return reason.error
    return this.#time.deadlineExceeded(reason.deadline, phase, this.label)
  }

  /** The deadline's error, where the server kept the deadline before our own timer did; undefined otherwise. */
  stoppedByDeadline(error: unknown, phase: Phase): RivuletError | undefined {
    if (!(error instanceof StatementTimeout)) return undefined
    const scope = this.scopes.expired
    const deadline = scope?.deadline
    if (deadline) this.cancel(this.errorFor({ kind: 'deadline', deadline }, phase), 'deadline', scope)
    // So that its signal is aborted, and the other tasks that it bounds end as well.
    scope?.expire()
    return this.failure
  }

  /** Tells what watches that a statement of the task has ended. */
  tell(text: string, durationMs: number, rows: number | null, error: unknown): void {
    const { publish } = this.#observers
    const { label, connection } = this
    publish?.({ type: 'statement.finished', label, backendPid: connection.backendPid, text, durationMs, rows, error })
  }

  // ---- inside

  /** Puts the time limit in front of the next statement: in its batch, or before it outside a transaction. */
  #limit(scope: Scope | undefined): void {
    if (this.#limitsItself) return
    const { connection, transaction } = this
    const timeoutMs = timeoutFor(scope?.deadline, connection)
    if (transaction) return transaction.limit(timeoutMs, connection.statementTimeoutMs)
    if (!this.#ownsServerSession || timeoutMs === connection.statementTimeoutMs) return
    connection.statementTimeoutMs = timeoutMs
    // Nothing relies on it. Should it fail, our own timer keeps the deadline; what is in force is then not known.
    const failed = () => void (connection.statementTimeoutMs = NaN)
    void connection.script(`set statement_timeout = ${timeoutValue(timeoutMs)}`, { answered: () => undefined, failed })
  }

  #query<T = Result>(
    { text, parameters, options, prepare, context: { pending }, ofTheTask }: SentStatement,
    read?: (rows: Result) => T,
  ): Promise<T> {
    const startedAt = this.#began(pending, ofTheTask)
    const number = this.statements
    if (statementTraits(text).kind !== 'read') this.#lastWrite = number
    const { transaction } = this
    let steps: readonly DeferredStep[] | undefined
    let repeated = false
    const outcome: Outcome<T> = {
      answered: (result) => {
        this.#finished(pending)
        if (repeated) this.outdated()
        steps?.forEach(({ answered }) => answered?.())
        if (ofTheTask) this.noticeState(text, result.command)
        if (ofTheTask) this.tell(text, performance.now() - startedAt, result.count ?? null, undefined)
        try {
          // Stopped too late: it ran, but the task it ran for has been given up.
          if (this.failure) throw this.failure
          return pending.reading(handed, read ? read(result) : (result as T))
        } catch (error) {
          pending.failing(handed)
          throw error
        }
      },
      again: (error) => {
        if (isPassing(error) || this.failure) return undefined
        this.#prepared.suspect(text)
        repeated = true
        const others = this.statements === number ? 'none' : this.#lastWrite > number ? 'any' : 'reads'
        const again = transaction ? stepsAgain(steps) : aloneAgain(text, others)
        if (!again) markOutdated(error)
        return again
      },
      failed: (error, refusedStep) => {
        this.#finished(pending)
        steps?.forEach(({ answered }) => answered?.())
        pending.failing(handed)
        // Not all that a failing statement did is undone: an advisory lock of the session stays.
        if (ofTheTask) this.noticeState(text, statementTraits(text).kind === 'code' ? 'CALL' : 'SELECT')
        if (ofTheTask) this.tell(text, performance.now() - startedAt, null, error)
        transaction?.failed(error, ofTheTask && !refusedStep)
        throw this.#reasonOf(error, refusedStep, transaction)
      },
    }
    // Not before the connection has accepted the statement: what is taken for one that is not sent would be lost.
    const take = () => (steps = this.#steps(text, prepare, ofTheTask))
    const plain = !transaction && !this.#lastValues.asked && prepare === (options.prepare ?? false)
    const { arrays, names, rows } = options
    // Spelt out: a spread would take microseconds.
    const sent =
      plain && !statementTraits(text).limitsStatements ? options : { arrays, names, rows, prepare, steps: take }
    const said = this.tracing?.comment && !prepare ? this.tracing.comment(text) : text
    const handed: Promise<T> = this.connection.query(said, parameters, sent, outcome)
    return handed
  }

  /** Before a statement that may have no steps: what runs without it is given up. */
  #discardLastValues(): void {
    const failed = (error: unknown) => this.cancel(asRivuletError(error), 'unhealthy')
    void this.connection.script(discardSequences, { answered: () => undefined, failed })
  }

  /** Takes the steps of a statement that is sent now. */
  #steps(text: string, prepared: boolean, ofTheTask: boolean): readonly DeferredStep[] | undefined {
    const { transaction } = this
    if (transaction?.state === 'deferred') transaction.begunAt = this.lastUsedAt
    const steps = transaction?.take(prepared)
    if (!ofTheTask) return steps
    const { limitsStatements, kind } = statementTraits(text)
    if (limitsStatements) this.#limitsItself = true
    return this.#lastValues.discardedBefore(kind, steps, transaction !== undefined)
  }

  #began(pending: PendingPromises, ofTheTask: boolean): number {
    this.statements += 1
    this.running += 1
    pending.running += 1
    // Statements of ours, such as a cursor's, are sent together on purpose.
    if (ofTheTask && this.running > this.mostRunning) this.mostRunning = this.running
    this.lastUsedAt = performance.now()
    if (this.running === 1) this.#time.statementsBegan(this.lastUsedAt)
    return this.lastUsedAt
  }

  #finished(pending: PendingPromises): void {
    this.running -= 1
    pending.running -= 1
    this.lastUsedAt = performance.now()
    if (this.running > 0) return
    this.#time.statementsEnded(this.lastUsedAt)
    for (const resolve of this.#settled.splice(0)) resolve()
  }

  /** What a failed statement is answered with. */
  #reasonOf(error: unknown, step: DeferredStep | undefined, transaction: OpenTransaction | undefined): unknown {
    const failure = this.stoppedByDeadline(error, 'statement') ?? this.failure
    if (failure) return failure
    if (this.connection.lost) this.retire('unhealthy')
    if (!step) return transaction ? transaction.reasonFor(error) : error
    // The server has refused what was to guard the statement, which did not run.
    const reason = step.refusal?.(error) ?? error
    // In a failed transaction the server itself refuses all that follows, up to the next savepoint.
    if (!step.refusal && transaction && this.connection.transactionStatus === 'E') transaction.refused(error)
    else this.cancel(asRivuletError(reason), 'unhealthy')
    return reason
  }

  #phase(): Phase {
    if (this.transaction?.state === 'committing') return 'commit'
    return this.running > 0 ? 'statement' : 'task'
  }

  /** Tells once what came of the transaction, if any of it was sent. */
  #tellEnd(publish: NonNullable<Publish>, outcome: TransactionOutcome, error: unknown): void {
    const { label, transaction } = this
    if (transaction?.begunAt === undefined) return
    const { backendPid } = this.connection
    const durationMs = performance.now() - transaction.begunAt
    const { commitMs } = this.#time
    transaction.begunAt = undefined
    publish({ type: 'transaction.finished', label, backendPid, outcome, durationMs, commitMs, error })
  }
}

/** A statement on its way. */
interface SentStatement {
  readonly text: string
  readonly parameters: readonly unknown[]
  readonly options: Pick<StatementOptions, 'arrays' | 'names' | 'prepare' | 'rows'>
  /** Whether it is to be prepared on this connection. */
  readonly prepare: boolean
  readonly context: StatementContext
  /** False for a statement of ours. */
  readonly ofTheTask: boolean
}
