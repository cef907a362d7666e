/**
 * Who a process is, beyond its number: numbers are used again, the pair of number and start time is not. Everything
 * the embedded server writes down about a process (who holds the lock, who uses the server) is such an identity.
 *
 * Linux tells the start time in /proc, macOS through ps. Where neither speaks, the number alone has to do: a process
 * is then taken for alive too often rather than too rarely.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { threadId } from 'node:worker_threads'

/** What the system tells about a running process; what it does not tell is undefined. */
export interface ProcessFacts {
  readonly command: string | undefined
  readonly startedAt: string | undefined
  readonly workingDirectory: string | undefined
}

/** The facts about a running process, undefined when there is none of that number. A zombie does not run. */
export function lookUp(pid: number): ProcessFacts | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it runs, and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined
  }
  if (process.platform === 'linux') return fromProc(pid)
  if (process.platform === 'darwin') return fromPs(pid)
  return { command: undefined, startedAt: undefined, workingDirectory: undefined }
}

/** `pid-start`, fit for a file name. */
export function identityOf(pid: number): string {
  return `${pid}-${lookUp(pid)?.startedAt ?? 'unknown'}`
}

let own: string | undefined

/** The identity of this process. */
export function ownIdentity(): string {
  own ??= identityOf(process.pid)
  return own
}

/** A name that no other caller ever has: this process, its thread, and a number counted up in it. */
let counter = 0
export function uniqueName(): string {
  counter += 1
  return `${ownIdentity()}-${threadId}-${counter}`
}

/** Whether the process with this identity, or a name that begins with one, still runs. */
export function isAlive(identity: string): boolean {
  const [pid, startedAt] = identity.split('-')
  const facts = lookUp(Number(pid))
  if (facts === undefined) return false
  return facts.startedAt === undefined || startedAt === 'unknown' || facts.startedAt === startedAt
}

/** proc(5): the second field is the command in parentheses and may itself hold any character. */
function fromProc(pid: number): ProcessFacts | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    const gone = ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')
    // With hidepid, another user's process looks absent here although the signal found it.
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
    // Another user's process does not tell.
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

/** Start times count from the boot, so they name a process only together with the boot. */
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
