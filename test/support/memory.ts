/** What the program keeps: the heap after garbage has been collected, in bytes. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes in use after a full collection. */
export function keptBytes(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}
