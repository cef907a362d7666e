/**
 * The two ways in which drizzle-kit lays a migrations folder out, read as one list in the order of application.
 *
 * Up to 0.31: `meta/_journal.json` lists the files; each `<tag>.sql` is one migration, and `<tag>.down.sql` beside it
 * reverts it. From 1.0 on: there is no journal; each folder `YYYYMMDDhhmmss_name` has a `migration.sql`, and a `down.sql`
 * that reverts it; the folder's name tells the time and the order. Drizzle runs no other files.
 */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { MigrationRefused } from '../../errors.ts'
import { readRegularFile } from './text-file.ts'

/** Where one migration lies. */
export interface MigrationPlace {
  /** The file's name without `.sql`, or the folder's name. */
  readonly name: string
  /** Milliseconds since 1970 at which it was generated. */
  readonly when: number
  /** The file within the migrations folder, with `/`. */
  readonly file: string
  /** The file that reverts it, whether it exists or not. */
  readonly downFile: string
}

/** `journal`: drizzle-kit's up to 0.31; `folders`: from 1.0 on. */
export type LayoutKind = 'journal' | 'folders'

/** A migrations folder as it is laid out. */
export interface Layout {
  readonly places: readonly MigrationPlace[]
  /** SQL files that look like migrations but are not, and so are never run. */
  readonly strays: readonly string[]
}

const journalFile = join('meta', '_journal.json')
const folderName = /^\d{14}_/

/** The layout of the folder; undefined when it has no migrations and no place for them. */
export async function layoutKind(folder: string): Promise<LayoutKind | undefined> {
  if (existsSync(join(folder, journalFile))) return 'journal'
  const folders = await foldersOf(folder, await readdir(folder).catch(() => []))
  return folders.length > 0 ? 'folders' : undefined
}

/** Reads the layout. @throws MigrationRefused ('inconsistent'), which names the file and what to do. */
export async function readLayout(folder: string): Promise<Layout> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw refused(`there is no migrations folder at ${resolve(folder)}: run \`rivulet generate\` first`, cause)
  })
  const folders = await foldersOf(folder, names)
  const journal = existsSync(join(folder, journalFile)) || folders.length === 0
  if (journal && folders[0] !== undefined) {
    throw refused(
      `${resolve(folder)} has both layouts of drizzle-kit, but Drizzle runs only one: ${journalFile} is that of drizzle-kit up to ` +
        `0.31, ${folders[0]}/migration.sql that of 1.0. Remove the one that was never applied: either meta/ and the files ` +
        'it lists, or the folders (`drizzle-kit up` of 1.0 turns a journal into folders)',
    )
  }
  const places = journal ? await journalled(folder) : folders.map(inFolder)
  const known = new Set(places.map(({ name }) => name))
  const strays = names.filter((name) => {
    const tag = /^(\d{4,}_.*?)(?:\.down)?\.sql$/.exec(name)?.[1]
    return tag !== undefined && !(journal && known.has(tag))
  })
  return { places, strays: strays.sort() }
}

/** The SQL files in the folder that are never run; none when the folder cannot be read. */
export async function strayFiles(folder: string): Promise<readonly string[]> {
  return (await readLayout(folder).catch(() => undefined))?.strays ?? []
}

/** Sorted as Drizzle sorts them. */
async function foldersOf(folder: string, names: readonly string[]): Promise<readonly string[]> {
  return names
    .filter((name) => folderName.test(name) && existsSync(join(folder, name, 'migration.sql')))
    .sort((a, b) => a.localeCompare(b))
}

function inFolder(name: string): MigrationPlace {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = (
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/.exec(name) ?? []
  )
    .slice(1)
    .map(Number)
  const when = Date.UTC(year, month - 1, day, hour, minute, second)
  return { name, when, file: `${name}/migration.sql`, downFile: `${name}/down.sql` }
}

async function journalled(folder: string): Promise<readonly MigrationPlace[]> {
  const path = join(folder, journalFile)
  if (!existsSync(path)) {
    throw refused(`${path} is missing: run \`rivulet generate\`, or restore it from version control`)
  }
  const text = (await readRegularFile(path)).toString()
  let journal: unknown
  try {
    journal = JSON.parse(text)
  } catch (cause) {
    const merge = /^(?:<{7}|={7}|>{7})/m.test(text) ? ', because it has the marks of a merge conflict' : ''
    throw refused(`${path} is not valid JSON${merge}: correct it, or restore it from version control`, cause)
  }
  const { dialect, entries } = (journal ?? {}) as { dialect?: unknown; entries?: unknown }
  if (dialect !== undefined && dialect !== 'postgresql' && dialect !== 'pg') {
    throw refused(`${path} is for the dialect ${JSON.stringify(dialect)}, not for postgresql`)
  }
  if (!Array.isArray(entries)) throw refused(`${path} has no list of entries: restore it from version control`)
  const places = entries.map((entry: unknown, index) => {
    const { tag, when } = (entry ?? {}) as { tag?: unknown; when?: unknown }
    const sound = typeof tag === 'string' && /^[^/\\]+$/.test(tag) && Number.isSafeInteger(when)
    if (!sound) throw refused(`entry ${index} of ${path} has no tag or no time: restore it from version control`)
    return { name: tag, when: when as number, file: `${tag}.sql`, downFile: `${tag}.down.sql` }
  })
  refuseTwins(places.map(({ name }) => name))
  return places
}

/** Two branches that each made migration 7 leave two of them after a merge: a person must say which comes first. */
function refuseTwins(tags: readonly string[]): void {
  const seen = new Map<string, string>()
  for (const tag of tags) {
    const key = numberOf(tag)?.toString() ?? tag
    const twin = seen.get(key)
    if (twin !== undefined) {
      throw refused(
        twin === tag
          ? `the journal lists ${tag} twice: remove one entry`
          : `${twin} and ${tag} have the same number: remove one with \`drizzle-kit drop\` and generate it again`,
      )
    }
    seen.set(key, tag)
  }
}

/** The number that a migration's name begins with. */
export function numberOf(name: string): number | undefined {
  const digits = /^(\d+)(?:_|$)/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

function refused(message: string, cause?: unknown): MigrationRefused {
  return new MigrationRefused('inconsistent', message, cause === undefined ? {} : { cause })
}
