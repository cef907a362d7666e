/**
 * Runs one task in one session on one connection, from the queue to the release, also when the task fails in between.
 * This is the only place that acquires and releases connections for tasks.
 */
import type { AsyncLocalStorage } from 'node:async_hooks'
import { DeadlineExceeded, type RivuletError, UsageError } from '../errors.ts'
import type { RetireReason } from '../observe/observation.ts'
import type { Connection } from '../pool/connection.ts'
import type { Pool } from '../pool/pool.ts'
import { type CancelReason, isBounded, Scope, type TaskOptions } from '../task/scope.ts'
import { Lease } from '../lease/lease.ts'
import type { ActiveLeases } from '../lease/active-leases.ts'
import { type SessionEnvironment, stillCommitting, stillOpen, stillRunning, TaskSession } from './session.ts'
import { type Identity, identityStatement } from './identity.ts'
import { liftTimeout } from '../lease/lift-timeout.ts'
import { Transaction } from './transaction.ts'

/** A task: what runs in a session of its own. */
export type Task<TSession, T> = (session: TSession) => T | PromiseLike<T>

/** A session that runs, as the calls made in its course see it. */
export interface Running {
  readonly lease: Lease
  readonly scope: Scope | undefined
}

/** What the sessions of one engine run on. */
export interface Runtime<TSession = unknown> extends SessionEnvironment {
  /** What a task is given of its session. */
  readonly give: (session: TaskSession) => TSession
  readonly pool: Pool
  /** The session in whose course the current code runs. */
  readonly current: AsyncLocalStorage<Running>
  readonly leases: ActiveLeases
  /** Whether to remember where each session was asked for. */
  readonly traceSessions: boolean
  /** How often a session may send one statement before that is published; 0: for ever. */
  readonly repeatedStatements: number
  /** False behind a transaction pooler. */
  readonly ownsServerSession: boolean
}

/** When and on what a task ran; filled in as it happens. */
export interface Timing {
  waitMs: number
  runMs: number
  backendPid: number | undefined
}

/** A stack trace, as `Error.captureStackTrace` leaves it. */
export interface Trace {
  stack?: string
}

/** How `runTask` runs a task. */
export interface RunOptions extends Pick<TaskOptions, 'label'> {
  /** Bounds wait and task; the caller closes it. */
  readonly scope: Scope | undefined
  /** Called when the task is over, or could not begin, before its result is returned. */
  readonly ended?: (() => void) | undefined
  readonly identity?: Identity | undefined
  /** True when the task is one transaction, which puts the identity on itself. */
  readonly opensTransaction?: boolean | undefined
  readonly timing?: Timing | undefined
  /** Where the task was asked for, when that is not where it is run from. */
  readonly trace?: Trace | undefined
  /** The lease of the task in whose course this one was asked for, where it is not the current one. */
  readonly parent?: Lease | undefined
}

/** The session in whose course the current code runs; undefined for work that outlived its session. */
export function currentOf(runtime: Pick<Runtime, 'current'>): Running | undefined {
  const current = runtime.current.getStore()
  return current?.lease.isReleased ? undefined : current
}

/** Opens the scope of a call, unless nothing can cut it short. */
export function openScope(runtime: Runtime, options: TaskOptions): Scope | undefined {
  const parent = currentOf(runtime)?.scope
  if (parent === undefined && !isBounded(options)) return undefined
  return new Scope(options, parent)
}

/**
 * Acquires a connection, runs the task in a session on it, and gives it back. Sparing with promises, here and in
 * `runOn`: beside the round trip they are the greatest cost of a short task.
 */
export function runTask<TSession, T>(
  runtime: Runtime<TSession>,
  task: Task<TSession, T>,
  options: RunOptions,
): Promise<Awaited<T>> {
  const { tracing } = runtime
  if (!tracing) return runUntraced(runtime, task, options)
  return tracing.around('task', options.label, () => runUntraced(runtime, task, options))
}

function runUntraced<TSession, T>(
  runtime: Runtime<TSession>,
  task: Task<TSession, T>,
  options: RunOptions,
): Promise<Awaited<T>> {
  const { timing, ended } = options
  const run = (lease: Lease) => {
    const startedAt = timing ? performance.now() : 0
    return runOn(runtime, lease, task, options, () => {
      if (timing) timing.runMs = performance.now() - startedAt
      const stopping = closeLease(runtime, lease)
      // A task has ended when its statements have; only a deadline does not wait for that.
      if (stopping && lease.retirement !== 'deadline') return stopping.then(ended)
      ended?.()
      return undefined
    })
  }
  const opening = openLease(runtime, options)
  if (opening instanceof Lease) return run(opening)
  return opening.then(run, (error: unknown) => {
    ended?.()
    throw error
  })
}

/** Opens the lease of a task: at once on a free connection, else when its turn has come. */
export function openLease(runtime: Runtime, options: RunOptions): Lease | Promise<Lease> {
  const askedAt = performance.now()
  const trace = options.trace ?? captureTrace(runtime, openLease)
  const open = (connection: Connection) => leaseOn(runtime, connection, options, performance.now() - askedAt, trace)
  // A call that was cancelled before it began must not cost a connection.
  const connection = options.scope?.reason ? undefined : runtime.pool.tryAcquire()
  return connection ? open(connection) : waitForConnection(runtime, options).then(open)
}

function waitForConnection(runtime: Runtime, options: RunOptions): Promise<Connection> {
  const { pool, tracing } = runtime
  const acquire = () => pool.acquire(acquireRequest(runtime, options))
  return tracing ? tracing.around('wait', options.label, acquire) : acquire()
}

/** Where the caller stands, if traces are on; formatted only when a report needs it. */
export function captureTrace(
  runtime: Pick<Runtime, 'traceSessions'>,
  below: (...args: never[]) => unknown,
): Trace | undefined {
  if (!runtime.traceSessions) return undefined
  const trace: Trace = {}
  Error.captureStackTrace(trace, below)
  return trace
}

function leaseOn(
  runtime: Runtime,
  connection: Connection,
  { label, scope, timing, parent = currentOf(runtime)?.lease }: RunOptions,
  queueMs: number,
  trace: Trace | undefined,
): Lease {
  const { pool, observers, tracing, repeatedStatements, ownsServerSession } = runtime
  const options = { label, observers, tracing, repeatedStatements, ownsServerSession, queueMs, trace, parent }
  const lease = new Lease(connection, options)
  pool.setLease(connection, lease)
  runtime.leases.add(lease)
  if (timing) Object.assign(timing, { waitMs: queueMs, backendPid: connection.backendPid })
  observers.publish?.({ type: 'session.acquired', label, backendPid: connection.backendPid, waitMs: queueMs })
  if (scope) lease.bind(scope)
  return lease
}

/**
 * Runs one task in a session on an open lease; with an identity, in a transaction of its own. `close` is called when
 * it is over; the result waits for the promise that it returns.
 */
export function runOn<TSession, T>(
  runtime: Runtime<TSession>,
  lease: Lease,
  task: Task<TSession, T>,
  options: RunOptions,
  close?: () => Promise<void> | undefined,
): Promise<Awaited<T>> {
  const { tracing } = runtime
  if (!tracing || !options.identity || options.opensTransaction) return runSession(runtime, lease, task, options, close)
  return tracing.around('transaction', options.label, () => runSession(runtime, lease, task, options, close))
}

async function runSession<TSession, T>(
  runtime: Runtime<TSession>,
  lease: Lease,
  task: Task<TSession, T>,
  { scope, identity, opensTransaction = false }: RunOptions,
  close?: () => Promise<void> | undefined,
): Promise<Awaited<T>> {
  let transaction: Transaction | undefined
  const session = new TaskSession(runtime, lease, scope, opensTransaction ? identity : undefined)
  try {
    if (lease.refusal) throw lease.refusal
    if (identity && !opensTransaction) transaction = await Transaction.begin(lease, {}, [identityStatement(identity)])
    else if (isLimited(lease, scope)) await liftTimeout(lease)
    const work = runtime.current.run({ lease, scope }, task, runtime.give(session))
    const result = await lease.scopes.run(work, scope)
    const open = session.end()
    const unfinished = open ? openWork(lease) : unfinishedWork(lease, session.running)
    if (unfinished) {
      session.silence()
      throw await unfinished
    }
    if (transaction) await transaction.commit()
    return result
  } catch (error) {
    session.end()
    session.silence()
    if (transaction) await transaction.rollback(session.running)
    throw error
  } finally {
    const closing = close?.()
    if (closing) await closing
  }
}

/** True when the server still keeps the time limit of an earlier call, and this one has more time. */
function isLimited({ connection, transaction }: Lease, scope: Scope | undefined): boolean {
  const { statementTimeoutMs } = connection
  if (statementTimeoutMs === 0 || transaction) return false
  return scope?.deadline === undefined || !(scope.deadline.remainingMs <= statementTimeoutMs)
}

/** Gives the connection back, or has it closed; resolves when what still runs on it has been stopped. */
export function closeLease(runtime: Runtime, lease: Lease): Promise<void> | undefined {
  const { connection, label } = lease
  lease.bind(undefined)
  runtime.leases.delete(lease)
  const { publish } = runtime.observers
  if (publish) {
    lease.leaveTransaction(publish)
    const { heldMs, statements, mostRunning } = lease
    publish({ type: 'session.released', label, backendPid: connection.backendPid, heldMs, statements })
    if (mostRunning > 1) publish({ type: 'session.pipelined', label, statements: mostRunning })
    for (const { text, count, sentFrom = lease.acquiredAt } of lease.repeated?.found() ?? []) {
      publish({ type: 'session.repeated', label, text, count, sentFrom })
    }
  }
  if (lease.refusal === undefined && lease.running > 0) lease.abandon()
  const stopped = connection.inFlight > 0 ? lease.stopped : undefined
  lease.release()
  const release = () => runtime.pool.release(connection, retirement(runtime, lease))
  if (stopped) return stopped.then(release)
  release()
  return undefined
}

function retirement({ ownsServerSession }: Runtime, lease: Lease): RetireReason | undefined {
  const { connection } = lease
  if (lease.retirement) return lease.retirement
  if (lease.transaction && !connection.lost) return 'left_transaction_open'
  if (ownsServerSession && connection.server.settingsChanged) return 'session_state_changed'
  if (connection.inFlight > 0 || connection.transactionStatus === 'I') return undefined
  return connection.transactionStatus === undefined ? 'unhealthy' : 'left_transaction_open'
}

/** A task has returned while a transaction or a stream in it was open: its end is seen to here, and the error for it. */
async function openWork(lease: Lease): Promise<UsageError> {
  if (lease.transaction?.state !== 'committing') {
    lease.abandon()
    return stillOpen()
  }
  await lease.connection.quiet()
  lease.retire('statements_still_running')
  return stillCommitting()
}

/** A task has returned: the error if `running` statements of it still run, or if a transaction of its own is open. */
function unfinishedWork(lease: Lease, running: number): Promise<UsageError> | UsageError | undefined {
  // Given up in an inner transaction, which the task has caught: what it ran is being stopped.
  if (lease.refusal) return undefined
  if (running > 0) {
    return lease.idle().then(() => {
      lease.retire('statements_still_running')
      return stillRunning(running)
    })
  }
  if (lease.transaction || lease.statements === 0) return undefined
  const { transactionStatus } = lease.connection
  // Said only when the server said so: its last word may have been about something else, such as its own end.
  if (transactionStatus !== 'T' && transactionStatus !== 'E') return undefined
  lease.retire('left_transaction_open')
  return new UsageError('the task left a transaction open, which was rolled back: use session.transaction')
}

function acquireRequest(runtime: Runtime, { label, scope, parent }: RunOptions) {
  return {
    label,
    scope,
    parent: parent ?? currentOf(runtime)?.lease,
    cancelled: (reason: CancelReason, waitedMs: number): RivuletError => {
      if (reason.kind === 'cancelled') return reason.error
      const { opening, open } = runtime.pool.stats()
      const phase = opening > 0 && open === 0 ? 'connect' : 'queue'
      const where = phase === 'connect' ? 'while connecting' : 'while waiting for a connection'
      return new DeadlineExceeded(
        `the deadline of ${reason.deadline.timeoutMs} ms passed ${where}${label === undefined ? '' : ` for ${label}`}`,
        { phase, spentMs: { [phase]: waitedMs }, cause: runtime.pool.outage() },
      )
    },
  }
}
