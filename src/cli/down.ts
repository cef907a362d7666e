/** `rivulet down`: takes migrations back. */
import { type PlannedRevert, planRevert, revertMigrations } from '../migrate/commands/revert.ts'
import { textOption, waitHelp, waitOptions, waitValues } from './arguments.ts'
import { type Command, commonHelp, exitCodes } from './command.ts'
import { count, terminated } from './migrate.ts'
import { reporter } from './progress.ts'
import { withDatabase } from './project.ts'

export const downCommand: Command = {
  name: 'down',
  summary: 'take the newest migration back, or all after --to',
  help: `Usage: rivulet down [options]

Runs NNNN_name.down.sql, written by you beside NNNN_name.sql; without it the migration cannot be taken back. Steps that
lose data are named, and must be confirmed.

Options:
      --to NAME           go back to this migration, which stays
  -y, --yes               confirm the steps that lose data
      --dry-run           print the SQL that would run, change nothing
${waitHelp}
${commonHelp}

Exit codes: 0 done, 1 a statement failed or a file is missing, 3 files and database contradict each other, 4 a lock was
not to be had, 64 not confirmed

Examples:
  rivulet down --dry-run
  rivulet down --yes
  rivulet down --to 0004 --yes`,
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
      const onProgress = reporter(console, 'done')
      const { reverted } = await revertMigrations(url, names, { ...options, ...waitValues(values), signal, onProgress })
      const text = reverted.length === 0 ? 'Nothing to take back.' : `Took back ${count(reverted.length)}.`
      return { exitCode: exitCodes.done, text, json: { reverted } }
    })
  },
}

function planText(plan: readonly PlannedRevert[]): string {
  if (plan.length === 0) return '-- nothing to take back'
  return plan.map(({ file, statements }) => [`-- ${file}`, ...statements.map(terminated)].join('\n')).join('\n\n')
}
