/**
 * Opens one socket to a PostgreSQL server, encrypted as `sslmode` asks, before the driver speaks on it. We own the
 * socket, so that a connection can be destroyed for certain, its last word read, and a second connect refused.
 * CancelRequest: https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { at, describeAddress, type ServerAddress } from '../address/server-address.ts'
import { sslRequest } from '../address/ssl-request.ts'
import { ConfigInvalid, ConnectionLost } from '../errors.ts'

const cancelRequestCode = 80_877_102

/**
 * Opens a socket to the first endpoint of `address`. @throws ConnectionLost when the server cannot be reached,
 * ConfigInvalid when TLS is refused.
 */
export async function openSocket(address: ServerAddress, signal: AbortSignal): Promise<Socket> {
  const { host, port, ip, keepAliveMs, tls } = address
  const local = host.startsWith('/')
  const socket = local ? connect({ path: `${host}/.s.PGSQL.${port}` }) : connect({ host: ip ?? host, port })
  // Between two listeners of others, an error without a listener would be an uncaught exception.
  socket.on('error', () => undefined)
  try {
    await once(socket, 'connect', { signal })
    socket.setNoDelay(true)
    socket.setKeepAlive(keepAliveMs > 0, keepAliveMs)
    return local || tls.mode === 'disable' ? socket : await secured(socket, address, signal)
  } catch (cause) {
    socket.destroy()
    throw signal.aborted || cause instanceof ConfigInvalid ? cause : unreachable(address, cause)
  }
}

/** Where an open socket leads: to the very address it is connected to, even if the name stands for another by now. */
export function reachedBy(socket: Socket, address: ServerAddress): ServerAddress {
  const { host, port, password } = address
  return at(address, { host, port, password, ip: host.startsWith('/') ? undefined : socket.remoteAddress })
}

/**
 * Asks the server to stop what the backend runs. The server acts on it without an answer and closes the socket; the
 * connection asked for must not be used for anything else afterwards, because the request may arrive late.
 */
export async function sendCancelRequest(
  address: ServerAddress,
  backend: { readonly pid: number; readonly secret: number },
  signal: AbortSignal,
): Promise<void> {
  const socket = await openSocket(address, signal)
  const message = Buffer.alloc(16)
  message.writeInt32BE(16, 0)
  message.writeInt32BE(cancelRequestCode, 4)
  message.writeInt32BE(backend.pid | 0, 8)
  message.writeInt32BE(backend.secret | 0, 12)
  const closed = once(socket, 'close', { signal })
  socket.resume()
  // Written, not ended: PgBouncer 1.18 crashes on a cancel request whose sender hangs up first.
  socket.write(message)
  try {
    await closed
  } finally {
    socket.destroy()
  }
}

async function secured(socket: Socket, address: ServerAddress, signal: AbortSignal): Promise<Socket> {
  const { mode, direct } = address.tls
  if (!direct) {
    socket.write(sslRequest)
    const answer = await firstByte(socket, signal)
    if (answer === 'N') {
      if (mode === 'prefer') return socket.resume()
      throw new ConfigInvalid(`${describeAddress(address)} does not offer TLS, but sslmode=${mode} asks for it`)
    }
    if (answer !== 'S') throw new ConnectionLost(`${describeAddress(address)} does not answer like a PostgreSQL server`)
  }
  const encrypted = connectTls({ socket, ...tlsOptions(address) })
  encrypted.on('error', () => undefined)
  await once(encrypted, 'secureConnect', { signal })
  // Who does not know the protocol's name may be a server of something else, made to speak for PostgreSQL.
  if (direct && encrypted.alpnProtocol !== 'postgresql') {
    throw new ConfigInvalid(`${describeAddress(address)} does not know sslnegotiation=direct: it takes PostgreSQL 17`)
  }
  return encrypted
}

async function firstByte(socket: Socket, signal: AbortSignal): Promise<string> {
  // One byte only: anything sent along with it before TLS is up would be a man in the middle's (CVE-2021-23222).
  const ended = once(socket, 'end', { signal }).then(() => '')
  const data = once(socket, 'data', { signal }).then(([chunk]) => (chunk as Buffer).toString('latin1'))
  ended.catch(() => undefined)
  data.catch(() => undefined)
  const answer = await Promise.race([data, ended])
  socket.pause()
  return answer
}

function tlsOptions({ host, tls }: ServerAddress): ConnectionOptions {
  const { mode, direct, authorities, certificate, key, keyPassword, revoked, namesHost, minVersion, maxVersion } = tls
  const options: ConnectionOptions = {
    host,
    // The name that the certificate is checked against is `host`; this one is sent.
    ...(isIP(host) ? {} : { servername: namesHost ? host : '' }),
    ...(direct ? { ALPNProtocols: ['postgresql'] } : {}),
    ...defined({ ca: authorities as string[] | undefined, cert: certificate, key, passphrase: keyPassword }),
    ...defined({ crl: revoked, minVersion, maxVersion }),
  }
  if (mode === 'verify-full') return options
  if (mode === 'verify-ca') return { ...options, checkServerIdentity: () => undefined }
  return { ...options, rejectUnauthorized: false }
}

/** Without what is undefined, which Node would take for a setting. */
function defined(options: {
  readonly [K in keyof ConnectionOptions]: ConnectionOptions[K] | undefined
}): ConnectionOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

function unreachable(address: ServerAddress, cause: unknown): Error {
  if (cause instanceof ConnectionLost) return cause
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown cause'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new ConfigInvalid(`the certificate of ${describeAddress(address)} is for another host name`, { cause })
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) {
    return new ConfigInvalid(
      `the certificate of ${describeAddress(address)} is not accepted (${code}): see sslrootcert`,
      {
        cause,
      },
    )
  }
  const hint = code === 'ECONNREFUSED' || code === 'ENOENT' ? ': is the server running there?' : ''
  return new ConnectionLost(`cannot reach PostgreSQL at ${describeAddress(address)} (${code})${hint}`, { cause })
}
