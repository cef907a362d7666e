/** `rivulet lint`: finds what would lock or break a database in use. */
import { basename, relative, resolve } from 'node:path'
import { MigrationRefused, UsageError } from '../errors.ts'
import { findMigration, readMigrations } from '../migrate/files/folder.ts'
import { type Finding, lint as lintSources, lintRules, type LintSource } from '../migrate/lint/lint.ts'
import { readSql } from '../migrate/files/text-file.ts'
import type { Trial } from '../migrate/schema/trial.ts'
import { textOption } from './arguments.ts'
import { type Command, commonHelp, exitCodes, type CommandResult, type Run } from './command.ts'
import type { Console } from './console.ts'
import { trialFinding, tryOnScratchServer } from './try-on-scratch.ts'

export const lintCommand: Command = {
  name: 'lint',
  summary: 'find unsafe DDL in migrations',
  help: `Usage: rivulet lint [options] [files]

Without files, all migrations of the project are read. A table that the same file creates is empty, so changes to it
are safe.
To accept a finding, give the reason in a comment before the statement:
  -- rivulet:ignore drop-column: no release has used it since 2.3
or, for a whole file, in a comment above its first statement: -- rivulet:ignore-file RULE: REASON

Options:
      --since NAME        only migrations after this one
      --rules             list the rules
      --try               also run the files in a scratch database, after the migrations before them: on the server of
                          the database URL if its role may create one (CREATEDB), otherwise on a temporary embedded
                          server. It has no rows, and roles and privileges are not checked
      --scratch URL       the server on which to make the scratch database
${commonHelp}

Exit codes: 0 nothing found, 1 findings, or a file could not be tried, 3 the migrations folder is broken, 64 wrong
arguments, such as a file that cannot be read

Examples:
  rivulet lint
  rivulet lint --since 0012 --try
  rivulet lint migrations/0013_prices.sql`,
  options: {
    since: { type: 'string' },
    rules: { type: 'boolean' },
    try: { type: 'boolean' },
    scratch: { type: 'string' },
  },
  takesFiles: true,
  run: async ({ values, positionals, console, signal, project }) => {
    if (values.rules) {
      const rules = lintRules.map(({ name, why, instead, manual }) => ({ name, why, instead, manual }))
      const text = rules.map(({ name, why }) => `${console.styleResult('bold', name)}\n  ${why}`).join('\n')
      return { exitCode: exitCodes.done, text, json: { rules } }
    }
    const since = textOption(values, 'since')
    const scratch = textOption(values, 'scratch')
    if (scratch !== undefined && values.try !== true) throw new UsageError('--scratch needs --try')
    if (since !== undefined && positionals.length > 0)
      throw new UsageError('files and --since exclude each other: give one of them')
    const sources = positionals.length > 0 ? await namedFiles(positionals, project) : await folderFiles(project, since)
    const unsafe = await lintSources(sources)
    if (values.try !== true) return outcome(unsafe, console)
    const found = await project()
    const migrations = await readMigrations(found.source.folder)
    const fileOf = (name: string) => relative('', migrations.find((file) => file.name === name)?.path ?? name)
    const names = sources.flatMap(({ file, report = true }) => {
      if (!report) return []
      const migration = migrations.find(({ name }) => fileOf(name) === file)
      if (migration) return [migration.name]
      throw new UsageError(
        `${file} is not a migration of this project: --try runs a file only after the migrations before it`,
      )
    })
    const trial: Trial =
      names.length === 0 ? { outcome: 'runs' } : await tryOnScratchServer(found, names, scratch, signal)
    const failure = trialFinding(trial, fileOf)
    return outcome(failure ? [failure, ...unsafe] : unsafe, console, trial)
  },
}

function outcome(findings: readonly Finding[], console: Console, trial?: Trial): CommandResult {
  const failed = findings.length > 0 || trial?.outcome === 'untried'
  const text = [
    findings.length > 0 ? findingsText(findings, console) : 'Nothing unsafe found.',
    trial?.outcome === 'runs' ? 'The files run in a scratch database.' : '',
    trial?.outcome === 'untried' ? console.styleResult('red', `Not tried: ${trial.reason}`) : '',
  ]
  const exitCode = failed ? exitCodes.failed : exitCodes.done
  return { exitCode, text: text.filter(Boolean).join('\n'), json: { findings, ...(trial ? { trial } : {}) } }
}

/** The findings for people; the explanation of a rule stands only where it is met first. */
export function findingsText(findings: readonly Finding[], console: Console): string {
  const explained = new Set<string>()
  const blocks = findings.map(({ file, line, rule, message, why, instead, manual }) => {
    const head = `${file}:${line}: ${console.styleResult('yellow', rule)}: ${message}`
    if (explained.has(rule)) return head
    explained.add(rule)
    const safe = instead
      .split('\n')
      .map((line) => `    ${line}`)
      .join('\n')
    return `${head}\n  ${why}.\n  Safe way:\n${safe}\n  ${console.styleResult('dim', manual)}`
  })
  return [...blocks, '', `${findings.length} finding${findings.length === 1 ? '' : 's'}.`].join('\n')
}

async function folderFiles(project: Run['project'], since: string | undefined): Promise<readonly LintSource[]> {
  const { folder } = (await project()).source
  const migrations = await readMigrations(folder)
  const after = since === undefined ? -1 : migrations.indexOf(findMigration(migrations, since))
  return migrations.map(({ path, text }, index) => ({ file: relative('', path), text, report: index > after }))
}

/** A file that the command line names. @throws UsageError where it is none: that says nothing of the migrations folder */
async function readNamed(path: string): Promise<string> {
  return readSql(path).catch((error: unknown) => {
    throw error instanceof MigrationRefused ? new UsageError(error.message, { cause: error }) : error
  })
}

/** Files of the project's folder are read after those before them; others stand for themselves. */
async function namedFiles(names: readonly string[], project: Run['project']): Promise<readonly LintSource[]> {
  const migrations = await project()
    .then(({ source }) => readMigrations(source.folder))
    .catch(() => [])
  const paths = names.map((name) => resolve(name))
  const last = migrations.findLastIndex(({ path }) => paths.includes(resolve(path)))
  const known = migrations.slice(0, last + 1)
  const strangers = paths.filter((path) => !known.some((migration) => resolve(migration.path) === path))
  return [
    ...known.map(({ path, text }) => ({ file: relative('', path), text, report: paths.includes(resolve(path)) })),
    ...(await Promise.all(
      strangers.map(async (path) => ({ file: relative('', path) || basename(path), text: await readNamed(path) })),
    )),
  ]
}
