/** The files that `schema` in the Drizzle config names: files, folders, and patterns (`glob.ts`). */
import { readdir, stat } from 'node:fs/promises'
import { join, relative, resolve, sep } from 'node:path'
import { ConfigInvalid } from '../errors.ts'
import { otherThanFile } from '../migrate/files/text-file.ts'
import { globPattern } from './glob.ts'
import type { Project } from './project.ts'

const source = /(?<!\.d)\.[cm]?[jt]s$/

/** Their absolute paths. @throws ConfigInvalid for an entry that matches nothing, or what is no file. */
export async function schemaFiles(project: Pick<Project, 'directory' | 'schema'>): Promise<string[]> {
  const found = await filesByEntry(project)
  for (const [entry, files] of found) {
    if (files.length === 0) throw new ConfigInvalid(`schema in the Drizzle config: ${entry} matches no file`)
  }
  return [...new Set(found.flatMap(([, files]) => files))]
}

/**
 * To be called before drizzle-kit reads them: importing a FIFO waits for a writer for ever. What an entry matches is
 * left to drizzle-kit, which knows more patterns. @throws ConfigInvalid for what is no file.
 */
export async function refuseSpecialFiles(project: Pick<Project, 'directory' | 'schema'>): Promise<void> {
  await filesByEntry(project)
}

async function filesByEntry({ directory, schema }: Pick<Project, 'directory' | 'schema'>) {
  const filesOf = (entry: string) =>
    entry.includes('*') ? filesMatching(directory, entry) : named(resolve(directory, entry))
  const found = await Promise.all(schema.map(async (entry) => [entry, await filesOf(entry)] as const))
  await Promise.all(found.flatMap(([, files]) => files.map(refuseSpecial)))
  return found
}

async function refuseSpecial(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  const other = found && otherThanFile(found)
  if (other !== undefined) {
    throw new ConfigInvalid(`schema in the Drizzle config: ${path} cannot be loaded: it is ${other}, not a file`)
  }
}

async function named(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return []
  return found.isDirectory() ? filesIn(path) : [path]
}

async function filesMatching(directory: string, pattern: string): Promise<string[]> {
  const fixed = pattern.slice(0, pattern.indexOf('*')).replace(/[^/]*$/, '')
  const wanted = globPattern(pattern.replace(/^\.\//, ''))
  const files = await filesIn(resolve(directory, fixed || '.'))
  return files.filter((file) => wanted.test(relative(directory, file).split(sep).join('/')))
}

async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
  const nested = await Promise.all(
    entries.map((entry) => {
      const path = join(directory, entry.name)
      if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesIn(path)
      return source.test(entry.name) ? [path] : []
    }),
  )
  return nested.flat().sort()
}
