/**
 * PostgreSQL behind TLS: answers SSLRequest with S, decrypts, and passes the rest on to a plain server; or, as a man in
 * the middle does, encrypts it anew. The certificate is for `localhost`, by an authority of the tests' own (`tls/ca.pem`).
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { connect as connectTls, TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { parseDatabaseUrl } from '../../src/config.ts'

const folder = new URL('./tls/', import.meta.url)

/** The file of the certificate authority, for sslrootcert. */
export const rootCertificate = fileURLToPath(new URL('ca.pem', folder))

export interface TlsProxy extends AsyncDisposable {
  readonly port: number
}

/** Opens a proxy before the server of `databaseUrl`; `pair` names certificate and key in `tls/`. */
export async function openTlsProxy(
  databaseUrl: string,
  { pair = ['server.pem', 'server-key.pem'], encryptsAnew = false } = {},
): Promise<TlsProxy> {
  const { host, port } = parseDatabaseUrl(databaseUrl)
  const [cert, key] = await Promise.all(pair.map((name) => readFile(new URL(name, folder))))
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
      const onward = encryptsAnew ? tlsTo(upstream) : Promise.resolve(upstream)
      onward.then(
        (server) => encrypted.pipe(server).pipe(encrypted),
        () => plain.destroy(),
      )
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

/** Asks a server for TLS, and believes whatever certificate it shows. */
async function tlsTo(socket: Socket): Promise<Socket> {
  if (socket.connecting) await once(socket, 'connect')
  // SSLRequest: length 8, code 80877103.
  socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
  await once(socket, 'data')
  socket.pause()
  const encrypted = connectTls({ socket, rejectUnauthorized: false })
  encrypted.on('error', () => socket.destroy())
  await once(encrypted, 'secureConnect')
  return encrypted
}
