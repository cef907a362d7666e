/**
 * Sends one statement, and retries on lock timeouts: a file that finds a table locked is rolled back and tried again
 * later, because all other reads queue behind a DDL statement that waits for its lock.
 * https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
 */
import { setTimeout as delay } from 'node:timers/promises'
import { LockTimeout, MigrationFailed, MigrationRefused } from '../../errors.ts'
import type { Connection } from '../../pool/connection.ts'
import { backoffMs, type BackoffOptions } from '../../task/backoff.ts'
import type { Deadline } from '../../task/deadline.ts'
import type { OpenObserver } from '../connect.ts'
import { failure, outcomeOf } from './failure.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { OnProgress } from '../progress.ts'
import type { Script, Statement } from '../files/script.ts'

/** One file to run in one direction. */
export interface Work {
  /** The file's name, for people. */
  readonly file: string
  /** The key of its progress in the ledger. */
  readonly key: string
  readonly hash: string
  readonly script: Script
  /** Enters the outcome in the ledger, in the file's transaction or in one of its own at the end. */
  readonly record: (durationMs: number) => Promise<void>
}

/** How to run. */
export interface FileRunOptions {
  readonly ledger: Ledger
  /** Milliseconds a statement may wait for a table's lock. */
  readonly lockTimeoutMs: number
  /** When waiting for another migrator ends; its duration also limits how long each file may wait for table locks. */
  readonly deadline: Deadline
  /** Undefined: a waiting statement cannot be observed. */
  readonly openObserver?: OpenObserver | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

const pauses: BackoffOptions = { firstMs: 150, longestMs: 5000, jitter: 0.5 }

/** Sends one statement. @throws MigrationFailed, which says where the statement is and what the server said. */
export async function send(
  connection: Connection,
  work: Work,
  index: number,
  statement: Statement,
  { onProgress, signal }: FileRunOptions,
): Promise<void> {
  onProgress?.({ type: 'statement.started', file: work.file, statement: index + 1, line: statement.line })
  signal?.throwIfAborted()
  try {
    await connection.script(statement.text)
  } catch (error) {
    throw failure(work, index + 1, statement, error)
  }
}

/**
 * Repeats `attempt` while it fails with a lock timeout, with growing pauses. Only waiting counts against the limit: the
 * hours that earlier statements worked do not shorten it.
 */
export async function retryOnLockTimeout(
  connection: Connection,
  work: Work,
  { deadline: { timeoutMs: maxWaitMs }, lockTimeoutMs, signal, onProgress }: FileRunOptions,
  attempt: () => Promise<void>,
): Promise<void> {
  let waitedMs = 0
  for (let failures = 0; ; failures += 1) {
    try {
      return await attempt()
    } catch (error) {
      const busy = error instanceof MigrationFailed && error.cause instanceof LockTimeout
      if (!busy || connection.lost || signal?.aborted) throw error
      await rollBack(connection)
      const oldest = await oldestTransaction(connection)
      waitedMs += lockTimeoutMs
      if (waitedMs >= maxWaitMs) throw tooBusy(work, error, oldest)
      const delayMs = Math.min(backoffMs(failures, pauses), maxWaitMs - waitedMs)
      waitedMs += delayMs
      onProgress?.({ type: 'file.gave_way', file: work.file, statement: error.statement ?? 0, delayMs, oldest })
      await delay(delayMs, undefined, { signal })
    }
  }
}

/** Rolls back the open transaction, if there is one. */
export async function rollBack(connection: Connection): Promise<void> {
  await connection.script('rollback').catch(() => connection.destroy())
}

interface OldTransaction {
  readonly pid: number
  readonly application: string
  readonly ageMs: number
}

async function oldestTransaction(connection: Connection): Promise<OldTransaction | undefined> {
  const rows = await connection.query(
    `select pid, coalesce(application_name, '') as application,
       extract(epoch from clock_timestamp() - xact_start)::float8 * 1000 as "ageMs"
     from pg_catalog.pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
       and backend_type = 'client backend' order by xact_start limit 1`,
    [],
  )
  return rows[0] as OldTransaction | undefined
}

function tooBusy(work: Work, error: MigrationFailed, oldest: OldTransaction | undefined): MigrationRefused {
  const who = oldest
    ? ` (the oldest open transaction: backend ${oldest.pid}${oldest.application && `, ${oldest.application}`})`
    : ''
  return new MigrationRefused(
    'locked',
    `${work.file} could not lock a table in the time allowed${who}: ${outcomeOf(work)}. Run it again when no long ` +
      'transaction is open, or allow more time with `--max-wait`',
    { cause: error, file: work.file, statement: error.statement ?? 0 },
  )
}
