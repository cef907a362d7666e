/** `rivulet reset`: empties a development database, migrates it, and seeds it if asked. */
import { parseDatabaseUrl } from '../config.ts'
import { applyMigrations } from '../migrate/commands/apply.ts'
import { readMigrations } from '../migrate/files/folder.ts'
import { emptyDatabase, refuseForeign } from '../migrate/commands/reset.ts'
import { readScripts } from '../migrate/files/check-script.ts'
import { textOption, waitHelp, waitOptions, waitValues } from './arguments.ts'
import { type Command, commonHelp, exitCodes } from './command.ts'
import { count } from './migrate.ts'
import { reporter } from './progress.ts'
import { withDatabase } from './project.ts'
import { findSeed, runSeed } from './seed.ts'

export const resetCommand: Command = {
  name: 'reset',
  summary: 'drop everything in a development database, then migrate',
  help: `Usage: rivulet reset [options]

For development: drops every schema with all its data, then applies all migrations. A database on another machine is
refused unless you name it.

Options:
      --seed              then run the seed (see rivulet seed --help)
      --file FILE         the seed module
      --database NAME     reset the database of this name, on whichever machine it is
  -y, --yes               do not ask for confirmation
${waitHelp}
${commonHelp}

Exit codes: 0 done, 1 failed, 3 the migrations folder is broken, 4 another migrator or the service is running, 64
refused or not confirmed

Examples:
  rivulet reset
  rivulet reset --yes --seed
  rivulet reset --yes --database staging`,
  options: {
    seed: { type: 'boolean' },
    file: { type: 'string' },
    database: { type: 'string' },
    yes: { type: 'boolean', short: 'y' },
    ...waitOptions,
  },
  run: async ({ values, console, signal, project }) => {
    const found = await project()
    // Everything that is needed afterwards is read before anything is dropped.
    await readScripts(await readMigrations(found.source.folder))
    const seedFile = values.seed === true ? await findSeed(found, textOption(values, 'file')) : undefined
    return withDatabase(found, async (url) => {
      const { database } = parseDatabaseUrl(url)
      const named = textOption(values, 'database')
      refuseForeign(parseDatabaseUrl(url), named)
      if (values.yes !== true) {
        await console.confirm(`Everything in the database ${database} will be dropped.`, '--yes', signal)
      }
      const { folder, ledger } = found.source
      const options = { ledger, ...waitValues(values), signal, onProgress: reporter(console) }
      const { dropped } = await emptyDatabase(url, { ...options, database: named })
      console.note(`dropped everything in ${database}`)
      const { applied } = await applyMigrations(url, { ...options, folder })
      if (seedFile !== undefined) await runSeed(found, url, seedFile)
      const seeded = seedFile === undefined ? '' : ' and seeded'
      const text = `Applied ${count(applied.length)} to the empty database${seeded}.`
      return { exitCode: exitCodes.done, text, json: { dropped, applied, seeded: seedFile !== undefined } }
    })
  },
}
