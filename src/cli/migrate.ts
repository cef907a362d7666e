/** `rivulet migrate`: applies what is pending. */
import { applyMigrations, planMigrations, type PlannedMigration } from '../migrate/commands/apply.ts'
import type { MigrationSource } from '../migrate/options.ts'
import { findMigration, readMigrations } from '../migrate/files/folder.ts'
import { migrationStatus } from '../migrate/commands/status.ts'
import { textOption, waitHelp, waitOptions, waitValues } from './arguments.ts'
import { type Command, commonHelp, exitCodes } from './command.ts'
import { reporter } from './progress.ts'
import { withDatabase } from './project.ts'

export const migrateCommand: Command = {
  name: 'migrate',
  summary: 'apply the pending migrations',
  help: `Usage: rivulet migrate [options]

Each file runs in a transaction of its own. A file that has CREATE INDEX CONCURRENTLY, or begins with the comment
-- rivulet:no-transaction, runs without one. One migrator works at a time: others wait, then find nothing left to do.

Options:
      --to NAME           stop after this migration (its name or its number)
      --dry-run           print the SQL that would run; change nothing
      --out-of-order      also apply files that are older than the newest applied one
${waitHelp}
${commonHelp}

Exit codes: 0 up to date, 1 a statement failed, 3 files and database contradict each other, 4 the time limit for a
lock was reached

Examples:
  rivulet migrate
  rivulet migrate --dry-run
  rivulet migrate --to 0007 --lock-timeout 500`,
  options: {
    to: { type: 'string' },
    'dry-run': { type: 'boolean' },
    'out-of-order': { type: 'boolean' },
    ...waitOptions,
  },
  run: async ({ values, console, signal, project }) => {
    const found = await project()
    const options = {
      ...found.source,
      ...waitValues(values),
      to: textOption(values, 'to'),
      outOfOrder: values['out-of-order'] === true,
      signal,
      onProgress: reporter(console),
    }
    return withDatabase(found, async (url) => {
      if (values['dry-run']) {
        const plan = await planMigrations(url, options)
        return { exitCode: exitCodes.done, text: planText(plan), json: { dryRun: true, migrations: plan } }
      }
      const { applied, ahead } = await applyMigrations(url, options)
      if (ahead.length > 0) {
        console.note(console.style('yellow', `the database is newer than this code: it also has ${ahead.join(', ')}`))
      }
      const later =
        applied.length === 0 && options.to !== undefined ? await appliedAfter(url, found.source, options.to) : []
      const passed =
        later.length === 0
          ? ''
          : ` The database is past ${options.to}, at ${later.at(-1)}: use \`rivulet revert\` to go back.`
      const text = applied.length === 0 ? `Nothing to apply.${passed}` : `Applied ${count(applied.length)}.`
      return { exitCode: exitCodes.done, text, json: { applied, ahead } }
    })
  },
}

/** The applied migrations that come after `to`. */
async function appliedAfter(url: string, source: MigrationSource, to: string): Promise<readonly string[]> {
  const migrations = await readMigrations(source.folder)
  const last = migrations.indexOf(findMigration(migrations, to))
  const later = new Set(migrations.slice(last + 1).map(({ name }) => name))
  const { migrations: states } = await migrationStatus(url, source)
  return states.filter(({ name, state }) => state === 'applied' && later.has(name)).map(({ name }) => name)
}

function planText(plan: readonly PlannedMigration[]): string {
  if (plan.length === 0) return '-- nothing to apply'
  return plan
    .map(({ file, transactional, statements }) => {
      const sql = statements.map(({ text }) => terminated(text))
      const lines = transactional ? ['begin;', ...sql, 'commit;'] : sql
      return [`-- ${file}${transactional ? '' : ' (without a transaction)'}`, ...lines].join('\n')
    })
    .join('\n\n')
}

/** The statement with its semicolon, which must not end up behind a comment. */
export function terminated(statement: string): string {
  return /--[^\n]*$/.test(statement) ? `${statement}\n;` : `${statement};`
}

/** `1 migration`, `2 migrations`. */
export function count(number: number): string {
  return `${number} migration${number === 1 ? '' : 's'}`
}
