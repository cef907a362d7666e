/**
 * Opens a connection: the socket, the handshake that postgres.js does on it, and the first statement, which completes it.
 * What the server says to a connection it refuses tells a wrong configuration from an outage.
 */
import type { Socket } from 'node:net'
import postgres from 'postgres'
import { describeAddress, type ServerAddress } from '../config.ts'
import { ConfigInvalid, ConnectionLost, RivuletError } from '../errors.ts'
import { fromServerError, isServerError } from '../sqlstate.ts'
import { installCodecs } from './codec.ts'
import { type Backend, type Client, Connection, withoutQuery } from './connection.ts'
import { DriverSocket } from './driver-socket.ts'
import { ServerMessages } from './server-messages.ts'
import { openSocket } from './socket.ts'

/** What `openConnection` needs to know. */
export interface ConnectionConfig {
  readonly address: ServerAddress
  readonly connectTimeoutMs: number
  /** Gives up connecting when aborted; the reason is thrown. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Connects, authenticates and answers a usable connection.
 * @throws ConnectionLost when the server cannot be reached or breaks off, ConfigInvalid when it refuses who we are.
 */
export async function openConnection({ address, connectTimeoutMs, signal }: ConnectionConfig): Promise<Connection> {
  const abort = new AbortController()
  let socket: Socket | undefined
  const giveUp = (error: Error) => {
    abort.abort(error)
    socket?.destroy(error)
  }
  const expired = new ConnectionLost(`${describeAddress(address)} did not answer within ${connectTimeoutMs} ms`)
  const timer = setTimeout(() => giveUp(expired), connectTimeoutMs)
  const onAbort = () => giveUp(signal?.reason as Error)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    signal?.throwIfAborted()
    socket = await openSocket(address, abort.signal)
    const messages = new ServerMessages()
    const driverSocket = new DriverSocket(socket, messages)
    const client = createClient(address, driverSocket)
    // The first statement completes the handshake; postgres.js then knows the backend's pid and cancel key.
    const first = client.unsafe(askTimeout)
    const [row] = (await Promise.race([first, brokenOff(socket, abort.signal)])) as unknown as [{ ms: number }]
    const { pid, secret } = (first as unknown as { state: Backend }).state
    return new Connection({
      client,
      socket,
      driverSocket,
      messages,
      address,
      backend: { pid, secret },
      serverTimeoutMs: row.ms,
    })
  } catch (error) {
    socket?.destroy()
    if (abort.signal.aborted) throw abort.signal.reason
    if (error instanceof RivuletError) throw error
    if (isServerError(error)) throw refusal(error)
    throw new ConnectionLost(`${describeAddress(address)} broke off while connecting`, { cause: withoutQuery(error) })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** The limit that server, database or role put on a statement, in milliseconds; 0 is none. */
const askTimeout = `select extract(epoch from current_setting('statement_timeout')::interval)::float8 * 1000 as ms`

/** Rejects when the socket closes or connecting is given up: postgres.js may then leave its statement unanswered. */
function brokenOff(socket: Socket, signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const onClose = () => reject(new Error('the server hung up'))
    if (socket.destroyed) onClose()
    socket.once('close', onClose)
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

function createClient(address: ServerAddress, socket: DriverSocket): Client {
  let used = false
  const client = postgres({
    host: address.host,
    port: address.port,
    database: address.database,
    user: address.user,
    password: address.password,
    ssl: false,
    max: 1,
    idle_timeout: 0,
    max_lifetime: 0,
    connect_timeout: 0,
    keep_alive: 0,
    fetch_types: false,
    prepare: true,
    backoff: () => 0,
    // Dates are read in ISO style whatever the role or the database prefers; the order of input stays theirs.
    connection: { ...address.startup, DateStyle: 'ISO' },
    onnotice: () => undefined,
    socket: () => {
      // postgres.js asks again when it would reconnect: this connection is over instead.
      if (used) throw new ConnectionLost('the connection was lost')
      used = true
      return socket
    },
  } as unknown as postgres.Options<Record<string, never>>) as unknown as Client
  installCodecs(client.options)
  return client
}

function refusal(error: Parameters<typeof fromServerError>[0]): RivuletError {
  const typed = fromServerError(error)
  if (typed instanceof ConfigInvalid) return typed
  const { cause } = typed
  const reason = cause instanceof Error ? cause.message : typed.message
  // 53300 too many connections, 55000, 57P03 starting up, …: the server is there but takes nobody now.
  if (/^(?:08|53|55|57)/.test(error.code))
    return new ConnectionLost(`the server takes no connection: ${reason}`, { cause })
  return new ConfigInvalid(`the server refused the connection: ${reason}`, { cause })
}
