/**
 * Temporary servers live in folders under the folder for temporary files, named after the process that made them. Their
 * keepers remove them. If a keeper could not (it was killed, or the machine died), the next process that opens a
 * temporary server does.
 */
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withProcessLock } from './process-lock.ts'
import { isKept } from './hold.ts'
import { readText } from './paths.ts'
import { stopPostmaster } from './postmaster.ts'
import { isAlive, ownIdentity } from './process-identity.ts'

const prefix = 'rivulet-ephemeral-'

/** Makes the directory of a new temporary server. */
export function makeEphemeralDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), `${prefix}${ownIdentity()}-`))
}

/** Stops temporary servers whose process and keeper are gone, and removes their directories. Never rejects. */
export async function removeAbandonedServers(): Promise<void> {
  const names = await readdir(tmpdir()).catch(() => [])
  for (const name of names.filter((name) => name.startsWith(prefix) && !isAlive(name.slice(prefix.length)))) {
    const directory = join(tmpdir(), name)
    try {
      const found = await lstat(directory)
      if (!found.isDirectory() || found.uid !== (process.getuid?.() ?? found.uid)) continue
      await withProcessLock(directory, () => removeUnkept(directory), { timeoutMs: 1_000 })
    } catch {
      // Another process is removing it, or its state is unclear: a later process may succeed.
    }
  }
}

async function removeUnkept(directory: string): Promise<void> {
  if (await isKept(directory)) return
  const home = (await readText(join(directory, 'home'))) ?? directory
  await stopPostmaster(join(home, 'data'))
  await rm(home, { recursive: true, force: true })
  await rm(directory, { recursive: true, force: true })
}
