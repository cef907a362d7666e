/** kill -9 of the migrator, and of the server, at every boundary between statements: the rerun completes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { openEmbeddedServer } from '../../src/embedded/server.ts'
import { MigrationFailed } from '../../src/errors.ts'
import { withConnection } from '../../src/migrate/connect.ts'
import { applyMigrations, verifyDatabase } from '../../src/migrate/index.ts'
import { Ledger } from '../../src/migrate/ledger/ledger.ts'
import { describeDatabase, type SchemaDescription } from '../../src/migrate/schema/describe.ts'
import { compiledProgram } from '../support/compiled-package.ts'
import { ledgerRows, makeFolder, type MigrationFolder, openEmptyDatabase, rowsOf } from '../support/migrations.ts'

const long = process.env.RIVULET_LONG === '1'
const program = compiledProgram('test/support/child-migrator.ts')

const files = {
  '0000_init': 'create table t (id int); insert into t select generate_series(1, 500);',
  '0001_index': 'create index concurrently t_id on t (id);',
  '0002_steps':
    '-- rivulet:no-transaction\ncreate table u (id int); insert into u values (1);\ndrop index concurrently t_id;\ncreate unique index concurrently t_id on t (id);',
  '0003_name': 'alter table t add column name text; update t set name = id::text;',
}
/** What each file goes through: its statements, its entry in the ledger, and being reported as applied. */
const boundaries = 4 + 3 + 6 + 4

const describeUrl = (url: string) => withConnection(url, (connection) => describeDatabase(connection, new Ledger()))
let clean: SchemaDescription

async function expectComplete(url: string): Promise<void> {
  expect(await describeUrl(url)).toEqual(clean)
  expect(await ledgerRows(url)).toHaveLength(4)
  const counts = 'select (select count(name) from t)::int, (select count(*) from u)::int'
  expect(await rowsOf(url, counts)).toEqual([[500, 1]])
}

async function expectVerified(url: string, project: MigrationFolder): Promise<void> {
  expect((await verifyDatabase(url, project)).differences).toEqual([])
}

/** Replaying each time what is already compared with a clean run takes long. */
const afterKill = long ? [expectComplete, expectVerified] : [expectComplete]

beforeAll(async () => {
  await using database = await openEmptyDatabase()
  await using project = await makeFolder(files)
  await applyMigrations(database.url, project)
  clean = await describeUrl(database.url)
})

describe('kill -9 of the migrator', { timeout: 120_000 }, () => {
  // Either moment at every second boundary; both at all of them in the long run.
  const moments = ['before', 'sent'] as const
  const points = Array.from({ length: boundaries }, (_, boundary) => boundary).flatMap((boundary) =>
    moments.filter((_, index) => long || boundary % 2 === index).map((moment) => [boundary, moment] as const),
  )
  test.concurrent.each(points)(
    'at boundary %i, %s: the rerun completes, and nothing is done twice',
    async (boundary, moment) => {
      await using database = await openEmptyDatabase()
      await using project = await makeFolder(files)
      const args = [program, database.url, project.folder, String(boundary), moment]
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
      const [complaint, [, signal]] = await Promise.all([text(child.stderr), once(child, 'close')])
      expect([signal, complaint]).toEqual(['SIGKILL', ''])
      await applyMigrations(database.url, project)
      for (const expectation of afterKill) await expectation(database.url, project)
    },
  )
})

describe('kill -9 of the server', { timeout: 120_000 }, () => {
  // At the last boundary the run is over.
  const points = long ? Array.from({ length: boundaries - 1 }, (_, boundary) => boundary) : [1, 4]
  test.each(points)(
    'at boundary %i: the run says so, and the rerun on the restarted server completes',
    async (stop) => {
      const directory = await mkdtemp(join(tmpdir(), 'rivulet-server-'))
      const settings = { fsync: 'off', full_page_writes: 'off' }
      try {
        await using project = await makeFolder(files)
        const first = await openEmbeddedServer({ directory, settings })
        const postmaster = await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8')
        await withConnection(first.url, async (connection) => {
          let passed = 0
          const run = applyMigrations(connection as never, {
            ...project,
            onProgress: ({ type }) => {
              if (type !== 'statement.started' && type !== 'file.executed' && type !== 'file.applied') return
              if (passed++ !== stop) return
              // The backend first: without its postmaster it would still finish what it has been sent.
              for (const pid of [connection.backendPid, Number(postmaster.split('\n')[0])]) process.kill(pid, 'SIGKILL')
            },
          })
          await expect(run).rejects.toThrow(/connection/)
        })
        await first.stop()
        const second = await openEmbeddedServer({ directory, settings })
        try {
          await applyMigrations(second.url, project)
          await expectComplete(second.url)
        } finally {
          await second.stop()
        }
      } finally {
        await rm(directory, { recursive: true, force: true })
      }
    },
  )
})

test('a migrator that fails for the loss of its connection says so in a MigrationFailed', async () => {
  await using database = await openEmptyDatabase()
  await using project = await makeFolder({ '0000_end': 'select pg_terminate_backend(pg_backend_pid())' })
  await expect(applyMigrations(database.url, project)).rejects.toBeInstanceOf(MigrationFailed)
})
