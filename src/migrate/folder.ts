/**
 * The migrations folder as drizzle-kit writes it: `meta/_journal.json` lists the files in order, each `<tag>.sql` holds
 * one migration, `<tag>.down.sql` beside it how to take it back. Read whole and checked whole before anything is run,
 * so that a broken folder never leaves a database half way.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { UsageError } from '../errors.ts'
import { MigrationRefused } from './refusal.ts'

/** One migration file. */
export interface Migration {
  /** The journal's tag: the file's name without `.sql`. */
  readonly name: string
  /** Milliseconds since 1970 at which it was generated; Drizzle's ledger knows a migration by it. */
  readonly when: number
  readonly path: string
  readonly text: string
  /** SHA-256 of the text in hex, exactly what Drizzle stores. */
  readonly hash: string
  /** Hashes that count as the same text: its line ends may have been converted by a checkout. */
  readonly sameHashes: readonly string[]
  /** Path of the file that takes it back; undefined when there is none. */
  readonly downPath: string | undefined
}

interface JournalEntry {
  readonly tag: string
  readonly when: number
}

/** Reads and checks the folder. @throws MigrationRefused ('inconsistent') that names the file and what to do. */
export async function readMigrations(folder: string): Promise<readonly Migration[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw refused(`there is no migrations folder at ${resolve(folder)}: run \`rivulet generate\` first`, cause)
  })
  const entries = await readJournal(folder, names)
  const tags = entries.map((entry) => entry.tag)
  refuseTwins(tags)
  refuseStrangers(names, tags)
  return Promise.all(
    entries.map(async ({ tag, when }) => {
      const path = join(folder, `${tag}.sql`)
      if (!names.includes(`${tag}.sql`)) {
        throw refused(`${tag}.sql is in the journal but not in the folder: restore it from version control`)
      }
      const text = await readSql(path)
      const downPath = names.includes(`${tag}.down.sql`) ? join(folder, `${tag}.down.sql`) : undefined
      const unix = text.replaceAll('\r\n', '\n')
      const sameHashes = [sha256(text), sha256(unix), sha256(unix.replaceAll('\n', '\r\n'))]
      return { name: tag, when, path, text, hash: sha256(text), sameHashes, downPath }
    }),
  )
}

/** The text of an SQL file. @throws MigrationRefused when it is not UTF-8: PostgreSQL would store garbage. */
export async function readSql(path: string): Promise<string> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw refused(`${path} cannot be read`, cause)
  })
  const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw refused(`${path} is ${utf16 ? 'UTF-16' : 'not UTF-8'}: save it as UTF-8`, cause)
  }
  if (text.includes('\0')) throw refused(`${path} holds a NUL character: save it as plain UTF-8 text`)
  return text
}

/**
 * The migration that `name` means: its tag, its file name, or its number alone (`3`, `0003`).
 * @throws UsageError when there is none, or more than one.
 */
export function findMigration(migrations: readonly Migration[], name: string): Migration {
  const wanted = name.replace(/^.*[\\/]/, '').replace(/(?:\.down)?\.sql$/, '')
  const exact = migrations.find((migration) => migration.name === wanted)
  if (exact) return exact
  const numbered = migrations.filter((migration) => /^\d+$/.test(wanted) && numberOf(migration.name) === Number(wanted))
  if (numbered.length === 1 && numbered[0]) return numbered[0]
  const last = migrations.slice(-3).map((migration) => migration.name)
  throw new UsageError(
    `there is no migration ${JSON.stringify(name)}${last.length > 0 ? `; the last ones are ${last.join(', ')}` : ''}`,
  )
}

async function readJournal(folder: string, names: readonly string[]): Promise<readonly JournalEntry[]> {
  const path = join(folder, 'meta', '_journal.json')
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    const hint = names.some((name) => /^\d{14}_/.test(name) && !name.endsWith('.sql'))
      ? 'this looks like the layout of drizzle-kit 1.0, which is not supported yet'
      : 'run `rivulet generate`, or restore it from version control'
    throw refused(`${path} is missing: ${hint}`, cause)
  })
  let journal: unknown
  try {
    journal = JSON.parse(text)
  } catch (cause) {
    const merge = /^(?:<{7}|={7}|>{7})/m.test(text) ? ': it holds the marks of a merge conflict' : ''
    throw refused(`${path} is not valid JSON${merge}; mend it or restore it from version control`, cause)
  }
  const { dialect, entries } = (journal ?? {}) as { dialect?: unknown; entries?: unknown }
  if (dialect !== undefined && dialect !== 'postgresql' && dialect !== 'pg') {
    throw refused(`${path} is for the dialect ${JSON.stringify(dialect)}, not for postgresql`)
  }
  if (!Array.isArray(entries)) throw refused(`${path} has no list of entries: restore it from version control`)
  return entries.map((entry: unknown, index) => {
    const { tag, when } = (entry ?? {}) as { tag?: unknown; when?: unknown }
    const sound = typeof tag === 'string' && /^[^/\\]+$/.test(tag) && Number.isSafeInteger(when)
    if (!sound) throw refused(`entry ${index} of ${path} has no tag or no time: restore it from version control`)
    return { tag, when: when as number }
  })
}

/** Two branches that each made migration 7 leave two of them after a merge: people must say which comes first. */
function refuseTwins(tags: readonly string[]): void {
  const seen = new Map<string, string>()
  for (const tag of tags) {
    const key = numberOf(tag)?.toString() ?? tag
    const twin = seen.get(key)
    if (twin !== undefined) {
      throw refused(
        twin === tag
          ? `the journal lists ${tag} twice: remove one entry`
          : `${twin} and ${tag} have the same number: undo one with \`drizzle-kit drop\` and generate it again`,
      )
    }
    seen.set(key, tag)
  }
}

/** A numbered file outside the journal would never be applied, by anybody, without a word. */
function refuseStrangers(names: readonly string[], tags: readonly string[]): void {
  for (const name of names) {
    const tag = /^(\d{4,}_.*?)(?:\.down)?\.sql$/.exec(name)?.[1]
    if (tag !== undefined && !tags.includes(tag)) {
      throw refused(
        `${name} is not in the journal, so it would never run: make migrations with \`rivulet generate --custom\`, ` +
          'or move the file elsewhere',
      )
    }
  }
}

function numberOf(tag: string): number | undefined {
  const digits = /^(\d+)(?:_|$)/.exec(tag)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** SHA-256 in hex. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function refused(message: string, cause?: unknown): MigrationRefused {
  return new MigrationRefused('inconsistent', message, cause === undefined ? {} : { cause })
}
