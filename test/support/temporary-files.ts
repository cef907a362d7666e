/**
 * Where a run puts its temporary files: in memory where the system has such a place with room, because clusters are copied
 * and packages installed by the hundred, which takes two thirds less of the system's time there. TMPDIR says otherwise.
 */
import { statfsSync } from 'node:fs'

const inMemory = '/dev/shm'
const neededBytes = 8 * 2 ** 30

/** Sets TMPDIR for this process and those that it starts. */
export function keepTemporaryFilesInMemory(): void {
  if (process.env['TMPDIR'] === undefined && hasRoom()) process.env['TMPDIR'] = inMemory
}

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = statfsSync(inMemory)
    return bavail * bsize >= neededBytes
  } catch {
    // There is no such place.
    return false
  }
}
