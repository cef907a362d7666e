/**
 * A deadline leaves its statement_timeout on the server session, because the next call often has the same one. Neither
 * BEGIN, which guards what follows, nor a call with more time may run under it: it is lifted first, and waited for.
 */
import { ConnectionLost, StatementTimeout } from '../errors.ts'
import type { Lease } from './lease.ts'

/** Attempts: on a server that stood still, the old limit may hit this as well. */
const attempts = 5

/** Lifts the limit of an earlier call, if there is one. @throws ConnectionLost, or why the lease is cancelled. */
export async function liftTimeout(lease: Lease): Promise<void> {
  const { connection } = lease
  for (let attempt = 1; connection.statementTimeoutMs !== 0; attempt++) {
    try {
      const lifted = lease.script('set statement_timeout = default')
      // The old limit may run out as that ends, and would then hit the next statement: this one.
      await Promise.all([lifted, lease.script('select 1')])
      connection.statementTimeoutMs = 0
    } catch (error) {
      if (error instanceof StatementTimeout && !lease.refusal && attempt < attempts) continue
      lease.retire('unhealthy')
      throw lease.refusal ?? new ConnectionLost('the time limit of an earlier call was not lifted', { cause: error })
    }
  }
}
