/**
 * One view of the database for several connections. A leader begins a read-only repeatable-read transaction and exports
 * its snapshot; helpers import it before their first statement. The leader drains the tasks as well, so a single
 * connection is enough, and no lane holds a connection while it waits for another; a lane that gets none is not missed.
 * The exporter must live until the imports are answered, not longer.
 * https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
 */
import { Cancelled, ConnectionLost } from '../errors.ts'
import { Scope } from '../task/scope.ts'
import type { Lease } from '../lease/lease.ts'
import { type Entry, type GatherRun, type Queue, tracked } from './gather-run.ts'
import { closeLease, openLease, runOn, type Runtime } from '../session/run-task.ts'
import { identityStatement, mergeIdentities } from '../session/identity.ts'
import type { DeferredStep } from '../lease/open-transaction.ts'
import { PendingPromises } from '../lease/pending-promises.ts'
import { Transaction } from '../session/transaction.ts'

/** Drains `queue` on connections that share one snapshot: the leader's and those of up to `helpers` others. */
export async function drainOnSnapshot<TSession>(
  runtime: Runtime<TSession>,
  run: GatherRun<TSession>,
  queue: Queue<TSession>,
  helpers: number,
): Promise<void> {
  const { scope, label } = run
  let reason: unknown
  try {
    const leader = await openLease(runtime, { scope, label, trace: run.trace })
    await lead(runtime, run, queue, { leader, helpers })
    reason = scope.reason ? leader.failure : snapshotLost(leader.failure ?? leader.connection.lost)
  } catch (error) {
    // No connection, or no snapshot: none of the tasks has begun, and each of them fails for that.
    reason = error
  }
  // No transaction is left that sees the snapshot: a task that has not run by now cannot run any more.
  for (let entry = queue.take(); entry; entry = queue.take()) await run.perform(entry, () => Promise.reject(reason))
}

/** Exports the leader's snapshot, and drains the queue together with the helpers. */
async function lead<TSession>(
  runtime: Runtime<TSession>,
  run: GatherRun<TSession>,
  queue: Queue<TSession>,
  { leader, helpers }: { readonly leader: Lease; readonly helpers: number },
): Promise<void> {
  const { scope } = run
  const waiting = new Scope({}, scope)
  const imports: Promise<void>[] = []
  let helping: Promise<unknown> = Promise.resolve()
  try {
    const snapshot = await exportSnapshot(leader, scope)
    const help = () => helpOut(runtime, run, queue, { snapshot, waiting, imports })
    helping = Promise.all(Array.from({ length: helpers }, help))
    await drainOn(runtime, run, queue, leader)
  } finally {
    // No task is left to take, so helpers that still wait for a connection may go.
    waiting.cancel(new Cancelled('no task is left'))
    await Promise.all(imports)
    await endLane(runtime, leader)
    await helping
    waiting.close()
  }
}

interface Help {
  readonly snapshot: string
  /** Cancelled when there is nothing left to help with. */
  readonly waiting: Scope
  /** What the leader must outlive. */
  readonly imports: Promise<void>[]
}

async function exportSnapshot(lease: Lease, scope: Scope): Promise<string> {
  await openTransaction(lease, [])
  const rows = await lease.own(
    'select pg_export_snapshot() as id',
    [],
    {},
    {
      scope,
      pending: new PendingPromises(),
    },
  )
  return (rows[0] as { id: string }).id
}

async function helpOut<TSession>(
  runtime: Runtime<TSession>,
  run: GatherRun<TSession>,
  queue: Queue<TSession>,
  { snapshot, waiting, imports }: Help,
): Promise<void> {
  let lease: Lease
  try {
    lease = await openLease(runtime, { scope: waiting, label: run.label, trace: run.trace })
  } catch {
    // A helper without a connection is not missed: the leader takes the tasks.
    return
  }
  lease.bind(run.scope)
  if (queue.remaining > 0 && !lease.refusal) {
    let answered!: () => void
    // Before anything is awaited: the leader keeps the snapshot until this is resolved.
    imports.push(new Promise((resolve) => (answered = resolve)))
    const importing = { text: `set transaction snapshot '${snapshot}'`, answered, refusal: snapshotLost }
    await openTransaction(lease, [importing]).catch(() => lease.abandon())
    // The import travels with the first statement of the first task; one that sends none now must not hold up the leader.
    setImmediate(() => lease.flush({ scope: run.scope, pending: new PendingPromises() }))
    await drainOn(runtime, run, queue, lease)
    answered()
  }
  await endLane(runtime, lease)
}

function snapshotLost(cause: unknown): ConnectionLost {
  return new ConnectionLost('the snapshot ended with the connection that held it', { cause })
}

/** Runs tasks on one lease until none is left or the lease can take no more. */
async function drainOn<TSession>(
  runtime: Runtime<TSession>,
  run: GatherRun<TSession>,
  queue: Queue<TSession>,
  lease: Lease,
): Promise<void> {
  while (!lease.refusal && !lease.connection.lost) {
    const entry = queue.take()
    if (!entry) return
    entry.timing.waitMs = performance.now() - run.startedAt
    entry.timing.backendPid = lease.connection.backendPid
    const startedAt = performance.now()
    await run.perform(entry, (scope) => runOnLane(runtime, run, lease, entry, scope))
    entry.timing.runMs = performance.now() - startedAt
  }
}

/** Runs one task in a savepoint, so that a failure leaves the snapshot to the next one. */
async function runOnLane<TSession>(
  runtime: Runtime<TSession>,
  run: GatherRun<TSession>,
  lease: Lease,
  entry: Entry<TSession>,
  scope: Scope,
): Promise<unknown> {
  const identity = mergeIdentities(run.identity, entry.spec.identity)
  const savepoint = await Transaction.begin(lease, {}, [identity && identityStatement(identity)])
  const unwatch = scope === run.scope ? undefined : lease.watch(scope)
  try {
    const { label } = entry
    const run = () => runOn(runtime, lease, tracked(runtime, entry), { scope, label })
    return await (runtime.tracing ? runtime.tracing.around('task', label, run) : run())
  } finally {
    unwatch?.()
    savepoint.undo()
  }
}

/** Begins a lane's transaction. `endLane` ends it without waiting: a read-only one has nothing to commit. */
async function openTransaction(lease: Lease, steps: readonly DeferredStep[]): Promise<void> {
  await Transaction.begin(lease, { isolation: 'repeatable read', readOnly: true }, steps)
}

/** Milliseconds granted to the server to answer ROLLBACK, for which no deadline holds any more. */
const rollbackMs = 1000

/**
 * Ends the transaction. The gather does not wait for the answer, but the connection does: nothing else runs on it
 * before, and one that does not answer is closed. Of a cancelled lane it is waited for that what ran on it has been stopped, unless time is up.
 */
async function endLane(runtime: Runtime, lease: Lease): Promise<void> {
  if (lease.transaction && !lease.refusal && !lease.connection.lost) {
    const timer = setTimeout(() => lease.connection.destroy(), rollbackMs)
    const ended = lease.script('rollback').catch(() => lease.retire('unhealthy'))
    lease.ended()
    return void ended.then(() => {
      clearTimeout(timer)
      return closeLease(runtime, lease)
    })
  }
  const stopping = closeLease(runtime, lease)
  if (lease.retirement !== 'deadline') await stopping
}
