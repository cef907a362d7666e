/**
 * What drizzle-kit writes for the schema in code: for an empty database, and for the next migration. It runs on a copy
 * of the migrations folder, which is removed afterwards.
 */
import { cp, lstat, mkdir, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type { CodeSql } from '../migrate/schema/code-comparison.ts'
import { layoutKind } from '../migrate/files/layout.ts'
import { type Migration, readMigrations } from '../migrate/files/folder.ts'
import { type Answers, refuseCollisions, runGenerate, UnansweredQuestion } from './drizzle-kit.ts'
import type { Project } from './project.ts'
import { withTemporaryFolder } from './temporary-folder.ts'

/**
 * What drizzle-kit writes: its SQL, or the question (is it a rename?) that it asks before it writes the next migration.
 */
export interface CodeAnswer {
  readonly whole: string
  /** '' when code and snapshots agree. */
  readonly ungenerated: string
  readonly question: string | undefined
  /** False in the layout of drizzle-kit 1.0, whose snapshots the drizzle-kit of today does not read. */
  readonly snapshots: boolean
}

/** Runs drizzle-kit for both. @throws MigrationFailed when it fails. */
export async function readCode(project: Project, signal: AbortSignal): Promise<CodeAnswer> {
  const layout = await layoutKind(project.source.folder)
  // Errors are about the folder itself, not about a copy.
  if (layout !== undefined) {
    await readMigrations(project.source.folder)
    await refuseCollisions(project.source.folder)
  }
  const snapshots = layout !== 'folders'
  return withTemporaryFolder(tmpdir(), 'rivulet-verify-', async (folder) => {
    const next = join(folder, 'next')
    await mkdir(next)
    if (snapshots && existsSync(project.source.folder)) {
      await cp(project.source.folder, next, { recursive: true, filter: isCopied })
    }
    const written = await Promise.allSettled([
      generated(project, join(folder, 'whole'), signal),
      !snapshots
        ? ''
        : generated(project, next, signal).catch((error: unknown) => {
            if (error instanceof UnansweredQuestion) return error
            throw error
          }),
    ])
    const [whole, ungenerated] = written.map((one) => {
      if (one.status === 'rejected') throw one.reason as Error
      return one.value
    }) as [string, string | UnansweredQuestion]
    return typeof ungenerated === 'string'
      ? { whole, ungenerated, question: undefined, snapshots }
      : { whole, ungenerated: '', question: ungenerated.question, snapshots }
  })
}

/** A FIFO, a socket or a device is no migration, as reading all of them has shown, and cannot be copied. */
async function isCopied(path: string): Promise<boolean> {
  const found = await lstat(path)
  return found.isFile() || found.isDirectory() || found.isSymbolicLink()
}

/** The SQL to compare with what the migrations make; undefined while a question of drizzle-kit is open. */
export function comparable({ whole, ungenerated, question }: CodeAnswer): CodeSql | undefined {
  return question === undefined ? { whole, ungenerated } : undefined
}

/** Returns what drizzle-kit adds to the migrations in `folder`; '' when there is nothing to add. */
async function generated(project: Project, folder: string, signal: AbortSignal): Promise<string> {
  const written = await generateInto(project, folder, { created: false }, signal)
  return written.map(({ text }) => text).join('\n--> statement-breakpoint\n')
}

/** Runs drizzle-kit to write into `folder` instead of the project's folder; no configuration of the project is read. */
export async function generateInto(
  { directory, schema, casing, prefix }: Pick<Project, 'directory' | 'schema' | 'casing' | 'prefix'>,
  folder: string,
  { created, name }: Pick<Answers, 'created'> & { readonly name?: string },
  signal: AbortSignal,
): Promise<readonly Migration[]> {
  const configPath = `${folder}.config.json`
  const config = {
    dialect: 'postgresql',
    schema,
    // drizzle-kit joins it to the current directory, so it has to be relative.
    out: relative(directory, folder),
    ...(casing === undefined ? {} : { casing }),
    ...(prefix === undefined ? {} : { migrations: { prefix } }),
  }
  await writeFile(configPath, JSON.stringify(config))
  const args = [`--config=${relative(directory, configPath)}`, ...(name === undefined ? [] : [`--name=${name}`])]
  const answers = { renames: new Map<string, string>(), created }
  return runGenerate({ project: { directory, configPath, schema }, folder, args, answers, signal })
}
