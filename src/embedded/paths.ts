/**
 * Where the embedded server of a project lives. The project's directory (`.rivulet/`) has what its client processes
 * share: locks, the keeper's address, the password, the log. The home has what the server itself must reach: data,
 * socket and, if need be, a copy of the binaries.
 *
 * Both are the same directory, with one exception: a root process runs the server as another user, who cannot enter a
 * checkout under a 0700 home. The home is then a directory under /var/lib/rivulet that is named after the project's
 * path, and the file `home` in the project's directory names it. It keeps its data across restarts, moves with the
 * project, and starts empty when the project's directory was removed.
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, readFile, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { EmbeddedServerFailed } from '../errors.ts'
import { runProgram } from './run-program.ts'
import { stopPostmaster } from './postmaster.ts'
import { findServerUser, isRoot, type ServerUser } from './server-user.ts'

export interface ServerPaths {
  readonly directory: string
  readonly home: string
  readonly data: string
  /** The user that runs the server; undefined: the user of this process. */
  readonly user: ServerUser | undefined
}

/**
 * The server directory of a project, from any of its folders: `.rivulet` beside the nearest package.json, else in
 * `folder`.
 */
export function projectDirectory(folder: string = process.cwd()): string {
  let root = resolve(folder)
  while (!existsSync(join(root, 'package.json'))) {
    if (dirname(root) === root) return resolve(folder, '.rivulet')
    root = dirname(root)
  }
  return join(root, '.rivulet')
}

/**
 * Makes the project's directory when it is missing and returns its real path.
 * @throws {EmbeddedServerFailed} when it cannot be made, or belongs to another user.
 */
export async function prepareDirectory(wanted: string): Promise<string> {
  try {
    await mkdir(dirname(wanted), { recursive: true })
    const me = process.getuid?.()
    // As root, others may pass through, so that the server's user reaches its data; they cannot list it.
    const mode = me === 0 ? 0o711 : 0o700
    await mkdir(wanted, { mode }).catch(unlessPresent)
    const directory = await realpath(wanted)
    const { uid, gid } = await stat(directory)
    if (me !== undefined && me !== 0 && uid !== me) {
      throw new EmbeddedServerFailed(
        `${directory} belongs to another user (uid ${uid}): run as that user, remove it to start over, or set DATABASE_URL.`,
      )
    }
    // Only in a directory that was made here: the caller may have named one that has other files.
    if ((await readdir(directory)).length === 0) {
      if (me === uid) await chmod(directory, mode)
      await writeFile(join(directory, '.gitignore'), '*\n', { flag: 'wx' }).catch(unlessPresent)
    }
    const locks = join(directory, 'locks')
    await mkdir(locks).catch(unlessPresent)
    if (me === 0) await chown(locks, uid, gid)
    return directory
  } catch (error) {
    if (error instanceof EmbeddedServerFailed) throw error
    throw new EmbeddedServerFailed(
      `The embedded PostgreSQL needs a directory of its own, and ${wanted} cannot be used ` +
        `(${(error as Error).message}): run in a directory you may write to, or set DATABASE_URL.`,
      { cause: error },
    )
  }
}

/** Finds the home, or makes one. Requires the process lock. */
export async function findPaths(directory: string): Promise<ServerPaths> {
  const user = await findServerUser(directory)
  if (user === undefined) return { directory, home: directory, data: join(directory, 'data'), user }
  const home = await findHome(directory, user)
  const data = join(home, 'data')
  // PostgreSQL only runs as the owner of its data, and users of a machine may change.
  const owner = await stat(data).catch(() => undefined)
  return { directory, home, data, user: owner === undefined ? user : { uid: owner.uid, gid: owner.gid } }
}

/** Returns the superuser's password. Makes one, readable by its owner alone, if there is none yet. */
export async function readPassword(directory: string): Promise<string> {
  const path = join(directory, 'password')
  const known = await readText(path)
  if (known !== undefined) return known
  const password = randomBytes(24).toString('base64url')
  await writeFile(path, password, { mode: 0o600 })
  if (isRoot()) {
    const { uid, gid } = await stat(directory)
    await chown(path, uid, gid)
  }
  return password
}

/** Makes an empty directory that only the server's user can enter. */
export async function makePrivate(path: string, user: ServerUser | undefined): Promise<void> {
  await rm(path, { recursive: true, force: true })
  await mkdir(path, { mode: 0o700 })
  if (user !== undefined) await chown(path, user.uid, user.gid)
}

/** Gives a path to the server's user. */
export async function giveTo(user: ServerUser | undefined, path: string): Promise<void> {
  if (user !== undefined) await chown(path, user.uid, user.gid)
}

/** Reads the text of a file; undefined when the file does not exist. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function findHome(directory: string, user: ServerUser): Promise<string> {
  const recorded = await readText(join(directory, 'home'))
  if (recorded === undefined) {
    if ((await exists(join(directory, 'data'))) || (await canServe(directory, user))) return directory
  } else {
    const project = await readText(join(recorded, 'project'))
    if (project === directory) return recorded
    // The project moved. (If the other directory still exists, this one is a copy of it and gets its own home.)
    if (project !== undefined && !(await exists(project))) {
      await writeFile(join(recorded, 'project'), directory)
      return recorded
    }
  }
  for (const base of ['/var/lib/rivulet', join(tmpdir(), 'rivulet-root')]) {
    if (await isSafeBase(base, user)) return makeHome(join(base, homeName(directory)), directory)
  }
  throw new EmbeddedServerFailed(
    `PostgreSQL does not run as root, and the user it would run as (uid ${user.uid}) can reach neither ${directory} ` +
      'nor /var/lib/rivulet: start as an ordinary user, or set DATABASE_URL.',
  )
}

async function makeHome(home: string, directory: string): Promise<string> {
  // This was left by a project directory of the same path that was removed, and its data with it.
  await stopPostmaster(join(home, 'data'))
  await rm(home, { recursive: true, force: true })
  await mkdir(home)
  await chmod(home, 0o711)
  await writeFile(join(home, 'project'), directory)
  await writeFile(join(directory, 'home'), home)
  return home
}

function homeName(directory: string): string {
  const project = basename(join(directory, '..'))
    .replaceAll(/[^\w.-]/g, '_')
    .slice(0, 20)
  return `${project}-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}`
}

/** True if only root can write to the base: then no other user can have put a home there. */
async function isSafeBase(base: string, user: ServerUser): Promise<boolean> {
  try {
    // Made only when it is missing, and passable with any umask.
    if ((await mkdir(base, { recursive: true })) !== undefined) await chmod(base, 0o711)
    const { uid, mode } = await stat(base)
    return uid === 0 && (mode & 0o022) === 0 && (await canServe(base, user))
  } catch {
    return false
  }
}

/** Tries whether the user can own and write a directory in there. Modes, ACLs and file systems all matter. */
async function canServe(directory: string, user: ServerUser): Promise<boolean> {
  const probe = await mkdtemp(join(directory, 'probe-'))
  try {
    await chown(probe, user.uid, user.gid)
    if ((await stat(probe)).uid !== user.uid) return false
    return (await runProgram('/bin/sh', ['-c', 'test -w "$0"', probe], user)).ok
  } catch {
    return false
  } finally {
    await rm(probe, { recursive: true, force: true })
  }
}

function unlessPresent(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
}
