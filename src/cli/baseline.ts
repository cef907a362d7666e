/** `rivulet baseline`: adopts an existing database. */
import { UsageError } from '../errors.ts'
import { baselineMigrations } from '../migrate/commands/baseline.ts'
import { textOption, waitHelp, waitOptions, waitValues } from './arguments.ts'
import { type Command, commonHelp, exitCodes } from './command.ts'
import { count } from './migrate.ts'
import { reporter } from './progress.ts'
import { withDatabase } from './project.ts'

export const baselineCommand: Command = {
  name: 'baseline',
  summary: 'write migrations into the ledger without running them',
  help: `Usage: rivulet baseline --to NAME [options]

For a database that already has what the migrations make, because it was made by hand or by drizzle-kit push. One that
drizzle-kit migrate, or Drizzle's migrate(), has kept needs no baseline.

Options:
      --to NAME           the last migration whose effect the database already has
      --accept-changed    take over the present text of files that were changed since they were applied
${waitHelp}
${commonHelp}

Exit codes: 0 done, 1 failed, 3 files and database contradict each other, 4 another migrator is running

Examples:
  rivulet baseline --to 0004
  rivulet verify            # is it really so?`,
  options: { to: { type: 'string' }, 'accept-changed': { type: 'boolean' }, ...waitOptions },
  run: async ({ values, console, signal, project }) => {
    const to = textOption(values, 'to')
    if (to === undefined) throw new UsageError('say with --to NAME which migration the database is at')
    const found = await project()
    const { adopted, accepted } = await withDatabase(found, (url) =>
      baselineMigrations(url, {
        ...found.source,
        ...waitValues(values),
        to,
        acceptChanged: values['accept-changed'] === true,
        signal,
        onProgress: reporter(console),
      }),
    )
    const sentences = [
      accepted.length > 0 && `Took over the present text of ${accepted.join(', ')}.`,
      adopted.length > 0 &&
        `Adopted ${count(adopted.length)}. \`rivulet verify\` tells whether the database really has them.`,
    ].filter(Boolean)
    const text = sentences.length > 0 ? sentences.join('\n') : 'Nothing to adopt: the ledger has them all.'
    return { exitCode: exitCodes.done, text, json: { adopted, accepted } }
  },
}
