/**
 * An error as attributes: its type and the server's code, never its text, which may be of the caller's making.
 * https://opentelemetry.io/docs/specs/semconv/general/recording-errors/
 */
import type { Attributes } from '@opentelemetry/api'
import { DatabaseError, RivuletError } from '../errors.ts'
import { answeredSqlState, errorType } from '../observe/error-type.ts'
import type { TransactionOutcome } from '../observe/observation.ts'

/** The attributes of what failed. */
export function errorAttributes(error: unknown): Attributes {
  return { 'error.type': errorType(error) }
}

/** The same for a call to the server, with its answer. */
export function callErrorAttributes(error: unknown): Attributes {
  const sqlState = answeredSqlState(error)
  return { ...errorAttributes(error), ...(sqlState === undefined ? {} : { 'db.response.status_code': sqlState }) }
}

/** What went wrong, in words of ours: the server's may be those of a function (RAISE), and the caller's anything. */
export function errorText(error: unknown): string | undefined {
  if (error instanceof DatabaseError) return `${error.code} (${error.sqlState})`
  return error instanceof RivuletError ? error.message : undefined
}

/** The same for a COMMIT; undefined when the work was committed. The server may answer ROLLBACK, which is no error of its. */
export function commitErrorAttributes(outcome: TransactionOutcome, error: unknown): Attributes | undefined {
  if (outcome === 'committed') return undefined
  if (outcome === 'unknown') return { 'error.type': 'commit_outcome_unknown' }
  return error === undefined ? { 'error.type': 'rolled_back' } : callErrorAttributes(error)
}
