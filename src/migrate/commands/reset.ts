/**
 * Empties a development database: drops every schema that is not PostgreSQL's own with everything in it, the ledger
 * included, and creates an empty `public`. In one transaction, under the migration lock.
 */
import { isLoopback } from '../../address/loopback.ts'
import { checkCommand, type MigrationSource, sourceNames, waiting, waitNames, type WaitOptions } from '../options.ts'
import type { ServerAddress } from '../../address/server-address.ts'
import { parseDatabaseUrl } from '../../config.ts'
import { optionNames } from '../../option-names.ts'
import { LockTimeout, MigrationRefused, UsageError } from '../../errors.ts'
import { withConnection } from '../connect.ts'
import { Ledger } from '../ledger/ledger.ts'
import { withLock } from '../ledger/advisory-lock.ts'
import { quotedName } from '../../values/quoting.ts'

/** The options of `emptyDatabase`. */
export interface EmptyOptions extends WaitOptions, Pick<MigrationSource, 'ledger'> {
  /** The database's name, given on purpose: needed for a server on another machine. */
  readonly database?: string | undefined
}

const emptyNames = optionNames<EmptyOptions>({ ...waitNames, ledger: sourceNames.ledger, database: 'string' })

/** Drops everything. @throws UsageError for a database that is not local and was not named. */
export async function emptyDatabase(
  url: string,
  options: EmptyOptions,
): Promise<{ readonly dropped: readonly string[] }> {
  checkCommand('emptyDatabase', emptyNames, url, options)
  refuseForeign(parseDatabaseUrl(url), options.database)
  const ledger = new Ledger(options.ledger)
  const wait = waiting(options)
  return withConnection(url, (connection) =>
    withLock(connection, { ...wait, key: ledger.lockKey }, async () => {
      const rows = (await connection.query(
        `select nspname as name from pg_catalog.pg_namespace
         where nspname not like 'pg\\_%' and nspname <> 'information_schema' order by 1`,
        [],
      )) as unknown as { name: string }[]
      const schemas = rows.map(({ name }) => name)
      // One script is one transaction.
      const script = [
        `set local lock_timeout = ${Math.max(wait.lockTimeoutMs, 10_000)}`,
        ...schemas.map((schema) => `drop schema ${quotedName(schema)} cascade`),
        'create schema public',
        'grant usage on schema public to public',
      ]
      await connection.script(script.join(';\n')).catch((cause: unknown) => {
        if (!(cause instanceof LockTimeout)) throw cause
        throw new MigrationRefused(
          'locked',
          'other sessions are using the tables: stop the service, then run this again',
          {
            cause,
          },
        )
      })
      return { dropped: schemas }
    }),
  )
}

/** True when the server runs on this machine. Names are not resolved, so 127.example.com is not this machine. */
function isLocal({ endpoints }: Pick<ServerAddress, 'endpoints'>): boolean {
  return endpoints.every(({ host, ip }) => {
    const place = ip ?? host
    return place.startsWith('/') || isLoopback(place)
  })
}

/** @throws UsageError unless the database is local, or `named` is its name. */
export function refuseForeign(address: ServerAddress, named: string | undefined): void {
  if (named !== undefined && named !== address.database) {
    throw new UsageError(
      `the database URL names ${JSON.stringify(address.database)}, not ${JSON.stringify(named)}: nothing was ` +
        'dropped',
    )
  }
  if (named === undefined && !isLocal(address)) {
    throw new UsageError(
      `${address.endpoints.map(({ host }) => host).join(', ')} is another machine, so nothing was dropped. To reset it all the same, name the database: ` +
        `\`rivulet reset --database ${address.database}\``,
    )
  }
}
