/** The major version of the run's server, for what an older one cannot do: only that is left out of a test. */
import { inject } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { openConnection } from '../../src/pool/open-connection.ts'

const connection = await openConnection({
  address: parseDatabaseUrl(inject('serverUrl')),
  connectTimeoutMs: 10_000,
})
const [row] = await connection.script("select current_setting('server_version_num')::int / 10000 as major")
await connection.close()

const serverMajor = (row as { readonly major: number }).major

/** Unique constraints that take NULLs for equal, negative scales and unlogged sequences came with PostgreSQL 15. */
export const hasNullsNotDistinct = serverMajor >= 15
export const hasNegativeScale = serverMajor >= 15
/** So did intervals without end, with 17. */
export const hasInfiniteIntervals = serverMajor >= 17

/** Generated columns that are not stored came with 18. */
export const hasVirtualColumns = serverMajor >= 18

/** A script of SQL as the server knows it. */
export function asKnown(script: string): string {
  const before15 = script.replaceAll(/\s+nulls not distinct/gi, '').replaceAll('unlogged sequence', 'sequence')
  const known = serverMajor < 15 ? before15 : script
  return hasVirtualColumns ? known : known.replaceAll(/\) virtual\b/gi, ') stored')
}
