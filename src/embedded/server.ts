/**
 * The default server: a real PostgreSQL of this project's own, for whoever has no DATABASE_URL.
 *
 * States of a project's server: absent, running, and back. Every handle is a holder. Opening starts the server or adopts
 * the running one (also an orphan, whose processes were all killed); closing stops it when no living holder is left, so
 * whoever leaves last stops it. Both happen under the project's claim, one process at a time.
 * No signal handlers and no timers: a process that opened a server still ends when it has nothing else to do.
 */
import { rm, stat } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { ConfigInvalid } from '../errors.ts'
import { prepareBinaries } from './binaries.ts'
import { withClaim } from './claim.ts'
import { databaseName, prepareCluster } from './cluster.ts'
import { makeEphemeralDirectory, removeAbandoned } from './ephemeral.ts'
import { addHolder, countHolders, removeHolder } from './holders.ts'
import { findPlace, prepareDirectory, readPassword, type Place } from './place.ts'
import {
  answers,
  awaitReady,
  readRecord,
  startPostmaster,
  stopPostmaster,
  stopProcess,
  type Postmaster,
} from './postmaster.ts'
import { identityOf } from './process-identity.ts'
import { makeSocketDirectory, removeFarSocketDirectory, socketPort } from './socket-directory.ts'

/** A running server, held until `stop`. */
export interface EmbeddedServer {
  /** `postgres://user:password@/database?host=/socket/directory&port=5432`; on Windows with a TCP address. Secret. */
  readonly url: string
  /** The directory of the Unix socket; absent on Windows. */
  readonly socketDirectory?: string
  /** Where its data is. As root that may be outside the project, which the server's own user has to reach. */
  readonly dataDirectory: string
  /** True when this call started the server or took over an orphan; false when others already used it. */
  readonly owned: boolean
  /** Gives the server up, and stops it when nobody else uses it: 35 seconds at the very most. Idempotent. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface EmbeddedServerOptions {
  /** Where it keeps its data. Default `.rivulet` in the current directory; a new temporary one when `ephemeral`. */
  directory?: string
  /** Settings of PostgreSQL, such as `{ max_connections: '200' }`. A server that already runs keeps its own. */
  settings?: Readonly<Record<string, string>>
  /** For tests: nothing is flushed to disk, and the directory is removed when the server stops. Default false. */
  ephemeral?: boolean
  /** Aborted, it ends the waiting and the initialising, and nothing is left half-made; a server that is about to run is opened. */
  signal?: AbortSignal
}

/**
 * Starts, or adopts, the server of a directory, and initialises it the first time.
 * @throws {ConfigInvalid} when there are no binaries for this platform, or the server does not start; it says what to do. The signal's reason when
 * that ended it.
 */
export async function openEmbeddedServer(options: EmbeddedServerOptions = {}): Promise<EmbeddedServer> {
  const { settings = {}, ephemeral = false, signal } = options
  if (ephemeral) await removeAbandoned()
  const wanted = options.directory ?? (ephemeral ? await makeEphemeralDirectory() : '.rivulet')
  const directory = await prepareDirectory(resolve(wanted))
  const open = async (): Promise<EmbeddedServer> => {
    const place = await findPlace(directory)
    const password = await readPassword(directory)
    const others = await countHolders(directory)
    const running = await adopt(place, others)
    const postmaster = running ?? (await start(place, password, settings, ephemeral, signal))
    const holder = await addHolder(directory)
    let stopped: Promise<void> | undefined
    const server = identityOf(postmaster.pid)
    const stop = () => (stopped ??= release(place, holder, ephemeral, server))
    return {
      url: urlOf(postmaster, password),
      ...(postmaster.socketDirectory === undefined ? {} : { socketDirectory: postmaster.socketDirectory }),
      dataDirectory: place.data,
      owned: running === undefined || others === 0,
      stop,
      [Symbol.asyncDispose]: stop,
    }
  }
  return withClaim(directory, open, { signal })
}

async function adopt(place: Place, others: number): Promise<Postmaster | undefined> {
  const running = await awaitReady(place.data)
  if (running === undefined || (await answers(running))) return running
  if (others > 0) {
    throw new ConfigInvalid(
      `The embedded PostgreSQL in ${place.data} (process ${running.pid}) runs but does not answer, and ${others} other ` +
        'users have it open: stop them and try again, or set DATABASE_URL.',
    )
  }
  await stopPostmaster(place.data)
  return undefined
}

async function start(
  place: Place,
  password: string,
  settings: Readonly<Record<string, string>>,
  ephemeral: boolean,
  signal: AbortSignal | undefined,
): Promise<Postmaster> {
  const binaries = await prepareBinaries(place)
  await prepareCluster(place, binaries, password, !ephemeral, signal)
  signal?.throwIfAborted()
  // A server that crashed left its socket behind.
  await removeFarSocketDirectory((await readRecord(place.data))?.socketDirectory)
  return startPostmaster({
    postgres: binaries.postgres,
    data: place.data,
    user: place.user,
    logFile: join(place.directory, 'server.log'),
    settings: {
      max_connections: '100',
      ...(ephemeral ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
      ...(process.platform === 'win32' ? await tcpSettings() : await socketSettings(place)),
      ...settings,
    },
  })
}

async function socketSettings(place: Place): Promise<Record<string, string>> {
  const directory = await makeSocketDirectory(place)
  return {
    listen_addresses: '',
    port: String(socketPort),
    unix_socket_permissions: '0700',
    // A list, in which a name may be quoted.
    unix_socket_directories: `"${directory.replaceAll('"', '""')}"`,
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

async function release(place: Place, holder: string, ephemeral: boolean, server: string): Promise<void> {
  // The directory was removed under us: nobody can adopt this server any more.
  if ((await stat(join(place.directory, 'claims')).catch(() => undefined)) === undefined) return stopProcess(server)
  await withClaim(place.directory, async () => {
    await removeHolder(place.directory, holder)
    if ((await countHolders(place.directory)) > 0) return
    const record = await readRecord(place.data)
    await stopPostmaster(place.data)
    await removeFarSocketDirectory(record?.socketDirectory)
    if (!ephemeral) return
    await rm(place.home, { recursive: true, force: true })
    await rm(place.directory, { recursive: true, force: true })
  })
}

function urlOf({ socketDirectory, port }: Postmaster, password: string): string {
  const user = `${databaseName}:${password}`
  if (socketDirectory === undefined) return `postgres://${user}@127.0.0.1:${port}/${databaseName}`
  const host = encodeURIComponent(socketDirectory).replaceAll('%2F', '/')
  return `postgres://${user}@/${databaseName}?host=${host}&port=${port}`
}
