/**
 * A URL with several places: which of them a connection leads to, and that what belongs to a connection (the request to
 * stop a statement) goes where it leads. Each place is a proxy of its own before the one server.
 */
import dns from 'node:dns'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { Cancelled, ConfigInvalid, ConnectionLost } from '../../src/errors.ts'
import type { Connection } from '../../src/pool/connection.ts'
import { connectionOpener, openConnection } from '../../src/pool/open-connection.ts'
import { type Bank, type BankSession, openBank } from '../support/bank.ts'
import { type FaultProxy, type Opening } from '../support/fault-proxy.ts'
import { eventually } from '../support/invariants.ts'
import { openPrivateServer, type PrivateServer } from '../support/private-server.ts'

let bank: Bank
beforeAll(async () => {
  bank = await openBank()
})
afterAll(() => bank[Symbol.asyncDispose]())

/** A URL that names every proxy, in order. */
function urlOf(proxies: readonly FaultProxy[], parameters = ''): string {
  const places = proxies.map(({ url }) => `127.0.0.1:${parseDatabaseUrl(url).port}`)
  return `${(proxies[0] as FaultProxy).url.replace(/@[^/]*/, `@${places.join(',')}`)}${parameters}`
}

async function connected<T>(url: string, work: (connection: Connection) => T, connectTimeoutMs = 5000): Promise<T> {
  const connection = await openConnection({ address: parseDatabaseUrl(url), connectTimeoutMs })
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}

const portOf = ({ address }: Connection) => address.port
const sleeping = ({ sql }: BankSession) => sql`select pg_sleep(30)`
const asleep = async () => (await bank.admin.backends()).filter(({ waiting }) => waiting === 'PgSleep')

describe('the places of a URL', () => {
  test.each(['end', 'reset', 'garbage', 'silence', 'end after first answer', 'half an answer'] satisfies Opening[])(
    'are tried in turn: one that answers with "%s" is passed over',
    async (opening) => {
      const [first, second] = [await bank.proxy(), await bank.proxy()]
      first.opening = opening
      const url = urlOf([first, second])
      expect(await connected(url, portOf, 2000)).toBe(parseDatabaseUrl(second.url).port)
      expect(first.connections).toBe(1)
    },
  )

  test('include those where nobody listens, and names that stand for nothing', async () => {
    const [first, second] = [await bank.proxy(), await bank.proxy()]
    const url = urlOf([first, second])
    await first.refuse()
    expect(await connected(url, portOf)).toBe(parseDatabaseUrl(second.url).port)
    const { user, password, database, port } = parseDatabaseUrl(second.url)
    const named = `postgres://${user}:${password}@nowhere.invalid,127.0.0.1/${database}?port=${port}&sslmode=disable`
    expect(await connected(named, portOf)).toBe(port)
  })

  test('are all named when none will do', async () => {
    const [first, second] = [await bank.proxy(), await bank.proxy()]
    await first.refuse()
    second.opening = 'end'
    const error = await connected(urlOf([first, second]), portOf).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(ConnectionLost)
    for (const { url } of [first, second]) {
      expect((error as Error).message).toContain(`127.0.0.1:${parseDatabaseUrl(url).port}`)
    }
  })

  test('are not searched on after a server has refused who we are', async () => {
    const [first, second] = [await bank.proxy(), await bank.proxy()]
    const url = urlOf([first, second]).replace(/\/\/([^:]*):[^@]*@/, '//$1:wrong@')
    await expect(connected(url, portOf)).rejects.toThrow(ConfigInvalid)
    expect([first.connections, second.connections]).toEqual([1, 0])
  })

  test('that did not answer are tried last for a while, so that not every connection waits for them', async () => {
    const [first, second] = [await bank.proxy(), await bank.proxy()]
    first.opening = 'silence'
    const address = parseDatabaseUrl(urlOf([first, second]))
    const open = connectionOpener(() => address, 2000)
    const connections = [await open(), await open(), await open()]
    expect(connections.map(portOf)).toEqual(Array(3).fill(parseDatabaseUrl(second.url).port))
    expect(first.connections).toBe(1)
    second.opening = 'silence'
    first.opening = 'pass'
    expect(portOf(await open())).toBe(parseDatabaseUrl(first.url).port)
    await Promise.all(connections.map((connection) => connection.close()))
  })

  test('are found by a pool whose first place falls silent while it runs', async () => {
    const [first, second] = [await bank.proxy(), await bank.proxy()]
    await using engine = await bank.engine({ url: urlOf([first, second]) })
    await engine.session(({ sql }) => sql`select 1`)
    expect(second.connections).toBe(0)
    first.opening = 'silence'
    for (const link of first.openLinks) link.reset()
    await eventually(() => engine.session(({ sql }) => sql`select 1`), 10_000)
    expect(second.openLinks).toHaveLength(1)
  })

  test('are shuffled with load_balance_hosts=random', async () => {
    const proxies = [await bank.proxy(), await bank.proxy()]
    const url = urlOf(proxies, '&load_balance_hosts=random')
    const ports = new Set<number>()
    await eventually(async () => {
      ports.add(await connected(url, portOf))
      expect(ports.size).toBe(2)
    })
  })
})

test('a password that is changed in its file while the service runs is used for the next connection', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'rivulet-password-'))
  const file = join(directory, 'pgpass')
  const role = `${bank.name}_rotated`
  const write = (password: string) => writeFile(file, `*:*:*:${role}:${password}`, { mode: 0o600 })
  await bank.admin.sql.unsafe(`create role ${role} login password 'old'`)
  await write('old')
  const proxy = await bank.proxy()
  const url = `${proxy.url.replace(/\/\/[^@]*@/, `//${role}@`)}&passfile=${encodeURIComponent(file)}`
  await using engine = await bank.engine({ url })
  await bank.admin.sql.unsafe(`alter role ${role} password 'new'`)
  await write('new')
  for (const link of proxy.openLinks) link.reset()
  const ask = () => engine.session(({ sql }) => sql<{ me: string }>`select current_user::text as me`)
  expect(await eventually(ask)).toEqual([{ me: role }])
  await engine.close()
  await bank.admin.sql.unsafe(`drop role ${role}`)
  await rm(directory, { recursive: true })
})

describe('target_session_attrs', () => {
  let server: PrivateServer
  beforeAll(async () => {
    server = await openPrivateServer()
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test('any, read-write, read-only and the like are asked of each server in turn', async () => {
    const writable = await bank.proxy()
    const readOnly = await bank.proxy()
    await bank.admin.sql.unsafe(`create database ${bank.name}_read_only`)
    await bank.admin.sql.unsafe(`alter database ${bank.name}_read_only set default_transaction_read_only = on`)
    // The proxy's own view of which database is asked for: the start-up message is the client's.
    readOnly.onLink = (link) => {
      link.tap = (chunk, from) => {
        link.tap = undefined
        return from === 'client' ? renamed(chunk, bank.name, `${bank.name}_read_only`) : chunk
      }
    }
    const places = [readOnly, writable]
    const port = (kind: string) => connected(urlOf(places, `&target_session_attrs=${kind}`), portOf)
    expect(await port('any')).toBe(parseDatabaseUrl(readOnly.url).port)
    expect(await port('read-write')).toBe(parseDatabaseUrl(writable.url).port)
    expect(await port('read-only')).toBe(parseDatabaseUrl(readOnly.url).port)
    expect(await port('primary')).toBe(parseDatabaseUrl(readOnly.url).port)
    expect(await port('prefer-standby')).toBe(parseDatabaseUrl(readOnly.url).port)
    const none = connected(urlOf(places, '&target_session_attrs=standby'), portOf)
    await expect(none).rejects.toThrow(/is not standby, as target_session_attrs asks for/)
    await bank.admin.sql.unsafe(`drop database ${bank.name}_read_only with (force)`)
  })

  test('and other variables meant for another server do not keep anybody from the embedded one', async () => {
    const variables = {
      PGTARGETSESSIONATTRS: 'standby',
      PGCHANNELBINDING: 'require',
      PGREQUIREAUTH: 'none',
      PGSSLMODE: 'verify-full',
      PGOPTIONS: '-c no_such_setting=1',
      PGHOST: 'nowhere.invalid',
      PGHOSTADDR: '192.0.2.1',
      PGPORT: '1',
      PGUSER: 'nobody',
      PGPASSWORD: 'nothing',
      PGDATABASE: 'none',
    }
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value)
    try {
      expect(await connected(server.url, portOf)).toBe(5432)
    } finally {
      vi.unstubAllEnvs()
    }
  })

  test('primary and standby tell a hot standby, also when it is promoted, which its connections notice', async () => {
    await server.becomeStandby()
    const at = (kind: string) => `${server.url}&target_session_attrs=${kind}`
    await expect(connected(at('primary'), portOf)).rejects.toThrow(ConnectionLost)
    await expect(connected(at('read-write'), portOf)).rejects.toThrow(/is not read-write/)
    await connected(at('read-only'), portOf)
    await connected(at('standby'), async (connection) => {
      expect(connection.server).toMatchObject({ standby: true, readOnly: true })
      expect(connection.server.parameters.get('in_hot_standby')).toBe('on')
      await connection.query('select pg_promote()', [])
      await eventually(async () => {
        await connection.query('select 1', [])
        expect(connection.server).toMatchObject({ standby: false, readOnly: false })
      })
    })
    await connected(at('primary'), portOf)
    await connected(at('prefer-standby'), portOf)
  })
})

describe('the request to stop a statement goes where the connection leads', () => {
  test('and not to the first place of the URL', async () => {
    const [first, second] = [await bank.proxy(), await bank.proxy()]
    const url = urlOf([first, second])
    await first.refuse()
    await using engine = await bank.engine({ url })
    await first.accept()
    const abort = new AbortController()
    const call = engine.session(sleeping, { signal: abort.signal })
    await eventually(async () => expect(await asleep()).toHaveLength(1))
    const before = second.connections
    abort.abort()
    await expect(call).rejects.toThrow(Cancelled)
    await eventually(async () => expect(await asleep()).toEqual([]))
    expect(second.connections).toBeGreaterThan(before)
    expect(first.connections).toBe(0)
  })

  test('and not to what its name stands for by then', async () => {
    const [first, second] = [await bank.proxy(), await bank.proxy()]
    await second.refuse()
    const { port, user, password, database } = parseDatabaseUrl(first.url)
    let address = '127.0.0.1'
    const { lookup } = dns
    // A name server that changes its mind, which is what a failover looks like.
    const answering = (host: string, options: { all?: boolean }, answer: (...args: unknown[]) => void): void => {
      if (host !== 'db.invalid') return (lookup as unknown as typeof answering)(host, options, answer)
      const answers = [{ address, family: 4 }]
      setImmediate(() => (options.all ? answer(null, answers) : answer(null, address, 4)))
    }
    dns.lookup = answering as unknown as typeof dns.lookup
    try {
      const url = `postgres://${user}:${password}@db.invalid:${port}/${database}?sslmode=disable`
      await using engine = await bank.engine({ url })
      address = '127.0.0.2'
      const abort = new AbortController()
      const call = engine.session(sleeping, { signal: abort.signal })
      await eventually(async () => expect(await asleep()).toHaveLength(1))
      abort.abort()
      await expect(call).rejects.toThrow(Cancelled)
      await eventually(async () => expect(await asleep()).toEqual([]))
      expect(first.connections).toBeGreaterThan(1)
    } finally {
      dns.lookup = lookup
    }
  })
})

/** A start-up message for another database. */
function renamed(startup: Buffer, from: string, to: string): Buffer {
  const text = startup.subarray(4).toString('latin1').replace(`database\0${from}\0`, `database\0${to}\0`)
  const length = Buffer.alloc(4)
  length.writeInt32BE(text.length + 4)
  return Buffer.concat([length, Buffer.from(text, 'latin1')])
}
