/**
 * A PostgreSQL of one's own that speaks TLS itself, on loopback, with roles for every way of authentication. Its
 * certificate is that of `tls-proxy.ts`; client certificates are signed by themselves.
 * https://www.postgresql.org/docs/current/ssl-tcp.html
 */
import { chown, copyFile, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseDatabaseUrl } from '../../src/config.ts'
import { openConnection } from '../../src/pool/open-connection.ts'
import { openPrivateServer } from './private-server.ts'

const folder = new URL('./tls/', import.meta.url)

/** Roles, each with the way it is asked who it is; the password of those that have one is their name. */
const roles = {
  scram: 'scram-sha-256',
  hashed: 'md5',
  plain: 'password',
  trusted: 'trust',
  certified: 'cert',
} as const

export interface TlsServer extends AsyncDisposable {
  readonly port: number
  /** The URL for a role, over TCP to `localhost`. */
  url(role: keyof typeof roles, parameters: string, port?: number): string
}

export async function openTlsServer(): Promise<TlsServer> {
  const port = await freePort()
  const server = await openPrivateServer({ listen_addresses: '127.0.0.1', port: String(port) })
  const admin = await openConnection({ address: parseDatabaseUrl(server.url), connectTimeoutMs: 10_000 })
  try {
    const [row] = (await admin.query('show data_directory', [])) as unknown as [{ data_directory: string }]
    await install(row.data_directory)
    for (const [role, method] of Object.entries(roles)) {
      await admin.script(`
        set password_encryption = '${method === 'md5' ? 'md5' : 'scram-sha-256'}';
        create role ${role} login password '${role}'`)
    }
    await admin.script(`alter system set ssl_cert_file = 'server.pem'`)
    await admin.script(`alter system set ssl_key_file = 'server-key.pem'`)
    await admin.script(`alter system set ssl_ca_file = 'client.pem'`)
    await admin.script(`alter system set ssl = on`)
    await admin.script('select pg_reload_conf()')
  } finally {
    await admin.close()
  }
  await encrypting(port)
  return {
    port,
    url: (role, parameters, through = port) =>
      `postgres://${role}:${role}@localhost:${through}/rivulet?hostaddr=127.0.0.1&${parameters}`,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** Puts the certificates where the server's user can read them, and the ways of authentication before all others. */
async function install(data: string): Promise<void> {
  const { uid, gid } = await stat(data)
  const owned = async (path: string) => {
    if (process.getuid?.() === 0) await chown(path, uid, gid)
  }
  for (const name of ['server.pem', 'server-key.pem', 'client.pem']) {
    const path = join(data, name)
    await writeFile(path, await readFile(new URL(name, folder)), { mode: 0o600 })
    await owned(path)
  }
  const access = join(data, 'pg_hba.conf')
  const lines = Object.entries(roles).map(
    ([role, method]) => `host${method === 'cert' ? 'ssl' : ''} all ${role} all ${method}`,
  )
  await writeFile(access, `${lines.join('\n')}\n${await readFile(access, 'utf8')}`)
}

/** The server reads its settings anew when it likes. */
async function encrypting(port: number): Promise<void> {
  const address = parseDatabaseUrl(`postgres://trusted@127.0.0.1:${port}/rivulet?sslmode=require`)
  for (const giveUpAt = performance.now() + 10_000; ;) {
    try {
      return await (await openConnection({ address, connectTimeoutMs: 5000 })).close()
    } catch (error) {
      if (performance.now() > giveUpAt) throw error
    }
  }
}

/** A copy of the client's certificate and key with the permissions that a key must have. */
export async function clientCertificate(
  directory: string,
  certName = 'client.pem',
  keyName = 'client-key.pem',
): Promise<{ readonly cert: string; readonly key: string }> {
  const [cert, key] = [join(directory, certName), join(directory, keyName)]
  await copyFile(fileURLToPath(new URL(certName, folder)), cert)
  await writeFile(key, await readFile(new URL(keyName, folder)), { mode: 0o600 })
  return { cert, key }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}
