/**
 * libpq's password file: lines `host:port:database:user:password`. The first line that matches counts, `*` matches
 * anything, and a backslash escapes a colon or a backslash. A file that other users can read is not used.
 * https://www.postgresql.org/docs/current/libpq-pgpass.html
 */
import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ConfigInvalid } from '../errors.ts'

/** What a line must match. */
export interface PasswordKey {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** Reads the file `given`, or else the user's own, which may be missing, and returns the lookup of a password. */
export function passwordFile(given: string | undefined): (key: PasswordKey) => string | undefined {
  const text = given === undefined ? readOwn() : readGiven(given)
  const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'))
  return (key) => {
    const wanted = [key.host, String(key.port), key.database, key.user]
    for (const line of lines) {
      const fields = fieldsOf(line)
      const password = fields[4]
      if (password !== undefined && wanted.every((value, at) => fields[at] === value || fields[at] === '*')) {
        return password
      }
    }
    return undefined
  }
}

/** True when only its owner can read the file. Windows keeps such files in a folder of the user's own. */
export function isPrivate(path: string): boolean {
  return process.platform === 'win32' || (statSync(path).mode & 0o077) === 0
}

function readOwn(): string {
  const windows = process.platform === 'win32'
  const path = windows ? join(homedir(), 'AppData', 'Roaming', 'postgresql', 'pgpass.conf') : join(homedir(), '.pgpass')
  try {
    if (isPrivate(path)) return readFileSync(path, 'utf8')
  } catch {
    // Most users have none.
    return ''
  }
  process.emitWarning(`${path} is not used, because other users can read it: run chmod 600 on it`)
  return ''
}

function readGiven(path: string): string {
  let open = false
  try {
    if (isPrivate(path)) return readFileSync(path, 'utf8')
    open = true
  } catch (cause) {
    throw new ConfigInvalid('the file named by passfile in the database URL, or PGPASSFILE, cannot be read', { cause })
  }
  if (open)
    throw new ConfigInvalid(
      'the file named by passfile, or PGPASSFILE, can be read by other users: run chmod 600 on it',
    )
  return ''
}

/**
 * Splits a line into its five fields. As in libpq, an escaped `*` is still a wildcard. Only the password may have
 * colons without an escape.
 */
function fieldsOf(line: string): string[] {
  const fields: string[] = []
  let field = ''
  for (let at = 0; at < line.length; at++) {
    const character = line[at] ?? ''
    if (character === ':' && fields.length < 4) {
      fields.push(field)
      field = ''
    } else {
      const escaped = character === '\\' && at + 1 < line.length
      field += escaped ? line[++at] : character
    }
  }
  return [...fields, field]
}
