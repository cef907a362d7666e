/**
 * A database per test file: cloned from a template that the first file to need it builds, so a file costs some tens of
 * milliseconds. Templates are named after the hash of what they hold: a changed migration makes a new one.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inject } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { applyMigrations } from '../../src/migrate/commands/apply.ts'
import type { Connection } from '../../src/pool/connection.ts'
import { openConnection } from '../../src/pool/open-connection.ts'

/** A database of its own, for `await using`, or to be disposed of in `afterAll`. */
export interface TestDatabase extends AsyncDisposable {
  /** In the form that `openEngine({ url })` takes. */
  readonly url: string
  readonly name: string
}

/** What a template holds besides an empty database; `name` is for people. */
export interface Template {
  readonly name: string
  /** Everything that decides what the template holds; its hash is part of the template's name. */
  content(): Promise<string>
  build(url: string): Promise<void>
}

const migrationsFolder = new URL('../../migrations', import.meta.url).pathname

/** The shop's tables, by its migrations; no rows. */
export const shopTemplate: Template = {
  name: 'shop',
  content: async () => {
    const files = (await readdir(migrationsFolder)).filter((name) => name.endsWith('.sql')).sort()
    return (await Promise.all(files.map((name) => readFile(join(migrationsFolder, name), 'utf8')))).join('\n')
  },
  build: async (url) => void (await applyMigrations(url, { folder: migrationsFolder })),
}

/** A template made by one SQL script. */
export function scriptTemplate(name: string, script: string): Template {
  return {
    name,
    content: () => Promise.resolve(script),
    build: (url) => onServer(url, (connection) => connection.script(script)),
  }
}

/**
 * Clones a database from a template, by default the shop's. Disposing drops it, also under connections that are left.
 * `serverUrl` is for callers outside a test, where there is no run's cluster to inject.
 */
export async function openTestDatabase(
  template: Template = shopTemplate,
  serverUrl: string = inject('serverUrl'),
): Promise<TestDatabase> {
  const name = `rivulet_test_${template.name}_${randomBytes(6).toString('hex')}`
  await onServer(serverUrl, async (connection) => {
    const source = await ensureTemplate(connection, serverUrl, template)
    await connection.script(`create database ${name} template ${source}`)
  })
  return {
    url: urlOf(serverUrl, name),
    name,
    [Symbol.asyncDispose]: () => dropDatabase(serverUrl, name),
  }
}

async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  await onServer(serverUrl, (connection) => connection.script(`drop database if exists ${name} with (force)`))
}

/** Builds the template under another name first, so that one that was broken off is never used. */
async function ensureTemplate(connection: Connection, serverUrl: string, template: Template): Promise<string> {
  const hash = createHash('sha256')
    .update(await template.content())
    .digest('hex')
    .slice(0, 12)
  const name = `rivulet_template_${template.name}_${hash}`
  if (await exists(connection, name)) return name
  await connection.query('select pg_advisory_lock(hashtext($1))', [name])
  try {
    if (await exists(connection, name)) return name
    const building = `${name}_building`
    await connection.script(`drop database if exists ${building} with (force)`)
    await connection.script(`create database ${building} template template0`)
    await template.build(urlOf(serverUrl, building))
    await connection.script(`alter database ${building} rename to ${name}`)
    return name
  } finally {
    await connection.query('select pg_advisory_unlock(hashtext($1))', [name])
  }
}

async function exists(connection: Connection, name: string): Promise<boolean> {
  return (await connection.query('select 1 from pg_database where datname = $1', [name])).length > 0
}

function urlOf(serverUrl: string, database: string): string {
  // A URL with a socket directory has its host in the query: only the path may change.
  return serverUrl.replace(/^([^?]*\/\/[^/?]*)(?:\/[^?]*)?/, `$1/${database}`)
}

async function onServer(url: string, work: (connection: Connection) => Promise<unknown>): Promise<void> {
  const connection = await openConnection({ address: parseDatabaseUrl(url), connectTimeoutMs: 10_000 })
  try {
    await work(connection)
  } finally {
    await connection.close()
  }
}
