/** The database URL and the settings of the pool: what they mean, what is refused, and that no message has the password. */
import { describe, expect, test } from 'vitest'
import { describeAddress, parseDatabaseUrl, poolSettings, refuseUnknown } from '../../src/config.ts'
import { ConfigInvalid } from '../../src/errors.ts'

describe('a database URL', () => {
  test('names host, port, user, password and database', () => {
    expect(parseDatabaseUrl('postgres://me:pw@db.example:6543/shop')).toMatchObject({
      host: 'db.example',
      port: 6543,
      user: 'me',
      password: 'pw',
      database: 'shop',
      tls: 'prefer',
    })
    expect(parseDatabaseUrl('postgresql://me@h/x').port).toBe(5432)
    expect(parseDatabaseUrl('postgres://me@h').database).toBe('me')
  })

  test('is percent-decoded in every part', () => {
    const { user, password, database } = parseDatabaseUrl('postgres://m%40e:p%3A%2F%3F%23@h/d%20b')
    expect([user, password, database]).toEqual(['m@e', 'p:/?#', 'd b'])
  })

  test('may name the directory of a socket, an IPv6 address, or no host at all', () => {
    expect(parseDatabaseUrl('postgres://me@/x?host=/run/pg&port=5433')).toMatchObject({ host: '/run/pg', port: 5433 })
    expect(parseDatabaseUrl('postgres:///x').host).toBe('localhost')
    expect(parseDatabaseUrl('postgres://me@[::1]:5432/x').host).toBe('::1')
  })

  test('passes application name and options on as start-up parameters, and nothing else', () => {
    expect(parseDatabaseUrl('postgres://me@h/x', 'mine').startup).toEqual({ application_name: 'mine' })
    const { startup } = parseDatabaseUrl('postgres://me@h/x?application_name=theirs&options=-c%20geqo%3Doff', 'mine')
    expect(startup).toEqual({ application_name: 'theirs', options: '-c geqo=off' })
  })

  test.each([
    ['another kind of database', 'mysql://me:hidden@h/x', /not one of PostgreSQL/],
    ['no URL', 'hidden', /not one of PostgreSQL/],
    ['an unknown parameter', 'postgres://me:hidden@h/x?pool_size=5', /unknown parameter "pool_size"/],
    ['a misspelt parameter', 'postgres://me:hidden@h/x?ssl_mode=require', /unknown parameter "ssl_mode"/],
    ['an unknown sslmode', 'postgres://me:hidden@h/x?sslmode=yes', /sslmode .* must be one of/],
    ['port 0', 'postgres://me:hidden@h:0/x', /port/],
    ['a port of text', 'postgres://me:hidden@/x?host=/s&port=abc', /port/],
    ['a broken percent-encoding', 'postgres://me:hidden%ZZ@h/x', /percent-encoding/],
    ['a password with a bare slash', 'postgres://me:hidden/word@h/x', /.+/],
    ['a certificate file that is not there', 'postgres://me:hidden@h/x?sslrootcert=/nowhere.pem', /cannot be read/],
  ])('with %s is ConfigInvalid', (_name, url, message) => {
    const error = (() => {
      try {
        return parseDatabaseUrl(url)
      } catch (thrown) {
        return thrown
      }
    })()
    expect(error).toBeInstanceOf(ConfigInvalid)
    expect(String(error)).toMatch(message)
    expect(String(error)).not.toContain('hidden')
  })

  test('is shown without user, password or parameters', () => {
    expect(describeAddress(parseDatabaseUrl('postgres://me:hidden@h:5/x?sslmode=disable'))).toBe('h:5/x')
  })
})

describe('the settings of the pool', () => {
  test('have defaults, and keep what is given, 0 included', () => {
    expect(poolSettings()).toEqual({
      max: 10,
      maxQueue: 1000,
      acquireTimeoutMs: 10_000,
      idleTimeoutMs: 60_000,
      maxLifetimeMs: 1_800_000,
      connectTimeoutMs: 5000,
      maxPreparedStatements: 1000,
    })
    expect(poolSettings({ max: 3, maxQueue: 0, idleTimeoutMs: 0 })).toMatchObject({
      max: 3,
      maxQueue: 0,
      idleTimeoutMs: 0,
    })
    expect(poolSettings({ max: undefined })).toMatchObject({ max: 10 })
  })

  test.each([
    [{ max: 0 }, /pool\.max must be a whole number from 1 to 10000, not 0/],
    [{ max: 1.5 }, /pool\.max/],
    [{ max: '5' as never }, /pool\.max/],
    [{ acquireTimeoutMs: -1 }, /pool\.acquireTimeoutMs/],
    [{ connectTimeoutMs: Number.NaN }, /pool\.connectTimeoutMs/],
    [{ size: 5 } as never, /unknown setting pool\.size; known are max/],
  ])('%o are refused', (pool, message) => {
    expect(() => poolSettings(pool)).toThrow(ConfigInvalid)
    expect(() => poolSettings(pool)).toThrow(message)
  })

  test('an unknown setting is named with those that are known', () => {
    expect(() => refuseUnknown('x', { a: 1, c: 2 }, ['a', 'b'])).toThrow('unknown setting x.c; known are a, b')
  })
})
