/**
 * An error as attributes: its class and the server's code, never its text, which may be of the caller's making.
 * `error.type` is the SQLSTATE where the server has answered, else the code of Rivulet's error, else the name of its class.
 * https://opentelemetry.io/docs/specs/semconv/general/recording-errors/
 */
import type { Attributes } from '@opentelemetry/api'
import { DatabaseError, RivuletError } from '../errors.ts'
import type { TransactionOutcome } from '../observe/observation.ts'
import { isServerError } from '../sqlstate.ts'

/** The attributes of what failed. */
export function errorAttributes(error: unknown): Attributes {
  return { 'error.type': sqlStateOf(error) ?? (error instanceof RivuletError ? error.code : className(error)) }
}

/** The same for a call to the server, with its answer. */
export function callErrorAttributes(error: unknown): Attributes {
  const sqlState = sqlStateOf(error)
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

function sqlStateOf(error: unknown): string | undefined {
  if (error instanceof DatabaseError) return error.sqlState
  return error instanceof RivuletError && isServerError(error.cause) ? error.cause.code : undefined
}

function className(error: unknown): string {
  return error instanceof Error ? error.constructor.name || error.name : '_OTHER'
}
