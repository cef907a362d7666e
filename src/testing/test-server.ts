/**
 * The server on which test databases are made: the one that is named, else DATABASE_URL's, else an embedded one of the
 * project's that is for tests alone. That one keeps its templates between runs, in `.rivulet/testing/`, and flushes
 * nothing to disk: should the machine crash, remove the folder. Nothing that is on the server already is touched.
 */
import { join } from 'node:path'
import { environment } from '../config.ts'
import { prepareDirectory, projectDirectory } from '../embedded/paths.ts'
import { openEmbeddedServer } from '../embedded/server.ts'

/** A server, held until it is disposed of. */
export interface TestServer extends AsyncDisposable {
  /** As a role that may create databases. */
  readonly url: string
}

const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' }

/** Finds the server, or starts it. @throws ConfigInvalid when no server can be started. */
export async function openTestServer(named: string | undefined): Promise<TestServer> {
  const url = named ?? environment('DATABASE_URL')
  if (url !== undefined) return { url, [Symbol.asyncDispose]: () => Promise.resolve() }
  const project = await prepareDirectory(projectDirectory())
  return openEmbeddedServer({ directory: join(project, 'testing'), settings })
}
