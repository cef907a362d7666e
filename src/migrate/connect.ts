/**
 * The one direct connection of a migration command. Never through a pooler that lends backends: an advisory lock taken
 * there, and every setting, would belong to the next session.
 */
import { parseDatabaseUrl, poolSettings } from '../config.ts'
import { ConfigInvalid } from '../errors.ts'
import type { Connection } from '../pool/connection.ts'
import { openConnection } from '../pool/open-connection.ts'
import { SilenceWatch } from '../pool/silence-watch.ts'

/** Opens a second connection to the same database, to observe the first one while it is busy. */
export type OpenObserver = () => Promise<Connection>

const connectTimeoutMs = 10_000

/**
 * Runs `work` on a connection to `target`; a connection that is opened here is closed here. A connection of the
 * caller's cannot be observed, because its address is not known.
 */
export async function withConnection<T>(
  target: string | Connection,
  work: (connection: Connection, openObserver?: OpenObserver) => Promise<T>,
  applicationName = 'rivulet migrate',
): Promise<T> {
  if (typeof target !== 'string') return work(target)
  const connection = await openConnection({ address: parseDatabaseUrl(target, applicationName), connectTimeoutMs })
  const { probeAfterMs } = poolSettings()
  const silence = new SilenceWatch({ probeAfterMs, connectTimeoutMs, watched: () => [connection] })
  silence.start()
  try {
    // The same server, even if the URL now leads to another one.
    return await work(connection, () => openConnection({ address: connection.address, connectTimeoutMs }))
  } finally {
    await silence.stop()
    await connection.close()
  }
}

/**
 * Returns normally when the connection leads to PostgreSQL itself. A pooler is recognised by the process id in its
 * greeting (BackendKeyData), which it invents. @throws ConfigInvalid behind a pooler in any mode.
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
