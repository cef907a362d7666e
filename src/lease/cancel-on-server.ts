/**
 * Stops what a connection runs: asks the server, again and again, until it has nothing left to do, and closes the socket
 * when that takes too long. The connection is not used again: a request to stop may arrive late.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
import type { Connection } from '../pool/connection.ts'

/** Milliseconds granted to the server to stop a statement, or to answer a COMMIT, before the socket is destroyed. */
const graceMs = { least: 50, most: 500, ofTimeout: 0.15 }
/** Milliseconds after which the server is asked again to stop a statement. */
const askAgainMs = 20

/** Resolves when nothing runs any more; `timeoutMs` is the time limit that ran out, and says how patient to be. */
export async function cancelOnServer(connection: Connection, timeoutMs: number): Promise<void> {
  const abort = new AbortController()
  const patience = Math.min(graceMs.most, Math.max(graceMs.least, timeoutMs * graceMs.ofTimeout))
  const timer = setTimeout(() => {
    abort.abort()
    // The server did not stop it, or cannot be reached: the socket is all that is left to close.
    connection.destroy()
  }, patience)
  const over = Promise.race([connection.quiet(), connection.closed]).then(() => true as const)
  let request: Promise<void> = Promise.resolve()
  try {
    // A request that overtakes its statement stops nothing: asked again until the server has nothing left to do.
    for (let stopped = false; !stopped; stopped = await settledWithin(over, askAgainMs)) {
      request = connection.cancel(abort.signal)
      await Promise.race([request, connection.closed])
    }
  } catch {
    connection.destroy()
  } finally {
    // Over only when the request is: it may outlive its connection, but no longer than the timer allows.
    await request.catch(() => undefined)
    clearTimeout(timer)
  }
}

/** What `work` resolves to, or false when that takes longer. */
async function settledWithin(work: Promise<true>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), timeoutMs)))
  const settled = await Promise.race([work, late])
  clearTimeout(timer)
  return settled
}
