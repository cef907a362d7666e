/** A long reader holds ACCESS SHARE while ALTER TABLE wants its table: other readers must hardly notice. */
import { expect, test } from 'vitest'
import { LockTimeout } from '../../src/errors.ts'
import { withConnection } from '../../src/migrate/connect.ts'
import { applyMigrations } from '../../src/migrate/index.ts'
import { makeFolder, openEmptyDatabase } from '../support/migrations.ts'

const lockTimeoutMs = 100
/** A reader that waits longer than this fails: the timeout, and what a busy machine takes to act on it. */
const toleratedMs = 300
const attempts = process.env.RIVULET_LONG === '1' ? 12 : 4

/** What waits for a whole table, in this database. */
const waitingFor = `select from pg_locks where not granted and mode = 'AccessExclusiveLock'
  and database = (select oid from pg_database where datname = current_database())`

test(`readers are never blocked longer than the lock timeout while ALTER TABLE gives way ${attempts} times`, async () => {
  await using database = await openEmptyDatabase()
  await using project = await makeFolder({
    '0000_init': 'create table t (id int); insert into t select generate_series(1, 100)',
    '0001_alter': 'alter table t add column a int',
  })
  await applyMigrations(database.url, { ...project, to: '0' })
  await withConnection(database.url, async (holder) => {
    await holder.script('begin; select count(*) from t')
    let gaveWay = 0
    const run = { done: false }
    const applied = applyMigrations(database.url, {
      ...project,
      lockTimeoutMs,
      onProgress: ({ type }) => {
        if (type === 'file.gave_way') gaveWay += 1
        if (gaveWay === attempts) void holder.script('commit')
      },
    }).finally(() => (run.done = true))
    const readers = Array.from({ length: 4 }, () =>
      withConnection(database.url, async (reader) => {
        await reader.script(`set lock_timeout = ${toleratedMs}`)
        let longest = 0
        while (!run.done) {
          const before = performance.now()
          // One that is blocked for longer fails here, by the server's own clock.
          await reader.query('select count(*) from t', [])
          longest = Math.max(longest, performance.now() - before)
        }
        return longest
      }),
    )
    const [result, ...longest] = await Promise.all([applied, ...readers])
    expect(result.applied).toHaveLength(1)
    expect(gaveWay).toBeGreaterThanOrEqual(attempts)
    console.log(`longest wait of a reader: ${Math.max(...longest).toFixed(0)} ms, lock timeout ${lockTimeoutMs} ms`)
  })
}, 120_000)

test('and without giving way a reader would be blocked: the test can tell', async () => {
  await using database = await openEmptyDatabase()
  await withConnection(database.url, (holder) =>
    withConnection(database.url, (alterer) =>
      withConnection(database.url, async (reader) => {
        await holder.script('create table t (id int)')
        await holder.script('begin; select * from t')
        const altered = alterer.script('alter table t add column a int')
        await expect
          .poll(() => holder.query(waitingFor, []), {
            interval: 5,
            timeout: 20_000,
          })
          .toHaveLength(1)
        await reader.script(`set lock_timeout = ${toleratedMs}`)
        await expect(reader.query('select * from t', [])).rejects.toBeInstanceOf(LockTimeout)
        await holder.script('commit')
        await altered
      }),
    ),
  )
})
