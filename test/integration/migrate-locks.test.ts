/** The migration lock, and the politeness of DDL on busy tables. */
import { EventEmitter, once } from 'node:events'
import { connect as connectSocket, createServer, type AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { withConnection } from '../../src/migrate/connect.ts'
import { applyMigrations, baselineMigrations, emptyDatabase, type MigrationProgress } from '../../src/migrate/index.ts'
import { Ledger } from '../../src/migrate/ledger/ledger.ts'
import { assertLockHeld, withLock } from '../../src/migrate/ledger/advisory-lock.ts'
import type { Connection } from '../../src/pool/connection.ts'
import { openConnection } from '../../src/pool/open-connection.ts'
import { Deadline } from '../../src/task/deadline.ts'
import { makeFolder, openEmptyDatabase, rowsOf } from '../support/migrations.ts'

const key = new Ledger().lockKey

function connect(url: string): Promise<Connection> {
  return openConnection({ address: parseDatabaseUrl(url, 'the test'), connectTimeoutMs: 5000 })
}

describe('the migration lock', () => {
  test('is waited for, its holder is named, and the wait ends with it', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_init': 'create table t (id int)' })
    const holder = await connect(database.url)
    const release = new EventEmitter()
    const held = withLock(holder, { key, deadline: Deadline.after(5000) }, () => once(release, 'now'))
    const seen: MigrationProgress[] = []
    const onProgress = (progress: MigrationProgress) => {
      seen.push(progress)
      if (progress.type === 'lock.awaited') release.emit('now')
    }
    expect((await applyMigrations(database.url, { ...project, onProgress })).applied).toHaveLength(1)
    expect(seen[0]).toMatchObject({ type: 'lock.awaited', pid: holder.backendPid, application: 'the test' })
    await held
    await holder.close()
  })

  test('that outlasts the time limit is refused as locked, naming the holder', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_init': 'create table t (id int)' })
    await withConnection(database.url, (holder) =>
      withLock(holder, { key, deadline: Deadline.after(5000) }, async () => {
        await expect(applyMigrations(database.url, { ...project, maxWaitMs: 50 })).rejects.toMatchObject({
          reason: 'locked',
          message: expect.stringContaining(`backend ${holder.backendPid} (rivulet migrate) still holds the lock`),
        })
      }),
    )
  })

  test('waits without a snapshot, so that the holder can build an index concurrently', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_init': 'create table t (id int); insert into t select generate_series(1, 20000)',
      '0001_index': 'create index concurrently t_id on t (id)',
    })
    const runs = await Promise.all(Array.from({ length: 4 }, () => applyMigrations(database.url, project)))
    expect(runs.flatMap(({ applied }) => applied)).toHaveLength(2)
  })

  test('must be held by the very backend: a transaction pooler is found out', async () => {
    await using database = await openEmptyDatabase()
    await withConnection(database.url, async (connection) => {
      await expect(assertLockHeld(connection, key)).rejects.toThrow(/not through a pooler in transaction mode/)
      await withLock(connection, { key, deadline: Deadline.after(1000) }, () => assertLockHeld(connection, key))
    })
  })

  test('is never asked for behind a pooler, which greets with a pid of its own', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_init': 'create table t (id int)' })
    await using pooler = await openPooler(database.url)
    for (const run of [
      () => applyMigrations(pooler.url, project),
      () => baselineMigrations(pooler.url, { ...project, to: '0' }),
      () => emptyDatabase(pooler.url, {}),
    ]) {
      await expect(run()).rejects.toThrow(/leads to a pooler.*Give the URL of PostgreSQL itself; nothing was changed/)
    }
    expect(await rowsOf(database.url, "select from pg_namespace where nspname = 'drizzle'")).toEqual([])
  })

  test('is free again after a failed run', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_wrong': 'select 1/0' })
    await withConnection(database.url, async (connection) => {
      await expect(applyMigrations(connection as never, project)).rejects.toThrow(/division by zero/)
      // Of this database: other tests have locks of their own on the same server.
      const locks = `select pid from pg_locks where locktype = 'advisory'
        and database = (select oid from pg_database where datname = current_database())`
      expect(await rowsOf(database.url, locks)).toEqual([])
      expect(connection.transactionStatus).toBe('I')
    })
  })
})

describe('a busy table', () => {
  const files = { '0000_init': 'create table t (id int)', '0001_alter': 'alter table t add column a int' }

  test('makes the file give way and try again until the reader is done', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder(files)
    await applyMigrations(database.url, { ...project, to: '0' })
    const reader = await connect(database.url)
    await reader.script('begin; select * from t')
    const seen: MigrationProgress[] = []
    let ended: Promise<unknown> | undefined
    const onProgress = (progress: MigrationProgress) => {
      seen.push(progress)
      if (progress.type === 'file.gave_way' && seen.filter(({ type }) => type === 'file.gave_way').length === 2) {
        ended = reader.script('commit')
      }
    }
    expect((await applyMigrations(database.url, { ...project, lockTimeoutMs: 30, onProgress })).applied).toHaveLength(1)
    const gaveWay = seen.find(({ type }) => type === 'file.gave_way')
    expect(gaveWay).toMatchObject({
      file: '0001_alter.sql',
      statement: 1,
      oldest: { pid: reader.backendPid, application: 'the test' },
    })
    await ended
    await reader.close()
  })

  test('that stays busy past the time limit is refused as locked; nothing is left of the file', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      ...files,
      '0001_alter': 'create table w (id int); alter table t add column a int',
    })
    await applyMigrations(database.url, { ...project, to: '0' })
    await withConnection(database.url, async (reader) => {
      await reader.script('begin; select * from t')
      await expect(
        applyMigrations(database.url, { ...project, lockTimeoutMs: 20, maxWaitMs: 100 }),
      ).rejects.toMatchObject({
        reason: 'locked',
        file: '0001_alter.sql',
        message: expect.stringMatching(new RegExp(`backend ${reader.backendPid}.*was rolled back; `)),
      })
      expect(await rowsOf(database.url, "select to_regclass('w')::text")).toEqual([[null]])
    })
  })

  test('is waited for with the same patience, however long the file before has worked', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({
      '0000_init': files['0000_init'],
      '0001_work': 'select pg_sleep(0.3)',
      '0002_alter': files['0001_alter'],
    })
    await applyMigrations(database.url, { ...project, to: '0' })
    await withConnection(database.url, async (reader) => {
      await reader.script('begin; select * from t')
      const onProgress = ({ type }: MigrationProgress) => void (type === 'file.gave_way' && reader.script('commit'))
      const wait = { lockTimeoutMs: 10, maxWaitMs: 250, onProgress }
      expect((await applyMigrations(database.url, { ...project, ...wait })).applied).toHaveLength(2)
    })
  })

  test.each(['vacuum full t', '-- rivulet:no-transaction\ndo $$ begin lock t; commit; end $$'])(
    'holds nobody up for longer than the lock timeout outside of transactions either: %s',
    async (text) => {
      await using database = await openEmptyDatabase()
      await using project = await makeFolder({ ...files, '0001_alter': text })
      await applyMigrations(database.url, { ...project, to: '0' })
      await withConnection(database.url, async (reader) => {
        await reader.script('begin; select * from t')
        await expect(
          applyMigrations(database.url, { ...project, lockTimeoutMs: 20, maxWaitMs: 100 }),
        ).rejects.toMatchObject({ reason: 'locked', file: '0001_alter.sql' })
        await reader.script('commit')
      })
      expect((await applyMigrations(database.url, project)).applied).toHaveLength(1)
    },
  )

  test('bounds the waiting of CREATE INDEX CONCURRENTLY, names whom it waits for, and a rerun completes', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ ...files, '0001_alter': 'create index concurrently t_id on t (id)' })
    await applyMigrations(database.url, { ...project, to: '0' })
    const writer = await connect(database.url)
    await writer.script('begin; insert into t values (1)')
    const seen: MigrationProgress[] = []
    const onProgress = (progress: MigrationProgress) => seen.push(progress)
    await expect(applyMigrations(database.url, { ...project, maxWaitMs: 100, onProgress })).rejects.toMatchObject({
      reason: 'locked',
      message: expect.stringContaining(`backend ${writer.backendPid} (the test)`),
    })
    expect(seen).toContainEqual(
      expect.objectContaining({
        type: 'transactions.awaited',
        blockers: [{ pid: writer.backendPid, application: 'the test' }],
      }),
    )
    await writer.script('commit')
    await writer.close()
    expect((await applyMigrations(database.url, project)).applied).toHaveLength(1)
  })

  test('does not hurry CREATE INDEX CONCURRENTLY, which lets others read and write', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ ...files, '0001_alter': 'create index concurrently t_id on t (id)' })
    await applyMigrations(database.url, { ...project, to: '0' })
    const writer = await connect(database.url)
    await writer.script('begin; insert into t values (1)')
    const run = applyMigrations(database.url, { ...project, lockTimeoutMs: 1 })
    await expect
      .poll(() => rowsOf(database.url, 'select phase from pg_stat_progress_create_index'), {
        interval: 5,
        timeout: 20_000,
      })
      .toHaveLength(1)
    await writer.script('commit')
    expect((await run).applied).toHaveLength(1)
    await writer.close()
  })
})

/** Passes everything on, but greets with another pid (BackendKeyData), as PgBouncer does. */
async function openPooler(url: string): Promise<{ readonly url: string } & AsyncDisposable> {
  const { host, port, user, password, database } = parseDatabaseUrl(url)
  const greeting = Buffer.from([0x4b, 0, 0, 0, 12])
  const server = createServer((client) => {
    const backend = host.startsWith('/') ? connectSocket(`${host}/.s.PGSQL.${port}`) : connectSocket(port, host)
    for (const socket of [client, backend]) socket.on('error', () => undefined)
    client.pipe(backend)
    backend.on('data', (chunk: Buffer) => {
      const at = chunk.indexOf(greeting)
      if (at >= 0) chunk.writeInt32BE(1, at + greeting.length)
      client.write(chunk)
    })
    backend.on('close', () => client.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const pooled = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `postgres://${user}:${encodeURIComponent(password)}@${pooled}/${database}?sslmode=disable`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}
