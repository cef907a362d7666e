/**
 * Identifies a process beyond its process id: ids are used again, the pair of id and start time is not. Everything the
 * embedded server writes down about a process (the owner of a lock, the maker of a temporary server) is such an
 * identity.
 *
 * Linux has the start time in /proc, macOS in ps. Where neither works, the process id alone has to do: then a process
 * is taken for alive too often rather than too rarely.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { threadId } from 'node:worker_threads'

/** What the system knows about a running process; unknown facts are undefined. */
export interface ProcessFacts {
  readonly command: string | undefined
  readonly startedAt: string | undefined
  readonly workingDirectory: string | undefined
}

/** Returns the facts about a running process; undefined when no such process runs. A zombie does not run. */
export function lookUp(pid: number): ProcessFacts | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it runs, and belongs to another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined
  }
  if (process.platform === 'linux') return fromProc(pid)
  if (process.platform === 'darwin') return fromPs(pid)
  return { command: undefined, startedAt: undefined, workingDirectory: undefined }
}

/** `pid-start`, fit for a file name. */
export function processIdentity(pid: number): string {
  return `${pid}-${lookUp(pid)?.startedAt ?? 'unknown'}`
}

let own: string | undefined

/** The identity of this process. */
export function ownIdentity(): string {
  own ??= processIdentity(process.pid)
  return own
}

/** Returns a name that no other caller gets: this process, its thread and a counter. */
let counter = 0
export function uniqueName(): string {
  counter += 1
  return `${ownIdentity()}-${threadId}-${counter}`
}

/** Whether the process with this identity, or with a name that begins with it, still runs. */
export function isAlive(identity: string): boolean {
  const [pid, startedAt] = identity.split('-')
  const facts = lookUp(Number(pid))
  if (facts === undefined) return false
  return facts.startedAt === undefined || startedAt === 'unknown' || facts.startedAt === startedAt
}

/** proc(5): the second field is the command in parentheses and may have any characters. */
function fromProc(pid: number): ProcessFacts | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    const gone = ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')
    // With hidepid, the process of another user looks absent here although the signal found it.
    return gone && !signalFinds(pid)
      ? undefined
      : { command: undefined, startedAt: undefined, workingDirectory: undefined }
  }
  const end = stat.lastIndexOf(')')
  const fields = stat.slice(end + 2).split(' ')
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  let workingDirectory: string | undefined
  try {
    workingDirectory = readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    // The process of another user does not tell.
  }
  return {
    command: stat.slice(stat.indexOf('(') + 1, end),
    startedAt: fields[19] === undefined ? undefined : `${fields[19]}.${bootId()}`,
    workingDirectory,
  }
}

function signalFinds(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Start times count from the boot, so they identify a process only together with the boot. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)
  } catch {
    return '0'
  }
}

function fromPs(pid: number): ProcessFacts | undefined {
  try {
    const line = execFileSync('/bin/ps', ['-o', 'state=,lstart=,comm=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
    // S    Fri Nov 20 05:19:00 2026     /path/to/postgres
    const match = /^(\S+)\s+(\S+\s+\S+\s+\S+\s+\S+\s+\d{4})\s+(.*)$/.exec(line)
    if (match === null) return { command: undefined, startedAt: undefined, workingDirectory: undefined }
    if (match[1]?.startsWith('Z')) return undefined
    return {
      command: match[3]?.split('/').at(-1),
      startedAt: String(Date.parse(`${match[2]} UTC`)),
      workingDirectory: undefined,
    }
  } catch {
    return undefined
  }
}
