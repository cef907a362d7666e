/** Encryption and authentication with a server that speaks TLS itself: who proves what to whom. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { ConfigInvalid, ConnectionLost } from '../../src/errors.ts'
import { openConnection } from '../../src/pool/open-connection.ts'
import { compiledProgram } from '../support/compiled-package.ts'
import { openFaultProxy } from '../support/fault-proxy.ts'
import { openTlsProxy, rootCertificate } from '../support/tls-proxy.ts'
import { clientCertificate, openTlsServer, type TlsServer } from '../support/tls-server.ts'

const pems = new URL('../support/tls/', import.meta.url)
let server: TlsServer
let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rivulet-tls-'))
  server = await openTlsServer()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

interface Encryption {
  readonly ssl: boolean
  readonly version: string | null
  readonly client_dn: string | null
  readonly me: string
}

/** Connects, says how the connection is encrypted, and hangs up. */
async function encryptionOf(url: string): Promise<Encryption> {
  const connection = await openConnection({ address: parseDatabaseUrl(url), connectTimeoutMs: 10_000 })
  try {
    const text = `select ssl, version, client_dn, current_user::text as me
      from pg_stat_ssl where pid = pg_backend_pid()`
    const [row] = (await connection.query(text, [])) as unknown as [Encryption]
    return row
  } finally {
    await connection.close()
  }
}

async function refusalOf(url: string): Promise<string> {
  const error = await encryptionOf(url).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(ConfigInvalid)
  return (error as Error).message
}

const verified = `sslmode=verify-full&sslrootcert=${rootCertificate}`

describe('channel binding', () => {
  test.each(['require', 'prefer', 'disable'])('%s: the server lets us in', async (binding) => {
    const parameters = `${verified}&channel_binding=${binding}`
    expect(await encryptionOf(server.url('scram', parameters))).toMatchObject({ ssl: true, me: 'scram' })
  })

  test('unmasks whoever stands in between with a certificate of their own, but not when it is disabled', async () => {
    const pair = ['client.pem', 'client-key.pem']
    await using between = await openTlsProxy(server.url('scram', ''), { pair, encryptsAnew: true })
    const url = (binding: string) => server.url('scram', `sslmode=require&channel_binding=${binding}`, between.port)
    expect(await encryptionOf(url('disable'))).toMatchObject({ ssl: true })
    for (const binding of ['prefer', 'require'])
      expect(await refusalOf(url(binding))).toContain('refused the connection')
  })

  test('is refused, and not left out, when it is required and not to be had', async () => {
    const unbound = /does not offer channel binding .* channel_binding=require/
    await using plain = await openTlsProxy(server.url('scram', ''))
    const url = (binding: string) => server.url('scram', `${verified}&channel_binding=${binding}`, plain.port)
    expect(await refusalOf(url('require'))).toMatch(unbound)
    expect(await encryptionOf(url('prefer'))).toMatchObject({ ssl: false, me: 'scram' })
    for (const role of ['hashed', 'plain', 'trusted'] as const) {
      expect(await refusalOf(server.url(role, `${verified}&channel_binding=require`))).toMatch(unbound)
    }
  })
})

describe('authentication', () => {
  test.each(['scram', 'hashed', 'plain', 'trusted'] as const)(
    'of the role %s works with and without TLS',
    async (role) => {
      expect(await encryptionOf(server.url(role, verified))).toMatchObject({ ssl: true, me: role })
      expect(await encryptionOf(server.url(role, 'sslmode=disable'))).toMatchObject({ ssl: false, me: role })
    },
  )

  test.each(['scram', 'hashed', 'plain'] as const)('of the role %s with a wrong password is refused', async (role) => {
    const url = server.url(role, verified).replace(`:${role}@`, ':s3cret@')
    const message = await refusalOf(url)
    expect(message).toContain('password authentication failed')
    expect(message).not.toContain('s3cret')
  })

  test('without a password says that the server asks for one', async () => {
    const url = server.url('scram', verified).replace(':scram@', '@')
    expect(await refusalOf(url)).toContain('asks for a password')
  })

  test('of another kind than require_auth lists is refused before anything is told', async () => {
    expect(await refusalOf(server.url('plain', `${verified}&require_auth=scram-sha-256`))).toContain('require_auth')
    expect(await refusalOf(server.url('trusted', `${verified}&require_auth=!none`))).toContain('require_auth')
    expect(await encryptionOf(server.url('scram', `${verified}&require_auth=!password`))).toMatchObject({ ssl: true })
  })

  test('by a client certificate takes sslcert and sslkey', async () => {
    const { cert, key } = await clientCertificate(directory)
    const url = server.url('certified', `${verified}&sslcert=${cert}&sslkey=${key}`)
    expect(await encryptionOf(url)).toMatchObject({ client_dn: '/CN=certified', me: 'certified' })
    expect(await refusalOf(server.url('certified', verified))).toContain('certificate')
    const other = await clientCertificate(directory, 'server.pem', 'server-key.pem')
    const unknown = server.url('certified', `${verified}&sslcert=${other.cert}&sslkey=${other.key}`)
    expect(await refusalOf(unknown)).toMatch(/does not accept our certificate \(ERR_SSL_\w+\): see sslcert/)
  })

  test('of passwords beyond ASCII is prepared as PostgreSQL prepares them', async () => {
    const address = parseDatabaseUrl(server.url('scram', verified))
    const connection = await openConnection({ address, connectTimeoutMs: 10_000 })
    // A ligature, a half-width letter, a no-break space, a soft hyphen.
    const password = 'ﬁｱ\u00A0x\u00ADy'
    await connection.query(`select set_config('password_encryption', 'scram-sha-256', false)`, [])
    await connection.script(`alter role scram password '${password}'`)
    const url = server.url('scram', verified).replace(':scram@', `:${encodeURIComponent(password)}@`)
    expect(await encryptionOf(url)).toMatchObject({ me: 'scram' })
    await connection.script(`alter role scram password 'scram'`)
    await connection.close()
  })
})

describe('encryption', () => {
  test('begins at once with sslnegotiation=direct', async () => {
    expect(await encryptionOf(server.url('scram', `${verified}&sslnegotiation=direct`))).toMatchObject({ ssl: true })
  })

  test('that begins at once is refused with a server that does not know it', async () => {
    await using withoutTls = await openFaultProxy(inject('serverUrl'))
    const { port } = parseDatabaseUrl(withoutTls.url)
    const parameters = `${verified}&sslnegotiation=direct`
    await expect(encryptionOf(server.url('scram', parameters, port))).rejects.toThrow(ConnectionLost)

    // Encrypted from the first byte, but not for PostgreSQL.
    const [cert, key] = await Promise.all(['server.pem', 'server-key.pem'].map((name) => readFile(new URL(name, pems))))
    const other = createServer(cert && key ? { cert, key } : {}, (socket) => socket.on('error', () => undefined))
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    const url = server.url('scram', parameters, (other.address() as AddressInfo).port)
    expect(await refusalOf(url)).toContain('does not know sslnegotiation=direct')
    other.close()
  })

  test('is of the version that is asked for', async () => {
    const url = server.url('scram', `${verified}&ssl_max_protocol_version=TLSv1.2`)
    expect(await encryptionOf(url)).toMatchObject({ version: 'TLSv1.2' })
  })

  test('with sslmode=require and authorities checks the certificate, by whom it is and not for whom', async () => {
    const { cert } = await clientCertificate(directory)
    expect(await refusalOf(server.url('scram', `sslmode=require&sslrootcert=${cert}`))).toContain('see sslrootcert')
    const other = server
      .url('scram', `sslmode=require&sslrootcert=${rootCertificate}`)
      .replace('localhost', 'other.test')
    expect(await encryptionOf(other)).toMatchObject({ ssl: true })
    expect(await refusalOf(other.replace('=require', '=verify-full'))).toContain('for another host name')
  })

  test('with sslrootcert=system takes what the authorities of Node and the system vouch for', async () => {
    const url = server.url('scram', 'sslrootcert=system')
    expect(await refusalOf(url)).toContain('see sslrootcert')
    const program = `
      import { parseDatabaseUrl } from ${JSON.stringify(compiledProgram('src/config.ts'))}
      import { openConnection } from ${JSON.stringify(compiledProgram('src/pool/open-connection.ts'))}
      const address = parseDatabaseUrl(${JSON.stringify(url)})
      await (await openConnection({ address, connectTimeoutMs: 10_000 })).close()
      console.log('connected')`
    const args = ['--input-type=module', '-e', program]
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: rootCertificate }
    const { stdout } = await promisify(execFile)(process.execPath, args, { env })
    expect(stdout).toContain('connected')
  })
})
