/**
 * A folder for unfinished files: removed after the work; a folder that a killed run left is removed by a later run.
 * Finished files are moved to their places all together, or none is.
 */
import { cp, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

const abandonedAfterMs = 3_600_000

/** Runs `work` with a new folder in `parent`, whose name begins with `prefix`. */
export async function withTemporaryFolder<T>(
  parent: string,
  prefix: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  await sweep(parent, prefix)
  const folder = await mkdtemp(join(parent, prefix))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A file or folder to move. */
export interface Move {
  readonly from: string
  readonly to: string
}

/**
 * Makes all moves, and removes what is at `removed` and at their targets. When one move fails, everything is as before:
 * what is removed is kept in the folder `aside` meanwhile.
 */
export async function moveTogether(moves: readonly Move[], removed: readonly string[], aside: string): Promise<void> {
  await mkdir(aside)
  const away = [...new Set([...removed, ...moves.map(({ to }) => to)])].filter((path) => existsSync(path))
  const all = [...away.map((from, index) => ({ from, to: join(aside, String(index)) })), ...moves]
  const done: Move[] = []
  try {
    for (const one of all) {
      await mkdir(dirname(one.to), { recursive: true })
      await move(one)
      done.push(one)
    }
  } catch (error) {
    for (const { from, to } of done.toReversed()) await move({ from: to, to: from })
    throw error
  }
}

async function move({ from, to }: Move): Promise<void> {
  await rename(from, to).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EXDEV') throw error
    // Another file system.
    await cp(from, to, { recursive: true })
    await rm(from, { recursive: true })
  })
}

async function sweep(parent: string, prefix: string): Promise<void> {
  const names = (await readdir(parent).catch(() => [])).filter((name) => name.startsWith(prefix))
  for (const path of names.map((name) => join(parent, name))) {
    const found = await stat(path).catch(() => undefined)
    if (found && Date.now() - found.mtimeMs > abandonedAfterMs) {
      await rm(path, { recursive: true, force: true }).catch(() => undefined)
    }
  }
}
