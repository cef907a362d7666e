/**
 * Runs one program to its end, as the user of the server and with an environment of its own: PGDATA, PGPORT and LANG of
 * the caller do not reach PostgreSQL's programs. Nor does Ctrl-C, which a terminal sends to a whole process group: each
 * program has its own group, and a caller who wants it to end early aborts a signal.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { ServerUser } from './server-user.ts'

export interface ProgramResult {
  /** True when the program ran and exited 0. */
  readonly ok: boolean
  /** What it printed on both streams, or why it could not be run. */
  readonly output: string
}

/** The options to spawn a program of PostgreSQL: the user, the directory, the environment. */
export function spawnOptions(user: ServerUser | undefined) {
  return {
    // The server's user may not be able to reach the caller's directory.
    cwd: process.platform === 'win32' ? undefined : '/',
    // Windows programs do not start without their system variables.
    env: process.platform === 'win32' ? undefined : { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' },
    detached: true,
    windowsHide: true,
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  }
}

export interface ProgramOptions {
  /** The text on its standard input. Default none. */
  readonly input?: string | undefined
  /** When aborted, the program and the programs it started are asked to end. */
  readonly signal?: AbortSignal | undefined
}

/** Runs `file` and collects its output until it has ended. Never rejects. */
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
    // A program that ends before it has read everything explains itself in its output.
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
    // It has already ended.
  }
}
