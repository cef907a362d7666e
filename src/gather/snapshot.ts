/**
 * One view of the database for several connections. A leader begins a read-only repeatable-read transaction and exports
 * its snapshot; helpers import it before their first statement. The leader drains the tasks as well, so a single
 * connection is enough and nobody holds a connection while waiting for another; a helper that gets none is not missed.
 * The exporter must live until the imports are answered, not longer.
 * https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
 */
import { Cancelled, ConnectionLost } from '../errors.ts'
import { Scope } from '../task/scope.ts'
import type { Lease } from '../lease/lease.ts'
import { type Entry, type Gathering, type Queue, tracked } from './gather-run.ts'
import { closeLease, openLease, runOn, type Runtime } from '../session/run-task.ts'
import type { TaskSession } from '../session/session.ts'
import { identityStatement, mergeIdentities } from '../session/identity.ts'
import { liftTimeout } from '../lease/lift-timeout.ts'
import type { DeferredStep } from '../lease/open-transaction.ts'
import { PendingPromises } from '../lease/pending-promises.ts'
import { Transaction } from '../session/transaction.ts'

/** Drains `queue` on connections that share one snapshot: the leader's and those of up to `helpers` others. */
export async function drainOnSnapshot<TSession extends TaskSession>(
  runtime: Runtime<TSession>,
  gathering: Gathering<TSession>,
  queue: Queue<TSession>,
  helpers: number,
): Promise<void> {
  const { scope, label } = gathering
  let reason: unknown
  try {
    const leader = await openLease(runtime, { scope, label, trace: gathering.trace })
    await lead(runtime, gathering, queue, { leader, helpers })
    reason = scope.reason ? leader.failure : snapshotLost(leader.failure ?? leader.connection.lost)
  } catch (error) {
    // No connection, or no snapshot: none of the tasks has begun, and each of them fails for that.
    reason = error
  }
  // Nobody is left who sees the snapshot: what has not run by now cannot run any more.
  for (let entry = queue.take(); entry; entry = queue.take()) await gathering.run(entry, () => Promise.reject(reason))
}

/** Exports the leader's snapshot, and drains the queue together with the helpers. */
async function lead<TSession extends TaskSession>(
  runtime: Runtime<TSession>,
  gathering: Gathering<TSession>,
  queue: Queue<TSession>,
  { leader, helpers }: { readonly leader: Lease; readonly helpers: number },
): Promise<void> {
  const { scope } = gathering
  const waiting = new Scope({}, scope)
  const imports: Promise<void>[] = []
  let helping: Promise<unknown> = Promise.resolve()
  try {
    const snapshot = await exportSnapshot(leader, scope)
    const help = () => helpOut(runtime, gathering, queue, { snapshot, waiting, imports })
    helping = Promise.all(Array.from({ length: helpers }, help))
    await drainOn(runtime, gathering, queue, leader)
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
  await liftTimeout(lease)
  openTransaction(lease, [])
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

async function helpOut<TSession extends TaskSession>(
  runtime: Runtime<TSession>,
  gathering: Gathering<TSession>,
  queue: Queue<TSession>,
  { snapshot, waiting, imports }: Help,
): Promise<void> {
  let lease: Lease
  try {
    lease = await openLease(runtime, { scope: waiting, label: gathering.label, trace: gathering.trace })
  } catch {
    // A helper without a connection is not missed: the leader takes the tasks.
    return
  }
  lease.bind(gathering.scope)
  await liftTimeout(lease).catch(() => lease.abandon())
  if (queue.remaining > 0 && !lease.refusal) {
    let answered!: () => void
    imports.push(new Promise((resolve) => (answered = resolve)))
    openTransaction(lease, [{ text: `set transaction snapshot '${snapshot}'`, answered, refusal: snapshotLost }])
    // The import travels with the first statement of the first task; one that sends none now must not hold up the leader.
    setImmediate(() => lease.flush({ scope: gathering.scope, pending: new PendingPromises() }))
    await drainOn(runtime, gathering, queue, lease)
    answered()
  }
  await endLane(runtime, lease)
}

function snapshotLost(cause: unknown): ConnectionLost {
  return new ConnectionLost('the snapshot ended with the connection that held it', { cause })
}

/** Runs tasks on one lease until none is left or the lease can take no more. */
async function drainOn<TSession extends TaskSession>(
  runtime: Runtime<TSession>,
  gathering: Gathering<TSession>,
  queue: Queue<TSession>,
  lease: Lease,
): Promise<void> {
  while (!lease.refusal && !lease.connection.lost) {
    const entry = queue.take()
    if (!entry) return
    entry.timing.waitMs = performance.now() - gathering.startedAt
    entry.timing.backendPid = lease.connection.backendPid
    const startedAt = performance.now()
    await gathering.run(entry, (scope) => runOnLane(runtime, gathering, lease, entry, scope))
    entry.timing.runMs = performance.now() - startedAt
  }
}

/** Runs one task in a savepoint, so that a failure leaves the snapshot to the next one. */
async function runOnLane<TSession extends TaskSession>(
  runtime: Runtime<TSession>,
  gathering: Gathering<TSession>,
  lease: Lease,
  entry: Entry<TSession>,
  scope: Scope,
): Promise<unknown> {
  const identity = mergeIdentities(gathering.identity, entry.spec.identity)
  const savepoint = new Transaction(lease, {}, [identity && identityStatement(identity)])
  const unwatch = scope === gathering.scope ? undefined : lease.watch(scope)
  try {
    return await runOn(runtime, lease, tracked(entry), { scope, label: entry.label })
  } finally {
    unwatch?.()
    savepoint.undo()
  }
}

function openTransaction(lease: Lease, extra: readonly DeferredStep[]): void {
  // Ended by `endLane`, which does not wait: a read-only transaction has nothing to commit.
  void new Transaction(lease, { isolation: 'repeatable read', readOnly: true }, extra)
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
