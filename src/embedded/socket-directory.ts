/**
 * The directory of the server's Unix socket, which only the server's user can enter: the port cannot be taken, and no
 * other user of the machine can even try a password. It is `socket` in the home, unless the path would be longer than
 * the system allows (sun_path: 107 bytes on Linux, 103 on macOS) or has a comma, which separates hosts in a URL. Then
 * it is a new one under the folder for temporary files, which the keeper, whose own socket is there too, removes.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { giveTo, makePrivate, type ServerPaths } from './paths.ts'
import { socketPath } from './postmaster.ts'

/** The port is only part of the socket's name. */
export const socketPort = 5432
const longestPath = process.platform === 'linux' ? 107 : 103

/** Makes an empty directory for the socket, near or far. Requires the process lock, and that no server runs. */
export async function makeSocketDirectory(paths: ServerPaths): Promise<{ socketDirectory: string; isFar: boolean }> {
  const near = join(paths.home, 'socket')
  if (fits(near)) {
    await makePrivate(near, paths.user)
    return { socketDirectory: near, isFar: false }
  }
  const parent = fits(join(tmpdir(), 'rivulet-XXXXXX')) ? tmpdir() : '/tmp'
  const far = await mkdtemp(join(parent, 'rivulet-'))
  await giveTo(paths.user, far)
  return { socketDirectory: far, isFar: true }
}

/**
 * The address of the keeper: beside the server's socket, under a name that no keeper had before; on Windows a named
 * pipe.
 */
export function keeperAddress(socketDirectory: string): string {
  const name = `keeper-${randomBytes(3).toString('hex')}`
  return process.platform === 'win32' ? `\\\\.\\pipe\\rivulet-${name}` : join(socketDirectory, name)
}

/** Removes a directory that a killed server had outside its home. The path comes from a file of the server's user. */
export async function removeFarSocketDirectory(directory: string | undefined): Promise<void> {
  if (directory === undefined || !/^rivulet-\w{6}$/.test(basename(directory))) return
  if (![tmpdir(), '/tmp'].includes(dirname(directory))) return
  const socket = socketPath(directory, socketPort)
  for (const path of [socket, `${socket}.lock`]) await rm(path, { force: true }).catch(() => {})
  await rmdir(directory).catch(() => {})
}

function fits(directory: string): boolean {
  return Buffer.byteLength(socketPath(directory, 65_535)) <= longestPath && !directory.includes(',')
}
