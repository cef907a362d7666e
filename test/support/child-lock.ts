/**
 * A process that adds one to the number in a file, argv[4] times, each time under the lock on the directory argv[2].
 * Reading and writing are apart, so a lock that two processes have at once loses an increment.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { withProcessLock } from '../../src/embedded/process-lock.ts'

const [, , directory = '', file = '', times = '0'] = process.argv
for (let round = 0; round < Number(times); round += 1) {
  await withProcessLock(directory, async () => {
    await writeFile(file, String(Number(await readFile(file, 'utf8')) + 1))
  })
}
