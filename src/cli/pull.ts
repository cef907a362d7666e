/** `rivulet pull`: starts a project from an existing database. */
import { existsSync } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import { ConfigInvalid, InsufficientPrivilege, MigrationRefused, UsageError } from '../errors.ts'
import { readMigrations } from '../migrate/files/folder.ts'
import { layoutKind } from '../migrate/files/layout.ts'
import { pulledHead } from '../migrate/pull/dump.ts'
import { type PulledDatabase, pullDatabase } from '../migrate/pull/pull.ts'
import { isPulledComment, pulledAdvice } from '../migrate/files/check-script.ts'
import { verifyDatabase } from '../migrate/commands/verify.ts'
import { textOption } from './arguments.ts'
import { generateInto } from './code.ts'
import { type Command, commonHelp, exitCodes, type CommandResult, type Run } from './command.ts'
import { codeText, databaseText } from './comparison.ts'
import { type Project, withDatabase } from './project.ts'
import { moveTogether, withTemporaryFolder } from './temporary-folder.ts'
import { filters } from './verify.ts'

export const pullCommand: Command = {
  name: 'pull',
  summary: 'start from an existing database: write its schema and its first migration',
  help: `Usage: rivulet pull [options]

Reads the database and writes two files: the Drizzle schema, at the path that schema in the Drizzle config names, and a
first migration that makes everything in the database, also what a Drizzle schema cannot declare: functions, triggers,
domains, partitions and so on. Both are checked: the migration is run in a scratch database, which is compared with the
live database and with the schema. Differences, and what the schema cannot declare, are listed. The live database is
only read.

Not read, and so not in the migration:
  listed by verify, with exit code 1: foreign tables, NOT NULL that is not valid, indexes made ON ONLY a partitioned
    table, ordered-set aggregates. If another object needs what was not read, as an index may need an operator, nothing
    can be compared, and the reason names what is missing;
  not compared by verify, and so not listed: owners, grants and default privileges, comments, rows; operators and
    their classes, casts, base types, event triggers, publications, languages, foreign servers, and so on (see verify
    --help).
Write these into the migration by hand, before rivulet baseline. Then verify exits with 0 once the migration makes
everything that the database has, and with 1 while something differs.

schemaFilter and tablesFilter of the Drizzle config apply; without them all schemas are read. The first file of
drizzle-kit pull, which is one comment, is replaced.

Options:
      --force             overwrite the schema file and the migration of an earlier pull
      --scratch URL       the server on which to make the scratch database. Default: the live one
${commonHelp}

Exit codes: 0 schema, migration and database are the same, 1 they differ, or could not be compared, 64 there is already
a schema or a migration

Examples:
  rivulet pull
  rivulet baseline --to 0000     # then: the database already has this migration
  rivulet verify`,
  options: { force: { type: 'boolean' }, scratch: { type: 'string' } },
  run: async (run) => {
    const project = await run.project()
    const force = run.values.force === true
    const schemaPath = await schemaFile(project, force)
    const replaced = await replacedFiles(project.source.folder, force)
    return withDatabase(project, async (url) => {
      const pulled = await pullDatabase(url, { ledger: project.source.ledger, ...filters(project) })
      // Made beside the project's own files until everything is complete: a failed run leaves the project as it was.
      return withTemporaryFolder(project.directory, '.rivulet-pull-', (made) =>
        compared(run, project, { url, schemaPath, pulled, replaced, made }),
      )
    })
  },
}

interface Files {
  readonly url: string
  readonly schemaPath: string
  readonly pulled: PulledDatabase
  /** What an earlier pull has left. */
  readonly replaced: readonly string[]
  /** A folder for unfinished files. */
  readonly made: string
}

/** Writes the migration, with the snapshot that drizzle-kit makes of the schema, and compares all three. */
async function compared({ values, console, signal }: Run, project: Project, files: Files): Promise<CommandResult> {
  const { url, schemaPath, pulled, made } = files
  const { directory, source } = project
  const madeSchema = join(made, basename(schemaPath))
  const folder = join(made, 'migrations')
  await writeFile(madeSchema, pulled.schema.text)
  const schema = [madeSchema, ...(await besides(schemaPath, project))].map((path) => relative(directory, path))
  const [written] = await generateInto({ ...project, schema }, folder, { created: true, name: 'baseline' }, signal)
  if (written === undefined)
    throw new UsageError(
      'the database has nothing that a Drizzle schema can declare: write a schema, then run `rivulet generate`',
    )
  await writeFile(written.path, pulled.migration)
  const file = relative('', schemaPath)
  const migration = relative('', join(source.folder, written.file))
  const notes = pulled.schema.notes.map((note) => ({ file, ...note }))
  const head = [
    `Wrote ${file}: ${plural(pulled.tables, 'table')}, ${plural(pulled.views, 'view')}.`,
    `Wrote ${migration}: ${plural(pulled.statements, 'statement')}.`,
    ...listed(
      'Only the migration makes these, because a Drizzle schema cannot declare them:',
      notes.filter(({ leftOut }) => leftOut),
    ),
    ...listed(
      'The schema declares these differently:',
      notes.filter(({ leftOut }) => !leftOut),
    ),
  ]
  const next = `Next: rivulet baseline --to ${written.name}; then rivulet verify`
  const json = { schema: file, migration, notes, tables: pulled.tables, views: pulled.views }
  const code = { whole: written.text, ungenerated: '' }
  const options = { ...source, folder, ...filters(project), scratchUrl: textOption(values, 'scratch'), signal }
  const found = await verifyDatabase(url, { ...options, code, asApplied: true }).catch((error: unknown) => {
    if (isReported(error)) return error
    throw error
  })
  await moveIntoPlace(files, written.file, project)
  if (found instanceof Error) {
    const text = [...head, `Not compared: ${found.message}`, next].join('\n')
    return { exitCode: exitCodes.failed, text, json: { ...json, notCompared: found.message } }
  }
  const { differences, code: declared } = found
  const same = differences.length === 0 && declared?.differences.length === 0 && declared.refused.length === 0
  const codeAnswer = { ...code, question: undefined, snapshots: true }
  const text = [
    ...head,
    codeText(codeAnswer, declared ?? { notCompared: 'this was not asked for' }, console),
    databaseText(differences, codeAnswer, console),
    next,
  ].join('\n')
  return { exitCode: same ? exitCodes.done : exitCodes.failed, text, json: { ...json, differences, declared } }
}

/** True for why no comparison could be made, which takes nothing away from what was pulled. */
function isReported(error: unknown): error is Error {
  return error instanceof ConfigInvalid || error instanceof InsufficientPrivilege || error instanceof MigrationRefused
}

/** Moves the new files to their places. @throws UsageError when a file is there that no pull made. */
async function moveIntoPlace(files: Files, migration: string, { source }: Project): Promise<void> {
  const { schemaPath, replaced, made } = files
  const moves = [
    { from: join(made, 'migrations', migration), to: join(source.folder, migration) },
    { from: join(made, 'migrations', 'meta'), to: join(source.folder, 'meta') },
  ]
  const taken = moves.find(({ to }) => existsSync(to) && !replaced.includes(to))
  if (taken) throw new UsageError(`${relative('', taken.to)} already exists: move it elsewhere, then run this again`)
  const schema = { from: join(made, basename(schemaPath)), to: schemaPath }
  await moveTogether([...moves, schema], replaced, join(made, 'replaced'))
}

/** The other files of the folder that `schema` in the config names, if it names one: drizzle-kit reads them too. */
async function besides(schemaPath: string, { directory, schema }: Project): Promise<readonly string[]> {
  const folder = resolve(directory, schema[0] ?? '')
  if (folder === schemaPath) return []
  const paths = (await readdir(folder)).map((name) => join(folder, name))
  return paths.filter((path) => path !== schemaPath && /\.[cm]?[jt]s$/.test(path))
}

/**
 * The path of the schema file. @throws ConfigInvalid when the config names no file, UsageError when the file already
 * exists.
 */
async function schemaFile({ directory, schema, configPath }: Project, force: boolean): Promise<string> {
  const [entry, ...others] = schema
  const given = entry === undefined || entry.includes('*') ? undefined : resolve(directory, entry)
  const isFolder = given !== undefined && ((await stat(given).catch(() => undefined))?.isDirectory() ?? false)
  const path = given !== undefined && isFolder ? join(given, 'schema.ts') : given
  if (path === undefined || others.length > 0 || !/\.[cm]?ts$/.test(path)) {
    throw new ConfigInvalid(
      `pull writes one TypeScript file: set schema in ${relative('', configPath)} to its path, such as './schema.ts'`,
    )
  }
  const text = existsSync(path) ? await readFile(path, 'utf8') : ''
  if (text.trim() === '' || force) return path
  throw new UsageError(`${relative('', path)} already exists: --force overwrites it`)
}

/** The files of an earlier pull. @throws UsageError for other migrations: pull is for projects without any. */
async function replacedFiles(folder: string, force: boolean): Promise<readonly string[]> {
  const layout = await layoutKind(folder)
  if (layout === undefined) return []
  const migrations = await readMigrations(folder)
  if (layout === 'folders') {
    throw new UsageError(
      `${relative('', folder)} has the layout of drizzle-kit 1.0 (the first migration is ${migrations[0]?.file}), but ` +
        'pull writes the journal of drizzle-kit 0.31. Run `rivulet verify` to compare them with the database, or move the ' +
        'folders elsewhere',
    )
  }
  const [first] = migrations
  if (first === undefined) return [join(folder, 'meta')]
  const ours = force && first.text.startsWith(pulledHead)
  if (migrations.length === 1 && (ours || (await isPulledComment(first.text))))
    return [first.path, join(folder, 'meta')]
  const already = `there are already migrations, beginning with ${first.name}, and pull is for projects without any. `
  throw new UsageError(
    (await isPulledComment(first.text))
      ? `${already}This one is a comment, as \`drizzle-kit pull\` writes it. ${pulledAdvice(first.file)}`
      : `${already}Enter them as applied with \`rivulet baseline\`, then run \`rivulet verify\` to list what the database ` +
          'has beyond them',
  )
}

const mostShown = 12

function listed(head: string, notes: readonly { file: string; line: number; object: string; reason: string }[]) {
  if (notes.length === 0) return []
  const lines = notes.map(({ file, line, object, reason }) => `  ${file}:${line}: ${object}: ${reason}`)
  const rest = lines.length - mostShown
  return [head, ...lines.slice(0, mostShown), ...(rest > 0 ? [`  … and ${rest} more; --json lists them all`] : [])]
}

function plural(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
