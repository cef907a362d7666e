/**
 * Which statement_timeout a statement gets, so that it ends on time even if this process cannot ask for it: its event
 * loop is blocked, or the network is gone. The timeout is what remains of the deadline, in steps of an eighth of an
 * octave, upwards, so that calls with the same limit seldom have to send it; our own timer is exact.
 * https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT
 */
import type { Connection } from '../pool/connection.ts'
import type { Deadline } from '../task/deadline.ts'

const stepsPerOctave = 8
/** The largest statement_timeout there is; a call that has more time needs none. */
const largestMs = 2 ** 31 - 1

/** Milliseconds to set; 0 is the server's default, where that is tighter or there is no deadline. */
export function timeoutFor(deadline: Deadline | undefined, connection: Connection): number {
  const remainingMs = deadline?.remainingMs ?? Infinity
  const loosestMs = Math.min(connection.serverTimeoutMs || Infinity, largestMs)
  return remainingMs >= loosestMs ? 0 : Math.min(largestMs, steppedUp(Math.max(1, remainingMs)))
}

/** The value of statement_timeout for so many milliseconds. */
export function timeoutValue(ms: number): string {
  return ms === 0 ? 'default' : String(ms)
}

function steppedUp(ms: number): number {
  return Math.ceil(2 ** (Math.ceil(Math.log2(ms) * stepsPerOctave) / stepsPerOctave))
}
