/**
 * Templates: databases that are built once and cloned for every test file. A template is named after the hash of what
 * decides its content, so a changed migration makes another one, and nothing has to be invalidated.
 *
 *   absent ──built under another name──▶ draft ──renamed──▶ template          draft ──builder dies──▶ left behind
 *
 * The rename is what makes it a template: a half-built one is never cloned, whichever process dies. The lock only keeps
 * others from doing the same work meanwhile. Nobody can connect to a template, so cloning never finds it in use.
 * https://www.postgresql.org/docs/current/manage-ag-templatedbs.html
 */
import { createHash } from 'node:crypto'
import { ConfigInvalid } from '../errors.ts'
import type { Connection } from '../pool/connection.ts'
import { sqlStateOf } from '../sqlstate.ts'

/** What a template holds. */
export interface Template {
  /** Everything that decides what `build` makes. */
  content(): Promise<string>
  /** Fills the empty database at `url`. */
  build(url: string): Promise<unknown>
}

export const templatePrefix = 'rivulet_template_'

/** The name of the template that holds `content`. */
export function templateName(content: string): string {
  return templatePrefix + createHash('sha256').update(content).digest('hex').slice(0, 16)
}

/**
 * Builds the template `name`, unless it is there. `draft` is a name of the caller's, who looks after what bears it, and
 * `draftUrl` leads there. @throws what `build` throws; nothing is left of the draft then.
 */
export async function ensureTemplate(
  connection: Connection,
  name: string,
  build: Template['build'],
  { draft, draftUrl }: { readonly draft: string; readonly draftUrl: string },
): Promise<void> {
  if (await exists(connection, name)) return
  await connection.query('select pg_advisory_lock(hashtextextended($1, 0))', [name])
  try {
    if (await exists(connection, name)) return
    await createDatabase(connection, draft, 'template0')
    try {
      await build(draftUrl)
      await connection.script(`alter database ${draft} with allow_connections false`)
      await connection.script(`alter database ${draft} rename to ${name}`)
    } catch (error) {
      await connection.script(`drop database if exists ${draft} with (force)`)
      // Somebody whose lock is in another database of the server was first.
      if (sqlStateOf(error) !== '42P04') throw error
    }
  } finally {
    // A lost connection has lost its lock as well, and the reason is on its way.
    if (!connection.lost) await connection.query('select pg_advisory_unlock(hashtextextended($1, 0))', [name])
  }
}

/** @throws ConfigInvalid when the role may not create databases. */
export async function createDatabase(connection: Connection, name: string, template: string): Promise<void> {
  try {
    await connection.script(`create database ${name} template ${template}`)
  } catch (cause) {
    if (sqlStateOf(cause) !== '42501') throw cause
    throw new ConfigInvalid(
      'the role of the database URL may not create the databases that tests need: grant it CREATEDB, or name another ' +
        'server by DATABASE_URL or the option url',
      { cause },
    )
  }
}

async function exists(connection: Connection, name: string): Promise<boolean> {
  return (await connection.query('select 1 from pg_catalog.pg_database where datname = $1', [name])).length > 0
}
