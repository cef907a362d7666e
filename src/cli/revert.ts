/** `rivulet revert`: reverts applied migrations. */
import { type PlannedRevert, planRevert, revertMigrations } from '../migrate/commands/revert.ts'
import { textOption, waitHelp, waitOptions, waitValues } from './arguments.ts'
import { type Command, commonHelp, exitCodes } from './command.ts'
import { count, terminated } from './migrate.ts'
import { reporter } from './progress.ts'
import { withDatabase } from './project.ts'

export const revertCommand: Command = {
  name: 'revert',
  summary: 'revert the newest migration, or all after --to',
  help: `Usage: rivulet revert [options]

Runs NNNN_name.down.sql, which you write beside NNNN_name.sql. A migration without such a file cannot be reverted. Steps
that lose data are listed and must be confirmed.

Options:
      --to NAME           revert all migrations after this one, which stays applied
  -y, --yes               confirm the steps that lose data
      --dry-run           print the SQL that would run; change nothing
${waitHelp}
${commonHelp}

Exit codes: 0 done, 1 a statement failed or a file is missing, 3 files and database contradict each other, 4 the
time limit for a lock was reached, 64 not confirmed

Examples:
  rivulet revert --dry-run
  rivulet revert --yes
  rivulet revert --to 0004 --yes`,
  options: {
    to: { type: 'string' },
    yes: { type: 'boolean', short: 'y' },
    'dry-run': { type: 'boolean' },
    ...waitOptions,
  },
  run: async ({ values, console, signal, project }) => {
    const found = await project()
    const options = { ...found.source, to: textOption(values, 'to') }
    return withDatabase(found, async (url) => {
      const plan = await planRevert(url, options)
      if (values['dry-run']) return { exitCode: exitCodes.done, text: planText(plan), json: { dryRun: true, plan } }
      const losing = plan.flatMap(({ file, destructive }) =>
        destructive.map(({ line, step }) => `  ${file}:${line}: ${step}`),
      )
      if (losing.length > 0 && values.yes !== true) {
        await console.confirm(`These steps lose data:\n${losing.join('\n')}`, '--yes', signal)
      }
      const names = plan.map(({ name }) => name)
      const onProgress = reporter(console, 'reverted')
      const { reverted } = await revertMigrations(url, names, { ...options, ...waitValues(values), signal, onProgress })
      const text = reverted.length === 0 ? 'Nothing to revert.' : `Reverted ${count(reverted.length)}.`
      return { exitCode: exitCodes.done, text, json: { reverted } }
    })
  },
}

function planText(plan: readonly PlannedRevert[]): string {
  if (plan.length === 0) return '-- nothing to revert'
  return plan.map(({ file, statements }) => [`-- ${file}`, ...statements.map(terminated)].join('\n')).join('\n\n')
}
