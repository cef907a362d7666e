/** Folders in the layout of drizzle-kit 1.0, and the ledger as Drizzle 1.0 keeps it. */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { withConnection } from '../../src/migrate/connect.ts'
import {
  applyMigrations,
  baselineMigrations,
  migrationStatus,
  planMigrations,
  planRevert,
  revertMigrations,
  verifyDatabase,
} from '../../src/migrate/index.ts'
import {
  firstWhen,
  ledgerRows,
  makeFolder,
  makeFolders,
  openEmptyDatabase,
  rowsOf,
  thrownBy,
} from '../support/migrations.ts'

const first = '20260102030405_init'
const second = '20260102030406_more'
const files = { [first]: 'create table a (id int);', [second]: 'create table b (id int);' }

/** As drizzle-orm 1.0 makes it. */
const newLedger =
  'create schema drizzle; create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, ' +
  'created_at bigint, name text, applied_at timestamptz default now());'

describe('a folder of drizzle-kit 1.0', () => {
  test('is applied, verified and taken back', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolders(files)
    await writeFile(join(project.folder, second, 'down.sql'), 'drop table b;')
    const plan = await planMigrations(database.url, project)
    expect(plan.map(({ file }) => file)).toEqual([`${first}/migration.sql`, `${second}/migration.sql`])
    await applyMigrations(database.url, project)
    expect((await ledgerRows(database.url)).map(([, when]) => Number(when))).toEqual([
      Date.UTC(2026, 0, 2, 3, 4, 5),
      Date.UTC(2026, 0, 2, 3, 4, 6),
    ])
    expect((await verifyDatabase(database.url, project)).differences).toEqual([])
    expect(await planRevert(database.url, project)).toMatchObject([{ name: second, file: `${second}/down.sql` }])
    await revertMigrations(database.url, [second], project)
    expect((await migrationStatus(database.url, project)).migrations).toMatchObject([
      { name: first, state: 'applied' },
      { name: second, state: 'pending' },
    ])
  })

  test('names the file that fails as it is called', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolders({ [first]: 'select nonsense' })
    expect((await thrownBy(applyMigrations(database.url, project))).message).toContain(`${first}/migration.sql: state`)
  })

  test('that drizzle-kit made of an older one finds its migrations in the ledger', async () => {
    await using database = await openEmptyDatabase()
    await using older = await makeFolder({ '0000_init': 'create table a (id int);' })
    await applyMigrations(database.url, older)
    // drizzle-kit names the folder after the journal's time, without its milliseconds.
    await rowsOf(database.url, `update drizzle.__drizzle_migrations set created_at = ${firstWhen + 123}`)
    const name = `${new Date(firstWhen).toISOString().replaceAll(/\D/g, '').slice(0, 14)}_init`
    await using upgraded = await makeFolders({ [name]: 'create table a (id int);' })
    expect(await migrationStatus(database.url, upgraded)).toMatchObject({ state: 'up to date' })
    await using edited = await makeFolders({ [name]: 'create table a (id int); -- edited' })
    expect((await migrationStatus(database.url, edited)).migrations).toMatchObject([{ name, state: 'changed' }])
  })
})

describe('a ledger of Drizzle 1.0', () => {
  test('gets the names by which Drizzle knows what is applied', async () => {
    await using database = await openEmptyDatabase()
    await withConnection(database.url, (connection) => connection.script(newLedger))
    await using project = await makeFolders(files)
    await baselineMigrations(database.url, { ...project, to: first })
    await applyMigrations(database.url, project)
    const names = 'select name, applied_at is not null from drizzle.__drizzle_migrations order by id'
    expect(await rowsOf(database.url, names)).toEqual([
      [first, true],
      [second, true],
    ])
  })
})

describe('a first file as drizzle-kit pull writes it, one comment across breakpoints', () => {
  const pulled =
    '-- Current sql file was generated after introspecting the database\n/*\nCREATE TABLE "t" ("id" integer);\n' +
    '--> statement-breakpoint\nCREATE INDEX "i" ON "t" ("id");\n*/'

  test('is refused by baseline and migrate, and verify says why it cannot agree', async () => {
    await using database = await openEmptyDatabase()
    await using project = await makeFolder({ '0000_pulled': pulled })
    const refusal =
      /0000_pulled\.sql is one comment, as `drizzle-kit pull` writes.*Remove its \/\* and \*\/, .*--to 0000_pulled --accept/
    await expect(baselineMigrations(database.url, { ...project, to: '0' })).rejects.toThrow(refusal)
    expect(await rowsOf(database.url, "select from pg_namespace where nspname = 'drizzle'")).toEqual([])
    // As earlier releases took it.
    const hash = createHash('sha256').update(pulled).digest('hex')
    await withConnection(database.url, (connection) =>
      connection.script(
        'create schema drizzle; create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, ' +
          `created_at bigint); insert into drizzle.__drizzle_migrations (hash, created_at) values ('${hash}', ${firstWhen})`,
      ),
    )
    await expect(verifyDatabase(database.url, project)).rejects.toThrow(refusal)
    await using other = await openEmptyDatabase()
    await expect(applyMigrations(other.url, project)).rejects.toThrow(refusal)
  })
})
