/**
 * Runs one program to its end, as the user the server runs as, with an environment of our own: no PGDATA, PGPORT or
 * LANG of the caller reaches PostgreSQL's programs.
 */
import { spawn } from 'node:child_process'
import type { ServerUser } from './server-user.ts'

export interface Outcome {
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
    windowsHide: true,
    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
  }
}

/** Runs `file`, feeds it `input`, and gathers what it says. Never rejects. */
export function run(file: string, args: string[], user: ServerUser | undefined, input = ''): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { ...spawnOptions(user), stdio: ['pipe', 'pipe', 'pipe'] })
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
