/** Reads the text files of a migrations folder. Each must be a regular file in UTF-8. */
import { constants, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'
import { MigrationRefused } from '../../errors.ts'

/** Reads an SQL file. @throws MigrationRefused when it is not UTF-8: PostgreSQL would store garbage. */
export async function readSql(path: string): Promise<string> {
  const bytes = await readRegularFile(path)
  const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw refused(`${path} is ${utf16 ? 'UTF-16' : 'not UTF-8'}: save it as UTF-8`, cause)
  }
  if (text.includes('\0')) throw refused(`${path} has a NUL character: save it as plain UTF-8 text`)
  return text
}

/**
 * Reads the bytes of a file. @throws MigrationRefused for anything but a regular file: reading a FIFO or a device would
 * wait for a writer for ever. O_NONBLOCK, because opening a FIFO waits as well.
 */
export async function readRegularFile(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((cause: unknown) => {
    throw refused(`${path} cannot be read: ${whyUnread(cause)}`, cause)
  })
  try {
    const other = otherThanFile(await file.stat())
    if (other !== undefined) throw refused(`${path} cannot be read: it is ${other}, not a file`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

/** Why a file could not be opened, in words. */
function whyUnread(cause: unknown): string {
  const { code = '', message } = cause as NodeJS.ErrnoException
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    ENOTDIR: 'there is no such file',
    EACCES: 'this user may not read it',
    // What opening a socket says.
    ENXIO: 'it is no file',
  }
  return reasons[code] ?? message
}

/** What it is instead of a regular file; undefined for one. */
export function otherThanFile(found: Stats): string | undefined {
  if (found.isFile()) return undefined
  if (found.isDirectory()) return 'a folder'
  if (found.isFIFO()) return 'a FIFO'
  return found.isSocket() ? 'a socket' : 'a device'
}

function refused(message: string, cause?: unknown): MigrationRefused {
  return new MigrationRefused('inconsistent', message, cause === undefined ? {} : { cause })
}
