/**
 * One process at a time may start, adopt or stop the server of a project: `withProcessLock` runs a body under that
 * lock.
 *
 * The locks of a directory are numbered files, and the newest one counts. It has the identity of the process that holds
 * the lock, or the word `free`. To take or to release the lock is to create the file of the next number, which link(2)
 * lets exactly one process do. A usual lock file has to be deleted when its owner died, and the process that deletes it
 * may delete a new one by mistake; here a process takes over the lock of a dead one, and deletes nothing.
 */
import { chmod, link, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedServerFailed } from '../errors.ts'
import { isAlive, ownIdentity, uniqueName } from './process-identity.ts'

const pollMs = 20
// No process falls this many numbers behind between reading the directory and creating the next number.
const kept = 32

export interface ProcessLockOptions {
  /** Milliseconds to wait for the lock. Default two minutes, because another process may be initialising. */
  readonly timeoutMs?: number | undefined
  /** When aborted, the wait ends. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs `body` while only this process holds the lock on `directory`. @throws {EmbeddedServerFailed} when another
 * process kept it all the time that there is to wait; the signal's reason.
 */
export async function withProcessLock<T>(
  directory: string,
  body: () => Promise<T>,
  { timeoutMs = 120_000, signal }: ProcessLockOptions = {},
): Promise<T> {
  const locks = join(directory, 'locks')
  const giveUpAt = performance.now() + timeoutMs
  for (;;) {
    signal?.throwIfAborted()
    const newest = await readNewest(locks)
    if (newest.owner === 'free' || !isAlive(newest.owner)) {
      if (await create(locks, newest.number + 1, ownIdentity())) break
      continue
    }
    if (performance.now() > giveUpAt) {
      const pid = newest.owner.split('-')[0]
      throw new EmbeddedServerFailed(
        `Process ${pid} has been starting or stopping the embedded PostgreSQL in ${directory} for ` +
          `${Math.round(timeoutMs / 1000)} seconds: end that process and try again, or set DATABASE_URL.`,
      )
    }
    await sleep(pollMs)
  }
  try {
    return await body()
  } finally {
    await giveBack(locks)
  }
}

async function giveBack(locks: string): Promise<void> {
  try {
    const { number } = await readNewest(locks)
    await create(locks, number + 1, 'free')
    for (const old of await numbersIn(locks))
      if (old <= number - kept) await rm(join(locks, String(old)), { force: true })
  } catch (error) {
    // The directory was removed, by the body or by another process: there is no lock left to release.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** Returns false when another process created this number first. The file appears with its content or not at all. */
async function create(locks: string, number: number, owner: string): Promise<boolean> {
  const draft = join(locks, `draft-${uniqueName()}`)
  await writeFile(draft, owner)
  try {
    // Root and the project's owner may take turns, so each must be able to read the other's file, with any umask.
    await chmod(draft, 0o644)
    await link(draft, join(locks, String(number)))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

async function readNewest(locks: string): Promise<{ number: number; owner: string }> {
  for (;;) {
    const number = Math.max(0, ...(await numbersIn(locks)))
    if (number === 0) return { number, owner: 'free' }
    try {
      return { number, owner: await readFile(join(locks, String(number)), 'utf8') }
    } catch (error) {
      // Another process took over and removed this file meanwhile: look again.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

async function numbersIn(locks: string): Promise<number[]> {
  return (await readdir(locks)).filter((name) => /^\d+$/.test(name)).map(Number)
}
