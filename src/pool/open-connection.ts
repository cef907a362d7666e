/**
 * Opens connections: tries the places of an address by libpq's rules until one is reached that is what
 * `target_session_attrs` asks for, authenticates there, and hands the socket to a postgres.js client with `max: 1`.
 * A server that refuses who we are ends the search; one that is not there, or is starting, does not.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
 */
import type { Socket } from 'node:net'
import postgres from 'postgres'
import { at, describeAddress, type ServerAddress, type SessionKind } from '../address/server-address.ts'
import { ConfigInvalid, ConnectionLost, RivuletError } from '../errors.ts'
import { fromServerError, isServerError } from '../sqlstate.ts'
import { installCodecs } from './codec.ts'
import { type Connection, SocketConnection, withoutQuery } from './connection.ts'
import type { Client } from './connection-parts.ts'
import { DriverSocket } from './driver-socket.ts'
import { shakeHands } from './handshake.ts'
import { HostOrder } from './host-order.ts'
import { ServerMessages } from './server-messages.ts'
import { askServer, type ServerAnswer, ServerState } from './server-state.ts'
import { openSocket, reachedBy } from './socket.ts'

/** What `openConnection` needs to know. */
export interface ConnectionConfig {
  readonly address: ServerAddress
  /** Milliseconds each place may take to answer. */
  readonly connectTimeoutMs: number
  /** Gives up connecting when aborted; the reason is thrown. */
  readonly signal?: AbortSignal | undefined
}

/** Opens a connection; gives up when the signal is aborted, with its reason. */
export type Open = (signal?: AbortSignal) => Promise<Connection>

/**
 * Connects, authenticates and returns a usable connection.
 * @throws ConnectionLost when no server can be reached or one breaks off, ConfigInvalid when it refuses who we are.
 */
export function openConnection({ address, connectTimeoutMs, signal }: ConnectionConfig): Promise<Connection> {
  return connectionOpener(() => address, connectTimeoutMs)(signal)
}

/**
 * What opens one connection after another and remembers which places are of no use. The address is asked for anew each
 * time: certificates, keys and password files are replaced while a service runs.
 */
export function connectionOpener(addressNow: () => ServerAddress, connectTimeoutMs: number): Open {
  const order = new HostOrder()
  return async (signal = new AbortController().signal) => openSomewhere(addressNow(), order, connectTimeoutMs, signal)
}

async function openSomewhere(
  address: ServerAddress,
  order: HostOrder,
  connectTimeoutMs: number,
  signal: AbortSignal,
): Promise<Connection> {
  const { sessionKind } = address
  const failures: ConnectionLost[] = []
  const kinds: SessionKind[] = sessionKind === 'prefer-standby' ? ['standby', 'any'] : [sessionKind]
  for (const kind of kinds) {
    failures.length = 0
    for await (const place of order.places(address, signal, (error) => failures.push(error))) {
      const there = { ...at(address, place), sessionKind: kind }
      try {
        const connection = await openThere(there, connectTimeoutMs, signal)
        const fits = connection.server.is(kind)
        order.record(place, fits)
        if (fits) return connection
        failures.push(new ConnectionLost(`${describeAddress(there)} is not ${kind}, as target_session_attrs asks for`))
        await connection.close()
      } catch (error) {
        order.record(place, false)
        if (signal.aborted || !maySearchOn(error)) throw error
        failures.push(error)
      }
    }
  }
  const [first, ...others] = failures
  if (first === undefined || others.length === 0) throw first ?? new ConnectionLost('there is no place to connect to')
  const reasons = failures.map(({ message }) => message).join('; ')
  throw new ConnectionLost(`none of ${describeAddress(address)} will do: ${reasons}`, { cause: failures.at(-1) })
}

/** A server that is just starting is passed over; any other refusal would be the same elsewhere. */
function maySearchOn(error: unknown): error is ConnectionLost {
  return error instanceof ConnectionLost && (!isServerError(error.cause) || error.cause.code === '57P03')
}

async function openThere(address: ServerAddress, connectTimeoutMs: number, signal: AbortSignal): Promise<Connection> {
  const abort = new AbortController()
  let socket: Socket | undefined
  const giveUp = (error: Error) => {
    abort.abort(error)
    socket?.destroy(error)
  }
  const expired = new ConnectionLost(`${describeAddress(address)} did not answer within ${connectTimeoutMs} ms`)
  const timer = setTimeout(() => giveUp(expired), connectTimeoutMs)
  const onAbort = () => giveUp(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    socket = await openSocket(address, abort.signal)
    const startup = startupParameters(address)
    const { pid, secret, parameters, bytes } = await shakeHands(socket, address, startup)
    const messages = new ServerMessages()
    const driverSocket = new DriverSocket(socket, messages, bytes)
    const client = createClient(address, driverSocket)
    const answer = await Promise.race([firstAnswer(client), brokenOff(socket, abort.signal)])
    const server = new ServerState(answer, parameters)
    const [, [facts]] = answer
    const backend = { pid, secret, started: facts.pid === pid ? (facts.started ?? undefined) : undefined }
    return new SocketConnection({
      client,
      socket,
      driverSocket,
      messages,
      address: reachedBy(socket, address),
      backend,
      server,
    })
  } catch (error) {
    socket?.destroy()
    if (abort.signal.aborted) throw abort.signal.reason
    if (error instanceof RivuletError) throw error
    if (isServerError(error)) throw refusal(error)
    throw new ConnectionLost(`${describeAddress(address)} broke off while connecting`, { cause: withoutQuery(error) })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

/** Dates are read in ISO style, also where the role or the database prefers another; the order of input stays theirs. */
function startupParameters({ user, database, startup }: ServerAddress): Readonly<Record<string, string>> {
  return { user, database, client_encoding: 'UTF8', ...startup, DateStyle: 'ISO' }
}

/** Asks the server about itself: again and again, where a limit that it puts on statements is too short for that. */
async function firstAnswer(client: Client): Promise<ServerAnswer> {
  for (;;) {
    try {
      return (await client.unsafe(askServer)) as unknown as ServerAnswer
    } catch (error) {
      if (!isServerError(error) || error.code !== '57014') throw error
    }
  }
}

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
  const { options } = postgres({
    host: address.host,
    port: address.port,
    database: address.database,
    user: address.user,
    // Not needed: the server knows us by now.
    password: '',
    ssl: false,
    max: 1,
    idle_timeout: 0,
    max_lifetime: 0,
    connect_timeout: 0,
    keep_alive: 0,
    fetch_types: false,
    prepare: true,
    backoff: () => 0,
    connection: address.startup,
    onnotice: () => undefined,
    // Set here, because postgres.js reads PGTARGETSESSIONATTRS on its own, and looks for another server by it.
    target_session_attrs: 'primary',
    socket: () => {
      // postgres.js asks again when it would reconnect: this connection is over instead.
      if (used) throw new ConnectionLost('the connection was lost')
      used = true
      return socket
    },
  } as unknown as postgres.Options<Record<string, never>>)
  // Options that were parsed before are taken as they are, this one as well.
  const client = postgres({ ...options, target_session_attrs: undefined } as never) as unknown as Client
  installCodecs(client.options)
  return client
}

function refusal(error: Parameters<typeof fromServerError>[0]): RivuletError {
  const typed = fromServerError(error)
  if (typed instanceof ConfigInvalid) return typed
  const { cause } = typed
  const reason = cause instanceof Error ? cause.message : typed.message
  // 53300 too many connections, 55000, 57P03 starting up, …: the server is there but accepts no connection now.
  if (/^(?:08|53|55|57)/.test(error.code))
    return new ConnectionLost(`the server takes no connection: ${reason}`, { cause })
  return new ConfigInvalid(`the server refused the connection: ${reason}`, { cause })
}
