/**
 * Observes, from a second connection, a statement that waits for the transactions of others: CREATE INDEX CONCURRENTLY
 * and the like. Such a statement blocks no other session, so it has no lock timeout; but the time that it waits (not
 * the time that it works) is limited, and the blockers are reported.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '../../pool/connection.ts'
import type { OpenObserver } from '../connect.ts'

/** A backend whose transaction has to end first. */
export interface Blocker {
  readonly pid: number
  readonly application: string
}

/** The options of observing. */
interface WatchOptions {
  readonly openObserver: OpenObserver | undefined
  /** Milliseconds that the statement may wait in all. */
  readonly maxWaitMs: number
  /** Called every few seconds of waiting. */
  readonly onWaiting: (blockers: readonly Blocker[], waitedMs: number) => void
}

const lookEveryMs = 250
const reportEveryMs = 5000

/**
 * Runs `statement`, which is sent on `connection`, and stops it when it has waited too long. Then it returns the
 * blockers, and the connection must not be used any more; otherwise undefined. @throws what `statement` throws.
 */
export async function watchBlockers(
  connection: Connection,
  { openObserver, maxWaitMs, onWaiting }: WatchOptions,
  statement: () => Promise<void>,
): Promise<readonly Blocker[] | undefined> {
  if (!openObserver) return statement().then(() => undefined)
  const over = new AbortController()
  let stoppedFor: readonly Blocker[] | undefined
  const look = async () => {
    // Most statements are done before the first look.
    await delay(Math.min(lookEveryMs, maxWaitMs), undefined, { signal: over.signal })
    const observer = await openObserver()
    try {
      let waitedMs = 0
      let reportedMs = -reportEveryMs
      let before = performance.now()
      while (!over.signal.aborted) {
        const blockers = await findBlockers(observer, connection.backendPid)
        const now = performance.now()
        waitedMs = blockers.length > 0 ? waitedMs + now - before : waitedMs
        before = now
        if (blockers.length > 0 && waitedMs >= reportedMs + reportEveryMs) {
          reportedMs = waitedMs
          onWaiting(blockers, waitedMs)
        }
        if (blockers.length > 0 && waitedMs >= maxWaitMs) {
          stoppedFor = blockers
          await connection.cancel(AbortSignal.timeout(5000))
        }
        await delay(Math.min(lookEveryMs, maxWaitMs), undefined, { signal: over.signal })
      }
    } finally {
      await observer.close()
    }
  }
  // Without a spare connection the statement runs unobserved.
  const looking = look().catch(() => undefined)
  try {
    await statement()
  } catch (error) {
    if (!stoppedFor) throw error
  } finally {
    over.abort()
    await looking
  }
  return stoppedFor
}

async function findBlockers(observer: Connection, pid: number): Promise<readonly Blocker[]> {
  const rows = await observer.query(
    `select distinct a.pid, coalesce(a.application_name, '') as application
     from unnest(pg_catalog.pg_blocking_pids($1)) b join pg_catalog.pg_stat_activity a on a.pid = b order by 1`,
    [pid],
  )
  return rows as unknown as Blocker[]
}
