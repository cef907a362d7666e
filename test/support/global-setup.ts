/**
 * One PostgreSQL a test run: a throw-away embedded cluster in a temporary directory, apart from the project's own
 * `.rivulet/`, so that a service may run meanwhile; or the server that TEST_DATABASE_URL names (its role must be able to
 * create databases). Tests get its URL with `inject('serverUrl')` and make databases of their own on it.
 */
import type { TestProject } from 'vitest/node'
import { openEmbeddedServer } from '../../src/embedded/server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The URL of the run's server, as a superuser, in the form that `openEngine({ url })` takes. */
    serverUrl: string
  }
}

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const existing = process.env.TEST_DATABASE_URL
  if (existing) {
    project.provide('serverUrl', existing)
    return undefined
  }
  const server = await openEmbeddedServer({
    ephemeral: true,
    settings: { max_connections: '200', max_prepared_transactions: '10' },
  })
  project.provide('serverUrl', server.url)
  return () => server.stop()
}
