/**
 * Database URLs and libpq's variables: what they mean, by libpq's rules, what providers hand out, what is refused and how
 * it is named, and that no message has the password.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { serverAddress } from '../../src/address/database-url.ts'
import { describeAddress, type ServerAddress } from '../../src/address/server-address.ts'
import { ConfigInvalid } from '../../src/errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'rivulet-url-'))
afterEach(() => void vi.unstubAllEnvs())
afterAll(() => rmSync(folder, { recursive: true }))

function read(url: string, variables: Readonly<Record<string, string>> = {}, applicationName?: string): ServerAddress {
  // No test may depend on the password file of whoever runs it.
  const all: Record<string, string> = { PGPASSFILE: file('empty', ''), ...variables }
  return serverAddress(url, { applicationName, variable: (name) => all[name] })
}

function places(url: string, variables?: Readonly<Record<string, string>>): string[] {
  return read(url, variables).endpoints.map(
    ({ host, port, ip }) => `${host} ${port}${ip === undefined ? '' : ` ${ip}`}`,
  )
}

function file(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

function thrownBy(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

describe('a database URL', () => {
  test('names host, port, user, password and database', () => {
    expect(read('postgres://me:pw@db.example:6543/shop')).toMatchObject({
      host: 'db.example',
      port: 6543,
      user: 'me',
      password: 'pw',
      database: 'shop',
      tls: { mode: 'prefer' },
    })
    expect(read('postgresql://me@h/x').port).toBe(5432)
    expect(read('postgres://me@h').database).toBe('me')
  })

  test('is percent-decoded in every part, and nothing else is done to it: a plus is a plus', () => {
    const { user, password, database } = read('postgres://m%40e:p%3A%2F%3F%23@h/d%20b')
    expect([user, password, database]).toEqual(['m@e', 'p:/?#', 'd b'])
    expect(read('postgres://a+b:c+d@/x+y?host=/srv/c++/run&application_name=c++')).toMatchObject({
      user: 'a+b',
      password: 'c+d',
      database: 'x+y',
      host: '/srv/c++/run',
      startup: { application_name: 'c++' },
    })
    expect(read('postgres://h/d?options=-c%20TimeZone%3DEtc/GMT+5').startup.options).toBe('-c TimeZone=Etc/GMT+5')
  })

  test('with any user, password and database means these, percent-encoded', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 }).filter((each) => !each.includes('\0'))
    fc.assert(
      fc.property(text, text, text, (user, password, database) => {
        const [u, p, d] = [user, password, database].map((each) => encodeURIComponent(each))
        expect(read(`postgres://${u}:${p}@h:1/${d}`)).toMatchObject({ user, password, database, host: 'h', port: 1 })
        expect(read(`postgres://h?user=${u}&password=${p}&dbname=${d}`)).toMatchObject({ user, password, database })
      }),
    )
  })

  test('of anything never shows the password in an error or a description', () => {
    const punctuation = fc.array(fc.constantFrom('@', ':', '/', '?', '#', '%', '&', '=', ',', '[', ']', 's3cret'))
    fc.assert(
      fc.property(punctuation, (parts) => {
        const shown = thrownBy(() => describeAddress(read(`postgres://me:s3cret${parts.join('')}@h/x`)))
        // Without its own punctuation encoded the password cannot be known; where it went must not be shown.
        if (shown instanceof ConfigInvalid) expect(shown.message).not.toContain('s3cret')
        else expect(shown).not.toContain('s3cret')
      }),
      { numRuns: 2000 },
    )
  })

  test.each([
    ['postgres://me@/x?host=/run/pg&port=5433', ['/run/pg 5433']],
    ['postgres://me@%2Frun%2Fpg/x', ['/run/pg 5432']],
    ['postgres:///x', ['localhost 5432']],
    ['postgres://', ['localhost 5432']],
    ['postgres://me@[::1]:6000/x', ['::1 6000']],
    ['postgres://me@h:/x', ['h 5432']],
    ['postgres://u:p@a:1,b:2/d', ['a 1', 'b 2']],
    ['postgres://u:p@a,[::1]:3,:4/d', ['a 5432', '::1 3', 'localhost 4']],
    ['postgres:///d?host=a,/run/pg&port=1,2', ['a 1', '/run/pg 2']],
    ['postgres:///d?host=a,b&port=7', ['a 7', 'b 7']],
    ['postgres://h/d?hostaddr=10.0.0.1', ['h 5432 10.0.0.1']],
    ['postgres:///d?hostaddr=10.0.0.1,::1', ['10.0.0.1 5432 10.0.0.1', '::1 5432 ::1']],
    ['postgres://ignored:1/d?host=h&port=2', ['h 2']],
  ])('%s leads to %j', (url, expected) => {
    expect(places(url)).toEqual(expected)
  })

  test('takes the last @ before the host for the end of the password, and a ? or # for part of it', () => {
    expect(read('postgres://u:p@ss@h/d')).toMatchObject({ password: 'p@ss', host: 'h' })
    expect(read('postgres://u:p?w#@h/d?sslmode=require')).toMatchObject({ password: 'p?w#', host: 'h', database: 'd' })
  })

  test('passes application name and options on as start-up parameters, and nothing else', () => {
    expect(read('postgres://me@h/x', {}, 'mine').startup).toEqual({ application_name: 'mine' })
    const { startup } = read('postgres://me@h/x?application_name=theirs&options=-c%20geqo%3Doff', {}, 'mine')
    expect(startup).toEqual({ application_name: 'theirs', options: '-c geqo=off' })
    expect(read('postgres://h/x?fallback_application_name=psql').startup).toEqual({ application_name: 'psql' })
  })

  test.each([
    ['another kind of database', 'mysql://me:hidden@h/x', /not a PostgreSQL URL/],
    ['no URL', 'hidden', /not a PostgreSQL URL/],
    ['an unknown parameter', 'postgres://me:hidden@h/x?nonsense=5', /unknown parameter "nonsense" .* known are .*host/],
    ['a misspelt parameter', 'postgres://me:hidden@h/x?ssl_mode=require', /unknown parameter "ssl_mode"/],
    ['a name that every object has', 'postgres://me:hidden@h/x?toString=1', /unknown parameter "toString"/],
    ['a parameter without a value', 'postgres://me:hidden@h/x?sslmode', /no = or no name/],
    ['a pool size', 'postgres://me:hidden@h/x?connection_limit=1', /connection_limit .* pool\.max/],
    ['a schema', 'postgres://me:hidden@h/x?schema=a', /schema .* options=-csearch_path%3D/],
    ['a service', 'postgres://me:hidden@h/x?service=a', /service .* not read/],
    ['a peer to check', 'postgres://me:hidden@h/x?requirepeer=postgres', /requirepeer .* not supported/],
    ['encryption by Kerberos', 'postgres://me:hidden@h/x?gssencmode=require', /gssencmode/],
    ['replication', 'postgres://me:hidden@h/x?replication=database', /replication .* is not supported/],
    ['another encoding', 'postgres://me:hidden@h/x?client_encoding=LATIN1', /client_encoding .* is not supported/],
    ['an unknown sslmode', 'postgres://me:hidden@h/x?sslmode=yes', /sslmode .* must be one of disable/],
    ['another ssl', 'postgres://me:hidden@h/x?ssl=maybe', /ssl .* true or false/],
    ['system authorities unchecked', 'postgres://h/x?sslrootcert=system&sslmode=require', /sslmode=verify-full/],
    ['direct TLS that may be none', 'postgres://h/x?sslnegotiation=direct', /needs sslmode=require/],
    ['a binding without TLS', 'postgres://h/x?channel_binding=require&sslmode=disable', /channel_binding=require/],
    ['an unknown binding', 'postgres://h/x?channel_binding=yes', /channel_binding .* must be one of/],
    ['an unknown kind of session', 'postgres://h/x?target_session_attrs=master', /target_session_attrs .* read-write/],
    ['a certificate without its key', 'postgres://h/x?sslcert=/a.pem', /belong together/],
    ['mixed authentications', 'postgres://h/x?require_auth=md5,!none', /require_auth/],
    ['an unknown authentication', 'postgres://h/x?require_auth=trust', /require_auth .* scram-sha-256/],
    ['fewer ports than hosts', 'postgres:///x?host=a,b,c&port=1,2', /host .* lists 3 and port 2: /],
    ['fewer addresses than hosts', 'postgres:///x?host=a,b&hostaddr=::1', /host .* lists 2 and hostaddr 1: /],
    ['a name for an address', 'postgres:///x?hostaddr=localhost', /hostaddr .* IP address/],
    ['port 0', 'postgres://me:hidden@h:0/x', /port/],
    ['a port of text', 'postgres://me:hidden@/x?host=/s&port=abc', /port/],
    ['a bare IPv6 address', 'postgres://me:hidden@::1/x', /IPv6/],
    ['a broken percent-encoding', 'postgres://me:hidden%ZZ@h/x', /percent-encoding/],
    ['a NUL character', 'postgres://me:hidden@h/x%00', /NUL/],
    ['a password with a bare slash', 'postgres://me:hidden/word@h/x', /percent-encoded/],
    ['a password of digits and a slash', 'postgres://me:1234/hidden@h/x', /percent-encoded/],
    ['a certificate file that is not there', 'postgres://me:hidden@h/x?sslrootcert=/nowhere.pem', /cannot be read/],
    ['a password file that is not there', 'postgres://h/x?passfile=/nowhere', /cannot be read/],
    ['a timeout of text', 'postgres://h/x?connect_timeout=soon', /connect_timeout .* whole number/],
  ])('with %s is ConfigInvalid', (_name, url, message) => {
    const error = thrownBy(() => read(url))
    expect(error).toBeInstanceOf(ConfigInvalid)
    expect(String(error)).toMatch(message)
    expect(String(error)).not.toContain('hidden')
  })

  test('is shown without user, password or parameters, with all its places', () => {
    expect(describeAddress(read('postgres://me:hidden@h:5/x?sslmode=disable'))).toBe('h:5/x')
    expect(describeAddress(read('postgres://me:hidden@a:1,b:2/x'))).toBe('a:1,b:2/x')
  })

  test('with sslmode=require and authorities checks them; ssl=true is require; allow is prefer', () => {
    const pem = file('ca.pem', 'PEM')
    expect(read(`postgres://h/d?sslmode=require&sslrootcert=${pem}`).tls).toMatchObject({
      mode: 'verify-ca',
      authorities: 'PEM',
    })
    expect(read('postgres://h/d?ssl=true').tls.mode).toBe('require')
    expect(read('postgres://h/d?sslmode=allow').tls.mode).toBe('prefer')
    expect(read('postgres://h/d?sslrootcert=system').tls.mode).toBe('verify-full')
  })

  test('reads the client certificate and its key, which must be private, and can leave them out', () => {
    const [cert, key] = [file('cert.pem', 'CERT'), file('key.pem', 'KEY')]
    const url = `postgres://h/d?sslcert=${cert}&sslkey=${key}&sslpassword=pw`
    expect(read(url).tls).toMatchObject({ certificate: 'CERT', key: 'KEY', keyPassword: 'pw' })
    expect(read(`${url}&sslcertmode=disable`).tls).toMatchObject({ certificate: undefined, key: undefined })
    chmodSync(key, 0o644)
    expect(() => read(url)).toThrow(/sslkey .* chmod 600/)
  })

  test('says how long to wait and how to keep the connection alive', () => {
    expect(read('postgres://h/d')).toMatchObject({ connectTimeoutMs: undefined, keepAliveMs: 30_000 })
    expect(read('postgres://h/d?connect_timeout=15&keepalives_idle=60&tcp_user_timeout=9')).toMatchObject({
      connectTimeoutMs: 15_000,
      keepAliveMs: 60_000,
    })
    expect(read('postgres://h/d?connect_timeout=0&keepalives=0')).toMatchObject({
      connectTimeoutMs: undefined,
      keepAliveMs: 0,
    })
  })

  test('restricts how the server may ask who we are', () => {
    expect(read('postgres://h/d?require_auth=scram-sha-256,md5').authentications).toEqual(['md5', 'scram-sha-256'])
    expect(read('postgres://h/d?require_auth=!password,!gss').authentications).toEqual(['none', 'md5', 'scram-sha-256'])
  })
})

describe('the database URLs that providers hand out are taken:', () => {
  const pem = file('global-bundle.pem', 'PEM')
  test.each([
    [
      'Neon',
      'postgresql://me:npg_x@ep-cool-1-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require',
      { channelBinding: 'require', tls: { mode: 'require' }, host: 'ep-cool-1-pooler.eu-central-1.aws.neon.tech' },
    ],
    [
      'Neon, for clients without SNI',
      'postgres://me:x@ep.eu.aws.neon.tech/neondb?sslmode=require&options=endpoint%3Dep-cool-1',
      { startup: { options: 'endpoint=ep-cool-1' } },
    ],
    [
      'Neon, older',
      'postgres://me:x@ep.eu.aws.neon.tech/neondb?options=project=ep-cool-1&sslmode=require&connect_timeout=15',
      { startup: { options: 'project=ep-cool-1' }, connectTimeoutMs: 15_000 },
    ],
    [
      'Supabase, direct',
      'postgresql://postgres:p@db.ref.supabase.co:5432/postgres',
      { host: 'db.ref.supabase.co', pooled: false },
    ],
    [
      'Supabase, transaction pooler, for Prisma',
      'postgresql://postgres.ref:p@aws-0-eu-central-1.pooler.supabase.com:6543/postgres?pgbouncer=true',
      { user: 'postgres.ref', port: 6543, pooled: true },
    ],
    [
      'Supabase, through Vercel',
      'postgres://postgres.ref:p@aws-0-eu.pooler.supabase.com:6543/postgres?sslmode=require&supa=base-pooler.x',
      { tls: { mode: 'require' } },
    ],
    [
      'RDS',
      `postgresql://me:p@db.abc.eu-central-1.rds.amazonaws.com:5432/d?sslmode=verify-full&sslrootcert=${pem}`,
      { tls: { mode: 'verify-full', authorities: 'PEM' } },
    ],
    [
      'Heroku',
      'postgres://u:p1a2@ec2-1-2-3-4.eu-west-1.compute.amazonaws.com:5432/d1',
      { tls: { mode: 'prefer' }, database: 'd1' },
    ],
    ['Azure', 'postgres://me:p@s.postgres.database.azure.com/postgres?sslmode=require', { tls: { mode: 'require' } }],
    [
      'a cluster of three',
      'postgresql://me:p@n1:5432,n2:5432,n3:5432/d?target_session_attrs=read-write&load_balance_hosts=random',
      { sessionKind: 'read-write', shuffled: true },
    ],
  ])('%s', (_name, url, expected) => {
    expect(read(url)).toMatchObject(expected)
  })
})

describe("libpq's variables", () => {
  test('fill in what the URL leaves open, and only that', () => {
    const variables = {
      PGHOST: 'envhost',
      PGPORT: '6000',
      PGUSER: 'envuser',
      PGPASSWORD: 'envpassword',
      PGDATABASE: 'envdatabase',
      PGSSLMODE: 'require',
      PGOPTIONS: '-c geqo=off',
      PGAPPNAME: 'envname',
      PGTARGETSESSIONATTRS: 'primary',
      PGCONNECT_TIMEOUT: '7',
      PGCHANNELBINDING: 'disable',
    }
    expect(read('postgres://', variables)).toMatchObject({
      host: 'envhost',
      port: 6000,
      user: 'envuser',
      password: 'envpassword',
      database: 'envdatabase',
      tls: { mode: 'require' },
      startup: { application_name: 'envname', options: '-c geqo=off' },
      sessionKind: 'primary',
      connectTimeoutMs: 7000,
      channelBinding: 'disable',
    })
    const url =
      'postgres://u:p@h:1/d?sslmode=disable&options=-c%20jit%3Doff&application_name=n&target_session_attrs=any' +
      '&connect_timeout=3&channel_binding=prefer'
    expect(read(url, variables)).toMatchObject({
      host: 'h',
      port: 1,
      user: 'u',
      password: 'p',
      database: 'd',
      tls: { mode: 'disable' },
      startup: { application_name: 'n', options: '-c jit=off' },
      sessionKind: 'any',
      connectTimeoutMs: 3000,
      channelBinding: 'prefer',
    })
    expect(read('postgres://', variables, 'mine').startup.application_name).toBe('mine')
  })

  test('do not stand in for what the URL leaves empty on purpose', () => {
    const variables = { PGOPTIONS: '-c geqo=off', PGSSLMODE: 'require', PGHOST: 'other', PGCHANNELBINDING: 'require' }
    expect(read('postgres://h/d?options=&sslmode=&channel_binding=&host=', variables)).toMatchObject({
      host: 'localhost',
      tls: { mode: 'prefer' },
      channelBinding: 'prefer',
      startup: { application_name: 'rivulet' },
    })
    expect(read('postgres://h/d?application_name=', { PGAPPNAME: 'env' }).startup).toEqual({
      application_name: 'rivulet',
    })
  })

  test('lead nowhere else when the URL names a host', () => {
    expect(places('postgres://h/d', { PGHOSTADDR: '10.0.0.1', PGHOST: 'other' })).toEqual(['h 5432'])
    expect(places('postgres:///d', { PGHOSTADDR: '10.0.0.1', PGHOST: 'other' })).toEqual(['other 5432 10.0.0.1'])
  })

  test('that cannot be kept are refused by name', () => {
    expect(() => read('postgres://h/d', { PGREQUIREPEER: 'postgres' })).toThrow(/requirepeer/)
    expect(() => read('postgres://h/d', { PGSSLMODE: 'yes' })).toThrow(/PGSSLMODE/)
  })
})

describe('the password file', () => {
  const lines = [
    '# a comment',
    'a:5432:shop:me:for a',
    'b:*:*:me:for\\:b\\\\',
    '*:*:*:other:with:colons',
    'c:5432:shop:me',
  ]

  test('gives each host its own password, by the first line that fits', () => {
    const PGPASSFILE = file('pgpass', lines.join('\n'))
    const passwords = (url: string) => read(url, { PGPASSFILE }).endpoints.map(({ password }) => password)
    expect(passwords('postgres://me@a,b:7,c/shop')).toEqual(['for a', 'for:b\\', ''])
    expect(passwords('postgres://other@c/x')).toEqual(['with:colons'])
    expect(passwords('postgres://me:given@a,b/shop')).toEqual(['given', 'given'])
    expect(read(`postgres://me@a/shop?passfile=${PGPASSFILE}`).password).toBe('for a')
  })

  test.skipIf(process.platform === 'win32')('is refused when others may read it', () => {
    const PGPASSFILE = file('open', lines.join('\n'), 0o640)
    expect(() => read('postgres://me@a/shop', { PGPASSFILE })).toThrow(/chmod 600/)
  })

  test.skipIf(process.platform === 'win32')(
    'of the home directory is used when it is private, else passed over',
    () => {
      const home = mkdtempSync(join(folder, 'home-'))
      const path = join(home, '.pgpass')
      vi.stubEnv('HOME', home)
      const password = () => serverAddress('postgres://me@a/shop', { variable: () => undefined }).password
      expect(password()).toBe('')
      writeFileSync(path, lines.join('\n'), { mode: 0o600 })
      expect(password()).toBe('for a')
      chmodSync(path, 0o644)
      expect(password()).toBe('')
    },
  )
})
