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

For a database that already has what the migrations make, because it was made by hand or with drizzle-kit push. A
database that drizzle-kit migrate or Drizzle's migrate() has kept up to date needs no baseline.

Options:
      --to NAME           the last migration whose changes the database already has
      --accept-changed    accept the present text of files that were changed after they were applied
${waitHelp}
${commonHelp}

Exit codes: 0 done, 1 failed, 3 files and database contradict each other, 4 another migrator is running

Examples:
  rivulet baseline --to 0004
  rivulet verify            # checks that the database really has them`,
  options: { to: { type: 'string' }, 'accept-changed': { type: 'boolean' }, ...waitOptions },
  run: async ({ values, console, signal, project }) => {
    const to = textOption(values, 'to')
    if (to === undefined)
      throw new UsageError('baseline needs --to NAME: the last migration whose changes the database already has')
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
      accepted.length > 0 && `Accepted the present text of ${accepted.join(', ')}.`,
      adopted.length > 0 &&
        `Adopted ${count(adopted.length)}. Run \`rivulet verify\` to check that the database has them.`,
    ].filter(Boolean)
    const text = sentences.length > 0 ? sentences.join('\n') : 'Nothing to adopt: the ledger already has all of them.'
    return { exitCode: exitCodes.done, text, json: { adopted, accepted } }
  },
}
