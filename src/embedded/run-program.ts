/**
 * Runs one program to its end, as the user the server runs as, with an environment of our own: no PGDATA, PGPORT or
 * LANG of the caller reaches PostgreSQL's programs. Nor does Ctrl-C, which a terminal sends to a whole process group:
 * each has a group of its own, and whoever wants it to end early aborts a signal.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { ServerUser } from './server-user.ts'

export interface ProgramResult {
  /** True when the program ran and exited 0. */
  readonly ok: boolean
  /** What it printed, both streams, or why it could not be run at all. */
  readonly output: string
}

/** How a program of PostgreSQL is spawned: as whom, where, with what environment. */
export function spawnOptions(user: ServerUser | undefined) {
  return {
    // The caller's directory may be out of the server user's reach.
    cwd: process.platform === 'win32' ? undefined : '/',
    // Windows programs do not start without their system variables.
    env: process.platform === 'win32' ? undefined : { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' },
    detached: true,
    windowsHide: true,
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  }
}

export interface ProgramOptions {
  /** What it reads. Default nothing. */
  readonly input?: string | undefined
  /** Aborted, it asks the program and those it started to end. */
  readonly signal?: AbortSignal | undefined
}

/** Runs `file` and gathers what it says, until it has ended. Never rejects. */
export function runProgram(
  file: string,
  args: string[],
  user: ServerUser | undefined,
  { input = '', signal }: ProgramOptions = {},
): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { ...spawnOptions(user), stdio: ['pipe', 'pipe', 'pipe'] })
    const interrupt = () => terminate(child)
    signal?.addEventListener('abort', interrupt)
    child.once('close', () => signal?.removeEventListener('abort', interrupt))
    let output = ''
    const add = (chunk: Buffer) => (output += chunk.toString())
    child.stdout.on('data', add)
    child.stderr.on('data', add)
    child.once('error', (error) => resolve({ ok: false, output: error.message }))
    child.once('close', (code, signal) => resolve({ ok: code === 0, output: output || `${signal ?? `exit ${code}`}` }))
    // A program that ends before it has read everything says why by itself.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

function terminate(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    if (process.platform === 'win32') child.kill()
    else process.kill(-child.pid, 'SIGTERM')
  } catch {
    // It has ended meanwhile.
  }
}
