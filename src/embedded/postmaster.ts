/**
 * Finds, starts and stops the server process of a data directory.
 *
 * `postmaster.pid` in the data directory is PostgreSQL's own record of that process (process id, port, socket
 * directory, status; see miscadmin.h, LOCK_FILE_LINE_*). It survives a crash, so the process it names is checked first:
 * it must be a postgres that works in this directory. The states in the record are starting, ready and stopping.
 */
import { readFile, realpath, rm, truncate } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sslRequest } from '../address/ssl-request.ts'
import { EmbeddedServerFailed } from '../errors.ts'
import type { Keeper } from './keeper.ts'
import { processIdentity, isAlive, lookUp } from './process-identity.ts'
import type { ServerUser } from './server-user.ts'

export interface Postmaster {
  readonly pid: number
  readonly port: number
  /** Undefined when it listens on TCP only. */
  readonly socketDirectory: string | undefined
  readonly status: string
}

const pollMs = 10
// Recovery after a crash replays at most the log between two checkpoints.
const startTimeoutMs = 120_000
const answerTimeoutMs = 5_000
const orphansTimeoutMs = 10_000

/** The path of the Unix socket in a socket directory. */
export function socketPath(directory: string, port: number): string {
  return join(directory, `.s.PGSQL.${port}`)
}

/** Reads the record, whether or not it is still true. */
export async function readRecord(data: string): Promise<Postmaster | undefined> {
  try {
    const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n').map((line) => line.trim())
    const [pid, , , port, socketDirectory, , , status] = lines
    return { pid: Number(pid), port: Number(port), socketDirectory: socketDirectory || undefined, status: status ?? '' }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/** Finds the running server of a data directory, in any state. */
async function findPostmaster(data: string): Promise<Postmaster | undefined> {
  const record = await readRecord(data)
  if (record === undefined) return undefined
  const facts = lookUp(record.pid)
  if (facts === undefined) return undefined
  if (facts.command !== undefined && facts.command !== 'postgres' && facts.command !== 'postgres.exe') return undefined
  if (facts.workingDirectory !== undefined && facts.workingDirectory !== (await realpath(data))) return undefined
  return record
}

/** Waits until the running server is ready for connections; undefined when there is none, or it ended meanwhile. */
export async function awaitReady(data: string): Promise<Postmaster | undefined> {
  const giveUpAt = performance.now() + startTimeoutMs
  for (;;) {
    const found = await findPostmaster(data)
    if (found === undefined || found.status === 'ready') return found
    if (performance.now() > giveUpAt) {
      throw new EmbeddedServerFailed(
        `The embedded PostgreSQL in ${data} (process ${found.pid}) has been ${found.status || 'starting'} for ` +
          `${startTimeoutMs / 1000} seconds: end that process and try again, or set DATABASE_URL.`,
      )
    }
    await sleep(pollMs)
  }
}

/** Whether the server responds: it is asked for TLS, and every PostgreSQL responds to that with one byte, S or N. */
export function isResponding({ socketDirectory, port }: Postmaster): Promise<boolean> {
  return new Promise((resolve) => {
    const target =
      socketDirectory === undefined ? { host: '127.0.0.1', port } : { path: socketPath(socketDirectory, port) }
    const socket = connect(target)
    const settle = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(answerTimeoutMs, () => settle(false))
    socket.once('error', () => settle(false))
    socket.once('close', () => settle(false))
    socket.once('data', () => settle(true))
    socket.write(sslRequest)
  })
}

export interface StartOptions {
  /** The process that becomes the server's parent. */
  readonly keeper: Keeper
  readonly postgres: string
  readonly data: string
  readonly user: ServerUser | undefined
  readonly settings: Readonly<Record<string, string>>
  /** The file that the keeper writes the log to. */
  readonly logFile: string
  /** Directories to remove when the server has ended. */
  readonly remove: readonly string[]
}

/**
 * Starts the server and waits until it is ready for connections. Requires the process lock. Backends that outlive a
 * killed server keep the data in use until they notice; they get ten seconds. The server has its own process group,
 * because Ctrl-C in a terminal goes to a whole group and the database must outlive the drain of its clients. @throws
 * {EmbeddedServerFailed} when it ends instead, with the end of its log.
 */
export async function startPostmaster(options: StartOptions): Promise<Postmaster> {
  await removeForeignRecord(options.data)
  const giveUpAt = performance.now() + orphansTimeoutMs
  for (;;) {
    try {
      return await startOnce(options)
    } catch (error) {
      const inUse = error instanceof EmbeddedServerFailed && error.message.includes('is still in use')
      if (!inUse || performance.now() > giveUpAt) throw error
      await sleep(100)
    }
  }
}

async function startOnce({
  keeper,
  postgres,
  data,
  user,
  settings,
  logFile,
  remove,
}: StartOptions): Promise<Postmaster> {
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  await truncate(logFile)
  const pid = await keeper.serve(postgres, ['-D', data, ...flags], user, remove)
  const giveUpAt = performance.now() + startTimeoutMs
  for (;;) {
    const record = await readRecord(data)
    if (keeper.serverEnd !== undefined) throw await startFailure(data, keeper.serverEnd, logFile)
    if (record !== undefined && record.pid === pid && record.status === 'ready') return record
    if (performance.now() > giveUpAt) {
      throw await startFailure(data, `not ready within ${startTimeoutMs / 1000} seconds`, logFile)
    }
    await sleep(pollMs)
  }
}

/**
 * Stops the server if one runs: fast shutdown (clients are disconnected, data is flushed), after 15 seconds immediate
 * shutdown (recovery at the next start), after 10 more seconds SIGKILL. Requires the process lock. Windows has no
 * signals, so there the process is killed at once.
 */
export async function stopPostmaster(data: string): Promise<void> {
  const found = await findPostmaster(data)
  if (found !== undefined) await stopProcess(processIdentity(found.pid))
}

/** Stops the server with this process identity; `timeoutsMs` are the time limits of the three steps. */
export async function stopProcess(identity: string, timeoutsMs = [15_000, 10_000, 10_000]): Promise<void> {
  for (const [step, signal] of (['SIGINT', 'SIGQUIT', 'SIGKILL'] as const).entries()) {
    if (!isAlive(identity)) return
    try {
      process.kill(Number(identity.split('-')[0]), signal)
    } catch {
      // It has already ended.
    }
    const giveUpAt = performance.now() + (timeoutsMs[step] ?? 0)
    while (isAlive(identity) && performance.now() < giveUpAt) await sleep(pollMs)
  }
}

/**
 * Removes a record whose process id now belongs to another process. PostgreSQL replaces the record of a dead server
 * itself, after checking that no orphaned backend still uses the data; but it cannot see that the process id was
 * reused.
 */
async function removeForeignRecord(data: string): Promise<void> {
  const record = await readRecord(data)
  if (record !== undefined && isOccupied(record.pid) && (await findPostmaster(data)) === undefined) {
    await rm(join(data, 'postmaster.pid'), { force: true })
  }
}

/** As PostgreSQL checks it: any process with this process id, even a zombie. */
function isOccupied(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function startFailure(data: string, end: string, logFile: string): Promise<EmbeddedServerFailed> {
  const log = await readFile(logFile, 'utf8').catch(() => '')
  const lastLines = log.trimEnd().split('\n').slice(-15).join('\n')
  return new EmbeddedServerFailed(
    `The embedded PostgreSQL in ${data} did not start (${end}). To start over, remove that directory, or set ` +
      `DATABASE_URL. The end of ${logFile}:\n${lastLines}`,
  )
}
