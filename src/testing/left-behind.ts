/**
 * Removes what killed runs left on the server: clones that no process holds any more, drafts of templates among them, and
 * templates that were not cloned for a day. Only databases that this role owns and that bear our names.
 *
 * A clone is in use while a session is connected to it, or bears its name as application_name: its maker does so
 * first (`clone.ts`). A template in use is written down in its comment, so that it keeps.
 */
import type { Connection } from '../pool/connection.ts'
import { sqlStateOf } from '../sqlstate.ts'
import { templatePrefix } from './template.ts'

export const clonePrefix = 'rivulet_test_'

const lockName = 'rivulet left behind'

const abandonedClones = `
  select datname as name from pg_catalog.pg_database d
  where datname ~ '^${clonePrefix}[0-9a-f]{16}$' and pg_catalog.pg_has_role(datdba, 'usage')
    and not exists (
      select from pg_catalog.pg_stat_activity a where d.datname in (a.datname, a.application_name))`

const templates = `
  select datname as name, pg_catalog.shobj_description(oid, 'pg_database') as comment from pg_catalog.pg_database
  where datname ~ '^${templatePrefix}[0-9a-f]{16}$' and pg_catalog.pg_has_role(datdba, 'usage')`

const hourMs = 3_600_000
const used = 'last used '

/** Removes it, unless another process is at it; `template` is the one that is in use now. */
export async function removeLeftBehind(connection: Connection, template: string): Promise<void> {
  const [lock] = await rows<{ taken: boolean }>(
    connection,
    `select pg_try_advisory_lock(hashtextextended('${lockName}', 0)) as taken`,
  )
  if (lock?.taken !== true) return
  try {
    for (const { name } of await rows<{ name: string }>(connection, abandonedClones)) await drop(connection, name)
    for (const { name, comment } of await rows<{ name: string; comment: string | null }>(connection, templates)) {
      const idleMs = Date.now() - Date.parse(comment?.slice(used.length) ?? '')
      if (name === template || Number.isNaN(idleMs)) {
        // Seldom: the entry is one that every user of the template would write.
        if (!(idleMs < hourMs)) await note(connection, name)
      } else if (idleMs > 24 * hourMs) await drop(connection, name)
    }
  } finally {
    if (!connection.lost) await connection.script(`select pg_advisory_unlock(hashtextextended('${lockName}', 0))`)
  }
}

function note(connection: Connection, name: string): Promise<unknown> {
  return connection.script(`comment on database ${name} is '${used}${new Date().toISOString()}'`)
}

/** What another process has just dropped, or has begun to use, is no longer ours to drop. */
async function drop(connection: Connection, name: string): Promise<void> {
  try {
    await connection.script(`drop database if exists ${name}`)
  } catch (error) {
    if (!['3D000', '55006'].includes(sqlStateOf(error) ?? '')) throw error
  }
}

async function rows<TRow>(connection: Connection, text: string): Promise<readonly TRow[]> {
  return (await connection.query(text, [])) as unknown as readonly TRow[]
}
