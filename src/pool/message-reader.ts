/**
 * Reads the messages of a server off a socket one by one while a connection is opened. What comes afterwards is the
 * driver's, and nothing of it is lost: `rest` gives back what was read too much.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
import type { Socket } from 'node:net'
import { describeAddress, type ServerAddress } from '../address/server-address.ts'
import { ConfigInvalid, ConnectionLost } from '../errors.ts'

export interface Message {
  /** R for authentication, S ParameterStatus, K BackendKeyData, E error, N notice, v another version, Z ready. */
  readonly type: string
  readonly body: Buffer
  /** The whole message, type and length included. */
  readonly bytes: Buffer
}

const knownTypes = 'RSKENvZ'
/** No message of a greeting is longer; what is no PostgreSQL often claims to be. */
const longest = 1_000_000

export class MessageReader {
  readonly #socket: Socket
  readonly #address: ServerAddress
  #unread = Buffer.alloc(0)
  #failure: unknown
  #over = false
  #wake: (() => void) | undefined

  constructor(socket: Socket, address: ServerAddress) {
    this.#socket = socket
    this.#address = address
    socket.on('data', this.#onData).on('error', this.#onError).on('close', this.#onClose)
    socket.resume()
  }

  /** The next message. @throws ConnectionLost when the socket ends first, or speaks no PostgreSQL; ConfigInvalid. */
  async next(): Promise<Message> {
    for (;;) {
      const message = this.#take()
      if (message) return message
      if (this.#over || this.#socket.destroyed) throw this.#ended()
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** What has been read behind the last message. */
  rest(): Buffer {
    const rest = this.#unread
    this.#unread = Buffer.alloc(0)
    return rest
  }

  /** Lets go of the socket, which is paused: nothing that arrives from now on is lost. */
  stop(): void {
    this.#socket.pause()
    this.#socket.off('data', this.#onData).off('error', this.#onError).off('close', this.#onClose)
  }

  #ended(): ConnectionLost | ConfigInvalid {
    const place = describeAddress(this.#address)
    const cause = this.#failure
    // From TLS 1.3 on a server looks at our certificate when we take the connection for made.
    const alert = cause instanceof Error && 'code' in cause && /^ERR_SSL_.*ALERT.*/.exec(String(cause.code))
    if (alert)
      return new ConfigInvalid(`${place} does not accept our certificate (${alert[0]}): see sslcert`, { cause })
    return new ConnectionLost(`${place} broke off while connecting`, { cause })
  }

  #take(): Message | undefined {
    const unread = this.#unread
    if (unread.length < 5) return undefined
    const type = String.fromCharCode(unread[0] ?? 0)
    const end = unread.readUInt32BE(1) + 1
    if (!knownTypes.includes(type) || end < 5 || end > longest) {
      throw new ConnectionLost(`${describeAddress(this.#address)} does not answer like a PostgreSQL server`)
    }
    if (unread.length < end) return undefined
    this.#unread = unread.subarray(end)
    return { type, body: unread.subarray(5, end), bytes: unread.subarray(0, end) }
  }

  readonly #onData = (chunk: Buffer) => {
    this.#unread = Buffer.concat([this.#unread, chunk])
    this.#wake?.()
  }

  readonly #onError = (error: unknown) => {
    this.#failure = error
  }

  readonly #onClose = () => {
    this.#over = true
    this.#wake?.()
  }
}

/** Fields of an ErrorResponse -> what postgres.js calls them. */
const fieldNames: Readonly<Record<string, string>> = { V: 'severity', C: 'code', H: 'hint', R: 'routine' }

/** The error of a server that refuses the login, as postgres.js would hand it over. */
export function serverErrorIn(body: Buffer): Error {
  const fields = body.toString().split('\0').filter(Boolean)
  const valueOf = (letter: string) => fields.find((field) => field.startsWith(letter))?.slice(1)
  const error = new Error(valueOf('M') ?? 'the server gave no reason')
  const known = Object.entries(fieldNames).flatMap(([letter, name]) => {
    const value = valueOf(letter)
    return value === undefined ? [] : [[name, value] as const]
  })
  return Object.assign(error, { name: 'PostgresError', code: '', ...Object.fromEntries(known) })
}
