/**
 * Opens one socket to a PostgreSQL server, encrypted as `sslmode` asks, before the driver speaks on it. We own the
 * socket, so that a connection can be destroyed for certain, its last word read, and a second connect refused.
 * SSLRequest and CancelRequest: https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { describeAddress, type ServerAddress } from '../config.ts'
import { ConfigInvalid, ConnectionLost } from '../errors.ts'

const sslRequestCode = 80_877_103
const cancelRequestCode = 80_877_102

/** Opens a socket. @throws ConnectionLost when the server cannot be reached, ConfigInvalid when TLS is refused. */
export async function openSocket(address: ServerAddress, signal: AbortSignal): Promise<Socket> {
  const path = `${address.host}/.s.PGSQL.${address.port}`
  const local = address.host.startsWith('/')
  const socket = local ? connect({ path }) : connect({ host: address.host, port: address.port })
  // Between two listeners of others, an error without a listener would be an uncaught exception.
  socket.on('error', () => undefined)
  try {
    await once(socket, 'connect', { signal })
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 30_000)
    return local || address.tls === 'disable' ? socket : await secured(socket, address, signal)
  } catch (cause) {
    socket.destroy()
    throw signal.aborted || cause instanceof ConfigInvalid ? cause : unreachable(address, cause)
  }
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
  const request = Buffer.alloc(8)
  request.writeInt32BE(8, 0)
  request.writeInt32BE(sslRequestCode, 4)
  socket.write(request)
  const answer = await firstByte(socket, signal)
  if (answer === 'N') {
    if (address.tls === 'prefer') return socket.resume()
    throw new ConfigInvalid(`${describeAddress(address)} does not offer TLS, but sslmode=${address.tls} asks for it`)
  }
  if (answer !== 'S') throw new ConnectionLost(`${describeAddress(address)} does not answer like a PostgreSQL server`)
  const encrypted = connectTls({ socket, ...tlsOptions(address) })
  encrypted.on('error', () => undefined)
  await once(encrypted, 'secureConnect', { signal })
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

function tlsOptions({ host, tls, rootCertificate }: ServerAddress): ConnectionOptions {
  const options: ConnectionOptions = {
    ...(isIP(host) ? { host } : { servername: host, host }),
    ...(rootCertificate === undefined ? {} : { ca: rootCertificate }),
  }
  if (tls === 'verify-full') return options
  if (tls === 'verify-ca') return { ...options, checkServerIdentity: () => undefined }
  return { ...options, rejectUnauthorized: false }
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
