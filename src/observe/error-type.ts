/**
 * An error in one word, fit for the label of a metric: never its text, which may be of the caller's making. It is the
 * SQLSTATE where the server has answered, else the code of Rivulet's error, else the name of its class.
 */
import { DatabaseError, RivuletError } from '../errors.ts'
import { isServerError } from '../sqlstate.ts'

/** The word for it. */
export function errorType(error: unknown): string {
  return answeredSqlState(error) ?? (error instanceof RivuletError ? error.code : className(error))
}

/** The SQLSTATE of what the server has answered; undefined for other errors. */
export function answeredSqlState(error: unknown): string | undefined {
  if (error instanceof DatabaseError) return error.sqlState
  return error instanceof RivuletError && isServerError(error.cause) ? error.cause.code : undefined
}

function className(error: unknown): string {
  return error instanceof Error ? error.constructor.name || error.name : '_OTHER'
}
