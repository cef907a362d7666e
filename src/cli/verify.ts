/** `rivulet verify`: do the schema in code, the migrations and the live database say the same? */
import { cp, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type { Difference } from '../migrate/introspect.ts'
import { verifyDatabase } from '../migrate/verify.ts'
import { textOption } from './arguments.ts'
import { type Command, commonHelp, exitCodes } from './command.ts'
import type { Console } from './console.ts'
import { runGenerate, UnansweredQuestion } from './drizzle-kit.ts'
import { count } from './migrate.ts'
import { type Project, withDatabase } from './project.ts'

export const verify: Command = {
  name: 'verify',
  summary: 'compare the schema in code, the migrations and the live database',
  help: `Usage: rivulet verify [options]

First drizzle-kit must find nothing to generate from the schema. Then the applied migrations are replayed into a scratch
database, which is compared with the live one: schemas, tables, columns, types, defaults, constraints, indexes,
sequences, views, functions, triggers, policies, rules, extended statistics, replica identities, column storage. The
scratch database is dropped again; the live one is only read.

Compared are public and the schemas that the migrations make or fill, or those of schemaFilter in the Drizzle config;
tablesFilter holds as well. Not compared: owners, grants, comments, the order of columns; publications, subscriptions,
event triggers, operators and their classes, casts, collations, conversions, text search objects, foreign servers and
user mappings, security labels, settings of the database; and whatever belongs to an extension.

Options:
      --scratch URL       a server where the scratch database may be made. Default: the live one's
      --code-only         compare the schema in code with the migrations, without a database
${commonHelp}

Exit codes: 0 all the same, 1 they differ, 2 all the same but migrations are pending, 3 files and ledger contradict
each other

Examples:
  rivulet verify
  rivulet verify --code-only       # in CI, where there is no live database`,
  options: { scratch: { type: 'string' }, 'code-only': { type: 'boolean' } },
  run: async ({ values, console, signal, project }) => {
    const found = await project()
    const code = await codeDifference(found, signal)
    if (values['code-only'] === true) {
      const exitCode = code === undefined ? exitCodes.done : exitCodes.failed
      return { exitCode, text: codeText(code, console), json: { code: code ?? null } }
    }
    const scratchUrl = textOption(values, 'scratch')
    const { differences, pending } = await withDatabase(found, (url) =>
      verifyDatabase(url, { ...found.source, ...filters(found), scratchUrl, signal }),
    )
    const drift = code !== undefined || differences.length > 0
    const late = pending.length > 0 ? `${count(pending.length)} pending, left out here: ${pending.join(', ')}.` : ''
    const text = [codeText(code, console), databaseText(differences, console), late].filter(Boolean).join('\n')
    const exitCode = drift ? exitCodes.failed : late === '' ? exitCodes.done : exitCodes.pending
    return { exitCode, text, json: { code: code ?? null, differences, pending } }
  },
}

function filters({ filters: { schemas, tables } }: Project) {
  return {
    schemas: schemas.length === 0 ? undefined : schemas,
    keepsTable: (table: string) => matches(tables, table),
  }
}

/** As drizzle-kit filters: one of the patterns, if there are any, and none of those after a !. */
function matches(patterns: readonly string[], name: string): boolean {
  const wanted = patterns.filter((pattern) => !pattern.startsWith('!'))
  const unwanted = patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => pattern.slice(1))
  const some = (list: readonly string[]) => list.some((pattern) => glob(pattern).test(name))
  return (wanted.length === 0 || some(wanted)) && !some(unwanted)
}

function glob(pattern: string): RegExp {
  const source = pattern.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${source.replaceAll('*', '.*').replaceAll('?', '.')}$`)
}

const folderPrefix = 'rivulet-verify-'

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

/** The SQL that drizzle-kit would generate, or the question it would ask; undefined when code and migrations agree. */
async function codeDifference(project: Project, signal: AbortSignal): Promise<string | undefined> {
  await sweep()
  const copy = await mkdtemp(join(tmpdir(), folderPrefix))
  try {
    if (existsSync(project.source.folder)) await cp(project.source.folder, copy, { recursive: true })
    // drizzle-kit joins `out` to the current directory, so it has to be relative.
    const out = relative(project.directory, copy)
    const { schema, casing } = project
    const config = { dialect: 'postgresql', schema, out, ...(casing === undefined ? {} : { casing }) }
    const configPath = join(copy, 'drizzle.config.json')
    await writeFile(configPath, JSON.stringify(config))
    const args = [`--config=${relative(project.directory, configPath)}`]
    const answers = { renames: new Map<string, string>(), created: false }
    const written = await runGenerate({ project, folder: copy, args, answers, signal })
    return written.length === 0 ? undefined : written.map(({ text }) => text).join('\n')
  } catch (error) {
    if (error instanceof UnansweredQuestion) return `-- ${error.question}`
    throw error
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

function codeText(code: string | undefined, console: Console): string {
  if (code === undefined) return 'The schema in code and the migrations agree.'
  const sql = code.replaceAll('--> statement-breakpoint', '').trim()
  const head = console.styleResult(
    'red',
    'The schema in code differs from the migrations; `rivulet generate` would write:',
  )
  return `${head}\n${indented(sql)}`
}

function databaseText(differences: readonly Difference[], console: Console): string {
  if (differences.length === 0) return 'The live database is what the migrations make.'
  const lines = differences.flatMap(({ object, expected, actual }) => {
    if (actual === undefined) return [console.styleResult('red', `- ${object}${shown(expected)}`)]
    if (expected === undefined) return [console.styleResult('green', `+ ${object}${shown(actual)}`)]
    const before = console.styleResult('red', `- ${object}${shown(expected)}`)
    return [before, console.styleResult('green', `+ ${object}${shown(actual)}`)]
  })
  const head = 'The live database differs from the migrations (- as they make it, + as it is):'
  return [console.styleResult('red', head), ...lines.map(indented)].join('\n')
}

function shown(definition: string | undefined): string {
  return definition ? `: ${definition.trim()}` : ''
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}
