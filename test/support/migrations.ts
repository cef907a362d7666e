/**
 * Migration folders made for one test, in drizzle-kit's layout, and a connection or two to look at what they did.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect } from 'vitest'
import { MigrationFailed, MigrationRefused } from '../../src/errors.ts'
import { withConnection } from '../../src/migrate/connect.ts'
import { emptyDatabase } from '../../src/migrate/commands/reset.ts'
import { openTestDatabase, scriptTemplate, type TestDatabase } from './database.ts'

const emptyTemplate = scriptTemplate('empty', 'select')
const free: TestDatabase[] = []

afterAll(async () => {
  await Promise.all(free.splice(0).map((database) => database[Symbol.asyncDispose]()))
})

/**
 * An empty database, for `await using`. Given back it is emptied and used again by the same test file: that takes a tenth
 * of making and dropping one.
 */
export async function openEmptyDatabase(): Promise<TestDatabase> {
  const database = free.pop() ?? (await openTestDatabase(emptyTemplate))
  return {
    url: database.url,
    name: database.name,
    [Symbol.asyncDispose]: async () => {
      await emptyDatabase(database.url, { database: database.name })
      free.push(database)
    },
  }
}

/** A folder of migrations, removed at the end of the test. */
export interface MigrationFolder extends AsyncDisposable {
  readonly folder: string
  /** Adds or changes files: name without `.sql` -> text; a name that ends in `.down` is no journal entry. */
  write(files: Readonly<Record<string, string>>): Promise<void>
}

/** When the first file was generated; each after it a second later. */
export const firstWhen = 1_700_000_000_000

/** Makes a folder; the journal lists the files in the order given. */
export async function makeFolder(files: Readonly<Record<string, string>>): Promise<MigrationFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'rivulet-migrations-'))
  await mkdir(join(folder, 'meta'))
  const tags: string[] = []
  const write = async (more: Readonly<Record<string, string>>) => {
    for (const [name, text] of Object.entries(more)) {
      if (!name.endsWith('.down') && !tags.includes(name)) tags.push(name)
      await writeFile(join(folder, `${name}.sql`), text)
    }
    await writeJournal(
      folder,
      tags.map((tag, idx) => ({ idx, version: '7', when: firstWhen + idx * 1000, tag, breakpoints: true })),
    )
  }
  await write(files)
  return folderOf(folder, write)
}

/** A folder in the layout of drizzle-kit 1.0: `<name>/migration.sql`, no journal. */
export async function makeFolders(files: Readonly<Record<string, string>>): Promise<MigrationFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'rivulet-migrations-'))
  const write = async (more: Readonly<Record<string, string>>) => {
    for (const [name, text] of Object.entries(more)) {
      await mkdir(join(folder, name), { recursive: true })
      await writeFile(join(folder, name, 'migration.sql'), text)
    }
  }
  await write(files)
  return folderOf(folder, write)
}

/** A command takes it as its options: what is no option does not show there. */
function folderOf(folder: string, write: MigrationFolder['write']): MigrationFolder {
  const project: Omit<MigrationFolder, 'write'> = {
    folder,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
  return Object.defineProperty(project as MigrationFolder, 'write', { value: write })
}

/** Writes `meta/_journal.json`; `entries` may be anything, for folders that are broken on purpose. */
export async function writeJournal(folder: string, entries: unknown): Promise<void> {
  const journal = { version: '7', dialect: 'postgresql', entries }
  await writeFile(join(folder, 'meta', '_journal.json'), JSON.stringify(journal, undefined, 2))
}

/** The rows of one query, as arrays of values. */
export async function rowsOf(url: string, sql: string): Promise<unknown[][]> {
  return withConnection(url, async (connection) => {
    const rows = await connection.query(sql, [], { arrays: true })
    return [...(rows as unknown as unknown[][])]
  })
}

/** The ledger's hashes in order, one entry a row. */
export async function ledgerRows(url: string): Promise<unknown[][]> {
  return rowsOf(url, 'select hash, created_at::text from drizzle.__drizzle_migrations order by id')
}

/** A file that failed, or was refused. */
type MigrationError = (MigrationFailed | MigrationRefused) & { readonly reason?: unknown; readonly sqlState?: unknown }

/** What `promise` is rejected with, which must be an error of a migration. */
export async function thrownBy(promise: Promise<unknown>): Promise<MigrationError> {
  const error: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toSatisfy((thrown) => thrown instanceof MigrationFailed || thrown instanceof MigrationRefused)
  return error as MigrationError
}
