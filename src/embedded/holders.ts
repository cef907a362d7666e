/**
 * Who uses the server of a project: one file a handle, named after its process. The files of processes that died are
 * swept by whoever looks next, so a process that was killed holds nothing. Only touched under the claim.
 */
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive, uniqueName } from './process-identity.ts'

/** Writes down one more user of the server; give the returned name to `removeHolder`. */
export async function addHolder(directory: string): Promise<string> {
  const name = uniqueName()
  await writeFile(join(directory, 'holders', name), '')
  return name
}

/** Strikes a user off. */
export async function removeHolder(directory: string, name: string): Promise<void> {
  await rm(join(directory, 'holders', name), { force: true })
}

/** How many users are alive. */
export async function countHolders(directory: string): Promise<number> {
  let alive = 0
  for (const name of await namesIn(directory)) {
    if (isAlive(name)) alive += 1
    else await removeHolder(directory, name)
  }
  return alive
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(join(directory, 'holders'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
