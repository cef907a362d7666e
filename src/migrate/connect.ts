/**
 * The one direct connection a migration command works on. Never through a pooler that lends out backends by
 * transaction: an advisory lock taken there belongs to whoever comes next.
 */
import { parseDatabaseUrl } from '../config.ts'
import { type Connection, openConnection } from '../pool/connection.ts'

/** A database URL, or a connection that is the caller's and used by nobody else meanwhile. */
export type Target = string | Connection

const connectTimeoutMs = 10_000

/** Runs `work` on a connection to `target`; one that was opened here is closed here. */
export async function withConnection<T>(target: Target, work: (connection: Connection) => Promise<T>): Promise<T> {
  if (typeof target !== 'string') return work(target)
  const connection = await openConnection({ address: parseDatabaseUrl(target, 'rivulet migrate'), connectTimeoutMs })
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}
