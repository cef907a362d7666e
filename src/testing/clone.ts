/**
 * A database cloned from a template, for one user at a time, dropped when it is disposed of.
 *
 * Its maker holds a connection whose application_name is the database's name, from before it is made until it is gone:
 * by that everybody sees that it is in use, whatever host they run on, and nobody's clone outlives its maker unseen
 * (`left-behind.ts`).
 */
import { randomBytes } from 'node:crypto'
import { parseDatabaseUrl } from '../config.ts'
import { refusePooler } from '../migrate/connect.ts'
import type { Connection } from '../pool/connection.ts'
import { openConnection } from '../pool/open-connection.ts'
import { sqlStateOf } from '../sqlstate.ts'
import { clonePrefix, removeLeftBehind } from './left-behind.ts'
import { createDatabase, ensureTemplate, type Template, templateName } from './template.ts'

/** A database of its own, for `await using`, or to be disposed of when the tests are over. */
export interface TestDatabase extends AsyncDisposable {
  /** In the form that `openEngine({ url })` takes. */
  readonly url: string
  readonly name: string
}

/** How often a clone is tried whose template was removed as outdated just then. */
const attempts = 3

/**
 * Clones the template, and builds it first where it is missing.
 * @throws what the template's `build` throws, ConfigInvalid when the role may not create databases or the URL leads to a
 * pooler, ConnectionLost.
 */
export async function cloneTemplate(serverUrl: string, template: Template): Promise<TestDatabase> {
  const name = `${clonePrefix}${randomBytes(8).toString('hex')}`
  const url = urlOf(serverUrl, name)
  const connection = await hold(serverUrl, name)
  try {
    await refusePooler(connection)
    await clone(connection, { name, url }, template)
  } catch (error) {
    await connection.close()
    throw error
  }
  let dropped: Promise<void> | undefined
  return { name, url, [Symbol.asyncDispose]: () => (dropped ??= drop(connection, serverUrl, name)) }
}

async function clone(
  connection: Connection,
  { name, url }: { readonly name: string; readonly url: string },
  template: Template,
): Promise<void> {
  const source = templateName(await template.content())
  for (let attempt = 1; ; attempt += 1) {
    await ensureTemplate(connection, source, template.build, { draft: name, draftUrl: url })
    await removeLeftBehind(connection, source)
    try {
      return await createDatabase(connection, name, source)
    } catch (error) {
      if (attempt === attempts || sqlStateOf(error) !== '3D000') throw error
    }
  }
}

async function hold(serverUrl: string, name: string): Promise<Connection> {
  const connection = await openConnection({ address: parseDatabaseUrl(serverUrl), connectTimeoutMs: 10_000 })
  // Waiting for others who build the template takes as long as it takes.
  await connection.script(`set application_name = ${name}; set statement_timeout = 0; set lock_timeout = 0`)
  return connection
}

/** Drops it, although sessions may still be connected; the connection that held it is closed. */
async function drop(held: Connection, serverUrl: string, name: string): Promise<void> {
  const connection = held.lost ? await hold(serverUrl, name) : held
  try {
    await connection.script(`drop database if exists ${name} with (force)`)
  } finally {
    await connection.close()
  }
}

/** The same server, another database. */
function urlOf(serverUrl: string, database: string): string {
  // A URL with a socket directory has its host in the query: only the path may change.
  return serverUrl.replace(/^([^?]*\/\/[^/?]*)(?:\/[^?]*)?/, `$1/${database}`)
}
