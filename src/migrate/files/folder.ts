/**
 * The migrations of a folder with their texts, in either of drizzle-kit's layouts (`layout.ts`). The folder is read and
 * checked completely before anything is run, so that a broken folder never leaves a database half migrated.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { MigrationRefused, UsageError } from '../../errors.ts'
import { type MigrationPlace, numberOf, readLayout } from './layout.ts'
import { readSql } from './text-file.ts'

/** One migration file. */
export interface Migration {
  /** The journal's tag, which is the file's name without `.sql`; in the layout of drizzle-kit 1.0 the folder's name. */
  readonly name: string
  /** Milliseconds since 1970 at which it was generated; Drizzle's ledger knows a migration by it. */
  readonly when: number
  /** The name of the file within the migrations folder. */
  readonly file: string
  readonly path: string
  readonly text: string
  /** SHA-256 of the text in hex, exactly what Drizzle stores. */
  readonly hash: string
  /** Hashes that count as the same text, because a checkout may have converted its line ends. */
  readonly sameHashes: readonly string[]
  /** The name of the file that reverts it within the migrations folder, whether the file exists or not. */
  readonly downFile: string
  /** The path of the file that reverts it; undefined when there is none. */
  readonly downPath: string | undefined
}

/** Reads and checks the folder. @throws MigrationRefused ('inconsistent'), which names the file and what to do. */
export async function readMigrations(folder: string): Promise<readonly Migration[]> {
  const { places } = await readLayout(folder)
  return Promise.all(places.map((place) => readMigration(folder, place)))
}

async function readMigration(folder: string, { name, when, file, downFile }: MigrationPlace): Promise<Migration> {
  const path = join(folder, file)
  if (!existsSync(path)) {
    throw new MigrationRefused(
      'inconsistent',
      `${file} is in the journal but not in the folder: restore it from version control`,
    )
  }
  const text = await readSql(path)
  const downPath = existsSync(join(folder, downFile)) ? join(folder, downFile) : undefined
  const unix = text.replaceAll('\r\n', '\n')
  const sameHashes = [sha256(text), sha256(unix), sha256(unix.replaceAll('\n', '\r\n'))]
  return { name, when, file, path, text, hash: sha256(text), sameHashes, downFile, downPath }
}

/**
 * The migration that `name` means: its tag, its file name, or its number alone (`3`, `0003`).
 * @throws UsageError when there is none, or more than one.
 */
export function findMigration(migrations: readonly Migration[], name: string): Migration {
  const wanted = name
    .replace(/[\\/](?:migration|down)\.sql$/, '')
    .replace(/^.*[\\/]/, '')
    .replace(/(?:\.down)?\.sql$/, '')
  const exact = migrations.find((migration) => migration.name === wanted)
  if (exact) return exact
  const numbered = migrations.filter((migration) => /^\d+$/.test(wanted) && numberOf(migration.name) === Number(wanted))
  if (numbered.length === 1 && numbered[0]) return numbered[0]
  const last = migrations.slice(-3).map((migration) => migration.name)
  throw new UsageError(
    `there is no migration ${JSON.stringify(name)}${last.length > 0 ? `; the last ones are ${last.join(', ')}` : ''}`,
  )
}

/** SHA-256 in hex. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
