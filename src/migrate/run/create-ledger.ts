/** Creates the tables of the ledger that are missing. */
import { MigrationRefused } from '../../errors.ts'
import type { Connection } from '../../pool/connection.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { sqlStateOf } from '../../sqlstate.ts'

/** Creates the ledger. @throws MigrationRefused, which names the missing privilege. */
export async function createLedger(connection: Connection, ledger: Ledger): Promise<void> {
  try {
    await ledger.create(connection)
  } catch (cause) {
    if (sqlStateOf(cause) !== '42501') throw cause
    throw new MigrationRefused(
      'unsafe',
      `the role of the database URL may not create the ledger in schema ${JSON.stringify(ledger.schema)}: grant it ` +
        'CREATE on the database (or on that schema), or migrate as the owner',
      { cause },
    )
  }
}
