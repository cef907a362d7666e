/**
 * The default server: a real PostgreSQL of this project's own, for projects without a DATABASE_URL.
 *
 * The states of a project's server: absent, running, and back. Opening starts the server or adopts the running one, one
 * process at a time, under the project's lock. Every handle holds it, and it runs as long as there is a holder. A small
 * process, the keeper, stops it when the last handle was stopped or the last process with a handle is dead. There are
 * no signal handlers and no timers, so a process that opened a server still ends when it has nothing else to do.
 */
import { open, rename, stat } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { EmbeddedServerFailed } from '../errors.ts'
import { prepareBinaries } from './binaries.ts'
import { withProcessLock } from './process-lock.ts'
import { databaseName, prepareCluster } from './cluster.ts'
import { makeEphemeralDirectory, removeAbandonedServers } from './ephemeral.ts'
import { type Hold, holdIn, isKept } from './hold.ts'
import { Keeper } from './keeper.ts'
import { findPaths, prepareDirectory, projectDirectory, readPassword, type ServerPaths } from './paths.ts'
import { isResponding, awaitReady, readRecord, startPostmaster, stopPostmaster, type Postmaster } from './postmaster.ts'
import { keeperAddress, makeSocketDirectory, removeFarSocketDirectory, socketPort } from './socket-directory.ts'
import { quotedName } from '../values/quoting.ts'

/** A running server, held until `stop`. */
export interface EmbeddedServer {
  /** `postgres://user:password@/database?host=/socket/directory&port=5432&…`; on Windows with a TCP address. Secret. */
  readonly url: string
  /** The directory of the Unix socket; absent on Windows. */
  readonly socketDirectory?: string
  /**
   * The directory of its data. As root it may be outside the project, because the server's own user has to reach it.
   */
  readonly dataDirectory: string
  /** True when this call started the server; false when it was already running. */
  readonly owned: boolean
  /** Releases the server, and stops it if this was the last holder: 35 seconds at most. Idempotent. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface EmbeddedServerOptions {
  /**
   * The directory of its data. Default: `.rivulet` in the project's root, which is the nearest folder upwards with a
   * package.json, else in the current directory; a new temporary directory when `ephemeral`.
   */
  directory?: string
  /** Settings of PostgreSQL, such as `{ max_connections: '200' }`. A running server keeps its own. */
  settings?: Readonly<Record<string, string>>
  /** For tests: nothing is flushed to disk, and the directory is removed when the server stops. Default false. */
  ephemeral?: boolean
  /**
   * When aborted, waiting and initialising end, and nothing is left half-made; a server that is about to run is opened.
   */
  signal?: AbortSignal
}

/**
 * Starts, or adopts, the server of a directory, and initialises it the first time.
 * @throws {EmbeddedServerFailed} when there are no binaries for this platform, or the server does not start; it says what to do. The signal's reason when
 * that ended it.
 */
export async function openEmbeddedServer(options: EmbeddedServerOptions = {}): Promise<EmbeddedServer> {
  const { ephemeral = false, signal } = options
  if (ephemeral) await removeAbandonedServers()
  const wanted = options.directory ?? (ephemeral ? await makeEphemeralDirectory() : projectDirectory())
  const directory = await prepareDirectory(resolve(wanted))
  const enter = async (): Promise<EmbeddedServer> => {
    const paths = await findPaths(directory)
    const password = await readPassword(directory)
    const adopted = await adopt(paths, signal)
    const { postmaster, hold } = adopted ?? (await start(paths, password, options))
    let stopped: Promise<void> | undefined
    const stop = () => (stopped ??= release(paths, hold))
    return {
      url: urlOf(postmaster, password),
      ...(postmaster.socketDirectory === undefined ? {} : { socketDirectory: postmaster.socketDirectory }),
      dataDirectory: paths.data,
      owned: adopted === undefined,
      stop,
      [Symbol.asyncDispose]: stop,
    }
  }
  return withProcessLock(directory, enter, { signal })
}

/** A running server, and the hold on it. */
interface Held {
  readonly postmaster: Postmaster
  readonly hold: Hold
}

async function adopt(paths: ServerPaths, signal: AbortSignal | undefined): Promise<Held | undefined> {
  const hold = await holdIn(paths.directory, signal)
  try {
    const postmaster = hold && (await awaitReady(paths.data))
    if (postmaster && (await isResponding(postmaster))) return { postmaster, hold }
    if (postmaster) {
      throw new EmbeddedServerFailed(
        `The embedded PostgreSQL in ${paths.data} (process ${postmaster.pid}) is running but does not respond: end that ` +
          'process and try again, or set DATABASE_URL.',
      )
    }
  } catch (error) {
    await hold?.release()
    throw error
  }
  // The server has just crashed; or its keeper was killed, so that it runs without anything that would stop it.
  await hold?.release()
  await stopPostmaster(paths.data)
  return undefined
}

async function start(paths: ServerPaths, password: string, options: EmbeddedServerOptions): Promise<Held> {
  const { settings = {}, ephemeral = false, signal } = options
  const logFile = join(paths.directory, 'server.log')
  const keeper = await openKeeper(logFile)
  try {
    // A crashed server leaves its socket behind.
    await removeFarSocketDirectory((await readRecord(paths.data))?.socketDirectory)
    const { socketDirectory, isFar } = await makeSocketDirectory(paths)
    // The keeper is published before it starts anything: if this process dies, the next one finds it and waits for its
    // end.
    const known = keeper.listen(paths.directory, keeperAddress(socketDirectory), isFar ? socketDirectory : undefined)
    const [binaries] = await Promise.all([prepareBinaries(paths), known])
    // A server that flushes nothing does not need its data flushed while it is made, either.
    const durable = !ephemeral && settings.fsync !== 'off'
    await prepareCluster({ keeper, paths, binaries }, password, durable, signal)
    signal?.throwIfAborted()
    const postmaster = await startPostmaster({
      keeper,
      postgres: binaries.postgres,
      data: paths.data,
      user: paths.user,
      logFile,
      settings: {
        max_connections: '100',
        ...(ephemeral ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
        ...(process.platform === 'win32' ? await tcpSettings() : socketSettings(socketDirectory)),
        ...settings,
      },
      remove: ephemeral ? [paths.home, paths.directory] : [],
    })
    return { postmaster, hold: await keeper.open() }
  } catch (error) {
    await keeper.end()
    throw error
  }
}

async function openKeeper(logFile: string): Promise<Keeper> {
  await rename(logFile, `${logFile}.previous`).catch(() => {})
  // Opened for appending, because it is emptied at every attempt to start.
  const log = await open(logFile, 'a', 0o600)
  try {
    return new Keeper(log.fd)
  } finally {
    await log.close()
  }
}

function socketSettings(directory: string): Record<string, string> {
  return {
    listen_addresses: '',
    port: String(socketPort),
    unix_socket_permissions: '0700',
    // The setting is a list, in which a name may be quoted.
    unix_socket_directories: quotedName(directory),
  }
}

async function tcpSettings(): Promise<Record<string, string>> {
  return { listen_addresses: '127.0.0.1', port: String(await freePort()), unix_socket_directories: '' }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })
}

async function release(paths: ServerPaths, hold: Hold): Promise<void> {
  if (await hold.release()) return
  // The server crashed and its keeper ended with it, and another process may have started a new one; or the keeper was
  // killed.
  if ((await stat(join(paths.directory, 'locks')).catch(() => undefined)) === undefined) return
  await withProcessLock(paths.directory, async () => {
    if (!(await isKept(paths.directory))) await stopPostmaster(paths.data)
  })
}

function urlOf({ socketDirectory, port }: Postmaster, password: string): string {
  const user = `${databaseName}:${password}`
  // Empty parameters keep libpq's variables out, because they are meant for other servers.
  const alone = 'sslmode=disable&channel_binding=&require_auth=&target_session_attrs=&options='
  if (socketDirectory === undefined) return `postgres://${user}@127.0.0.1:${port}/${databaseName}?${alone}`
  const host = encodeURIComponent(socketDirectory).replaceAll('%2F', '/')
  return `postgres://${user}@/${databaseName}?host=${host}&port=${port}&${alone}`
}
