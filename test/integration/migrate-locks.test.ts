/** The migration lock, and the politeness of DDL on busy tables. */
import { EventEmitter, once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../src/config.ts'
import { withConnection } from '../../src/migrate/connect.ts'
import { applyMigrations, type MigrationProgress } from '../../src/migrate/index.ts'
import { Ledger } from '../../src/migrate/ledger.ts'
import { assertLockHeld, withLock } from '../../src/migrate/lock.ts'
import { type Connection, openConnection } from '../../src/pool/connection.ts'
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
      if (progress.type === 'waiting for lock') release.emit('now')
    }
    expect((await applyMigrations(database.url, { ...project, onProgress })).applied).toHaveLength(1)
    expect(seen[0]).toMatchObject({ type: 'waiting for lock', holderPid: holder.backendPid, holder: 'the test' })
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

  test('is free again after a failed run', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_wrong': 'select 1/0' })
    await withConnection(database.url, async (connection) => {
      await expect(applyMigrations(connection, project)).rejects.toThrow(/division by zero/)
      expect(await rowsOf(database.url, "select pid from pg_locks where locktype = 'advisory'")).toEqual([])
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
      if (progress.type === 'gave way' && seen.filter(({ type }) => type === 'gave way').length === 2) {
        ended = reader.script('commit')
      }
    }
    expect((await applyMigrations(database.url, { ...project, lockTimeoutMs: 30, onProgress })).applied).toHaveLength(1)
    const gaveWay = seen.find(({ type }) => type === 'gave way')
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
        message: expect.stringMatching(new RegExp(`backend ${reader.backendPid}.*was rolled back as a whole`)),
      })
      expect(await rowsOf(database.url, "select to_regclass('w')::text")).toEqual([[null]])
    })
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
