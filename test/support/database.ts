/** The databases of our own tests: made as `rivulet/testing` makes those of users, on the run's server. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inject } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { applyMigrations } from '../../src/migrate/commands/apply.ts'
import type { Connection } from '../../src/pool/connection.ts'
import { openConnection } from '../../src/pool/open-connection.ts'
import { cloneTemplate, type TestDatabase } from '../../src/testing/clone.ts'
import type { Template } from '../../src/testing/template.ts'

export type { Template, TestDatabase }

const migrationsFolder = new URL('../../migrations', import.meta.url).pathname

/** The shop's tables, by its migrations; no rows. */
export const shopTemplate: Template = {
  content: async () => {
    const files = (await readdir(migrationsFolder)).filter((name) => name.endsWith('.sql')).sort()
    return (await Promise.all(files.map((name) => readFile(join(migrationsFolder, name), 'utf8')))).join('\n')
  },
  build: async (url) => void (await applyMigrations(url, { folder: migrationsFolder })),
}

/** A template made by one SQL script. */
export function scriptTemplate(name: string, script: string): Template {
  return {
    content: () => Promise.resolve(`-- ${name}\n${script}`),
    build: (url) => onServer(url, (connection) => connection.script(script)),
  }
}

/**
 * Clones a database from a template, by default the shop's. Disposing drops it, also under connections that are left.
 * `serverUrl` is for callers outside a test, where there is no run's cluster to inject.
 */
export function openTestDatabase(
  template: Template = shopTemplate,
  serverUrl: string = inject('serverUrl'),
): Promise<TestDatabase> {
  return cloneTemplate(serverUrl, template)
}

async function onServer(url: string, work: (connection: Connection) => Promise<unknown>): Promise<void> {
  const connection = await openConnection({ address: parseDatabaseUrl(url), connectTimeoutMs: 10_000 })
  try {
    await work(connection)
  } finally {
    await connection.close()
  }
}
