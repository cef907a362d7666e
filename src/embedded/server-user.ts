/**
 * PostgreSQL refuses to run as root, so a root process runs it as another user: the owner of the project's directory if
 * that is not root (then both may use the same project), else `postgres`, else `nobody`.
 */
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { EmbeddedServerFailed } from '../errors.ts'

export interface ServerUser {
  readonly uid: number
  readonly gid: number
}

/** True when this process is root and may give files to other users. */
export const isRoot = (): boolean => process.getuid?.() === 0

/**
 * Returns the user to run the server as; undefined: the user of this process.
 * @throws {EmbeddedServerFailed} as root on a system that knows neither `postgres` nor `nobody`.
 */
export async function findServerUser(directory: string): Promise<ServerUser | undefined> {
  if (!isRoot()) return undefined
  const { uid, gid } = await stat(directory)
  if (uid !== 0) return { uid, gid }
  const user = (await named('postgres')) ?? (await named('nobody'))
  if (user !== undefined) return user
  throw new EmbeddedServerFailed(
    'PostgreSQL does not run as root, and this system has neither a user `postgres` nor `nobody` to run it as: ' +
      'start as an ordinary user, or set DATABASE_URL.',
  )
}

async function named(name: string): Promise<ServerUser | undefined> {
  try {
    const [uid, gid] = await Promise.all([id('-u', name), id('-g', name)])
    return Number.isInteger(uid) && Number.isInteger(gid) && uid > 0 ? { uid, gid } : undefined
  } catch {
    return undefined
  }
}

async function id(flag: string, name: string): Promise<number> {
  const { stdout } = await promisify(execFile)('id', [flag, name], { env: { PATH: '/usr/bin:/bin' } })
  return Number(stdout.trim())
}
