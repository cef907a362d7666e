/**
 * The one direct connection a migration command works on. Never through a pooler that lends out backends: an advisory
 * lock taken there, and every setting, belongs to whoever comes next.
 */
import { parseDatabaseUrl, poolSettings } from '../config.ts'
import { ConfigInvalid } from '../errors.ts'
import type { Connection } from '../pool/connection.ts'
import { openConnection } from '../pool/open-connection.ts'
import { SilenceWatch } from '../pool/silence-watch.ts'

/** A database URL, or a connection that is the caller's and used by nobody else meanwhile. */
export type Target = string | Connection

/** Opens a second connection to the same database, to look on while the first one is busy. */
export type OpenObserver = () => Promise<Connection>

const connectTimeoutMs = 10_000

/**
 * Runs `work` on a connection to `target`; one that was opened here is closed here. Nobody can look on at a connection
 * of the caller's: where it leads is not known.
 */
export async function withConnection<T>(
  target: Target,
  work: (connection: Connection, openObserver?: OpenObserver) => Promise<T>,
): Promise<T> {
  if (typeof target !== 'string') return work(target)
  const connection = await openConnection({ address: parseDatabaseUrl(target, 'rivulet migrate'), connectTimeoutMs })
  const { probeAfterMs } = poolSettings()
  const silence = new SilenceWatch({ probeAfterMs, connectTimeoutMs, watched: () => [connection] })
  silence.start()
  try {
    // The same server, wherever the URL may lead.
    return await work(connection, () => openConnection({ address: connection.address, connectTimeoutMs }))
  } finally {
    await silence.stop()
    await connection.close()
  }
}

/**
 * Answers normally when the connection leads to PostgreSQL itself. A pooler gives itself away: the pid in its greeting
 * (BackendKeyData) is its own invention. @throws ConfigInvalid behind one, whichever mode it is in.
 */
export async function refusePooler(connection: Connection): Promise<void> {
  const [row] = (await connection.query('select pg_catalog.pg_backend_pid() as pid', [])) as unknown as {
    pid: number
  }[]
  if (row?.pid === connection.backendPid) return
  throw new ConfigInvalid(
    'the database URL leads to a pooler such as PgBouncer, which may run each statement on another backend: locks and ' +
      'settings would reach the sessions of others. Give the URL of PostgreSQL itself; nothing was changed',
  )
}
