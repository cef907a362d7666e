/**
 * COMMIT, told truthfully. Only the answer COMMIT means that the work lasts: the server answers a failed transaction's
 * COMMIT with ROLLBACK and no error, and a connection that breaks before the answer leaves the outcome open.
 * https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT (pg_xact_status)
 */
import { CommitOutcomeUnknown, ConnectionLost, RivuletError, UsageError } from '../errors.ts'
import type { TransactionOutcome } from '../observe/observation.ts'
import type { Result } from '../pool/connection.ts'
import type { Lease } from '../lease/lease.ts'
import type { OpenTransaction } from '../lease/open-transaction.ts'

/**
 * Sends COMMIT and returns once the transaction is durable.
 * @throws CommitOutcomeUnknown when no answer comes, ConnectionLost when it broke before, UsageError when the task had
 * caught a failure, or the server's reason for refusing.
 */
export async function commit(
  lease: Lease,
  transaction: OpenTransaction,
  options: { readonly askTransactionId: boolean },
): Promise<void> {
  if (lease.refusal) throw lease.refusal
  const { connection } = lease
  // Lost before COMMIT was sent: what was begun is undone, and nothing is unknown.
  if (connection.lost) throw new ConnectionLost('the connection was lost before COMMIT', { cause: connection.lost })
  if (connection.inFlight === 0 && connection.transactionStatus === 'I') {
    const message = 'the transaction was ended by a statement of its own: leave COMMIT and ROLLBACK to Rivulet'
    const error = new UsageError(message)
    lease.ended('unknown', error)
    lease.retire('session_state_changed')
    throw error
  }
  lease.committing()
  // Asked for just before COMMIT, in its round trip: the answer usually arrives even if COMMIT's does not.
  let transactionId: string | undefined
  if (options.askTransactionId) {
    lease.script('select pg_current_xact_id_if_assigned()::text as id').then(
      (rows) => (transactionId = (rows as { id: string | null }[])[0]?.id ?? undefined),
      // A failed transaction answers nothing here; COMMIT says so as well.
      () => undefined,
    )
  }
  let outcome: TransactionOutcome = 'rolled_back'
  let failure: unknown
  try {
    const { command } = (await connection.script('commit')) as Result
    if (command === 'COMMIT') outcome = 'committed'
  } catch (error) {
    failure = error
    if (!(error instanceof ConnectionLost)) throw lease.stoppedByDeadline(error, 'commit') ?? error
    outcome = 'unknown'
    const ask = transactionId === undefined ? '' : `; ask pg_xact_status('${transactionId}')`
    throw new CommitOutcomeUnknown(
      `the connection broke before COMMIT was answered: the transaction may have been committed or not${ask}`,
      { cause: error, transactionId },
    )
  } finally {
    lease.ended(outcome, failure)
  }
  if (outcome === 'committed') return
  // Stopped while it waited for COMMIT: the request to stop hit what was sent just before it.
  if (lease.refusal) throw lease.refusal
  const { error: cause, ofTheTask = true } = transaction.firstFailure ?? {}
  if (!ofTheTask) throw lease.stoppedByDeadline(cause, 'commit') ?? cause
  if (cause instanceof RivuletError && cause.retryable) throw cause
  throw new UsageError(
    'the transaction was rolled back, not committed: a statement in it had failed and its error was caught; ' +
      'run statements that may fail in a nested session.transaction',
    { cause },
  )
}
