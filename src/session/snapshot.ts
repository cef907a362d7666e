/**
 * One view of the database for several connections. A leader begins a read-only repeatable-read transaction and exports
 * its snapshot; helpers import it before their first statement. The leader drains the tasks as well, so a single
 * connection is enough and nobody holds a connection while waiting for another; a helper that gets none is not missed.
 * The exporter must live until the imports are answered, not longer.
 * https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
 */
import { Cancelled, ConnectionLost } from '../errors.ts'
import { Scope } from '../task/scope.ts'
import type { Channel } from './channel.ts'
import { type Entry, type Gathering, type Queue, tracked } from './gathering.ts'
import { closeChannel, openChannel, runOn, type Runtime } from './run.ts'
import type { TaskSession } from './session.ts'
import { identityStatement, mergeIdentities } from './identity.ts'
import { liftTimeout } from './lift-timeout.ts'
import type { Deferred } from './prelude.ts'
import { SessionWork } from './session-work.ts'
import { UnitOfWork } from './unit-of-work.ts'

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
    const leader = await openChannel(runtime, { scope, label, trace: gathering.trace })
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
  { leader, helpers }: { readonly leader: Channel; readonly helpers: number },
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

async function exportSnapshot(channel: Channel, scope: Scope): Promise<string> {
  await liftTimeout(channel)
  openUnit(channel, [])
  const rows = await channel.own('select pg_export_snapshot() as id', [], {}, scope, new SessionWork())
  return (rows[0] as { id: string }).id
}

async function helpOut<TSession extends TaskSession>(
  runtime: Runtime<TSession>,
  gathering: Gathering<TSession>,
  queue: Queue<TSession>,
  { snapshot, waiting, imports }: Help,
): Promise<void> {
  let channel: Channel
  try {
    channel = await openChannel(runtime, { scope: waiting, label: gathering.label, trace: gathering.trace })
  } catch {
    // A helper without a connection is not missed: the leader takes the tasks.
    return
  }
  channel.stopWatching?.()
  channel.stopWatching = channel.watch(gathering.scope)
  await liftTimeout(channel).catch(() => channel.giveUp())
  if (queue.remaining > 0 && !channel.doomed) {
    let answered!: () => void
    imports.push(new Promise((resolve) => (answered = resolve)))
    openUnit(channel, [{ text: `set transaction snapshot '${snapshot}'`, answered, refusal: snapshotLost }])
    // The import travels with the first statement of the first task; one that sends none now must not hold up the leader.
    setImmediate(() => channel.flush(gathering.scope, new SessionWork()))
    await drainOn(runtime, gathering, queue, channel)
    answered()
  }
  await endLane(runtime, channel)
}

function snapshotLost(cause: unknown): ConnectionLost {
  return new ConnectionLost('the snapshot ended with the connection that held it', { cause })
}

/** Runs tasks on one channel until none is left or the channel can take no more. */
async function drainOn<TSession extends TaskSession>(
  runtime: Runtime<TSession>,
  gathering: Gathering<TSession>,
  queue: Queue<TSession>,
  channel: Channel,
): Promise<void> {
  while (!channel.doomed && !channel.connection.lost) {
    const entry = queue.take()
    if (!entry) return
    entry.timing.waitMs = performance.now() - gathering.startedAt
    entry.timing.backendPid = channel.connection.backendPid
    const startedAt = performance.now()
    await gathering.run(entry, (scope) => runOnLane(runtime, gathering, channel, entry, scope))
    entry.timing.runMs = performance.now() - startedAt
  }
}

/** Runs one task in a savepoint, so that a failure leaves the snapshot to the next one. */
async function runOnLane<TSession extends TaskSession>(
  runtime: Runtime<TSession>,
  gathering: Gathering<TSession>,
  channel: Channel,
  entry: Entry<TSession>,
  scope: Scope,
): Promise<unknown> {
  const identity = mergeIdentities(gathering.identity, entry.spec.identity)
  const unit = new UnitOfWork(channel)
  const unwatch = scope === gathering.scope ? undefined : channel.watch(scope)
  const statement = identity && identityStatement(identity)
  if (statement) channel.prelude.defer(statement)
  try {
    return await runOn(runtime, channel, tracked(entry), { scope, label: entry.label })
  } finally {
    unwatch?.()
    unit.undo()
  }
}

function openUnit(channel: Channel, extra: readonly Deferred[]): void {
  // Ended by `endLane`, which does not wait: a read-only transaction has nothing to commit.
  void new UnitOfWork(channel, { isolation: 'repeatable read', readOnly: true }, extra)
}

/**
 * Ends the transaction. The gather does not wait for the answer, but the connection does: nothing else runs on it
 * before. Of a doomed lane it is waited for that what ran on it has been stopped, unless time is up.
 */
async function endLane(runtime: Runtime, channel: Channel): Promise<void> {
  if (channel.inTransaction && !channel.doomed && !channel.connection.lost) {
    const ended = channel.script('rollback').catch(() => void (channel.retire ??= 'unhealthy'))
    channel.ended()
    return void ended.then(() => closeChannel(runtime, channel))
  }
  const stopping = closeChannel(runtime, channel)
  if (channel.retire !== 'deadline') await stopping
}
