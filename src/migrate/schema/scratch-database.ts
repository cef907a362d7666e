/**
 * A database for one comparison or one trial, on a server that is also used for other things. It is always removed:
 * dropped at the end, also after an interrupt; one that a killed run left is dropped by the next run.
 */
import { randomBytes } from 'node:crypto'
import { Cancelled, InsufficientPrivilege } from '../../errors.ts'
import type { Connection } from '../../pool/connection.ts'
import { openConnection } from '../../pool/open-connection.ts'
import { refusePooler, withConnection } from '../connect.ts'
import { sqlStateOf } from '../../sqlstate.ts'
import { applySettings, type DatabaseSettings } from './database-settings.ts'
import { quotedName } from '../../values/quoting.ts'

/** Where it is made. */
interface Scratch {
  readonly url: string
  readonly signal: AbortSignal | undefined
  /** The settings that it gets. Default none. */
  readonly databaseSettings?: DatabaseSettings | undefined
}

const scratchPrefix = 'rivulet_scratch_'
// A scratch database is in use from the start.
const abandonedAfterMs = 60_000

/**
 * Runs `work` on a connection to a new, empty database of the server at `url`.
 * @throws InsufficientPrivilege when the role may not make one, Cancelled when the signal ended it.
 */
export async function withScratchDatabase<T>(
  { url, signal, databaseSettings }: Scratch,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  return withConnection(url, async (server) => {
    await refusePooler(server)
    const name = `${scratchPrefix}${Date.now()}_${randomBytes(4).toString('hex')}`
    try {
      // The database may be read-only; nothing is written there, but CREATE DATABASE would be refused.
      await server.script('set default_transaction_read_only = off')
      await dropAbandonedDatabases(server)
      // template0, because no session can be connected to it, and it has nothing that was added to template1.
      await server.script(`create database ${quotedName(name)} template template0`)
    } catch (cause) {
      if (sqlStateOf(cause) !== '42501') throw cause
      throw new InsufficientPrivilege(
        'the migrations are replayed into a scratch database, and the role of the database URL may not create one: ' +
          'grant it CREATEDB, or name a server where it may with --scratch URL',
        { cause, sqlState: '42501' },
      )
    }
    try {
      if (databaseSettings !== undefined) await applySettings(server, name, databaseSettings)
      // On the server that has the scratch database, even if the URL now leads to another one.
      const address = { ...server.address, database: name }
      const connection = await openConnection({ address, connectTimeoutMs: 10_000 })
      // It is not needed any more: what still runs there ends when the database is dropped.
      const stop = () => connection.destroy()
      signal?.addEventListener('abort', stop, { once: true })
      try {
        signal?.throwIfAborted()
        return await work(connection)
      } finally {
        signal?.removeEventListener('abort', stop)
        await connection.close()
      }
    } catch (error) {
      if (signal?.aborted) throw new Cancelled('interrupted', { cause: error })
      throw error
    } finally {
      await server.script(`drop database if exists ${quotedName(name)} with (force)`)
    }
  })
}

/** Drops databases that a kill -9 left: no session is connected to them, and their names tell their age. */
async function dropAbandonedDatabases(server: Connection): Promise<void> {
  const rows = (await server.query(
    `select datname as name from pg_catalog.pg_database d where datname ~ $1 and pg_has_role(datdba, 'usage')
       and not exists (select from pg_catalog.pg_stat_activity a where a.datname = d.datname)`,
    [`^${scratchPrefix}[0-9]+_[0-9a-f]{8}$`],
  )) as unknown as { name: string }[]
  for (const { name } of rows) {
    const madeAt = Number(name.slice(scratchPrefix.length).split('_')[0])
    if (Date.now() - madeAt > abandonedAfterMs) await server.script(`drop database if exists ${quotedName(name)}`)
  }
}
