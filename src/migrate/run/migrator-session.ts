/**
 * The migrator's session. A file may change its role, search_path and time limits, and make temporary objects. The next
 * file starts from a clean session, and the ledger is written as the role of the database URL, under settings of the
 * migrator.
 * https://www.postgresql.org/docs/current/sql-set-role.html
 */
import type { Connection } from '../../pool/connection.ts'
import { whileCommitting } from './failure.ts'
import type { Work } from './lock-retry.ts'
import { quotedName } from '../../values/quoting.ts'

/** LOCAL, so that the settings of a file without a transaction apply again to its next statement. */
const asMigrator =
  'set local session authorization default; set local role to default; ' +
  "set local search_path = ''; set local statement_timeout = 0"

/** Resets the session, so that every file starts from the same state. */
export async function cleanSession(connection: Connection): Promise<void> {
  // Not DISCARD ALL, which would release the migration lock and the statements that the driver has prepared.
  await connection.script(
    'reset session authorization; reset all; reset role; close all; unlisten *; discard temp; discard sequences; ' +
      'set statement_timeout = 0; set idle_in_transaction_session_timeout = 0',
  )
  const prepared = (await connection.query(
    'select name from pg_catalog.pg_prepared_statements where from_sql',
    [],
  )) as unknown as { name: string }[]
  for (const { name } of prepared) await connection.script(`deallocate ${quotedName(name)}`)
  // A server that notices a killed client at once releases its locks at once; not every platform can.
  await connection.script("set client_connection_check_interval = '1s'").catch(() => undefined)
}

/**
 * Commits the open transaction together with what `record` writes into the ledger. Deferred constraints and triggers
 * run before that, with the role and the settings of the file. @throws MigrationFailed
 */
export async function commitRecorded(
  connection: Connection,
  work: Work,
  statementsDone: number,
  record: () => Promise<void>,
): Promise<void> {
  await whileCommitting(work, statementsDone, () => connection.script('set constraints all immediate'))
  await whileCommitting(work, 0, async () => {
    await connection.script(asMigrator)
    await record()
    await connection.script('commit')
  })
}

/** Writes into the ledger between two statements, in a transaction of its own. @throws MigrationFailed */
export async function recordInOwnTransaction(
  connection: Connection,
  work: Work,
  record: () => Promise<void>,
): Promise<void> {
  await whileCommitting(work, 0, async () => {
    await connection.script(`begin; ${asMigrator}`)
    await record()
    await connection.script('commit')
  })
}
