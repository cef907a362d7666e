/**
 * Says who we are to a server and hears it out until it is ready for statements. It is done here and not by postgres.js,
 * which knows no channel binding, takes every way of authentication it is asked for, and waits for ever for what it
 * does not understand. What the server said is kept, for the driver to hear it as well.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
 */
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { type Authentication, describeAddress, type ServerAddress } from '../address/server-address.ts'
import { ConfigInvalid } from '../errors.ts'
import { certificateHash } from './certificate-hash.ts'
import { MessageReader, serverErrorIn } from './message-reader.ts'
import { type Binding, Scram } from './scram.ts'

/** What came of it. */
export interface Greeting {
  readonly pid: number
  readonly secret: number
  /** What the server has reported (ParameterStatus), by name. */
  readonly parameters: ReadonlyMap<string, string>
  /** Everything from the server's consent to its first ReadyForQuery. */
  readonly bytes: Buffer
}

/**
 * Authenticates on a fresh socket, which is paused afterwards.
 * @throws the server's refusal as a PostgresError, ConnectionLost when it breaks off, ConfigInvalid when it asks for what
 * we cannot or must not give.
 */
export async function shakeHands(
  socket: Socket,
  address: ServerAddress,
  startup: Readonly<Record<string, string>>,
): Promise<Greeting> {
  const reader = new MessageReader(socket, address)
  const login = new Login(socket, address)
  try {
    socket.write(startupMessage(startup))
    const heard: Buffer[] = []
    const parameters = new Map<string, string>()
    let pid = 0
    let secret = 0
    for (;;) {
      const message = await reader.next()
      if (message.type === 'E') throw serverErrorIn(message.body)
      if (message.type === 'R') await login.answer(message.body)
      if (message.type === 'K') [pid, secret] = [message.body.readUInt32BE(0), message.body.readUInt32BE(4)]
      if (message.type === 'S') {
        const [name = '', value = ''] = message.body.toString().split('\0')
        parameters.set(name, value)
      }
      if (login.done && message.type !== 'N') heard.push(message.bytes)
      if (message.type === 'Z') return { pid, secret, parameters, bytes: Buffer.concat([...heard, reader.rest()]) }
    }
  } finally {
    reader.stop()
  }
}

/** The client's part of authentication. */
class Login {
  /** Whether the server has let us in. */
  done = false
  readonly #socket: Socket
  readonly #address: ServerAddress
  #method: Authentication = 'none'
  #scram: Scram | undefined
  #proven = false

  constructor(socket: Socket, address: ServerAddress) {
    this.#socket = socket
    this.#address = address
  }

  async answer(request: Buffer): Promise<void> {
    const { user } = this.#address
    const body = request.subarray(4)
    switch (request.readInt32BE(0)) {
      case 0:
        return this.#admitted()
      case 3:
        return this.#say(`${this.#password('password')}\0`)
      case 5: {
        const inner = md5(this.#password('md5') + user)
        return this.#say(`md5${md5(Buffer.concat([Buffer.from(inner), body.subarray(0, 4)]))}\0`)
      }
      case 10:
        return this.#beginScram(body.toString().split('\0').filter(Boolean))
      case 11:
        if (this.#scram) return this.#say(await this.#scram.proof(body.toString()))
        break
      case 12:
        this.#scram?.confirm(body.toString())
        this.#proven = true
        return
    }
    throw this.#refusal('asks for a way of authentication that is not supported, such as Kerberos')
  }

  #beginScram(offered: readonly string[]): void {
    const password = this.#password('scram-sha-256')
    const binding = this.#binding(offered)
    this.#scram = new Scram(password, binding)
    const { mechanism, opening } = this.#scram
    if (!offered.includes(mechanism)) throw this.#refusal(`offers none of SCRAM's ways that we know`)
    const length = Buffer.alloc(4)
    length.writeInt32BE(Buffer.byteLength(opening))
    this.#say(Buffer.concat([Buffer.from(`${mechanism}\0`), length, Buffer.from(opening)]))
  }

  #binding(offered: readonly string[]): Binding {
    const { channelBinding } = this.#address
    const certificate = this.#socket instanceof TLSSocket ? this.#socket.getPeerX509Certificate()?.raw : undefined
    const hash = certificate && certificateHash(certificate)
    if (channelBinding !== 'disable' && hash) {
      if (offered.includes('SCRAM-SHA-256-PLUS')) return hash
      if (channelBinding === 'prefer') return 'not offered'
    }
    if (channelBinding === 'require') throw this.#unbound()
    return 'none'
  }

  #admitted(): void {
    if (this.#scram && !this.#proven) throw this.#refusal('let us in before it had proved that it knows the password')
    if (this.#address.channelBinding === 'require' && this.#scram?.mechanism !== 'SCRAM-SHA-256-PLUS') {
      throw this.#unbound()
    }
    if (this.#method === 'none') this.#accept('none')
    this.done = true
  }

  #unbound(): ConfigInvalid {
    return this.#refusal(
      'does not offer channel binding (SCRAM-SHA-256-PLUS over TLS), which channel_binding=require asks for',
    )
  }

  #password(method: Authentication): string {
    this.#accept(method)
    const { password } = this.#address
    if (password !== '') return password
    throw this.#refusal('asks for a password, and there is none in the database URL, PGPASSWORD or the password file')
  }

  #accept(method: Authentication): void {
    this.#method = method
    if (this.#address.authentications.includes(method)) return
    throw this.#refusal(`asks for the authentication ${method}, which require_auth rules out`)
  }

  #refusal(what: string): ConfigInvalid {
    return new ConfigInvalid(`${describeAddress(this.#address)} ${what}`)
  }

  #say(body: string | Buffer): void {
    this.#socket.write(framed('p', Buffer.from(body as string)))
  }
}

/** Protocol 3.0: length, version, then names and values. */
function startupMessage(parameters: Readonly<Record<string, string>>): Buffer {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== '')
  const text = `${pairs.map(([name, value]) => `${name}\0${value}\0`).join('')}\0`
  return framed('', Buffer.concat([Buffer.from([0, 3, 0, 0]), Buffer.from(text)]))
}

function framed(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(type.length + 4)
  head.write(type, 'latin1')
  head.writeInt32BE(body.length + 4, type.length)
  return Buffer.concat([head, body])
}

function md5(data: string | Buffer): string {
  return createHash('md5').update(data).digest('hex')
}
