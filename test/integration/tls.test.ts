/** Encryption as `sslmode` asks for it, on a real handshake. */
import { beforeAll, afterAll, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { ConfigInvalid, DeadlineExceeded, openEngine } from '../../src/index.ts'
import * as schema from '../../schema/index.ts'
import { openTestDatabase, type TestDatabase } from '../support/database.ts'
import { openTlsProxy, rootCertificate, type TlsProxy } from '../support/tls-proxy.ts'

let database: TestDatabase
let proxy: TlsProxy
beforeAll(async () => {
  database = await openTestDatabase()
  proxy = await openTlsProxy(database.url)
})
afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

function open(host: string, parameters: string) {
  const { user, password, database: name } = parseDatabaseUrl(database.url)
  const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
  const url = `postgres://${credentials}@${host}:${proxy.port}/${name}?${parameters}`
  return openEngine({ schema, url, pool: { max: 2 } })
}

describe('a connection is encrypted', () => {
  test.each([
    ['localhost', 'sslmode=prefer'],
    ['localhost', 'sslmode=require'],
    ['127.0.0.1', `sslmode=verify-ca&sslrootcert=${rootCertificate}`],
    ['localhost', `sslmode=verify-full&sslrootcert=${rootCertificate}`],
  ])('to %s with %s, and so is the request to cancel', async (host, parameters) => {
    await using engine = await open(host, parameters)
    const [row] = await engine.session(({ sql }) => sql<{ one: number }>`select ${1}::int as one`)
    expect(row).toEqual({ one: 1 })
    const late = engine.session(({ sql }) => sql`select pg_sleep(60)`, { timeoutMs: 50 })
    await expect(late).rejects.toThrow(DeadlineExceeded)
  })
})

describe('a server that cannot prove who it is is refused', () => {
  test('with verify-full, by the name', async () => {
    const opening = open('127.0.0.1', `sslmode=verify-full&sslrootcert=${rootCertificate}`)
    await expect(opening).rejects.toThrow(/certificate of 127\.0\.0\.1:\d+\/\S+ is for another host name/)
  })

  test.each(['verify-ca', 'verify-full'])('with %s, by an authority nobody vouches for', async (mode) => {
    const error = await open('localhost', `sslmode=${mode}`).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ConfigInvalid)
    expect((error as Error).message).toContain('see sslrootcert')
  })
})

test('a server without TLS is refused when sslmode asks for it, and taken with prefer', async () => {
  const { host } = parseDatabaseUrl(database.url)
  // Over a Unix socket there is nothing to encrypt: sslmode is not looked at.
  if (host.startsWith('/')) {
    await using engine = await openEngine({ schema, url: `${database.url}&sslmode=require` })
    expect(engine.stats().open).toBe(1)
    return
  }
  const separator = database.url.includes('?') ? '&' : '?'
  await expect(openEngine({ schema, url: `${database.url}${separator}sslmode=require` })).rejects.toThrow(
    'does not offer TLS',
  )
})
