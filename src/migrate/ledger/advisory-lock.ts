/**
 * One migrator at a time, by a session-level advisory lock on the migrator's own connection.
 *
 *   absent ──pg_try_advisory_lock──▶ held ──release, or the connection's end──▶ absent
 *
 * Waiting polls, because a blocked `pg_advisory_lock()` would keep its snapshot for as long as it waits, and CREATE
 * INDEX CONCURRENTLY, run under the lock, waits for every older snapshot: a deadlock PostgreSQL breaks by killing the
 * build. https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
 *
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Cancelled, MigrationRefused } from '../../errors.ts'
import type { Connection } from '../../pool/connection.ts'
import { backoffMs, type BackoffOptions } from '../../task/backoff.ts'
import type { Deadline } from '../../task/deadline.ts'
import { refusePooler } from '../connect.ts'
import type { OnProgress } from '../progress.ts'

const keySql = 'hashtextextended($1, 0)'
const reportEveryMs = 5000
/** With jitter, so that eight migrators do not ask in step. */
const pauses: BackoffOptions = { firstMs: 40, longestMs: 500, jitter: 0.5 }

/** The options of waiting for the lock. */
export interface LockOptions {
  readonly key: string
  readonly deadline: Deadline
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/**
 * Runs `work` while holding the lock.
 * @throws MigrationRefused ('locked') naming the backend that has it when the time is up, ConfigInvalid behind a pooler.
 */
export async function withLock<T>(connection: Connection, options: LockOptions, work: () => Promise<T>): Promise<T> {
  await refusePooler(connection)
  try {
    await acquire(connection, options)
  } catch (cause) {
    if (!options.signal?.aborted) throw cause
    throw new Cancelled('interrupted while waiting for the migration lock: nothing was changed', { cause })
  }
  try {
    return await work()
  } finally {
    // A lost connection has also lost the lock.
    if (!connection.lost) await release(connection, options.key)
  }
}

/** @throws MigrationRefused when this backend does not hold the lock: a pooler has handed us another one. */
export async function assertLockHeld(connection: Connection, key: string): Promise<void> {
  const [row] = (await connection.query(
    `select exists (select from pg_catalog.pg_locks l where ${matches} and l.pid = pg_backend_pid()) as held`,
    [key],
  )) as unknown as { held: boolean }[]
  if (row?.held) return
  throw new MigrationRefused(
    'unsafe',
    'this session no longer holds the migration lock: connect to PostgreSQL directly, not through a pooler ' +
      'in transaction mode',
  )
}

async function acquire(connection: Connection, { key, deadline, signal, onProgress }: LockOptions): Promise<void> {
  const started = performance.now()
  let reportAt = started
  for (let failures = 0; ; failures += 1) {
    signal?.throwIfAborted()
    const [row] = (await connection.query(`select pg_try_advisory_lock(${keySql}) as held`, [key])) as unknown as {
      held: boolean
    }[]
    if (row?.held) return
    const waitedMs = performance.now() - started
    if (deadline.expired || performance.now() >= reportAt) {
      const other = await findLocking(connection, key)
      if (deadline.expired) throw timedOut(other, waitedMs)
      onProgress?.({ type: 'lock.awaited', pid: other?.pid, application: other?.application, waitedMs })
      reportAt = performance.now() + reportEveryMs
    }
    await delay(Math.min(backoffMs(failures, pauses), deadline.remainingMs), undefined, { signal })
  }
}

interface LockingBackend {
  readonly pid: number
  readonly application: string
}

/** pg_locks shows a 64-bit key in two halves. */
const matches = `l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
  and (l.classid::bigint << 32 | l.objid::bigint) = ${keySql}`

async function findLocking(connection: Connection, key: string): Promise<LockingBackend | undefined> {
  const rows = await connection.query(
    `select l.pid, coalesce(a.application_name, '') as application
     from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid where ${matches}`,
    [key],
  )
  return rows[0] as LockingBackend | undefined
}

function timedOut(other: LockingBackend | undefined, waitedMs: number): MigrationRefused {
  const who = other ? `backend ${other.pid}${other.application && ` (${other.application})`}` : 'another session'
  return new MigrationRefused(
    'locked',
    `another migration is running: ${who} still holds the lock after ${Math.round(waitedMs / 1000)} s. ` +
      'Wait for it and run this again, or allow more time with `--max-wait`',
  )
}

async function release(connection: Connection, key: string): Promise<void> {
  try {
    await connection.query(`select pg_advisory_unlock(${keySql})`, [key])
  } catch {
    // The error of the work says more, and closing the connection releases the lock too.
    connection.destroy()
  }
}
