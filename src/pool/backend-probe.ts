/**
 * Looks for backends from outside: on a short-lived connection to the very place that theirs lead to, it asks
 * pg_stat_activity what they do. A role always sees its own sessions there.
 * https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
 */
import { ConnectionLost } from '../errors.ts'
import { isServerError } from '../sqlstate.ts'
import type { Connection } from './connection.ts'
import { openConnection } from './open-connection.ts'

/**
 * `there`: it works, or nothing speaks against it. `waiting`: it waits for us, while we wait for it. `gone`: the server
 * does not have it any more. `out of reach`: no server answers at its place.
 */
export type BackendFinding = 'there' | 'waiting' | 'gone' | 'out of reach'

/** How long to try, and until when. */
export interface ProbeOptions {
  readonly connectTimeoutMs: number
  readonly signal: AbortSignal
}

/** What the backends do that are still those they were. */
const activity = `select pid, extract(epoch from backend_start)::text as started,
    state like 'idle%' or (state = 'active' and wait_event = 'ClientRead') as waiting
  from pg_catalog.pg_stat_activity
  where pid::text || ' ' || extract(epoch from backend_start)::text = any($1::text[])`

interface Activity {
  readonly pid: number
  readonly started: string
  readonly waiting: boolean | null
}

/** Finds out about connections that lead to one place. */
export async function lookFor(
  connections: readonly Connection[],
  options: ProbeOptions,
): Promise<ReadonlyMap<Connection, BackendFinding>> {
  try {
    const rows = await onProbe(connections, options, activity)
    return new Map(connections.map((connection) => [connection, findingOf(connection, rows as Activity[])]))
  } catch (error) {
    // A server that refuses the probe is there: it has too many connections, or is about to stop when all have left.
    const silent = error instanceof ConnectionLost && !isServerError(error.cause)
    return new Map(connections.map((connection) => [connection, silent ? 'out of reach' : 'there']))
  }
}

/**
 * Ends the backends of connections that were given up, at one place: they may hold locks, and would for as long as their
 * side believes in the connection.
 */
export async function endBackends(connections: readonly Connection[], options: ProbeOptions): Promise<void> {
  const text = `select pg_catalog.pg_terminate_backend(pid) from (${activity}) as activity`
  // No call waits for it, and no caller could do anything about it.
  await onProbe(connections, options, text).catch(() => undefined)
}

/** Asks about the backends of connections, of which there is one at least. */
async function onProbe(
  connections: readonly Connection[],
  { connectTimeoutMs, signal }: ProbeOptions,
  text: string,
): Promise<unknown[]> {
  const { address } = connections[0] as Connection
  const startup = { ...address.startup, application_name: `${address.startup.application_name ?? 'rivulet'} (probe)` }
  const there = { ...address, startup, sessionKind: 'any' as const }
  const probe = await openConnection({ address: there, connectTimeoutMs, signal })
  const stop = () => probe.destroy()
  signal.addEventListener('abort', stop, { once: true })
  try {
    // Behind a pooler there is nothing to look for, and no setting that is ours.
    if (connections.every(({ backend }) => backend.started === undefined)) return []
    // A limit of server, database or role is for the statements of a service.
    await probe.script('set statement_timeout = 0')
    const keys = connections.map(({ backend }) => `"${backend.pid} ${backend.started ?? ''}"`)
    return await probe.query(text, [`{${keys.join(',')}}`])
  } finally {
    signal.removeEventListener('abort', stop)
    await probe.close()
  }
}

function findingOf({ backend: { pid, started } }: Connection, rows: readonly Activity[]): BackendFinding {
  if (started === undefined) return 'there'
  const row = rows.find((each) => each.pid === pid && each.started === started)
  if (row === undefined) return 'gone'
  return row.waiting === true ? 'waiting' : 'there'
}
