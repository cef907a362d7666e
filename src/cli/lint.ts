/** `rivulet lint`: finds what would lock or break a database in use. */
import { basename, relative, resolve } from 'node:path'
import { UsageError } from '../errors.ts'
import { findMigration, readMigrations, readSql } from '../migrate/folder.ts'
import { type Finding, lint as lintSources, lintRules, type LintSource } from '../migrate/lint/lint.ts'
import { textOption } from './arguments.ts'
import { type Command, commonHelp, exitCodes, type Run } from './command.ts'
import type { Console } from './console.ts'

export const lint: Command = {
  name: 'lint',
  summary: 'find unsafe DDL in migrations',
  help: `Usage: rivulet lint [options] [files]

Without files, all migrations of the project are read. A table that the same file creates is empty and therefore safe.
To accept a danger, say why in a comment before the statement:
  -- rivulet:ignore drop-column: no release has used it since 2.3
or, at the head of a file, for all of it: -- rivulet:ignore-file RULE: REASON

Options:
      --since NAME        only migrations after this one
      --rules             list the rules
${commonHelp}

Exit codes: 0 nothing found, 1 findings, 3 the migrations folder is broken

Examples:
  rivulet lint
  rivulet lint --since 0012
  rivulet lint migrations/0013_prices.sql`,
  options: { since: { type: 'string' }, rules: { type: 'boolean' } },
  takesFiles: true,
  run: async ({ values, positionals, console, project }) => {
    if (values.rules) {
      const rules = lintRules.map(({ name, why, instead, manual }) => ({ name, why, instead, manual }))
      const text = rules.map(({ name, why }) => `${console.styleResult('bold', name)}\n  ${why}`).join('\n')
      return { exitCode: exitCodes.done, text, json: { rules } }
    }
    const since = textOption(values, 'since')
    if (since !== undefined && positionals.length > 0) throw new UsageError('give either files or --since, not both')
    const findings = await lintSources(
      positionals.length > 0 ? await namedFiles(positionals, project) : await folderFiles(project, since),
    )
    const exitCode = findings.length > 0 ? exitCodes.failed : exitCodes.done
    const text = findings.length > 0 ? findingsText(findings, console) : 'Nothing unsafe found.'
    return { exitCode, text, json: { findings } }
  },
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
      strangers.map(async (path) => ({ file: relative('', path) || basename(path), text: await readSql(path) })),
    )),
  ]
}
