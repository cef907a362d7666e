/**
 * PostgreSQL behind TLS: answers SSLRequest with S, decrypts, and passes the rest on to a plain server. The certificate
 * is for `localhost`, by an authority of the tests' own (`tls/ca.pem`).
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { parseDatabaseUrl } from '../../src/config.ts'

const folder = new URL('./tls/', import.meta.url)

/** The file of the certificate authority, for sslrootcert. */
export const rootCertificate = fileURLToPath(new URL('ca.pem', folder))

export interface TlsProxy extends AsyncDisposable {
  readonly port: number
}

/** Opens a proxy before the server of `databaseUrl`. */
export async function openTlsProxy(databaseUrl: string): Promise<TlsProxy> {
  const { host, port } = parseDatabaseUrl(databaseUrl)
  const [cert, key] = await Promise.all(['server.pem', 'server-key.pem'].map((name) => readFile(new URL(name, folder))))
  const sockets = new Set<Socket>()
  const server = createServer((plain) => {
    const upstream = connect(host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port })
    for (const socket of [plain, upstream]) {
      sockets.add(socket)
      socket.on('error', () => [plain, upstream].forEach((either) => either.destroy()))
    }
    plain.once('data', () => {
      plain.pause()
      plain.write('S')
      const encrypted = new TLSSocket(plain, { isServer: true, ...(cert && key ? { cert, key } : {}) })
      encrypted.on('error', () => [plain, upstream].forEach((either) => either.destroy()))
      encrypted.pipe(upstream).pipe(encrypted)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
