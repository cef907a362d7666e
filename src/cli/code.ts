/**
 * What drizzle-kit writes for the schema in code: for an empty database, and for the next migration. It is run on a copy
 * of the migrations folder, which is gone afterwards; one that a killed run left behind goes with a later run.
 */
import { cp, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type { CodeSql } from '../migrate/code.ts'
import { layoutKind, readLayout } from '../migrate/layout.ts'
import { runGenerate, UnansweredQuestion } from './drizzle-kit.ts'
import type { Project } from './project.ts'

/** What drizzle-kit answers: its SQL, or what it would ask (is it a rename?) before it writes the next migration. */
export interface CodeAnswer {
  readonly whole: string
  /** '' when code and snapshots agree. */
  readonly ungenerated: string
  readonly question: string | undefined
  /** False in the layout of drizzle-kit 1.0, whose snapshots the drizzle-kit of today does not read. */
  readonly snapshots: boolean
}

const folderPrefix = 'rivulet-verify-'

/** Asks drizzle-kit. @throws MigrationFailed when it fails. */
export async function readCode(project: Project, signal: AbortSignal): Promise<CodeAnswer> {
  await sweep()
  const layout = await layoutKind(project.source.folder)
  // What is wrong with it is said of the folder itself, not of a copy.
  if (layout !== undefined) await readLayout(project.source.folder)
  const snapshots = layout !== 'folders'
  const folder = await mkdtemp(join(tmpdir(), folderPrefix))
  try {
    const next = join(folder, 'next')
    await mkdir(next)
    if (snapshots && existsSync(project.source.folder)) await cp(project.source.folder, next, { recursive: true })
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
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The SQL to compare with what the migrations make; undefined while a question of drizzle-kit's is open. */
export function comparable({ whole, ungenerated, question }: CodeAnswer): CodeSql | undefined {
  return question === undefined ? { whole, ungenerated } : undefined
}

/** What drizzle-kit adds to the migrations in `folder`; '' when there is nothing to add. */
async function generated(project: Project, folder: string, signal: AbortSignal): Promise<string> {
  // drizzle-kit joins `out` to the current directory, so it has to be relative.
  const out = relative(project.directory, folder)
  const { schema, casing } = project
  const config = { dialect: 'postgresql', schema, out, ...(casing === undefined ? {} : { casing }) }
  const configPath = `${folder}.config.json`
  await writeFile(configPath, JSON.stringify(config))
  const args = [`--config=${relative(project.directory, configPath)}`]
  const answers = { renames: new Map<string, string>(), created: false }
  const written = await runGenerate({ project, folder, args, answers, signal })
  return written.map(({ text }) => text).join('\n--> statement-breakpoint\n')
}

/** Removes the folders that killed runs left behind an hour ago or longer. */
async function sweep(): Promise<void> {
  const names = (await readdir(tmpdir()).catch(() => [])).filter((name) => name.startsWith(folderPrefix))
  for (const path of names.map((name) => join(tmpdir(), name))) {
    const found = await stat(path).catch(() => undefined)
    if (found && Date.now() - found.mtimeMs > 3_600_000) {
      await rm(path, { recursive: true, force: true }).catch(() => undefined)
    }
  }
}
