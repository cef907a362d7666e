/**
 * A server for scratch databases, for commands that do not need the live database: the server of the database URL if it
 * allows one, because it has the project's version and extensions; otherwise a temporary embedded one, used in its
 * place.
 */
import { parseDatabaseUrl } from '../config.ts'
import { RivuletError } from '../errors.ts'
import { refusePooler } from '../migrate/connect.ts'
import { openConnection } from '../pool/open-connection.ts'
import type { Project } from './project.ts'

/** A server on which scratch databases can be made. */
export interface ScratchServer {
  readonly url: string
  /** True for a temporary one, which is removed afterwards. */
  readonly throwAway: boolean
  /** True when it is used instead of the server of the database URL. */
  readonly standIn: boolean
}

/** The result of the work, or the reason why no server could be used. */
export type Served<T> = { readonly answer: T } | { readonly unserved: string }

/** Runs `work` on a server; also on a temporary one when `insufficient` says that the first server lacked something. */
export async function withScratchServer<T>(
  project: Project,
  given: string | undefined,
  signal: AbortSignal,
  work: (server: ScratchServer) => Promise<T>,
  insufficient: (answer: T) => boolean,
): Promise<Served<T>> {
  if (given !== undefined) return { answer: await work({ url: given, throwAway: false, standIn: false }) }
  const url = project.databaseUrl()
  const objection = url === undefined ? 'there is no database URL' : await unusable(url)
  if (url !== undefined && objection === undefined) {
    const answer = await work({ url, throwAway: false, standIn: false })
    if (!insufficient(answer)) return { answer }
    const again = await onThrowAway(url, signal, work)
    return 'answer' in again && !insufficient(again.answer) ? again : { answer }
  }
  const served = await onThrowAway(url, signal, work)
  return 'answer' in served ? served : { unserved: `${objection}, and ${served.unserved}` }
}

async function onThrowAway<T>(
  url: string | undefined,
  signal: AbortSignal,
  work: (server: ScratchServer) => Promise<T>,
): Promise<Served<T>> {
  const { openEmbeddedServer } = await import('../embedded/server.ts')
  let server
  try {
    server = await openEmbeddedServer({ ephemeral: true, signal })
  } catch (error) {
    if (signal.aborted || !(error instanceof RivuletError)) throw error
    return { unserved: `no embedded server can be started: ${error.message}` }
  }
  try {
    return { answer: await work({ url: server.url, throwAway: true, standIn: url !== undefined }) }
  } finally {
    await server.stop()
  }
}

/** The reason why no scratch database can be made there; undefined when one can. */
async function unusable(url: string): Promise<string | undefined> {
  try {
    const connection = await openConnection({
      address: parseDatabaseUrl(url, 'rivulet scratch'),
      connectTimeoutMs: 5000,
    })
    try {
      await refusePooler(connection)
      const [row] = (await connection.query(
        `select rolsuper or rolcreatedb as may, pg_catalog.pg_is_in_recovery() as standby
         from pg_catalog.pg_roles where rolname = current_user`,
        [],
      )) as unknown as { may: boolean; standby: boolean }[]
      if (row?.standby) return 'the server of the database URL is a standby'
      return row?.may ? undefined : 'the role of the database URL may not create a scratch database (CREATEDB)'
    } finally {
      await connection.close()
    }
  } catch (error) {
    if (!(error instanceof RivuletError)) throw error
    return `the server of the database URL cannot be used (${error.message})`
  }
}
