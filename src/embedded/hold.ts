/**
 * Holding a running server: a hold is a connection to the server's keeper. The kernel closes it when the process dies
 * in any way, so a dead process holds no server. The keeper answers `held` to each new holder; a keeper whose server is
 * ending answers nothing, and its process closes the connection. A hold does not keep its own process alive. The file
 * `keeper` in the project's directory has the keeper's address: a Unix socket, or on Windows a named pipe.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { EmbeddedServerFailed } from '../errors.ts'

/** A share in a running server, which runs as long as there is any share. */
export interface Hold {
  /**
   * Gives the share up, and waits for the server's end if it was the last one. Returns false when keeper and server
   * were already gone.
   */
  release(): Promise<boolean>
}

// Longer than the keeper lets a server take to end.
const endTimeoutMs = 40_000

/** The file that has the address of a directory's keeper. */
export const addressFile = (directory: string): string => join(directory, 'keeper')

/**
 * Returns a share in the server that runs in this directory; undefined when none runs. Waits for the end of a server
 * that is ending. Requires the process lock. @throws {EmbeddedServerFailed} when that takes too long; the signal's
 * reason.
 */
export async function holdIn(directory: string, signal?: AbortSignal): Promise<Hold | undefined> {
  const address = await addressIn(directory)
  return address === undefined ? undefined : holdAt(address, signal)
}

/** Whether a keeper of this directory still runs, in any state. */
export async function isKept(directory: string): Promise<boolean> {
  const address = await addressIn(directory)
  if (address === undefined) return false
  const socket = connect(address)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** The same for a keeper's address. */
export function holdAt(address: string, signal?: AbortSignal): Promise<Hold | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(address)
    const giveUp = (reason: unknown) => {
      reject(reason as Error)
      socket.destroy()
    }
    const abort = () => giveUp(signal?.reason)
    if (signal?.aborted) return abort()
    signal?.addEventListener('abort', abort)
    socket.setTimeout(endTimeoutMs, () =>
      giveUp(
        new EmbeddedServerFailed(
          `The embedded PostgreSQL has been shutting down for ${endTimeoutMs / 1000} seconds: end its process and try again, or set DATABASE_URL.`,
        ),
      ),
    )
    socket.on('error', () => {})
    let hasLeft = false
    const closed = new Promise<boolean>((resolve) => socket.once('close', () => resolve(hasLeft)))
    const settled = () => signal?.removeEventListener('abort', abort)
    void closed.then(settled).then(() => resolve(undefined))
    socket.once('data', () => {
      settled()
      socket.setTimeout(0)
      socket.unref()
      socket.on('data', () => (hasLeft = true))
      resolve({
        release: () => {
          if (!socket.destroyed) {
            socket.ref()
            socket.write('leave\n')
          }
          return closed
        },
      })
    })
  })
}

/** Undefined when no server was ever started here. */
async function addressIn(directory: string): Promise<string | undefined> {
  try {
    return await readFile(addressFile(directory), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
